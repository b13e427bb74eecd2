"""The view Forecast shows what the API says."""

import re
import subprocess

import numpy as np
import pytest

from contract.frequency import Frequency
from tests.browser.conftest import HOSTILE, ROOT
from tests.browser.tables import made_up, without

pytestmark = pytest.mark.browser

COLUMNS = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
ROWS, ORIGIN = 140, 112
# in the history two of HUFL and one of OT, in what is held back two of HUFL
TABLE = without(made_up(COLUMNS, ROWS), (60, 1), (61, 1), (80, 7), (120, 1), (121, 1))


def settled(page):
    """Wait until the charts are those of the last question."""
    page.wait_for_selector("#forecast-panels:not([aria-busy])", state="attached")
    return page


def pasted(page, text, origin=None):
    settled(page)
    page.fill("#forecast-table", text)
    if origin is not None:
        page.locator("#forecast-origin").fill(str(origin))
    return settled(page)


def forecast(api, text, **query):
    query = {"model": "etth1-informer", "fill": "interpolate", "levels": "80,95", "history": "true", **query}
    headers = {"content-type": "text/csv", "accept": "application/json"}
    answer = api.post("/forecast", params=query, content=text, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["forecasts"][0]


def upto(text, rows):
    return "".join(text.splitlines(keepends=True)[: rows + 1])


def readings(page, key):
    """What is read in each figure after a key in the first."""
    page.locator(".chart").first.press(key)
    return page.locator("#forecast-panels .reading").all_inner_texts()


def table_of(page):
    """The values, from the table below the charts."""
    if not page.locator("#forecast-values[open]").count():
        page.click("#forecast-values summary")
    page.wait_for_selector("#forecast-values tr")
    return page.locator("#forecast-values tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )


def reading(forecast, name, step):
    parts = [f"forecast {number(forecast['values'][name][step])}"]
    for level in ("80", "95"):
        sides = forecast["intervals"][level][name]
        parts.append(f"{level} %: {number(sides['lower'][step])} to {number(sides['upper'][step])}")
    return " · ".join(parts)


def number(value):
    """As JavaScript writes it."""
    return str(int(value)) if value == int(value) else repr(value)


def test_a_sample_is_there_at_once_with_a_truth(page, api):
    settled(page)
    sample = api.get("/models/etth1-informer/sample?rows=120", headers={"accept": "text/csv"}).text
    assert page.input_value("#forecast-table") == sample
    assert page.inner_text("#forecast-origin-row") == "96 of 120"
    said = forecast(api, upto(sample, 96))
    assert page.locator("#forecast-panels .name").all_inner_texts() == list(said["values"])
    assert page.locator("#forecast-panels .unit").all_inner_texts() == ["°C"]
    shown = table_of(page)
    assert shown[0] == ["timestamp", *said["values"]]
    assert [row[0] for row in shown[1:]] == said["timestamps"]
    for column, values in enumerate(said["values"].values(), 1):
        assert [float(row[column]) for row in shown[1:]] == values
    assert "etth1-informer, version 1: 24 steps after 2026-01-09 00:00" in page.inner_text("#forecast-summary")
    truth = [float(cell) for cell in sample.splitlines()[-1].split(",")[1:]]
    at_end = readings(page, "End")
    assert at_end == [
        f"2026-01-10 00:00 {reading(said, name, 23)} · truth {number(came)}"
        for name, came in zip(COLUMNS, truth, strict=True)
    ]
    assert page.locator("#forecast-panels .error").count() == 7
    assert readings(page, "Home") == [
        f"2026-01-05 01:00 {number(column[0])}" for column in said["history"]["values"].values()
    ]
    legend = ["history", "forecast", "80 %", "95 %", "truth"]
    assert page.locator(".legend li:visible").all_inner_texts() == legend
    page.locator("#forecast-origin").fill("120")
    settled(page)
    assert "24 steps after 2026-01-10 00:00" in page.inner_text("#forecast-summary")
    assert page.locator(".legend li:visible").all_inner_texts() == legend[:4]


def test_every_bundle_that_forecasts_is_offered_with_its_own_sample(page, api):
    settled(page)
    served = [model for model in api.get("/models").json()["models"] if model["task"] == "forecast"]
    offered = page.locator("#forecast-model option").all_inner_texts()
    assert offered == [f"{each['name']} · version {version}" for each in served for version in each["versions"]]
    page.select_option("#forecast-model", "monthly:1")
    page.wait_for_selector("#forecast-summary:has-text('monthly, version 1: 6 steps')")
    assert "model=monthly%3A1" in page.inner_text("#forecast-curl")
    page.select_option("#forecast-model", "wth-linear")
    page.wait_for_selector("figcaption .name:text('WetBulbCelsius')")
    columns = api.get("/models/wth-linear").json()["forecast"]["columns"]
    assert page.locator("#forecast-panels .name").all_inner_texts() == columns
    assert "wth-linear, version 1" in page.inner_text("#forecast-summary")


def test_truth_and_errors_where_the_table_goes_on(page, api):
    pasted(page, TABLE, ORIGIN)
    said, truth = forecast(api, upto(TABLE, ORIGIN)), forecast(api, upto(TABLE, ORIGIN + 24))["history"]
    came = {stamp: row for row, stamp in enumerate(truth["timestamps"])}
    rows = [came[stamp] for stamp in said["timestamps"]]
    nearer = 0
    for name, shown in zip(COLUMNS, page.locator("#forecast-panels .error").all_inner_texts(), strict=True):
        known = [step for step, row in enumerate(rows) if row not in truth["filled"].get(name, [])]
        assert len(known) == (22 if name == "HUFL" else 24)
        values = np.array([truth["values"][name][row] for row in rows])[known]
        past = said["history"]["values"][name]
        error = np.abs(np.array(said["values"][name])[known] - values).mean()
        naive = np.abs(np.array(past[-24:])[known] - values).mean()
        first, second = map(float, re.fullmatch(r"MAE ([\d.]+) · last day repeated ([\d.]+)", shown).groups())
        assert (first, second) == (pytest.approx(error, rel=6e-4), pytest.approx(naive, rel=6e-4))
        nearer += error < naive
    assert f"in {nearer} of 7 columns" in page.inner_text("#forecast-summary")
    assert page.inner_text("#forecast-origin-row") == "112 of 140"
    last = readings(page, "End")
    row = rows[-1]
    assert last[6].endswith(f"{reading(said, 'OT', 23)} · truth {number(truth['values']['OT'][row])}")
    assert "truth" in page.locator(".legend li:visible").all_inner_texts()


def test_filled_and_missing_points_are_marked(page, api):
    pasted(page, TABLE, ORIGIN)
    said = forecast(api, upto(TABLE, ORIGIN))
    assert page.locator("#forecast-warnings li").all_inner_texts() == said["warnings"]
    assert said["history"]["filled"] == {"HUFL": [44, 45], "OT": [64]}
    page.locator(".chart").first.press("Home")
    for _ in range(44):
        page.locator(".chart").first.press("ArrowRight")
    at_filled = page.locator("#forecast-panels .reading").all_inner_texts()
    filled = number(said["history"]["values"]["HUFL"][44])
    assert at_filled[0] == f"2026-03-04 12:00 {filled} (filled)"
    assert [text.endswith("(filled)") for text in at_filled] == [True] + 6 * [False]
    page.locator(".chart").first.press("End")
    for _ in range(15):
        page.locator(".chart").first.press("ArrowLeft")
    ends = [text.endswith("truth missing") for text in page.locator("#forecast-panels .reading").all_inner_texts()]
    assert ends == [True] + 6 * [False]
    page.locator(".chart").first.press("Escape")
    marked = [coloured(page, colour) for colour in ("filled", "missing")]
    assert marked == [[True, False, False, False, False, False, True], [True] + 6 * [False]]


def coloured(page, name):
    """Whether there is a point of that colour, by chart."""
    return page.evaluate(
        """name => {
          const probe = document.createElement("canvas").getContext("2d");
          probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
          probe.fillRect(0, 0, 1, 1);
          const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
          return [...document.querySelectorAll("#forecast-panels canvas")].map((canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            for (let at = 0; at < data.length; at += 4)
              if (data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255) return true;
            return false;
          });
        }""",
        name,
    )


def test_hovering_reads_the_values_of_every_column(page, api):
    settled(page)
    box = page.locator(".chart .u-over").nth(2).bounding_box()
    page.mouse.move(box["x"] + box["width"] - 1, box["y"] + 40)
    said = forecast(api, upto(page.input_value("#forecast-table"), 96))
    read = [text.partition(" · truth")[0] for text in page.locator("#forecast-panels .reading").all_inner_texts()]
    assert read == [f"2026-01-10 00:00 {reading(said, name, 23)}" for name in COLUMNS]
    page.mouse.move(5, 5)
    page.wait_for_selector(".reading >> nth=0 >> text=/^forecast/")


def test_dragging_zooms_every_chart(page):
    settled(page)

    def leftmost(chart):
        box = page.locator(".chart .u-over").nth(chart).bounding_box()
        page.mouse.move(box["x"] + 1, box["y"] + 40)
        return page.locator("#forecast-panels .reading time").nth(chart).inner_text()

    assert leftmost(3) == "2026-01-05 01:00"
    box = page.locator(".chart .u-over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 50, steps=4)
    page.mouse.up()
    assert "2026-01-07 12:00" < leftmost(3) < "2026-01-07 15:00"
    page.click("#forecast-zoom-out")
    assert leftmost(3) == "2026-01-05 01:00"
    assert not page.is_visible("#forecast-zoom-out")


def test_the_downloads_and_the_curl_line_are_the_same_forecast(page, api, tmp_path):
    pasted(page, TABLE, ORIGIN)
    (tmp_path / "table.csv").write_text(TABLE)
    with page.expect_download() as csv:
        page.click("#forecast-csv")
    assert csv.value.suggested_filename == "etth1-informer-forecast.csv"
    saved = csv.value.path().read_text()
    said = forecast(api, upto(TABLE, ORIGIN))
    assert [float(line.split(",")[7]) for line in saved.splitlines()[1:]] == said["values"]["OT"]
    assert "OT_upper_95" in saved.splitlines()[0]
    assert from_shell(page, tmp_path) == saved
    page.click("#forecast-copy")
    assert page.evaluate("navigator.clipboard.readText()") == page.inner_text("#forecast-curl")
    with page.expect_download() as png:
        page.click("#forecast-png")
    picture = png.value.path().read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    assert width > 500
    assert height > 4 * 168
    page.click("#forecast-sample")
    settled(page)
    assert from_shell(page, tmp_path).splitlines()[1].startswith("2026-01-09T01:00:00,")


def from_shell(page, folder):
    line = page.inner_text("#forecast-curl")
    return subprocess.run(["bash", "-ec", line], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_file_is_opened_or_dropped_whatever_it_is_called(page, tmp_path):
    settled(page)
    table = tmp_path / 'it\'s $(a) "table".csv'
    table.write_text(made_up(COLUMNS, 100, seed=5))
    page.set_input_files("#forecast-file", table)
    settled(page)
    assert page.input_value("#forecast-table") == table.read_text()
    opened = from_shell(page, tmp_path)
    assert opened.splitlines()[1].startswith("2026-03-06T04:00:00,")
    page.evaluate(
        """text => {
          const files = new DataTransfer();
          files.items.add(new File([text], "dropped.csv"));
          const target = document.querySelector("#forecast-panels");
          for (const type of ["dragover", "drop"])
            target.dispatchEvent(new DragEvent(type, { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        made_up(COLUMNS, 120, seed=6),
    )
    settled(page)
    page.wait_for_selector("#forecast-origin-row:text-is('120, the last')")
    assert "@dropped.csv" in page.inner_text("#forecast-curl")


def test_a_long_table_is_sent_whole_though_not_shown(page, api, tmp_path):
    settled(page)
    table = tmp_path / "long.csv"
    table.write_text(made_up(COLUMNS, 24_000))
    page.set_input_files("#forecast-file", table)
    settled(page)
    page.wait_for_selector("text=long.csv: the first 100 of 24000 rows")
    assert page.input_value("#forecast-table") == upto(table.read_text(), 100)
    assert page.get_attribute("#forecast-origin", "min") == "96"
    said = forecast(api, table.read_text())
    settled(page)
    assert [row[7] for row in table_of(page)[1:]] == [number(value) for value in said["values"]["OT"]]


def test_faults_are_told_by_their_field_in_the_apis_words(page, api):
    sound = made_up(COLUMNS, 120, start="2026-02-27T00:00")
    for text, changed, field in (
        (sound.replace("HULL", "HELL", 1), {}, "table"),
        (sound.replace(",", " "), {}, "table"),
        (without(sound, (100, 1)).replace("2026-03-01T10:00:00", "nonsense"), {"fill": "error"}, "table"),
        ("", {}, "table"),
        (sound, {"horizon": "999", "levels": ""}, "horizon"),
        (sound, {"horizon": "30"}, "levels"),
    ):
        query = {"fill": "interpolate", "horizon": "24", "levels": "80,95", **changed}
        settled(page)
        page.select_option("#forecast-fill", query["fill"])
        page.fill("#forecast-horizon", query["horizon"])
        page.select_option("#forecast-levels", query["levels"])
        pasted(page, text)
        headers = {"content-type": "text/csv", "accept": "application/json"}
        query |= {"model": "etth1-informer", "history": "true"}
        refused = api.post("/forecast", params=query, content=text, headers=headers)
        told = [f"{fault['pointer']} {fault['message']}".strip() for fault in refused.json()["errors"]]
        assert told
        shown = told if len(told) <= 20 else [*told[:20], f"and {len(told) - 20} more"]
        assert page.locator(f"#forecast-{field}-faults li").all_inner_texts() == shown
        assert page.locator("#view-forecast .faults li").count() == len(shown)
        assert page.get_attribute(f"#forecast-{field}", "aria-invalid") == "true"
        assert f"forecast-{field}-faults" in page.get_attribute(f"#forecast-{field}", "aria-describedby")
        assert page.locator(".chart").count() == 0
        assert page.inner_text("#forecast-summary") == "No forecast."


def test_a_faults_row_is_found_in_the_table(page):
    text = made_up(COLUMNS, 120).replace("2026-03-04T10:00:00,", "2026-03-04T10:00:00,x", 1)
    settled(page)
    # blank lines are no rows, and a textarea has no carriage returns
    content = text.replace("\n", "\r\n").replace("\r\n", "\r\n\r\n", 1).encode()
    page.set_input_files("#forecast-file", {"name": "dos.csv", "mimeType": "text/csv", "buffer": content})
    settled(page)
    page.click("#forecast-table-faults button")
    selected = page.evaluate(
        "(field => field.value.slice(field.selectionStart, field.selectionEnd))(document.activeElement)"
    )
    assert selected.startswith("2026-03-04T10:00:00,x")
    assert "\n" not in selected


def test_hostile_names_and_cells_are_texts(open_page, api):
    page = open_page()
    page.wait_for_selector(".chart")
    page.select_option("#forecast-model", "zz-hostile")
    page.wait_for_selector("#forecast-summary:has-text('zz-hostile')")
    assert page.locator("#forecast-panels .name").all_inner_texts() == HOSTILE
    assert page.locator("#forecast-panels .unit").all_inner_texts() == 3 * ["<b onclick=alert(2)>kW</b>"]
    assert table_of(page)[0] == ["timestamp", *HOSTILE]
    pasted(page, "timestamp,<img src=x onerror=alert(5)>\n<svg/onload=alert(6)>,1\n")
    told = "".join(page.locator("#forecast-table-faults li").all_inner_texts())
    assert "<img src=x onerror=alert(5)>" in told
    assert "<svg/onload=alert(6)>" in told
    assert page.locator("main img, main svg, main script").count() == 0


def test_seasons_are_those_of_the_contract(page):
    for text in ("15min", "h", "6h", "5h", "D", "2D", "B", "W", "M", "3M", "30s", "7min"):
        told = page.evaluate("async text => (await import('/playground/stamps.js')).season(text)?.rows ?? null", text)
        assert told == Frequency.parse(text).season, text


def test_the_page_holds_nothing_of_other_hosts():
    files = [path for path in (ROOT / "service" / "playground").iterdir() if path.suffix in (".html", ".js", ".css")]
    assert files
    for path in files:
        assert not re.search(
            r"(?:https?:)?//[a-z0-9-]+\.", path.read_text().replace("http://www.w3.org/2000/svg", "")
        ), path


def test_a_horizon_beyond_the_models_reach_is_compared_too(page, api):
    pasted(page, made_up(COLUMNS, 300, seed=3), 180)
    page.select_option("#forecast-levels", "")
    page.fill("#forecast-horizon", "110")
    settled(page)
    text = made_up(COLUMNS, 300, seed=3)
    said = forecast(api, upto(text, 180), horizon="110", levels="")
    assert page.locator("#forecast-warnings li").all_inner_texts() == said["warnings"]
    cells = [line.split(",") for line in text.splitlines()[1:]]
    truth = np.array([float(cell[7]) for cell in cells[180:290]])
    error = np.abs(np.array(said["values"]["OT"]) - truth).mean()
    shown = page.locator("#forecast-panels .error").all_inner_texts()[6]
    assert float(re.match(r"MAE ([\d.]+)", shown)[1]) == pytest.approx(error, rel=6e-4)
