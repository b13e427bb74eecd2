from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import FaultyInput
from contract.timestamps import Timestamps, epoch_unit, parse_timestamps

zones = st.none() | st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 12, 31)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


@given(st.lists(moments, min_size=1, max_size=5), zones, st.sampled_from(["T", " "]))
def test_iso_8601_on_its_own_wall_clock(clock, zone, separator):
    texts = [moment.replace(tzinfo=zone).isoformat(separator) for moment in clock]
    parsed = parse_timestamps(texts, "/t")
    np.testing.assert_array_equal(parsed.times, np.array(clock, "M8[ms]"))
    assert (parsed.zone, parsed.epoch) == (zone, None)


@given(st.lists(moments, min_size=1, max_size=5), zones)
def test_what_it_writes_it_reads(clock, zone):
    stamps = Timestamps(np.array(clock, "M8[ms]"), zone)
    again = parse_timestamps(stamps.write(stamps.times), "/t")
    np.testing.assert_array_equal(again.times, stamps.times)
    assert again.zone == zone


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
@given(st.lists(st.integers(3 * 10**8, 7 * 10**9), min_size=1, max_size=5))
def test_epoch_numbers_of_every_unit_there_and_back(unit, per_second, seconds):
    numbers = [second * per_second for second in seconds]
    parsed = parse_timestamps(numbers, "/t")
    np.testing.assert_array_equal(parsed.times, np.array(seconds, "M8[s]"))
    assert (parsed.zone, parsed.epoch) == (UTC, unit)
    assert parsed.write(parsed.times) == numbers
    np.testing.assert_array_equal(parse_timestamps([float(number) for number in numbers], "/t").times, parsed.times)


@given(st.lists(st.integers(3 * 10**11, 7 * 10**12), min_size=1, max_size=5))
def test_milliseconds_of_epoch_seconds_there_and_back(milliseconds):
    parsed = parse_timestamps([number / 1000 for number in milliseconds], "/t")
    assert parsed.epoch == "s"
    np.testing.assert_array_equal(parsed.times, np.array(milliseconds, "M8[ms]"))
    written = parsed.write(parsed.times)
    assert written == [number / 1000 for number in milliseconds]
    assert len(set(map(type, written))) == 1


@pytest.mark.parametrize(
    ("largest", "unit"), [(0, "s"), (99_999_999_999, "s"), (1e11, "ms"), (1e14, "us"), (1e17, "ns")]
)
def test_the_size_tells_the_unit(largest, unit):
    assert epoch_unit(largest) == unit


def test_where_summer_time_begins_all_is_on_the_last_clock():
    texts = ["2018-03-25T00:00+01:00", "2018-03-25T01:00+01:00", "2018-03-25T03:00+02:00"]
    parsed = parse_timestamps(texts, "/t")
    np.testing.assert_array_equal(parsed.times, np.array(["2018-03-25T01", "2018-03-25T02", "2018-03-25T03"], "M8[ms]"))


@pytest.mark.parametrize(
    ("stamps", "written"),
    [
        (["2018-06-22T20:00Z"], ["2018-06-22T21:00:00Z"]),
        (["2018-06-22T20:00+05:30"], ["2018-06-22T21:00:00+05:30"]),
        (["2018-06-22 20:00"], ["2018-06-22T21:00:00"]),
        (["2018-06-22T20:00:00.250"], ["2018-06-22T21:00:00.250"]),
        ([1529697600], [1529701200]),
        ([1529697600000.0], [1529701200000]),
    ],
)
def test_answers_in_the_form_of_the_question(stamps, written):
    parsed = parse_timestamps(stamps, "/t")
    assert parsed.write(parsed.times + np.timedelta64(1, "h")) == written


@pytest.mark.parametrize(
    ("stamps", "faults"),
    [
        ([], ["/t: expected all strings or all epoch numbers, came none at all"]),
        (["2018-06-22", 1], ["/t: expected all strings or all epoch numbers, came both"]),
        (["2018-06-22", None, True], ["/t/1: expected an ISO 8601 string", "/t/2: expected an ISO 8601 string"]),
        (["2018-06-22", "soon", ""], ['/t/1: expected an ISO 8601 timestamp, came "soon"', "/t/2: expected an ISO"]),
        (["2018-02-30T00:00", "2018-01-01T00:00"], ['/t/0: expected an ISO 8601 timestamp, came "2018-02-30T00:00"']),
        (["2018-06-22T20:00\n2018-06-22T21:00"], ['/t/0: expected an ISO 8601 timestamp, came "2018-06-22T20:00']),
        (["2018-06-22T20:00", "2018-06-22T21:00Z"], ["/t/0: expected all timestamps with an offset or none, came"]),
        ([1529697600, float("nan")], ["/t/1: expected an epoch number, came NaN"]),
        ([float("-inf"), 2**63], ["/t/0: expected an epoch number, came -Infinity", "/t/1: expected an epoch number"]),
    ],
)
def test_names_every_fault(stamps, faults):
    with pytest.raises(FaultyInput) as caught:
        parse_timestamps(stamps, "/t")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(faults)
    for line, fault in zip(lines, faults, strict=True):
        assert line.startswith(fault)


@pytest.mark.parametrize(
    "form", ["%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%m-%Y", "%m/%d/%Y %I:%M %p", "%Y/%m/%d %H:%M", "%d %b %Y"]
)
def test_dates_are_read_in_the_order_that_a_day_tells(form):
    clock = [datetime(2010, 1, 12) + timedelta(hours=row) * ("%H" in form or "%I" in form) for row in range(40)]
    clock += [datetime(2010, 1, 13)]
    parsed = parse_timestamps([stamp.strftime(form) for stamp in clock], "/t")
    np.testing.assert_array_equal(parsed.times, np.array(clock, "M8[ms]"))
    assert (parsed.note is None) == ("%b" in form or form.startswith("%Y"))
    assert parsed.write(parsed.times[:1]) == ["2010-01-12T00:00:00"]


@pytest.mark.parametrize(
    ("stamps", "place", "message"),
    [
        (["1/1/2010 0:00", "1/2/2010 0:00"], "/t/1", 'write 2010-01-02 or 2010-02-01 for "1/2/2010 0:00"'),
        (["1/31/2010", "31/1/2010"], "/t/1", 'expected day and month in one order, came "31/1/2010" and "1/31/2010"'),
        (["1/31/2010", "2010-02-01"], "/t/1", 'came "2010-02-01"'),
        (["1/31/2010", "2/30/2010"], "/t/1", "day"),
        (["1/31/2010 13:00 PM"], "/t/0", "hour must be in 1..12"),
        (["1/31/2010 25:00"], "/t/0", "hour"),
    ],
)
def test_dates_that_do_not_tell_are_faults(stamps, place, message):
    with pytest.raises(FaultyInput) as caught:
        parse_timestamps(stamps, "/t")
    (fault,) = caught.value.faults
    assert fault.pointer == place
    assert message in fault.message


@pytest.mark.parametrize(
    "impossible", ["2026-02-30T00:00:00", "2026-01-01T24:00:00", "0000-01-01T00:00:00", "2026-13-01T00:00:00"]
)
@pytest.mark.parametrize("count", [1, 500, 5000])
def test_a_date_that_there_is_not_is_found_in_columns_of_any_length(impossible, count):
    """numpy 2.4 casts arrays of over 500 bytes' dates without the interpreter's lock, and ended the process."""
    stamps = ["2026-01-01T00:00:00"] * count + [impossible] + ["2026-01-01T00:00:00"] * count
    with pytest.raises(FaultyInput) as caught:
        parse_timestamps(stamps, "/t")
    assert [fault.pointer for fault in caught.value.faults] == [f"/t/{count}"]
