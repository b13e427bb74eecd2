"""Tables in CSV as they come: other separators, missing cells as others write them, more columns than the model has."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from contract.tables import MISSING
from service.csv_tables import read_table
from service.tables import TableOptions
from tests.service.routes.test_forecast_arrow import post as post_stream

WIND = "wind/gust~max"


@pytest.fixture
def frame(series):
    """frame(seed=0) -> the hourly series as pandas has it."""

    def made_up(seed=0):
        part = series("hourly", seed=seed)
        return pd.DataFrame({"date": part["timestamps"], **part["values"]})

    return made_up


def post(client, table, query="model=hourly", path="/forecast", **headers):
    content = table.to_csv(index=False) if isinstance(table, pd.DataFrame) else table
    return client.post(f"{path}?{query}", content=content, headers={"content-type": "text/csv", **headers})


def told(answer):
    """The warnings of an answer in CSV, which must be a success."""
    assert answer.status_code == 200, answer.text
    return json.loads(answer.headers.get("x-seqcast-warnings", "[]"))


def faults(answer):
    assert answer.status_code == 422, answer.text
    return {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}


@pytest.mark.parametrize(("separator", "decimal"), [(";", "."), (";", ","), ("\t", "."), ("\t", ",")])
def test_the_answer_is_written_as_the_request_is(client, frame, separator, decimal):
    expected = list(csv.reader(io.StringIO(post(client, frame()).text)))
    answer = post(client, frame().to_csv(index=False, sep=separator, decimal=decimal))
    came = list(csv.reader(io.StringIO(answer.text), delimiter=separator))
    assert came[0] == expected[0]
    assert [row[1:] for row in came[1:]] == [[cell.replace(".", decimal) for cell in row[1:]] for row in expected[1:]]
    assert [row[0] for row in came] == [row[0] for row in expected]


def test_a_point_among_decimal_commas_is_a_fault(client, frame):
    lines = frame().to_csv(index=False, sep=";", decimal=",").splitlines()
    lines[4] = lines[4].replace(",", ".")
    found = faults(post(client, "\n".join(lines)))
    assert found.keys() == {"/rows/3/load", "/rows/3/temp", "/rows/3/wind~1gust~0max"}
    assert all('expected a finite number, came "' in message for message in found.values())


def test_epoch_numbers_have_the_tables_decimal_sign(client, frame):
    table = frame().assign(date=[1_530_000_000.5 + 3600 * row for row in range(96)])
    answer = post(client, table.to_csv(index=False, sep=";", decimal=","))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("cell", MISSING)
def test_missing_cells_are_null_whoever_wrote_them(client, frame, cell):
    table = frame().astype(object)
    table.loc[7, "load"] = None
    expected = post(client, table, "model=hourly&fill=previous")
    table.loc[7, "load"] = cell
    answer = post(client, table, "model=hourly&fill=previous")
    assert (answer.text, told(answer)) == (expected.text, told(expected))
    assert "came null" in faults(post(client, table))["/rows/7/load"]


def test_an_id_may_be_called_like_a_missing_value(client, frame):
    tables = [frame(seed).assign(sensor=name) for seed, name in enumerate(["NA", "-", "null"])]
    answer = post(client, pd.concat(tables), "model=hourly&id_column=sensor")
    assert {row["sensor"] for row in csv.DictReader(io.StringIO(answer.text))} == {"NA", "-", "null"}


@pytest.mark.parametrize(
    ("cell", "came"), [('"6"7', ""), ("6\0\0", ""), ("9" * 400, "/rows/7/load"), ("1e400", "/rows/7/load")]
)
def test_no_cell_is_read_as_another_number(client, frame, cell, came):
    table = frame().astype(object)
    table.loc[7, "load"] = "@"
    text = table.to_csv(index=False).replace("@", cell)
    (pointer,) = faults(post(client, text))
    assert pointer == (came or ("/rows/7" if '"' in cell else ""))


def test_columns_that_the_model_does_not_have_are_left_out_and_told(client, frame):
    more = frame().assign(site="north", count=range(96))
    (warning,) = told(post(client, more))
    assert warning == "left out, for the model has no such column: site, count"
    assert post(client, more).text == post(client, frame()).text
    assert told(post(client, more, "")) == [warning]  # these columns are of one model alone
    stream = post_stream(client, pa.Table.from_pandas(more), accept="application/json")
    assert stream.json()["forecasts"][0]["warnings"] == [warning]


def test_in_json_such_a_column_is_a_fault(client, body):
    body["series"][0]["values"]["site"] = ["north"] * 96
    assert client.faults(body)["/series/0/values/site"].startswith("unknown column")


def test_nothing_is_left_out_where_a_column_is_missing(client, frame):
    found = faults(post(client, frame().rename(columns={"load": "laod"})))
    assert found == {
        "/columns/laod": f"unknown column; expected load, temp, {WIND}",
        "/columns/load": "required column, but missing",
    }


def test_a_backtest_tells_what_it_left_out(client, series):
    part = series("daily", 60)
    table = pd.DataFrame({"date": part["timestamps"], **part["values"], "site": "north"})
    answer = post(client, table, "model=daily&share=0.3", "/backtest")
    assert answer.json()["warnings"][0] == "left out, for the model has no such column: site"


def test_day_and_month_are_told_by_the_column_as_a_whole(client, series):
    """The days of one sensor alone do not tell it, those of the other do."""
    daily = series("daily")
    tables = []
    for name, first in (("a", "2018-02-01"), ("b", "2018-03-01")):
        days = pd.date_range(first, periods=28).strftime("%d/%m/%Y")
        tables.append(pd.DataFrame({"date": days, **daily["values"], "sensor": name}))
    ambiguous = tables[0].iloc[:12]
    answer = post(client, pd.concat([ambiguous, tables[1]]), "model=daily&id_column=sensor&fill=previous")
    (only,) = faults(answer).items()  # of too few rows, not of dates
    assert only[0] == "/rows/0"
    assert "rows" in only[1]
    warnings = told(post(client, pd.concat(tables), "model=daily&id_column=sensor"))
    assert warnings == [f'{name}: timestamps read as day, month, year, which "13/02/2018" tells' for name in "ab"]


def test_dates_of_two_orders_are_told_by_each_series(client, series):
    daily = series("daily")
    orders = {"a": "%d/%m/%Y", "b": "%m/%d/%Y"}
    tables = [
        pd.DataFrame({"date": pd.date_range("2018-02-01", periods=28).strftime(order), **daily["values"], "id": name})
        for name, order in orders.items()
    ]
    warnings = told(post(client, pd.concat(tables), "model=daily&id_column=id"))
    assert [warning.partition(", which")[0] for warning in warnings] == [
        "a: timestamps read as day, month, year",
        "b: timestamps read as month, day, year",
    ]


LIMIT = 2**20


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"date,load\n" + b",\n" * 300_000, 422),
        (b"date\n" + b"1\n" * 400_000, 422),
        (b"date" + b"".join(b",c%d" % each for each in range(1500)) + (b"\n" + b"," * 1500) * 300, 413),
    ],
    ids=["commas", "one column", "wide"],
)
def test_a_table_of_next_to_nothing_is_not_read_to_its_end(serving, bundles, content, status):
    small = serving(bundles("hourly"), max_body_mib=1, max_rows=500)
    answer = post(small, content)
    assert answer.status_code == status, answer.text
    assert "at most 500 rows" in answer.text if status == 422 else "at most 131072 cells" in answer.text


def test_a_series_of_a_table_has_at_most_max_rows(serving, bundles, series):
    small = serving(bundles("daily"), max_rows=50)
    parts = {name: series("daily", rows) for name, rows in (("a", 28), ("b", 51))}
    table = pd.concat(
        [pd.DataFrame({"date": part["timestamps"], **part["values"], "id": name}) for name, part in parts.items()]
    )
    found = faults(post(small, table, "id_column=id"))
    assert found == {"/rows/28": "id b: expected at most 50 rows of a series, of which the last are enough; came more"}


def test_what_is_missing_is_missing_in_every_kind_of_column():
    content = "t,a,b\n" + "".join(f"2018-01-{day:02},{cell},{cell}\n" for day, cell in enumerate(MISSING, 1))
    (series,) = read_table(content.encode(), TableOptions(LIMIT)).series
    assert series["values"] == {"a": [None] * len(MISSING), "b": [None] * len(MISSING)}
    mixed = read_table((content + "2018-02-01,x,1.5\n").encode(), TableOptions(LIMIT)).series[0]["values"]
    assert mixed == {"a": [None] * len(MISSING) + ["x"], "b": [None] * len(MISSING) + [1.5]}
    assert np.isfinite(mixed["b"][-1])
