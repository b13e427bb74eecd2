"""What holds for every view: keys, screen readers, narrow screens, themes, and API keys."""

from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe

from service.keys import add_key
from tests.browser.conftest import ROOT, copied, serving

pytestmark = pytest.mark.browser

READY = {
    "forecast": "#forecast-panels:not([aria-busy]) .chart",
    "attention": "#attention-result:not([aria-busy]) canvas.heat",
    "translate": "#translate-results:not([aria-busy]) canvas.heat",
    "names": "#names-result:not([aria-busy]) tbody tr",
    "service": "#service-latency canvas",
}


def ready(page, view):
    if not page.url.endswith(f"#{view}"):
        page.click(f"nav a[data-view={view}]")
    page.wait_for_selector(READY[view])
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(open_page, scheme):
    page = open_page(color_scheme=scheme)
    # the dark theme has the same elements in other colours
    rules = {} if scheme == "light" else {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
    found = []
    for view in READY:
        ready(page, view)
        if view == "forecast":
            page.click("#forecast-values summary")
            page.fill("#forecast-horizon", "0")  # faults are to be read too
            page.wait_for_selector("#forecast-horizon-faults li")
        if view == "service":
            page.click("#service-bundles summary >> nth=0")
            page.wait_for_selector(".card")
        faults = Axe().run(page, options=rules).response["violations"]
        found += [
            (view, fault["id"], [node["html"][:150] for node in fault["nodes"]])
            for fault in faults
            if fault["impact"] in ("serious", "critical")
        ]
    assert found == []


def test_a_narrow_screen_has_it_all_without_scrolling_sideways(open_page):
    page = open_page(viewport=(340, 700))
    for view in READY:
        ready(page, view)
        wide = page.evaluate("[document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]")
        assert wide[0] <= wide[1], view
        assert page.locator(READY[view]).first.bounding_box()["width"] <= 340


def focused(page):
    return page.evaluate(
        """() => {
          const { id, tagName, className, textContent, name } = document.activeElement;
          return id || (tagName === "A" ? textContent : `${tagName} ${className || name || textContent}`.trim());
        }"""
    )


def test_everything_is_reached_by_tab(open_page):
    page = open_page()
    for view in READY:
        ready(page, view)
        reach_everything(page)


def reach_everything(page):
    wanted = page.evaluate(
        """() => {
          const all = document.querySelectorAll("a[href], button, select, input, textarea, summary, [tabindex='0']");
          for (const each of all) delete each.dataset.seen;
          document.activeElement.blur();
          return [...all].filter(each => {
            if (!each.checkVisibility() || each.disabled || each.closest("dialog")) return false;
            if (each.type !== "radio") return true;
            return each.checked; // the arrow keys lead to the others
          }).length;
        }"""
    )
    assert wanted > 8
    seen = set()
    for _ in range(wanted + 4):
        page.keyboard.press("Tab")
        marked = page.evaluate(
            """() => {
              const each = document.activeElement;
              if (each === document.body) return null;
              each.dataset.seen ??= String(document.querySelectorAll("[data-seen]").length);
              const style = getComputedStyle(each);
              const shown = each.type === "radio" ? getComputedStyle(each.nextElementSibling) : style;
              return [each.dataset.seen, shown.outlineStyle !== "none"];
            }"""
        )
        if marked:
            assert marked[1], f"no focus is seen on {focused(page)}"
            seen.add(marked[0])
    assert len(seen) == wanted


def test_a_forecast_is_made_and_read_by_keys_alone(open_page):
    page = ready(open_page(), "forecast")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == "forecast-model"
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#forecast-summary:has-text('etth1-linear')")
    page.wait_for_selector(READY["forecast"])
    while focused(page) != "DIV chart":
        page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.locator(".reading").first.inner_text().startswith("2026-01-10 00:00 forecast ")
    said = page.get_attribute(".chart >> nth=0", "aria-valuetext")
    assert said.replace(", ", " ") == page.locator(".reading").first.inner_text()
    page.keyboard.press("+")
    assert page.is_visible("#forecast-zoom-out")
    page.keyboard.press("0")
    assert not page.is_visible("#forecast-zoom-out")
    page.keyboard.press("Escape")
    assert page.locator(".reading").first.inner_text().startswith("forecast ")


def background(page):
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_the_theme_is_the_systems_until_one_is_chosen(open_page):
    page = ready(open_page(color_scheme="dark"), "forecast")
    dark = background(page)
    page.emulate_media(color_scheme="light")
    page.wait_for_selector(":root[data-theme=light]")
    assert background(page) != dark
    assert page.get_attribute("#theme", "aria-pressed") == "false"
    page.click("#theme")
    assert background(page) == dark
    page.reload()
    assert background(page) == dark
    assert page.get_attribute("#theme", "aria-pressed") == "true"
    page.click("#theme")
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector(":root[data-theme=dark]")


def test_charts_are_drawn_anew_in_another_theme(open_page):
    page = ready(open_page(color_scheme="light"), "forecast")
    pixels = "document.querySelector('.chart canvas').toDataURL()"
    before = page.evaluate(pixels)
    page.click("#theme")
    page.wait_for_selector(READY["forecast"])
    assert page.evaluate(pixels) != before


def test_the_address_says_which_view(open_page):
    page = ready(open_page("names"), "names")
    assert page.title() == "Names · seqcast playground"
    assert page.locator("nav a[aria-current=page]").inner_text() == "Names"
    page.click("nav a[data-view=forecast]")
    page.wait_for_selector(READY["forecast"])
    page.go_back()
    assert page.locator("nav a[aria-current=page]").inner_text() == "Names"
    assert page.is_visible("#view-names")
    assert not page.is_visible("#view-forecast")


def test_docs_work_beside_it(open_page, service):
    page = open_page()
    page.goto(f"{service}/docs")
    page.wait_for_selector(".opblock-summary-path >> nth=0")
    assert page.locator(".opblock-summary-path").count() > 10


def test_an_inline_script_would_not_run(open_page):
    page = ready(open_page(), "names")
    page.evaluate(
        """() => {
          window.refused = [];
          document.addEventListener("securitypolicyviolation", event => window.refused.push(event.effectiveDirective));
          for (const [tag, text] of [["script", "window.ran = true"], ["style", "body { display: none }"]])
            document.body.append(Object.assign(document.createElement(tag), { textContent: text }));
          const markup = "<img src=x onerror='window.ran = true'><p style='color: red'>";
          document.body.insertAdjacentHTML("beforeend", markup);
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert {"script-src-elem", "style-src-elem", "style-src-attr"} <= set(page.evaluate("window.refused"))
    page.complaints.clear()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The address of a service of small bundles that asks for a key, and the key."""
    folder = tmp_path_factory.mktemp("guarded")
    key = add_key(folder / "keys", "ours")
    (folder / "served").mkdir()
    for bundle in ("bundles/hourly", "translators/words", "generators/syllables"):
        (folder / "served" / Path(bundle).name).symlink_to(ROOT / "tests" / bundle)
    with serving(folder / "served", SEQCAST_API_KEYS=str(folder / "keys")) as url:
        yield url, key


def test_a_key_is_asked_for_kept_in_the_tab_and_sent_with_each_call(open_page, guarded):
    url, key = guarded
    page = open_page(url=url)
    page.wait_for_selector("#key-dialog[open]")
    assert page.inner_text("#key-problem").startswith("expected an API key")
    page.fill("#key", "wrong")
    page.press("#key", "Enter")
    page.wait_for_selector("#key-problem:has-text('not known')")
    sent = []
    page.on("request", lambda request: sent.append(request) if "/playground/" not in request.url else None)
    page.fill("#key", key)
    page.click("#key-form button[type=submit]")
    page.wait_for_selector(READY["forecast"])
    assert not page.is_visible("#key-dialog")
    for view in READY:
        ready(page, view)
    assert len(sent) > 8
    assert {request.headers.get("authorization") for request in sent} == {f"Bearer {key}"}
    assert not any(key in request.url for request in sent)
    stored = page.evaluate("[JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie]")
    assert [key in each for each in stored] == [False, True, False]
    assert key not in page.content()
    ready(page, "forecast")
    assert '"Authorization: Bearer $API_KEY"' in page.inner_text("#forecast-curl")
    page.reload()
    page.wait_for_selector(READY["forecast"])
    page.click("#forget-key")
    page.wait_for_selector("#key-dialog[open]")
    assert page.evaluate("sessionStorage.length") == 0


def test_without_a_key_the_page_says_what_the_api_said(open_page, guarded):
    page = open_page(url=guarded[0])
    page.wait_for_selector("#key-dialog[open]")
    page.click("#key-cancel")
    page.wait_for_selector("#forecast-problem:has-text('expected an API key')")
    assert not page.is_visible("#forget-key")


def test_views_without_a_bundle_say_so(open_page):
    page = open_page("service")
    page.route("**/models", lambda route: route.fulfill(json={"models": []}))
    for view, told in (
        ("forecast", "No bundle that forecasts is served."),
        ("attention", "No bundle that gives attention maps is served."),
        ("translate", "No bundle that translates is served."),
        ("names", "No bundle that generates is served."),
    ):
        page.click(f"nav a[data-view={view}]")
        page.wait_for_selector(f"#{view}-problem:has-text('{told}')")


def test_a_service_that_is_gone_is_told(open_page):
    page = ready(open_page(), "forecast")
    page.route("**/forecast?*", lambda route: route.abort())
    page.fill("#forecast-horizon", "3")
    page.wait_for_selector("#forecast-problem:has-text('The service does not answer.')")


def test_a_new_version_is_offered_to_a_page_that_is_open(open_page, tmp_path):
    for bundle in ("bundles/hourly", "translators/words", "generators/syllables"):
        (tmp_path / Path(bundle).name).mkdir()
        (tmp_path / Path(bundle).name / "1").symlink_to(ROOT / "tests" / bundle / "1")
    with serving(tmp_path, SEQCAST_WATCH_S="0.2") as url, httpx.Client(base_url=url) as api:
        page = open_page(url=url)
        for view in ("forecast", "translate", "names"):
            ready(page, view)
        page.fill("#names-prompt", "ka")
        ready(page, "translate")
        text = page.input_value("#translate-text")
        for name, folder in (("words", "translators"), ("hourly", "bundles"), ("syllables", "generators")):
            copied(tmp_path, ROOT / "tests" / folder / name, name, lambda manifest: None, version=2)
        while [each["version"] for each in api.get("/models").json()["models"]] != [2, 2, 2]:
            page.wait_for_timeout(200)
        # as where its tab is looked at again
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_selector("#translate-results h3:has-text('version 2')")
        assert page.locator("#translate-bundles label").all_inner_texts() == ["words · version 2", "words · version 1"]
        assert page.locator("#translate-bundles :checked").count() == page.locator("article").count() == 1
        assert page.input_value("#translate-text") == text
        page.click("nav a[data-view=names]")
        page.wait_for_selector("#names-summary:has-text('syllables, version 2')")
        assert page.input_value("#names-prompt") == "ka"
        page.click("nav a[data-view=forecast]")
        page.wait_for_selector("#forecast-summary:has-text('hourly, version 2')")
        offered = page.locator("#forecast-model option").all_inner_texts()
        assert offered == ["hourly · version 2", "hourly · version 1"]
