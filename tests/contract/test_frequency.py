import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.frequency import Frequency

FREQUENCIES = ("s", "30s", "5min", "15min", "h", "2h", "D", "2D", "B", "W", "2W", "M", "3M", "12M")


def stamps(*texts):
    return np.array(texts, "M8[ms]")


def rows(start, text, n):
    """`n` rows from `start` on, which for business days is the Monday to Friday at or after it."""
    start = np.datetime64(start, "ms")
    if text == "B":
        day = start.astype("M8[D]")
        start = np.busday_offset(day, 0, roll="forward").astype("M8[ms]") + (start - day)
    first = np.array([start])
    return np.concatenate([first, Frequency.parse(text).following(first, n - 1)])


starts = st.datetimes(
    min_value=np.datetime64("1900-01-01", "s").item(), max_value=np.datetime64("2200-12-31", "s").item()
).map(lambda moment: moment.replace(microsecond=0))


@pytest.mark.parametrize(
    ("text", "count", "unit"),
    [
        ("30s", 30, "s"),
        ("5min", 5, "min"),
        ("15min", 15, "min"),
        ("60min", 1, "h"),
        ("90min", 90, "min"),
        ("h", 1, "h"),
        ("2h", 2, "h"),
        ("24h", 1, "D"),
        ("D", 1, "D"),
        ("7D", 1, "W"),
        ("B", 1, "B"),
        ("W", 1, "W"),
        ("M", 1, "M"),
        ("MS", 1, "M"),
        ("ME", 1, "M"),
        ("3MS", 3, "M"),
    ],
)
def test_parses_pandas_spellings_in_the_largest_unit(text, count, unit):
    assert Frequency.parse(text) == Frequency(count, unit)


@pytest.mark.parametrize("text", ["", "0h", "05min", "-1h", "1.5h", "h2", "H", "m", "Q", "1 h", "h\n", "١h"])
def test_refuses_what_is_no_frequency(text):
    with pytest.raises(ValueError, match="expected a frequency such as 15min"):
        Frequency.parse(text)


@pytest.mark.parametrize("text", FREQUENCIES)
def test_is_written_as_it_is_parsed(text):
    assert str(Frequency.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "rows_a_season"),
    [
        ("30s", 2880),
        ("5min", 288),
        ("15min", 96),
        ("h", 24),
        ("2h", 12),
        ("5h", None),
        ("7min", None),
        ("D", 7),
        ("2D", None),
        ("B", 5),
        ("W", 52),
        ("M", 12),
        ("3M", 4),
        ("5M", None),
    ],
)
def test_season(text, rows_a_season):
    assert Frequency.parse(text).season == rows_a_season


@given(starts, st.sampled_from(FREQUENCIES), st.integers(8, 40))
def test_what_follows_is_inferred_and_has_no_breaks(start, text, n):
    times = rows(start, text, n)
    assert (np.diff(times).astype(np.int64) > 0).all()
    assert Frequency.infer(times) == Frequency.parse(text)
    assert len(Frequency.parse(text).breaks(times)) == 0


@given(starts, st.sampled_from(FREQUENCIES), st.integers(8, 40), st.data())
def test_a_row_left_out_does_not_hide_the_frequency_and_is_found(start, text, n, data):
    row = data.draw(st.integers(1, n - 2))
    times = np.delete(rows(start, text, n), row)
    assert Frequency.infer(times) == Frequency.parse(text)
    assert Frequency.parse(text).breaks(times).tolist() == [row]


@given(starts, st.sampled_from(FREQUENCIES), st.integers(8, 40), st.data())
def test_a_row_twice_or_moved_is_found(start, text, n, data):
    row = data.draw(st.integers(1, n - 2))
    times = rows(start, text, n)
    frequency = Frequency.parse(text)
    assert frequency.breaks(np.insert(times, row, times[row])).tolist() == [row + 1]
    times[row] += np.timedelta64(1, "ms")
    assert frequency.breaks(times).tolist() == [row, row + 1]


@given(starts, st.sampled_from(FREQUENCIES), st.integers(1, 20), st.integers(1, 20))
def test_following_goes_on_from_what_followed(start, text, n, more):
    times = rows(start, text, 8)
    frequency = Frequency.parse(text)
    at_once = frequency.following(times, n + more)
    first = frequency.following(times, n)
    np.testing.assert_array_equal(at_once[:n], first)
    np.testing.assert_array_equal(at_once[n:], frequency.following(np.concatenate([times, first]), more))


@pytest.mark.parametrize(
    ("text", "times", "expected"),
    [
        ("15min", ["2020-12-31T23:30", "2020-12-31T23:45"], ["2021-01-01T00:00", "2021-01-01T00:15"]),
        ("h", ["2020-02-28T22:00", "2020-02-28T23:00"], ["2020-02-29T00:00", "2020-02-29T01:00"]),
        ("D", ["1900-02-27", "1900-02-28"], ["1900-03-01", "1900-03-02"]),  # 1900 was no leap year
        ("B", ["2018-06-21T17:00", "2018-06-22T17:00"], ["2018-06-25T17:00", "2018-06-26T17:00"]),
        ("B", ["2018-06-22", "2018-06-23"], ["2018-06-25", "2018-06-26"]),  # from a Saturday
        ("W", ["2019-12-23", "2019-12-30"], ["2020-01-06", "2020-01-13"]),
        ("M", ["2023-11-01", "2023-12-01"], ["2024-01-01", "2024-02-01"]),
        ("M", ["2023-11-30", "2023-12-31"], ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ("M", ["2022-11-30", "2022-12-31"], ["2023-01-31", "2023-02-28", "2023-03-31"]),
        ("M", ["2022-12-30T06:00", "2023-01-30T06:00"], ["2023-02-28T06:00", "2023-03-30T06:00"]),
        ("M", ["2022-12-31", "2023-01-31", "2023-02-28"], ["2023-03-31", "2023-04-30", "2023-05-31"]),
        ("12M", ["2020-02-29"], ["2021-02-28", "2022-02-28", "2023-02-28", "2024-02-29"]),
    ],
)
def test_following_over_the_calendar_s_edges(text, times, expected):
    following = Frequency.parse(text).following(stamps(*times), len(expected))
    np.testing.assert_array_equal(following, stamps(*expected))
    assert following.dtype == np.dtype("M8[ms]")


def test_five_weekdays_are_days_and_six_business_days():
    times = rows("2018-06-18", "B", 6)
    assert Frequency.infer(times[:5]) == Frequency(1, "D")
    assert Frequency.infer(times) == Frequency(1, "B")


@pytest.mark.parametrize(
    ("text", "times", "expected"),
    [
        ("B", ["2018-06-22", "2018-06-23", "2018-06-25"], [1, 2]),  # a Saturday
        ("B", ["2018-06-21T17:00", "2018-06-22T18:00", "2018-06-25T17:00"], [1, 2]),
        ("M", ["2023-01-15", "2023-02-28", "2023-03-31"], [1]),
        ("M", ["2023-01-31", "2023-02-27", "2023-03-31"], [1, 2]),
    ],
)
def test_a_row_off_the_calendar_s_grid_breaks_before_and_after(text, times, expected):
    assert Frequency.parse(text).breaks(stamps(*times)).tolist() == expected


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([], "at least 3 rows to infer a frequency, came 0"),
        (["2020-01-01", "2020-01-02"], "at least 3 rows to infer a frequency, came 2"),
        (["2020-01-01", "2020-01-01", "2020-01-01"], "most common step is not positive"),
        (["2020-01-03", "2020-01-02", "2020-01-01"], "most common step is not positive"),
        (["2020-01-01T00:00:00", "2020-01-01T00:00:00.250", "2020-01-01T00:00:00.500"], "whole seconds, came 250 ms"),
    ],
)
def test_refuses_to_infer(times, message):
    with pytest.raises(ValueError, match=message):
        Frequency.infer(stamps(*times))
