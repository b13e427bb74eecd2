"""The view Attention shows where the API says that steps looked."""

import json

import pytest

from tests.browser.conftest import HOSTILE
from tests.browser.tables import made_up

pytestmark = pytest.mark.browser

COLUMNS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]


@pytest.fixture
def page(open_page):
    return settled(open_page("attention"))


def settled(page):
    page.wait_for_selector("#attention-result:not([aria-busy]) canvas.heat")
    return page


def maps(api, kind, layer, text=None, model="etth1-informer"):
    """The maps of the bundle's sample, or of a table."""
    text = text or api.get(f"/models/{model}/sample", headers={"accept": "text/csv"}).text
    query = {"model": model, "attention": json.dumps({"kinds": [kind], "layers": [layer]})}
    headers = {"content-type": "text/csv", "accept": "application/json"}
    (forecast,) = api.post("/forecast", params=query, content=text, headers=headers).json()["forecasts"]
    return forecast["attention"][0]


def choose(page, kind, layer=0, head=0):
    page.select_option("#attention-kind", kind)
    settled(page)
    page.select_option("#attention-layer", str(layer))
    settled(page)
    page.locator("#attention-heads input").nth(head).check(force=True)
    return settled(page)


def stretch(axis, place):
    first, last = (axis[side][place].replace("T", " ")[:16] for side in ("from", "to"))
    return first if first == last else f"{first} to {last}"


def percent(weight):
    """Three digits, as JavaScript writes them."""
    return f"{float(f'{100 * weight:.3g}'):g} %"


def at_cell(page, row, column):
    """What is read at a cell, gone to by keys."""
    canvas = page.locator("canvas.heat")
    canvas.press("Escape")
    canvas.press("ArrowDown")  # row 0, column 0
    for key, count in (("ArrowDown", row), ("ArrowRight", column)):
        for _ in range(count // 10):
            canvas.press(f"Shift+{key}")
        for _ in range(count % 10):
            canvas.press(key)
    return page.inner_text("#attention-reading")


def test_a_cell_reads_as_the_api_has_it(page, api):
    for kind, layer, head, row, column in (
        ("cross", 0, 0, 71, 30),
        ("cross", 0, 2, 60, 47),
        ("decoder", 0, 1, 47, 12),
        ("encoder", 1, 3, 20, 5),
    ):
        told = maps(api, kind, layer)
        weights, selected = (told["heads"][head][name] for name in ("weights", "selected"))
        choose(page, kind, layer, head)
        assert page.inner_text("#attention-title").endswith(f"{kind} attention, layer {layer}, head {head}")
        who = stretch(told["rows"], row)
        if selected[row]:
            looked = f"{who} looked at {stretch(told['columns'], column)}: {percent(weights[row][column])}"
            assert at_cell(page, row, column) == looked
        else:
            got = "the mean of all values" if kind == "encoder" else "the sum of the values up to its own step"
            assert at_cell(page, row, column) == f"{who} was not selected: it looked at nothing, and got {got}."
        mixed = "Steps and heads are mixed" in page.inner_text("#attention-notes")
        assert mixed == told["mixed"]


def test_queries_that_were_not_selected_are_hatched(page, api):
    for head in (0, 3):
        choose(page, "encoder", 0, head)
        selected = maps(api, "encoder", 0)["heads"][head]["selected"]
        told = f"Hatched: {selected.count(False)} of {len(selected)} queries that ProbSparse did not select"
        assert told in page.inner_text("#attention-notes")
        assert hatched(page, len(selected)) == [not each for each in selected]
    choose(page, "cross")
    assert "Hatched" not in page.inner_text("#attention-notes")
    assert not any(hatched(page, 72))


def hatched(page, rows):
    """Which rows of the map have a pixel of the hatching's own colour; the map is what has a frame around."""
    return page.evaluate(
        """rows => {
          const canvas = document.querySelector("canvas.heat");
          const context = canvas.getContext("2d");
          const { width, height } = canvas;
          const { data } = context.getImageData(0, 0, width, height);
          const rgb = name => {
            const probe = document.createElement("canvas").getContext("2d");
            probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
            probe.fillRect(0, 0, 1, 1);
            return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3).join();
          };
          const colourAt = (x, y) => [...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)].join();
          const [frame, ground] = [rgb("--border"), rgb("--sunken")];
          // the frame's top and bottom, in the middle of the map
          const x = Math.round(width * 0.6);
          const edges = [...Array(height).keys()].filter(y => colourAt(x, y) === frame);
          const [top, bottom] = [edges[0] + 1, edges[edges.length - 1]];
          const size = (bottom - top) / rows;
          return [...Array(rows).keys()].map(row => {
            const y = Math.round(top + (row + 0.5) * size);
            return [...Array(40).keys()].some(step => colourAt(x + step, y) === ground);
          });
        }""",
        rows,
    )


def test_pointing_at_a_forecast_step_shows_the_history_it_looked_at(page, api):
    told = maps(api, "cross", 0)
    weights = told["heads"][1]["weights"]
    choose(page, "cross", 0, 1)
    chart = page.locator("#attention-chart .chart")
    assert orange(page) is None
    for back in (0, 9):
        chart.press("End")
        for _ in range(back):
            chart.press("ArrowLeft")
        row = 71 - back
        most = sorted(range(48), key=lambda place: -weights[row][place])[:3]
        looked = ", ".join(f"{stretch(told['columns'], place)} {percent(weights[row][place])}" for place in most)
        assert page.inner_text("#attention-reading") == f"{stretch(told['rows'], row)} looked most at {looked}"
        # 48 positions of two steps each, of 120 steps on the time axis
        assert orange(page) == pytest.approx((2 * most[0] + 0.5) / 119, abs=0.02)
    chart.press("Escape")
    assert orange(page) is None
    box = page.locator("#attention-chart .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 20)
    assert page.inner_text("#attention-reading").startswith("2026-01-10 00:00 looked most at")
    assert orange(page) is not None


def orange(page):
    """Where the chart is shaded most, from 0 to 1 along its time axis; None where it is not at all."""
    return page.evaluate(
        """() => {
          const over = document.querySelector("#attention-chart .u-over").getBoundingClientRect();
          const canvas = document.querySelector("#attention-chart canvas");
          const box = canvas.getBoundingClientRect();
          const [left, width] = [Math.round(over.left - box.left), Math.round(over.width)];
          const { data } = canvas.getContext("2d").getImageData(left, Math.round(over.top - box.top) + 2, width, 1);
          let [most, place] = [8, null];
          for (let x = 0; x < width; x += 1) {
            const shade = (data[4 * x] - data[4 * x + 2]) * (data[4 * x + 3] / 255);
            if (shade > most) [most, place] = [shade, x];
          }
          return place === null ? null : place / width;
        }"""
    )


def test_only_bundles_with_maps_are_offered_and_the_table_is_that_of_the_forecast(page, api):
    served = {model["name"] for model in api.get("/models").json()["models"] if model["task"] == "forecast"}
    attentive = {name for name in served if api.get(f"/models/{name}").json()["attention"]}
    offered = page.locator("#attention-model option").evaluate_all("options => options.map(each => each.value)")
    assert set(offered) == attentive < served
    page.click("nav a[data-view=forecast]")
    text = made_up(COLUMNS, 110)
    page.wait_for_selector("#forecast-panels:not([aria-busy])", state="attached")
    page.fill("#forecast-table", text)
    page.click("nav a[data-view=attention]")
    page.wait_for_selector("#attention-row:text-is('110 of 110')")
    settled(page)
    told = maps(api, "cross", 0, text)
    assert at_cell(page, 71, 3).endswith(percent(told["heads"][0]["weights"][71][3]))
    page.fill("#attention-table", "100")
    page.wait_for_selector("#attention-row:text-is('100 of 110')")
    settled(page)
    told = maps(api, "cross", 0, "".join(text.splitlines(keepends=True)[:101]))
    assert at_cell(page, 71, 3).endswith(percent(told["heads"][0]["weights"][71][3]))


def test_a_table_that_does_not_fit_is_told_in_the_apis_words(page, api):
    page.select_option("#attention-model", "zz-hostile")
    page.wait_for_selector("#attention-title:has-text('zz-hostile')")
    offered = page.locator("#attention-column option").all_inner_texts()
    assert offered == HOSTILE
    page.click("nav a[data-view=forecast]")
    page.wait_for_selector("#forecast-panels:not([aria-busy])", state="attached")
    page.fill("#forecast-table", made_up(COLUMNS, 110))
    page.click("nav a[data-view=attention]")
    page.wait_for_selector("#attention-table-faults li")
    headers = {"content-type": "text/csv", "accept": "application/json"}
    query = {"model": "zz-hostile", "fill": "interpolate"}
    refused = api.post("/forecast", params=query, content=made_up(COLUMNS, 110), headers=headers).json()
    told = [f"{fault['pointer']} {fault['message']}" for fault in refused["errors"]]
    assert page.locator("#attention-table-faults li").all_inner_texts() == told
    assert not page.locator("canvas.heat").count()
    page.click("#attention-sample")
    settled(page)
    assert not page.locator("#attention-table-faults li").count()


def test_back_in_the_forecast_it_is_the_row_chosen_here_or_its_own_sample(page):
    page.fill("#attention-table", "100")
    page.wait_for_selector("#attention-row:text-is('100 of 120')")
    page.click("nav a[data-view=forecast]")
    page.wait_for_selector("#forecast-origin-row:text-is('100 of 120')")
    page.wait_for_selector("#forecast-summary:has-text('after 2026-01-09 04:00')")
    page.select_option("#forecast-model", "wth-linear")
    page.wait_for_selector("#forecast-summary:has-text('wth-linear')")
    page.click("nav a[data-view=attention]")
    settled(page)
    page.click("nav a[data-view=forecast]")
    page.wait_for_selector("#forecast-panels:not([aria-busy]) .chart")
    assert "wth-linear" in page.inner_text("#forecast-summary")
