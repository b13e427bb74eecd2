"""Tables in CSV, in and out."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.tables import warnings_header
from tests.service.test_server import BUNDLES, address, serving

CSV = {"content-type": "text/csv"}
BOUNDED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
WIND = "wind/gust~max"


@pytest.fixture
def frame(series):
    """frame(rows=None, seed=0) -> the hourly series as pandas has it."""

    def made_up(rows=None, seed=0):
        part = series("hourly", rows, seed)
        return pd.DataFrame({"date": part["timestamps"], **part["values"]})

    return made_up


def post(client, table, query="model=hourly", **headers):
    content = table.to_csv(index=False) if isinstance(table, pd.DataFrame) else table
    return client.post(f"/forecast?{query}", content=content, headers={**CSV, **headers})


def answered(client, table, query="model=hourly", **headers):
    answer = post(client, table, query, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def faults(client, table, query="model=hourly"):
    answer = post(client, table, query)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_curl_posts_a_table_to_a_real_service(tmp_path, frame):
    frame().to_csv(tmp_path / "table.csv", index=False)
    with serving(BUNDLES) as (_, lines):
        url = f"{address(lines)}/forecast?model=hourly"
        command = f"curl -s --data-binary @table.csv -H 'content-type: text/csv' '{url}'"
        told = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S602
    header, first, *others = told.stdout.splitlines()
    assert header == f"date,load,temp,{WIND}"
    assert first.startswith("2018-06-26T20:00:00,")
    assert len(others) == 23


@BOUNDED
@given(seed=st.integers(0, 99), rows=st.sampled_from([96, 97, 200]), data=st.data())
def test_a_table_gives_what_its_json_gives(client, frame, seed, rows, data):
    table = frame(rows, seed)
    spread = data.draw(st.sampled_from([1, 1 / 3, 1e-7, 12345]))
    for name in table.columns[1:]:
        table[name] *= spread
    part = {"timestamps": table["date"].tolist(), "values": {name: table[name].tolist() for name in table.columns[1:]}}
    expected = client.forecast({"model": "hourly", "series": [part], "horizon": 5})
    content = table.to_csv(index=False, lineterminator=data.draw(st.sampled_from(["\n", "\r\n"])))
    encoded = content.encode(data.draw(st.sampled_from(["utf-8", "utf-8-sig"])))
    came = post(client, encoded, "model=hourly&horizon=5", accept="application/json")
    assert came.json() == expected
    assert table_of(answered(client, encoded, "model=hourly&horizon=5")) == {
        "date": expected["forecasts"][0]["timestamps"],
        **{name: list(map(str, column)) for name, column in expected["forecasts"][0]["values"].items()},
    }


def table_of(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.rename(columns={"date": "TIMESTAMP"}),
        lambda table: table[["load", "temp", WIND, "date"]],
        lambda table: table.rename(columns={"date": "when"}),
        lambda table: table[["load", "date", "temp", WIND]].rename(columns={"date": ""}),
    ],
    ids=["by name", "last", "by being no number", "without a name"],
)
def test_the_column_of_timestamps_is_found(client, frame, change):
    table = change(frame())
    expected = answered(client, frame())
    assert [list(row.values()) for row in answered(client, table)] == [list(row.values()) for row in expected]


def test_quotes_spaces_and_blank_lines_do_no_harm(client, frame):
    text = frame().to_csv(index=False, quoting=csv.QUOTE_ALL).replace('","', '", "') + "\n\n"
    assert answered(client, text) == answered(client, frame())


@pytest.mark.parametrize("unit", [1, 10**3, 10**9])
def test_epoch_numbers_go_on_in_their_unit(client, frame, unit):
    table = frame()
    table["date"] = [(1_530_000_000 + 3600 * row) * unit + (unit == 10**9) for row in range(96)]
    assert int(answered(client, table)[0]["date"]) == (1_530_000_000 + 3600 * 96) * unit


def test_rows_of_one_id_are_one_series_in_order_of_appearance(client, frame):
    parts = [frame(seed=seed).assign(sensor=name) for seed, name in enumerate(["007", "b,c", "NA"])]
    mixed = pd.concat(parts).sort_values("date", kind="stable")
    came = answered(client, mixed, "id_column=sensor")
    assert list(came[0]) == ["sensor", "date", "load", "temp", WIND]
    assert [row["sensor"] for row in came] == ["007"] * 24 + ["b,c"] * 24 + ["NA"] * 24
    for row, (name, part) in enumerate(zip(("007", "b,c", "NA"), parts, strict=True)):
        alone = answered(client, part, "id_column=sensor")[0]
        assert [alone[each] for each in ("sensor", "date")] == [name, came[24 * row]["date"]]
        assert float(alone["load"]) == pytest.approx(float(came[24 * row]["load"]), rel=1e-4)


def test_warnings_are_told_in_a_header_that_any_text_fits():
    answer = {"forecasts": [{"id": None, "warnings": ["2 filled"]}, {"id": "a\r\né", "warnings": ["3 filled"]}]}
    header = warnings_header(answer)["X-Seqcast-Warnings"]
    assert header.isascii()
    assert header.isprintable()
    assert json.loads(header) == ["2 filled", "a\r\né: 3 filled"]
    many = warnings_header({"forecasts": answer["forecasts"] * 1000})["X-Seqcast-Warnings"]
    assert len(many) < 4100
    assert json.loads(many)[-1] == "and more"
    assert warnings_header({"forecasts": [{"id": "a", "warnings": []}]}) == {}


def test_levels_are_columns_beside(serving, bundles, edit_manifest, series):
    folder = bundles("daily")
    widths = {"season": 7, "half_widths": {"80": np.ones((7, 2)).tolist(), "95": np.full((7, 2), 2.0).tolist()}}
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest.update(intervals=widths))
    uncertain, part = serving(folder), series("daily")
    expected = uncertain.forecast({"series": [part], "levels": [80, 95]})["forecasts"][0]["intervals"]
    came = answered(uncertain, pd.DataFrame({"ds": part["timestamps"], **part["values"]}), "levels=80,95")
    assert list(came[0])[3:7] == ["sold_lower_80", "sold_upper_80", "price_lower_80", "price_upper_80"]
    assert [float(row["price_upper_95"]) for row in came] == expected["95"]["price"]["upper"]


@pytest.mark.parametrize(
    ("accept", "kinds"),
    [
        ("*/*", ("text/csv", "application/json")),
        ("text/csv", ("text/csv", "text/csv")),
        ("application/json", ("application/json", "application/json")),
        ("application/json;q=0.5, text/csv", ("text/csv", "text/csv")),
        ("text/csv;q=x, application/json;q=0.1", ("application/json", "application/json")),
    ],
)
def test_the_answer_is_of_the_requests_kind_or_as_accepted(client, frame, body, accept, kinds):
    table = post(client, frame(), accept=accept)
    other = client.post("/forecast", content=json.dumps(body), headers={"accept": accept})
    assert tuple(answer.headers["content-type"].partition(";")[0] for answer in (table, other)) == kinds
    if kinds[1] == "text/csv":
        assert other.text.splitlines()[0] == f"id,timestamp,load,temp,{WIND}"


def test_all_faults_are_listed_and_point_into_the_table(client, frame):
    table = frame().astype(object)
    table.loc[17, "load"] = "off"
    table.loc[18, WIND] = None
    table.loc[20, "date"] = "noon"
    found = faults(
        client, table.assign(extra=1).drop(columns="temp"), "model=hourly&horizon=x&levels=80,y&color=red&model=hourly"
    )
    assert found.keys() == {
        *("/rows/17/load", "/rows/18/wind~1gust~0max", "/rows/20/date", "/columns/extra", "/columns/temp"),
        *("/horizon", "/levels/1", "/color", "/model"),
    }
    assert found["/rows/17/load"] == 'expected a finite number, came "off"'
    assert found["/rows/18/wind~1gust~0max"].startswith("expected a finite number, came null")
    assert found["/rows/20/date"] == 'expected an ISO 8601 timestamp, came "noon"'
    assert found["/columns/extra"] == f"unknown column; expected load, temp, {WIND}"


def test_faults_of_a_series_are_at_its_rows(client, frame):
    table = pd.concat([frame().assign(id="a"), frame(100).assign(id="b"), frame()[:50].assign(id="c")])
    table = table.reset_index(drop=True).astype(object)
    table.loc[100, "temp"] = True
    assert faults(client, table, "model=hourly&id_column=id") == {
        "/rows/100/temp": 'expected a finite number, came "True"',
        "/rows/196": "id c: expected at least 96 rows, came 50",
    }


HEADER = f"date,load,temp,{WIND}\n"


@pytest.mark.parametrize(
    ("content", "query", "expected"),
    [
        ("", "", {"": "expected CSV in UTF-8: there is nothing in it"}),
        (HEADER, "", {"/rows": "expected rows below the header, came none"}),
        (HEADER + "2018-01-01,1,2,3,4\n", "", {"/rows/0": "expected 4 cells as in the header, came more"}),
        (HEADER + "x,1,2,3\nx,1,2,3,4\n", "", {"/rows/1": "expected 4 cells as in the header, came 5"}),
        ("a,a\n1,2\n", "", {"/columns/a": "expected each column once, came 2 of this name"}),
        ("a,b\n1,2\n", "id_column=c", {"/id_column": 'expected a column of the table (a, b), came "c"'}),
        ("a,b\n1,2\n", "time_column=", {"/time_column": 'expected a column of the table (a, b), came ""'}),
        (
            "a\n1\n",
            "id_column=a&time_column=a",
            {"/time_column": "expected another column than id_column, came the same"},
        ),
        ("a,date\n,x\n1,x\n", "id_column=a", {"/rows/0/a": "expected an id, came an empty cell"}),
    ],
)
def test_what_is_no_table_is_a_fault(client, content, query, expected):
    assert faults(client, content, query) == expected


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ("date," + ",".join(map(str, range(20_000))) + "\n", {"/columns"}),
        ('"da\nte",' + ",".join(map(str, range(20_000))) + "\n1\n", {"/columns"}),
        ("\n \r\nx" + "," * 20_000, {"/columns"}),
        ("date,b\n" + "," * 20_000, {"/rows/0"}),
        ('date,b\n"\n","x ""\n",' + "," * 20_000, {"/rows/0"}),
        ("a,date\n" + "".join(f"{row},x\n" for row in range(100_001)), {"/id_column"}),
        ("a,date\n" + ",x\n" * 5000, {f"/rows/{row}/a" for row in range(100)}),
    ],
    ids=[
        "columns",
        "after a quoted line break",
        "below blank lines",
        "in a row",
        "in a row of lines",
        "ids",
        "rows without one",
    ],
)
def test_a_table_of_too_much_is_refused_in_few_words(client, content, places):
    assert set(faults(client, content, "id_column=a" if content[0] == "a" else "")) == places


def test_a_name_may_have_line_breaks_and_quotes(client, frame):
    table = frame().rename(columns={"date": 'ti,"me\n"'})
    assert next(iter(answered(client, "\n \n" + table.to_csv(index=False))[0])) == 'ti,"me\n"'


def test_only_numbers_have_no_timestamps(client):
    assert faults(client, "a,b\n1,2\n").keys() == {"/columns"}


@BOUNDED
@given(content=st.binary(max_size=60) | st.text(st.sampled_from('a1,.\n\r" é\x00-e'), max_size=60).map(str.encode))
def test_any_bytes(client, content):
    for query in ("", "model=hourly&id_column=a", "model=daily&time_column=a"):
        assert post(client, content, query).status_code in (404, 422)


@pytest.mark.parametrize("kind", ["image/png", "multipart/form-data; boundary=x", "application/xml", "text/html", "x"])
def test_another_kind_of_body_is_415(client, kind):
    answer = client.post("/forecast", content=b"x", headers={"content-type": kind})
    assert answer.status_code == 415
    name = kind.partition(";")[0]
    kinds = "application/json or text/csv or application/vnd.apache.arrow.stream"
    assert answer.json()["detail"] == f"expected {kinds}, came {name}"


@pytest.mark.parametrize(
    "kind", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "application/ld+json"]
)
def test_json_is_read_whatever_it_is_commonly_sent_as(client, body, kind):
    assert client.post("/forecast", content=json.dumps(body), headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize(
    ("form", "order"), [("%m/%d/%Y %H:%M", "month, day, year"), ("%d.%m.%Y %H:%M", "day, month, year")]
)
def test_dates_as_they_come_are_read_and_told(client, frame, form, order):
    table = frame()
    table["date"] = pd.to_datetime(table["date"]).dt.strftime(form)
    answer = post(client, table)
    assert next(csv.DictReader(io.StringIO(answer.text)))["date"] == "2018-06-26T20:00:00"
    assert order in json.loads(answer.headers["x-seqcast-warnings"])[0]
    assert answered(client, table) == answered(client, frame())


def test_dates_that_do_not_tell_day_from_month_are_a_fault(client, frame):
    table = frame()
    table["date"] = [f"6/{1 + row // 24}/2018 {row % 24}:00" for row in range(96)]
    assert "write 2018-06-01 or 2018-01-06" in faults(client, table)["/rows/0/date"]


WTH = Path(__file__).parents[4] / "shared" / "data" / "wth.csv"


@pytest.mark.skipif(not WTH.exists(), reason="no shared data")
def test_the_weather_is_forecast_as_it_came(client):
    lines = WTH.read_text().splitlines()
    columns = ["date", "DryBulbCelsius", "WindSpeed", "DewPointCelsius"]
    table = pd.read_csv(io.StringIO("\n".join([lines[0], *lines[-200:]])))[columns]
    came = answered(client, table.set_axis(["date", "load", "temp", WIND], axis=1))
    last = pd.to_datetime(table["date"].iloc[-1], format="%m/%d/%Y %H:%M")
    assert came[0]["date"] == (last + pd.Timedelta("1h")).isoformat()
