import json
from pathlib import Path

import pytest

TINY = Path(__file__).parents[2] / "bundles"


@pytest.fixture
def faults(client):
    """faults(body, **parameters) -> pointer: message of a refusal; a `body` of bytes is CSV."""

    def faults(body, status=422, to=client, **parameters):
        kind = {"content-type": "text/csv"} if isinstance(body, bytes) else {}
        content = body if isinstance(body, bytes) else json.dumps(body)
        answer = to.post("/backtest", content=content, headers=kind, params=parameters)
        assert answer.status_code == status, answer.text
        return {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}

    return faults


def test_every_fault_is_listed_at_once(faults, series, holed):
    table = holed(series("daily", 34), ("sold", 3))
    body = {"model": "daily", "series": [table], "share": 1.5, "stride": 0, "fill": "guess", "horizon": 3}
    assert faults(body).keys() == {
        "/horizon",
        "/share",
        "/stride",
        "/fill",
        "/series/0/values",
        "/series/0/values/sold/3",
    }
    assert faults({"model": "nope", "series": [table], "stride": "2"}).keys() == {"/model", "/stride"}
    assert faults({"model": "nope", "series": [table]}, status=404).keys() == {"/model"}
    assert faults({"model": "daily", "series": [table, table]}).keys() == {"/series"}
    assert faults({"model": "daily"}).keys() == {"/series"}


@pytest.mark.parametrize(
    ("rows", "fill", "said"),
    [
        (34, "error", "expected at least 35 rows, came 34"),
        (34, "previous", "expected at least 35 rows: 28 to look back on and 7 to forecast; came 34"),
        (0, "previous", "expected at least 35 rows, came 0"),
    ],
)
def test_too_short_a_table_hears_how_many_rows_are_needed(faults, series, rows, fill, said, cut):
    body = {"model": "daily", "series": [cut(series("daily", 40), rows)], "fill": fill}
    assert faults(body)["/series/0/values"].startswith(said)


def test_faults_of_a_table_point_into_it(faults, series, as_csv):
    table = as_csv(series("daily", 40)).replace(b"2018-06-25T20:00:00", b"2018-06-25T20:30:00")
    told = faults(table, model="daily", fill="previous", strid="2", share="x")
    assert told.keys() == {"/strid", "/share", "/rows/3/timestamp"}
    assert faults(as_csv(series("daily", 34)), model="daily").keys() == {"/rows"}


def test_one_row_a_thousand_years_off_costs_no_memory(faults, series):
    table = series("daily", 40)
    table = {**table, "timestamps": ["1018-06-22T20:00:00", *table["timestamps"][1:]]}
    told = faults({"model": "daily", "series": [table], "fill": "previous"})
    assert told.keys() == {"/series/0/timestamps"}
    assert "came 40 of 365" in told["/series/0/timestamps"]


@pytest.mark.parametrize("large", [1e60, 1e308])
def test_values_beyond_all_measure_are_refused(faults, series, large):
    table = series("daily", 40)
    table = {**table, "values": {**table["values"], "sold": [large, -large] * 20}}
    assert faults({"model": "daily", "series": [table]}).keys() == {"/series/0/values"}


def test_a_table_without_a_single_truth_is_refused(faults, series, holed):
    table = series("daily", 60)
    empty = holed(table, *((name, row) for row in range(53, 60) for name in table["values"]))
    told = faults({"model": "daily", "series": [empty], "fill": "previous", "share": 0.01})
    assert "a truth to compare with, came none" in told["/series/0/values"]


def test_long_tables_are_thinned_and_no_hour_of_the_day_is_begun_at_more_often(backtest, faults, serving, series):
    few = serving(TINY, max_backtest_origins=20)
    table = series("hourly", 500)
    request = {"model": "hourly", "series": [table]}
    answer = backtest(request, few)
    # 77 origins: 4 is the least stride, 5 the first that goes through all hours
    assert (answer["origins"]["stride"], answer["origins"]["count"]) == (5, 16)
    assert backtest({**request, "stride": 4}, few)["origins"]["count"] == 20
    assert faults({**request, "stride": 3}, to=few) == {
        "/stride": "expected at least 4, which gives at most 20 origins, came 3"
    }


@pytest.mark.parametrize("stride", [10**9 + 1, 2**63, 2**64, 2**70])
def test_a_stride_of_more_than_64_bits_is_a_fault(faults, series, stride):
    message = f"Input should be less than or equal to 1000000000; came {stride}"
    assert faults({"model": "daily", "series": [series("daily", 60)], "stride": stride}) == {"/stride": message}


def test_the_longest_stride_leaves_one_origin(client, series):
    body = {"model": "daily", "series": [series("daily", 60)], "stride": 10**9}
    answer = client.post("/backtest", content=json.dumps(body))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["origins"]["count"], answer.json()["origins"]["stride"]) == (1, 10**9)


@pytest.mark.parametrize("fill", ["error", "previous"])
def test_a_table_ends_before_the_year_10000(client, faults, series, fill):
    """Which ISO 8601 has no four digits for."""
    table = {**series("daily", 60), "timestamps": None, "frequency": "D"}
    request = {"model": "daily", "fill": fill, "share": 0.4}
    assert faults({**request, "series": [{**table, "start": "9999-12-01"}]}) == {
        "/series/0/start": 'expected a start whose 60 rows end before the year 10000, came "9999-12-01"'
    }
    content = json.dumps({**request, "series": [{**table, "start": "9999-11-02"}]})
    origins = client.post("/backtest", content=content).json()["origins"]
    assert origins["last"] == "9999-12-25T00:00:00"
