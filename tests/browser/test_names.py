"""The view Names shows the words that the API draws."""

import math

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture
def page(open_page):
    page = open_page("names")
    settled(page)
    return page


def settled(page):
    page.wait_for_selector("#names-result:not([aria-busy])")


def drawn(page):
    """Word, likelihood, and one in how many, by row."""
    rows = page.locator("#names-words tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return [(word, float(likelihood), rarity) for word, likelihood, _, rarity in rows]


def ask(api, **request):
    return api.post("/generate", json={"model": "names-wavenet", **request}).json()


def test_words_come_with_their_likelihoods(page, api):
    assert len(drawn(page)) == 10
    request = {"prompt": "an", "count": 5, "temperature": 0.6, "seed": 3}
    for name, value in request.items():
        page.fill(f"#names-{name}", str(value))
        settled(page)
    said = ask(api, **request)
    assert [row[:2] for row in drawn(page)] == [(each["text"], each["log_likelihood"]) for each in said["generated"]]
    for _, likelihood, rarity in drawn(page):
        assert float(rarity.replace(",", "")) == pytest.approx(math.exp(-likelihood), rel=0.06)
    assert page.inner_text("#names-summary") == "names-wavenet, version 1: seed 3"
    widths = page.locator(".bar span").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    least = min(each["log_likelihood"] for each in said["generated"])
    assert widths == pytest.approx([100 * each["log_likelihood"] / least for each in said["generated"]], rel=1e-3)


def test_the_slider_sets_the_temperature(page, api):
    page.fill("#names-seed", "9")
    page.fill("#names-range", "1.5")
    assert page.input_value("#names-temperature") == "1.5"
    settled(page)
    said = ask(api, temperature=1.5, seed=9)
    assert [word for word, *_ in drawn(page)] == [each["text"] for each in said["generated"]]


def test_a_seed_that_was_made_up_can_be_kept(page):
    words = drawn(page)
    seed = page.inner_text("#names-summary").rpartition(" ")[2]
    page.click("#names-keep")
    assert page.input_value("#names-seed") == seed
    page.press("#names-seed", "Enter")
    settled(page)
    assert drawn(page) == words
    page.fill("#names-seed", "")
    settled(page)
    assert drawn(page) != words


def test_faults_are_told_by_their_field_in_the_apis_words(page, api):
    request = {"prompt": "An3", "count": 0, "temperature": 100, "seed": -1}
    for name, value in request.items():
        page.fill(f"#names-{name}", str(value))
    settled(page)
    faults = api.post("/generate", json={"model": "names-wavenet", **request}).json()["errors"]
    assert {fault["pointer"][1:] for fault in faults} == set(request)
    for fault in faults:
        field = fault["pointer"][1:]
        assert page.locator(f"#names-{field}-faults li").all_inner_texts() == [f"/{field} {fault['message']}"]
        assert page.get_attribute(f"#names-{field}", "aria-invalid") == "true"
    assert drawn(page) == []
