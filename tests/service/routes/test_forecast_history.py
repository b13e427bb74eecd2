"""`history`: the rows that the model saw come back, in order, whole, and with what was made up."""

import json

import pytest

ROWS = 100  # the hourly model sees 96


def seen(client, series, fill="error", **fields):
    """The one forecast's history, and the forecast without it."""
    body = {"model": "hourly", "series": [series], "fill": fill, **fields}
    (forecast,) = client.forecast({**body, "history": True})["forecasts"]
    history = forecast.pop("history")
    assert [forecast] == client.forecast(body)["forecasts"]
    return history


@pytest.fixture
def clean(series):
    return series("hourly", ROWS)


@pytest.mark.parametrize("fill", ["error", "interpolate"])
def test_a_clean_table_comes_back_as_it_is(client, clean, fill):
    values = {name: column[-96:] for name, column in clean["values"].items()}
    assert seen(client, clean, fill) == {"timestamps": clean["timestamps"][-96:], "values": values, "filled": {}}


def test_what_was_made_up_is_marked_where_it_stands(client, clean):
    expected = seen(client, clean)
    load = clean["values"]["load"]
    load[50] = load[51] = None  # in the history rows 46 and 47
    for column in (clean["timestamps"], *clean["values"].values()):
        del column[70]
        column.reverse()
    history = seen(client, clean, "previous")
    assert history["timestamps"] == expected["timestamps"]
    assert history["filled"] == {"load": [46, 47, 66], "temp": [66], "wind/gust~max": [66]}
    for name, column in history["values"].items():
        for row, value in enumerate(column):
            made_up = row in history["filled"][name]
            before = 45 if (name, row) in (("load", 46), ("load", 47)) else row - 1
            assert value == expected["values"][name][before if made_up else row]


def test_a_longer_horizon_adds_nothing_to_it(client, clean):
    assert seen(client, clean, horizon=60) == seen(client, clean)


def test_timestamps_are_in_the_tables_own_form(client, clean):
    clean["timestamps"] = [1_500_000_000 + 3600 * row for row in range(ROWS)]
    assert seen(client, clean)["timestamps"] == clean["timestamps"][-96:]


def test_a_table_has_no_place_for_it(client, clean, as_csv):
    body = {"model": "hourly", "series": [clean], "history": True, "attention": True}
    refused = client.post("/forecast", content=json.dumps(body), headers={"accept": "text/csv"}).json()
    message = "expected false with an answer in text/csv, which has no place for it: accept application/json; came true"
    assert refused["errors"] == [{"pointer": f"/{name}", "message": message} for name in ("history", "attention")]
    headers = {"content-type": "text/csv", "accept": "application/json"}
    query = {"model": "hourly", "history": "true"}
    answer = client.post("/forecast", params=query, content=as_csv(clean), headers=headers).json()
    assert answer["forecasts"][0]["history"] == seen(client, clean)


def test_it_is_a_boolean(client, clean):
    faults = client.faults({"model": "hourly", "series": [clean], "history": "yes"})
    assert faults == {"/history": 'Input should be a valid boolean; came "yes"'}
