"""The view Forecast on a table of several series, told apart by a column of ids."""

import csv
import io
import json

import pytest

from tests.browser.tables import made_up
from tests.browser.test_forecast import COLUMNS, from_shell, number, pasted, reading, settled

pytestmark = pytest.mark.browser

IDS = ["tx-17", 'a, "b"; <img src=x onerror=alert(1)>', "7"]


def several(ids=IDS, lengths=(120, 140, 130), separator=",", by_time=False):
    """CSV of a series for each id, one below the other or in the order of their hours."""
    parts = [made_up(COLUMNS, rows, seed=seed).splitlines() for seed, rows in enumerate(lengths)]
    rows = [
        [hour, name, *cells]
        for name, (_, *lines) in zip(ids, parts, strict=True)
        for hour, *cells in (line.split(",") for line in lines)
    ]
    if by_time:
        rows.sort(key=lambda row: row[0])
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerows([["timestamp", "meter, id", *COLUMNS], *rows])
    return text.getvalue()


def rows_of(text, separator=","):
    header, *rows = csv.reader(io.StringIO(text), delimiter=separator)
    return header, rows


def of_ids(page, text, held=0):
    """The table in the page, by its ids, with the last rows of each series held back."""
    pasted(page, text)
    page.select_option("#forecast-id", label="meter, id")
    settled(page)
    if held:
        last = page.get_attribute("#forecast-origin", "max")
        page.locator("#forecast-origin").fill(str(int(last) - held))
    return settled(page)


@pytest.mark.parametrize(("separator", "by_time"), [(",", False), (",", True), (";", False)])
def test_each_series_is_shown_as_the_api_has_it(page, api, tmp_path, separator, by_time):
    text = several(separator=separator, by_time=by_time)
    (tmp_path / "table.csv").write_text(text)
    of_ids(page, text, held=24)
    assert page.inner_text("#forecast-origin-row") == "96 of 120"
    assert page.locator("#forecast-series option").all_inner_texts() == IDS
    # what is asked for, made here in another way
    header, rows = rows_of(text, separator)
    written = io.StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator="\n")
    writer.writerow(header)
    for name in IDS:
        writer.writerows([row for row in rows if row[1] == name][:-24])
    headers = {"content-type": "text/csv", "accept": "application/json"}
    query = {"model": "etth1-informer", "fill": "interpolate", "levels": "80,95", "history": "true"}
    query["id_column"] = "meter, id"
    said = api.post("/forecast", params=query, content=written.getvalue(), headers=headers).json()["forecasts"]
    assert [each["id"] for each in said] == IDS
    for place, (name, told) in enumerate(zip(IDS, said, strict=True)):
        page.select_option("#forecast-series", str(place))
        settled(page)
        assert f"series {name}: 24 steps after" in page.inner_text("#forecast-summary")
        page.locator(".chart").first.press("End")
        truth = [float(cell) for cell in [row for row in rows if row[1] == name][-1][2:]]
        stamp = told["timestamps"][-1].replace("T", " ")[:16]
        assert page.locator("#forecast-panels .reading").all_inner_texts() == [
            f"{stamp} {reading(told, column, 23)} · truth {number(came)}"
            for column, came in zip(COLUMNS, truth, strict=True)
        ]
    assert page.inner_text("#forecast-origin-row") == "106 of 130"
    with page.expect_download() as saved:
        page.click("#forecast-csv")
    content = saved.value.path().read_text()
    assert from_shell(page, tmp_path) == content
    assert [row[0] for row in rows_of(content, separator)[1]] == [name for name in IDS for _ in range(24)]


def test_attention_is_that_of_the_series_shown(page, api):
    text = several()
    of_ids(page, text)
    page.select_option("#forecast-series", "1")
    page.click("nav a[data-view=attention]")
    page.wait_for_selector("#attention-row:text-is('140 of 140')")
    page.wait_for_selector("#attention-result:not([aria-busy]) canvas.heat")
    assert f"series {IDS[1]}." in page.inner_text("#attention-hint")
    query = {"model": "etth1-informer", "attention": json.dumps({"kinds": ["cross"], "layers": [0]})}
    headers = {"content-type": "text/csv", "accept": "application/json"}
    alone = made_up(COLUMNS, 140, seed=1)
    (told,) = api.post("/forecast", params=query, content=alone, headers=headers).json()["forecasts"]
    page.locator("canvas.heat").press("ArrowDown")
    weight = told["attention"][0]["heads"][0]["weights"][0][0]
    assert page.inner_text("#attention-reading").endswith(f"{float(f'{100 * weight:.3g}'):g} %")


def test_faults_of_ids_stand_by_their_field(page):
    of_ids(page, several())
    page.select_option("#forecast-id", label="timestamp")
    settled(page)
    page.wait_for_selector("#view-forecast .faults li")
    short = several(lengths=(120, 60, 130))
    of_ids(page, short, held=24)
    told = page.locator("#forecast-table-faults li").all_inner_texts()
    assert len(told) == 1
    assert f"meter, id {IDS[1]}: expected at least 96 rows" in told[0]
    page.click("#forecast-table-faults button")
    selected = page.evaluate(
        "(field => field.value.slice(field.selectionStart, field.selectionEnd))(document.activeElement)"
    )
    assert selected == short.splitlines()[121]


def test_the_ids_go_with_the_table_that_has_them(page):
    of_ids(page, several())
    page.select_option("#forecast-series", "2")
    pasted(page, several(lengths=(100, 110, 125)))
    assert page.input_value("#forecast-series") == "2"
    page.click("#forecast-sample")
    settled(page)
    assert not page.is_visible("#forecast-series")
    offered = ["none: all rows are one series", "timestamp", *COLUMNS]
    assert page.locator("#forecast-id option").all_inner_texts() == offered
    assert "id_column" not in page.inner_text("#forecast-curl")
