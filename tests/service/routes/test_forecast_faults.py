"""What bad input gets: every fault, with its pointer, what was expected and what came."""

import json

import pytest

from service.schemas import ForecastRequest
from tests.service.conftest import BUNDLES

DROP = object()
WIND = "/series/0/values/wind~1gust~0max"


def change(body, place, new):
    """Set what `place` points to, let a function alter it, or take it out."""
    *path, last = (part.replace("~1", "/").replace("~0", "~") for part in place.removeprefix("/").split("/"))
    owner = body
    for part in path:
        owner = owner[int(part)] if isinstance(owner, list) else owner[part]
    key = int(last) if isinstance(owner, list) else last
    if new is DROP:
        del owner[key]
    else:
        owner[key] = new(owner[key]) if callable(new) else new


def hours(*rows):
    return [f"2018-06-{22 + (20 + row) // 24}T{(20 + row) % 24:02}:00:00" for row in rows]


def without_first_row(series):
    values = {name: column[1:] for name, column in series["values"].items()}
    return {"timestamps": series["timestamps"][1:], "values": values}


UNKNOWN = "unknown field; expected one of "
FAULTS = {
    "a column is unknown": [
        ("/series/0/values/wind~1gust", [1.0] * 96),
        {"/series/0/values/wind~1gust": "unknown column; expected load, temp, wind/gust~max"},
    ],
    "a column is missing": [(WIND, DROP), {WIND: "required column, but missing"}],
    "a column has no rows": [
        ("/series/0/values/load", []),
        {"/series/0/values": "expected columns of one length, came load 0, temp 96, wind/gust~max 96"},
    ],
    "a column is longer": [
        ("/series/0/values/temp", lambda column: [*column, 1.0]),
        {
            "/series/0/values": "expected columns of one length, came load 96, temp 97, wind/gust~max 96",
            "/series/0/timestamps": "expected a timestamp for each of 97 rows, came 96",
        },
    ],
    "a column is a number": [
        ("/series/0/values/temp", 20.5),
        {"/series/0/values/temp": "expected a list of numbers, came 20.5"},
    ],
    "a column is null": [
        ("/series/0/values/temp", None),
        {"/series/0/values/temp": "expected a list of numbers, came null"},
    ],
    "there are too few rows": [
        ("/series/0", without_first_row),
        {"/series/0/values": "expected at least 96 rows, came 95"},
    ],
    "values are a list": [
        ("/series/0/values", [1, 2]),
        {"/series/0/values": "expected an object with the columns load, temp, wind/gust~max, came [1, 2]"},
    ],
    "values are missing": [
        ("/series/0/values", DROP),
        {"/series/0/values": "expected an object with the columns load, temp, wind/gust~max, came null"},
    ],
    "values are empty": [
        ("/series/0/values", {}),
        {
            "/series/0/values/load": "required column, but missing",
            "/series/0/values/temp": "required column, but missing",
            WIND: "required column, but missing",
        },
    ],
    "timestamps are too few": [
        ("/series/0/timestamps", lambda stamps: stamps[:95]),
        {"/series/0/timestamps": "expected a timestamp for each of 96 rows, came 95"},
    ],
    "there are no timestamps": [
        ("/series/0/timestamps", []),
        {
            "/series/0/timestamps": "expected a timestamp for each of 96 rows, came 0; "
            "expected all strings or all epoch numbers, came none at all"
        },
    ],
    "timestamps are too many, and of another frequency": [
        ("/series/0/timestamps", [60 * row for row in range(97)]),
        {
            "/series/0/timestamps": "expected a timestamp for each of 96 rows, came 97; "
            "expected h, this model's frequency, came min"
        },
    ],
    "timestamps are missing": [
        ("/series/0/timestamps", DROP),
        {"/series/0": "expected timestamps, or start and frequency, and not both"},
    ],
    "timestamps are a string": [
        ("/series/0/timestamps", "2018"),
        {"/series/0/timestamps": 'expected a list of timestamps, came "2018"'},
    ],
    "timestamps are of two kinds": [
        ("/series/0/timestamps/7", 1_530_000_000),
        {"/series/0/timestamps": "expected all strings or all epoch numbers, came both"},
    ],
    "a timestamp is null": [
        ("/series/0/timestamps/7", None),
        {"/series/0/timestamps/7": "expected an ISO 8601 string or an epoch number, came null"},
    ],
    "a timestamp is true": [
        ("/series/0/timestamps", lambda stamps: [True, *range(94), [1]]),
        {
            "/series/0/timestamps/0": "expected an ISO 8601 string or an epoch number, came true",
            "/series/0/timestamps/95": "expected an ISO 8601 string or an epoch number, came [1]",
        },
    ],
    "timestamps have a gap": [
        ("/series/0/timestamps", hours(*range(50), *range(53, 99))),
        {"/series/0/timestamps/50": "expected h after 2018-06-24T21:00:00, came 2018-06-25T01:00:00: a gap"},
    ],
    "a timestamp comes twice": [
        ("/series/0/timestamps", hours(*range(51), *range(50, 95))),
        {"/series/0/timestamps/51": "expected h after 2018-06-24T22:00:00, came 2018-06-24T22:00:00: a duplicate"},
    ],
    "timestamps are unsorted": [
        ("/series/0/timestamps", hours(1, 0, *range(2, 96))),
        {
            "/series/0/timestamps/1": "expected h after 2018-06-22T21:00:00, came 2018-06-22T20:00:00: a step back",
            "/series/0/timestamps/2": "expected h after 2018-06-22T20:00:00, came 2018-06-22T22:00:00: a gap",
        },
    ],
    "a timestamp is too early": [
        ("/series/0/timestamps/95", "2018-06-26T18:10:00"),
        {"/series/0/timestamps/95": "expected h after 2018-06-26T18:00:00, came 2018-06-26T18:10:00: too early"},
    ],
    "epochs have a gap": [
        ("/series/0/timestamps", [*range(0, 95 * 3600, 3600), 96 * 3600]),
        {"/series/0/timestamps/95": "expected h after 338400, came 345600: a gap"},
    ],
    "the frequency is another": [
        ("/series/0/timestamps", [1800 * row for row in range(96)]),
        {"/series/0/timestamps": "expected h, this model's frequency, came 30min"},
    ],
    "the frequency is months": [
        ("/series/0/timestamps", [f"{1950 + row // 12}-{row % 12 + 1:02}-01" for row in range(96)]),
        {"/series/0/timestamps": "expected h, this model's frequency, came M"},
    ],
    "the frequency is another, and has a gap": [
        ("/series/0/timestamps", [1800 * (row + row // 90) for row in range(96)]),
        {
            "/series/0/timestamps": "expected h, this model's frequency, came 30min",
            "/series/0/timestamps/90": "expected 30min after 160200, came 163800: a gap",
        },
    ],
    "all timestamps are one": [
        ("/series/0/timestamps", ["2018-06-22"] * 96),
        {
            f"/series/0/timestamps/{row}": "expected h after 2018-06-22T00:00:00, came 2018-06-22T00:00:00: a duplicate"
            for row in range(1, 96)
        },
    ],
    "the frequency given is another": [
        ("/series/0/frequency", "15min"),
        {"/series/0/frequency": "expected h, this model's frequency, came 15min"},
    ],
    "the frequency given is none": [
        ("/series/0/frequency", "hourly"),
        {"/series/0/frequency": 'expected a frequency such as 15min, h, D, B, W or M, came "hourly"'},
    ],
    "the frequency given is a number": [
        ("/series/0/frequency", 60),
        {"/series/0/frequency": "expected h, this model's frequency, came 60"},
    ],
    "a start comes without a frequency": [
        ("/series/0", lambda series: {"start": "2018-06-22", "values": series["values"]}),
        {"/series/0": "expected timestamps, or start and frequency, and not both"},
    ],
    "a start comes with timestamps": [
        ("/series/0", lambda series: {**series, "start": "2018-06-22", "frequency": "h"}),
        {"/series/0": "expected timestamps, or start and frequency, and not both"},
    ],
    "a start is a date of words, a frequency wrong": [
        ("/series/0", lambda series: {"start": "now", "frequency": "D", "values": series["values"]}),
        {
            "/series/0/start": 'expected an ISO 8601 timestamp, came "now"',
            "/series/0/frequency": "expected h, this model's frequency, came D",
        },
    ],
    "a start is a list": [
        ("/series/0", lambda series: {"start": ["2018"], "frequency": "h", "values": series["values"]}),
        {"/series/0/start": 'expected an ISO 8601 string or an epoch number, came ["2018"]'},
    ],
    "an id is a number": [("/series/0/id", 7), {"/series/0/id": "Input should be a valid string; came 7"}],
    "a series is a string": [("/series/0", "tx-17"), {"/series/0": 'expected an object, came "tx-17"'}],
    "a series has an unknown field": [
        ("/series/0/time~stamps", []),
        {"/series/0/time~0stamps": UNKNOWN + "id, timestamps, start, frequency, values"},
    ],
    "there are no series": [
        ("/series", []),
        {"/series": "List should have at least 1 item after validation, not 0; came []"},
    ],
    "series are missing": [("/series", DROP), {"/series": "required, but missing"}],
    "series are an object": [("/series", {}), {"/series": "Input should be a valid list; came {}"}],
    "a field is unknown": [("/horizons", 3), {"/horizons": UNKNOWN + ", ".join(ForecastRequest.model_fields)}],
    "a model is a number": [("/model", 1), {"/model": "Input should be a valid string; came 1"}],
    "a horizon is 0": [("/horizon", 0), {"/horizon": "Input should be greater than or equal to 1; came 0"}],
    "a horizon is too long": [
        ("/horizon", 193),
        {"/horizon": "expected 1 to 192, 8 times this model's reach, came 193"},
    ],
    "a horizon is a string": [("/horizon", "24"), {"/horizon": 'Input should be a valid integer; came "24"'}],
    "a horizon is a fraction": [("/horizon", 1.5), {"/horizon": "Input should be a valid integer; came 1.5"}],
    "a horizon is true": [("/horizon", True), {"/horizon": "Input should be a valid integer; came true"}],
    "levels are none that the model knows": [
        ("/levels", [81, 80, 10**100]),
        {
            "/levels/0": "expected one of 50, 80, 90, 95, came 81",
            "/levels/2": f"expected one of 50, 80, 90, 95, came 1{'0' * 56}...",
        },
    ],
    "levels are no numbers": [
        ("/levels", ["80", 80.5, None]),
        {
            "/levels/0": 'Input should be a valid integer; came "80"',
            "/levels/1": "Input should be a valid integer; came 80.5",
            "/levels/2": "Input should be a valid integer; came null",
        },
    ],
    "a level is a number": [("/levels", 80), {"/levels": "Input should be a valid list; came 80"}],
    "values are far too large": [
        ("/series/0/values/temp/0", 1e300),
        {
            "/series/0/values": "expected values that a finite forecast follows from, "
            "came some far beyond any trained on"
        },
    ],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_in_full(client, body, fault):
    (place, new), expected = FAULTS[fault]
    change(body, place, new)
    assert client.faults(body) == expected


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("null", 'null: missing values are not filled without "fill"'),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e999", "Infinity"),
        ("true", "true"),
        ("false", "false"),
        ('"1.5"', '"1.5"'),
        ("[1.5]", "[1.5]"),
        ("{}", "{}"),
        ("1" + "0" * 309, "1" + "0" * 56 + "..."),
        ('"' + "x" * 1000 + '"', '"' + "x" * 56 + "..."),
    ],
)
def test_what_is_no_finite_number_is_a_fault_of_its_row(client, body, text, came):
    places = ["/series/0/values/load/0", "/series/0/values/temp/95", f"{WIND}/50"]
    for place in places:
        change(body, place, "HERE")
    faulty = json.dumps(body).replace('"HERE"', text).encode()
    assert client.faults(faulty) == dict.fromkeys(places, f"expected a finite number, came {came}")


def test_every_fault_of_a_request_is_listed_at_once(client, body, series):
    places = ["a column is missing", "timestamps have a gap", "an id is a number", "a series has an unknown field"]
    places += ["the frequency given is none", "a field is unknown", "a horizon is too long"]
    expected = {}
    for name in places:
        (place, new), faults = FAULTS[name]
        change(body, place, new)
        expected |= faults
    change(body, "/series/0/values/load/3", None)
    expected["/series/0/values/load/3"] = (
        'expected a finite number, came null: missing values are not filled without "fill"'
    )
    body["series"] += ["no series", {}, series("hourly", rows=10, more=1), series("hourly")]
    expected["/series/1"] = 'expected an object, came "no series"'
    expected["/series/2"] = "expected timestamps, or start and frequency, and not both"
    expected["/series/2/values"] = "expected an object with the columns load, temp, wind/gust~max, came null"
    expected["/series/3/values"] = "expected at least 96 rows, came 10"
    expected["/series/3/more"] = UNKNOWN + "id, timestamps, start, frequency, values"
    assert client.faults(body) == expected


def test_faults_against_the_schema_come_with_the_unknown_model(client, body):
    faults = client.faults({**body, "model": "nope", "horizon": "1", "more": 1})
    assert set(faults) == {"/model", "/horizon", "/more"}


def test_faults_against_the_schema_come_with_the_model_left_out(client):
    assert set(client.faults({"series": [{"x": 1}, 2], "more": 1})) == {"/model", "/series/0/x", "/series/1", "/more"}


def test_a_field_of_the_wrong_type_is_not_said_to_be_missing_too(client):
    assert client.faults({"model": 1, "series": [{"values": {}}]})["/model"] == "Input should be a valid string; came 1"


@pytest.mark.parametrize("place", ["/model", "/series/0/id", "/series/0/timestamps/3", "/series/0/values/load/3"])
def test_a_long_value_is_shown_shortened(client, body, place):
    change(body, place, ["x" * 10_000])
    assert client.faults(body)[place].endswith('came ["' + "x" * 55 + "...")


def test_a_column_lists_a_hundred_faults_and_a_request_a_thousand(client, body, series):
    change(body, "/series/0/values/load", ["x"] * 500)
    assert sum(pointer.startswith("/series/0/values/load/") for pointer in client.faults(body)) == 100
    spoilt = series("hourly", values={name: [None] * 96 for name in body["series"][0]["values"]})
    answer = client.post("/forecast", json={"model": "hourly", "series": [spoilt] * 10})
    assert len(answer.json()["errors"]) == 1000
    assert answer.json()["detail"] == "The request has 1152 faults, the first 1000 of them below."


FIELDS = {f"a{i}": 1 for i in range(100_000)}


@pytest.mark.parametrize(
    "body",
    [
        {"series": [1] * 200_000},
        {"levels": ["x"] * 200_000, **FIELDS},
        FIELDS,
        {"model": "hourly", "series": [FIELDS]},
        {"model": "hourly", "series": [{"values": FIELDS}]},
        {"model": "hourly", "series": [{"timestamps": [None] * 100_000, "values": {}}]},
    ],
    ids=["series", "levels", "fields", "fields of a series", "columns", "timestamps"],
)
def test_a_hostile_number_of_faults_is_not_searched_to_its_end(client, body):
    """A million faulty series held the service for two minutes once."""
    assert 100 <= len(client.faults(body)) <= 1000


@pytest.mark.parametrize("field", ["horizon", "levels", "attention"])
def test_integers_of_more_than_64_bits_are_faults(client, body, field):
    wanted = {"horizon": 2**70, "levels": [2**70], "attention": {"layers": [2**70], "heads": [-(2**70)]}}[field]
    assert all(f"/{field}" in pointer for pointer in client.faults({**body, field: wanted}))


@pytest.mark.parametrize("fill", ["error", "previous"])
def test_more_rows_than_the_service_takes_are_refused_before_they_are_read(serving, body, fill):
    client = serving(BUNDLES, max_rows=100)
    rows = len(body["series"][0]["timestamps"])
    told = {"/series/0": f"expected at most {rows - 1} rows, came {rows}: the last "}
    short = serving(BUNDLES, max_rows=rows - 1)
    faults = short.faults({**body, "fill": fill})
    assert faults.keys() == told.keys()
    assert faults["/series/0"].startswith(told["/series/0"])
    serving(BUNDLES, max_rows=rows).forecast({**body, "fill": fill})
    empty = client.post(
        "/forecast?model=hourly", content="date,load\n" + ",\n" * 500, headers={"content-type": "text/csv"}
    )
    assert empty.status_code == 422
    assert [fault["pointer"] for fault in empty.json()["errors"]] == ["/rows"]


def test_a_long_series_is_checked_as_a_short_one_is(client, body, series):
    long = series("hourly", 3000)
    assert client.forecast({**body, "series": [long]})["forecasts"]
    long["values"]["load"][2500] = None
    assert client.faults({**body, "series": [long]}).keys() == {"/series/0/values/load/2500"}
