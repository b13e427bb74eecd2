"""Timestamps of every form that people write, and what comes back: the same form, continued."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

HOUR = timedelta(hours=1)
FIRST = datetime(2018, 6, 27, 20)  # 96 hours on, the forecast crosses the month's end
SECONDS = int(FIRST.replace(tzinfo=UTC).timestamp())


@pytest.fixture
def continued(client, series):
    """continued("hourly", **fields) -> the timestamps that follow."""

    def stamps(name, rows=None, **fields):
        fields.setdefault("timestamps", None)
        return client.forecast({"model": name, "series": [series(name, rows, **fields)]})["forecasts"][0]["timestamps"]

    return stamps


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(datetime.isoformat, datetime.isoformat, id="naive"),
        pytest.param(lambda time: time.isoformat(" "), datetime.isoformat, id="a space for the T"),
        pytest.param(lambda time: time.strftime("%Y-%m-%dT%H:%M"), datetime.isoformat, id="without seconds"),
        pytest.param(lambda time: time.isoformat() + ".000", datetime.isoformat, id="whole milliseconds"),
        pytest.param(lambda time: time.isoformat() + ".250", lambda time: time.isoformat() + ".250", id="milliseconds"),
        pytest.param(lambda time: time.strftime("%Y%m%dT%H%M%S"), datetime.isoformat, id="basic form"),
        pytest.param(lambda time: time.isoformat() + "Z", lambda time: time.isoformat() + "Z", id="Z"),
        pytest.param(lambda time: time.isoformat() + "+00:00", lambda time: time.isoformat() + "Z", id="offset 0"),
        pytest.param(lambda time: f"{time}+02:00", lambda time: time.isoformat() + "+02:00", id="offset"),
        pytest.param(lambda time: f"{time}-03:30", lambda time: time.isoformat() + "-03:30", id="negative offset"),
    ],
)
def test_strings_go_on_in_their_form(continued, write, expected):
    given = [write(FIRST + row * HOUR) for row in range(96)]
    assert continued("hourly", timestamps=given) == [expected(FIRST + row * HOUR) for row in range(96, 120)]


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9], ids=["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [int, float])
def test_epoch_numbers_go_on_in_their_unit(continued, per_second, kind):
    numbers = [(SECONDS + 3600 * row) * per_second for row in range(120)]
    came = continued("hourly", timestamps=[kind(number) for number in numbers[:96]])
    assert came == numbers[96:]
    assert {type(number) for number in came} == {int}


def test_fractions_of_epoch_seconds_do_not_look_like_gaps_and_go_on(continued):
    came = continued("hourly", timestamps=[SECONDS + 3600 * row + 0.123 for row in range(96)])
    assert came == [SECONDS + 3600 * row + 0.123 for row in range(96, 120)]


def test_epoch_numbers_before_1970(continued):
    assert continued("hourly", timestamps=[3600 * row for row in range(-200, -104)])[0] == -104 * 3600


def test_dates_are_enough_for_days(continued):
    days = [datetime(2020, 2, 25) - timedelta(days=row) for row in range(40)][::-1]
    came = continued("daily", 40, timestamps=[f"{day:%Y-%m-%d}" for day in days])
    assert came == [f"2020-{day}T00:00:00" for day in ("02-26", "02-27", "02-28", "02-29", "03-01", "03-02", "03-03")]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("2018-01-31", ["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30", "2020-05-31", "2020-06-30"]),
        ("2018-01-30", ["2020-01-30", "2020-02-29", "2020-03-30", "2020-04-30", "2020-05-30", "2020-06-30"]),
        ("2018-02-01", ["2020-02-01", "2020-03-01", "2020-04-01", "2020-05-01", "2020-06-01", "2020-07-01"]),
    ],
)
@pytest.mark.parametrize("frequency", ["M", "ME", "MS", "1M"])
def test_months_go_on_at_their_day(continued, first, expected, frequency):
    came = continued("monthly", start=first, frequency=frequency)
    assert came == [f"{day}T00:00:00" for day in expected]


@pytest.mark.parametrize(
    ("name", "start", "frequency", "expected"),
    [
        ("hourly", "2018-06-27T20:00", "h", "2018-07-01T20:00:00"),
        ("hourly", "2018-06-27T20:00+05:30", "60min", "2018-07-01T20:00:00+05:30"),
        ("hourly", SECONDS, "3600s", SECONDS + 96 * 3600),
        ("quarter-hourly", "2019-12-31T12:00Z", "15min", "2020-01-01T00:00:00Z"),
        ("quarter-hourly", SECONDS * 1000, "900s", (SECONDS + 48 * 900) * 1000),
        ("daily", "2020-02-01", "D", "2020-02-29T00:00:00"),
        ("daily", "2021-02-01", "24h", "2021-03-01T00:00:00"),
    ],
)
def test_a_start_and_a_frequency_are_enough(continued, name, start, frequency, expected):
    assert continued(name, start=start, frequency=frequency)[0] == expected


def test_a_frequency_may_go_with_timestamps(client, body):
    alone = client.forecast(body)
    body["series"][0]["frequency"] = "60min"
    assert client.forecast(body) == alone


def test_a_start_gives_what_its_timestamps_give(client, series):
    listed = series("hourly", 130)
    counted = {**listed, "start": listed["timestamps"][0], "frequency": "h"}
    del counted["timestamps"]
    assert client.forecast({"series": [counted]}) == client.forecast({"series": [listed]})


@pytest.mark.parametrize("day", [datetime(2018, 3, 25), datetime(2018, 10, 28)], ids=["to summer", "to winter"])
def test_where_summer_time_changes_rows_are_read_on_the_last_clock(client, series, day):
    berlin = ZoneInfo("Europe/Berlin")
    instants = [day.replace(tzinfo=UTC) + (row - 60) * HOUR for row in range(96)]
    changing = [instant.astimezone(berlin).isoformat() for instant in instants]
    assert len({stamp[19:] for stamp in changing}) == 2
    last = timezone(instants[-1].astimezone(berlin).utcoffset())
    settled = [instant.astimezone(last).isoformat() for instant in instants]
    (came,), (expected,) = (
        client.forecast({"series": [series("hourly", timestamps=stamps)]})["forecasts"]
        for stamps in (changing, settled)
    )
    assert came == expected
    assert came["timestamps"][0] == (instants[-1] + HOUR).astimezone(last).isoformat()


def test_the_wall_clock_is_what_the_model_sees(client, series):
    def values(write):
        stamps = [write(FIRST + row * HOUR) for row in range(96)]
        return client.forecast({"series": [series("hourly", timestamps=stamps)]})["forecasts"][0]["values"]

    naive = values(datetime.isoformat)
    assert values(lambda time: f"{time}Z") == values(lambda time: f"{time}+09:00") == naive
    assert values(lambda time: (time + 5 * HOUR).isoformat()) != naive


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (slice(3, 4), 'expected all timestamps with an offset or none, came "2018-06-22T23:00:00Z" before "{last}"'),
        (slice(0, 95), 'expected all timestamps with an offset or none, came "2018-06-22T20:00:00Z" before "{last}"'),
        (slice(95, 96), 'expected all timestamps with an offset or none, came "2018-06-22T20:00:00" before "{last}Z"'),
    ],
)
def test_offsets_on_some_rows_alone_are_a_fault(client, body, rows, message):
    stamps = body["series"][0]["timestamps"]
    last = stamps[-1]
    stamps[rows] = [stamp + "Z" for stamp in stamps[rows]]
    row = rows.start if rows.start < 95 else 0
    assert client.faults(body) == {f"/series/0/timestamps/{row}": message.format(last=last)}


@pytest.mark.parametrize(
    ("stamp", "came"),
    [
        ("yesterday", '"yesterday"'),
        ("", '""'),
        ("2018-02-30T00:00:00", '"2018-02-30T00:00:00"'),
        ("2018-06-22T25:00:00", '"2018-06-22T25:00:00"'),
        ("22/06/2018 20:00", '"22/06/2018 20:00"'),
        ("2018-06-22T20:00:00\n", r'"2018-06-22T20:00:00\n"'),
        ("2018-06-22T20:00\n2018-06-22T21:00", r'"2018-06-22T20:00\n2018-06-22T21:00"'),
        ("２０１８-06-22T20:00:00", '"２０１８-06-22T20:00:00"'),
        ("x" * 100, '"' + "x" * 56 + "..."),
    ],
)
def test_no_timestamp_is_a_fault_of_its_row(client, body, stamp, came):
    for row in (0, 40, 95):
        body["series"][0]["timestamps"][row] = stamp
    message = f"expected an ISO 8601 timestamp, came {came}"
    assert client.faults(body) == {f"/series/0/timestamps/{row}": message for row in (0, 40, 95)}


@pytest.mark.parametrize(
    ("number", "came"),
    [*((name, name) for name in ("NaN", "Infinity", "-Infinity", "9223372036854775808")), ("1e999", "Infinity")],
)
@pytest.mark.parametrize("row", [0, 1, 95])
def test_no_epoch_number_is_a_fault_of_its_row(client, number, came, row):
    stamps = [str(3600 * each) for each in range(96)]
    stamps[row] = number
    text = f'{{"model": "hourly", "series": [{{"timestamps": [{", ".join(stamps)}], "values": {{}}}}]}}'
    message = f"expected an epoch number, came {came}"
    assert client.faults(text.encode())[f"/series/0/timestamps/{row}"] == message


HOUR_NS = 3600 * 10**9


@pytest.mark.parametrize(
    ("start", "pointer", "message"),
    [
        (2**63 - 100 * HOUR_NS, "", "expected epoch numbers of 64 bits, but in ns the forecast's are larger"),
        (
            2**63 - 50 * HOUR_NS,
            "/start",
            "expected a start whose 96 rows end before epoch numbers of 64 bits in ns, came ",
        ),
        ("9999-12-27T00:00:00", None, None),
        (
            "9999-12-27T01:00:00",
            "",
            "expected a forecast that ends before the year 10000, which ISO 8601 has no four digits for",
        ),
        ("9999-12-31", "/start", 'expected a start whose 96 rows end before the year 10000, came "9999-12-31"'),
    ],
)
def test_time_ends_where_it_cannot_be_written(client, body, start, pointer, message):
    """Nanoseconds of 64 bits end in 2262."""
    one = body["series"][0]
    one.update(start=start, frequency="h")
    del one["timestamps"]
    if pointer is None:
        assert client.forecast(body)["forecasts"][0]["timestamps"][-1] == "9999-12-31T23:00:00"
    else:
        (only,) = client.faults(body).items()
        assert only[0] == f"/series/0{pointer}"
        assert only[1].startswith(message)
