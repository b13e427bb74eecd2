import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.calendar_features import calendar_features, feature_names
from contract.frequency import Frequency

NAMES = ("second", "minute", "hour", "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month")
DAYS = ("day_of_week", "day_of_month", "day_of_year")

stamps = st.datetimes(
    min_value=np.datetime64("1900-01-01", "s").item(), max_value=np.datetime64("2200-12-31T23:59:59", "s").item()
).map(lambda moment: np.datetime64(moment, "ms"))


@pytest.mark.parametrize(
    ("frequency", "names"),
    [
        ("30s", ("second", "minute", "hour", *DAYS)),
        ("5min", ("minute", "hour", *DAYS)),
        ("15min", ("minute", "hour", *DAYS)),
        ("h", ("hour", *DAYS)),
        ("2h", ("hour", *DAYS)),
        ("D", DAYS),
        ("B", DAYS),
        ("W", ("day_of_month", "week_of_year")),
        ("M", ("month",)),
    ],
)
def test_names_of_a_frequency(frequency, names):
    assert feature_names(Frequency.parse(frequency)) == names


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        # a Friday, the 173rd day, in week 25
        ("2018-06-22T20:15:30", (30 / 59, 15 / 59, 20 / 23, 4 / 6, 21 / 30, 172 / 365, 24 / 52, 5 / 11)),
        ("2018-01-01T00:00:00", (0, 0, 0, 0, 0, 0, 0, 0)),  # a Monday
        ("2020-12-31T23:59:59", (1, 1, 1, 3 / 6, 1, 1, 1, 1)),  # a leap year of 53 weeks
        ("2021-01-03T12:00:00", (0, 0, 12 / 23, 1, 2 / 30, 2 / 365, 1, 0)),  # a Sunday, still in 2020's week 53
        ("2019-12-30T00:00:00", (0, 0, 0, 0, 29 / 30, 363 / 365, 0, 1)),  # a Monday, in 2020's week 1 already
        ("1900-03-01T00:00:00", (0, 0, 0, 3 / 6, 0, 59 / 365, 8 / 52, 2 / 11)),  # 1900 was no leap year
    ],
)
def test_values_by_hand(stamp, expected):
    features = calendar_features(np.array([stamp], "M8[ms]"), NAMES)
    np.testing.assert_allclose(features, np.array([expected]) - 0.5, atol=1e-7)


@given(st.lists(stamps, min_size=1, max_size=20))
def test_all_are_within_a_half(moments):
    features = calendar_features(np.array(moments), NAMES)
    assert features.dtype == np.float32
    assert features.shape == (len(moments), len(NAMES))
    assert np.abs(features).max() <= 0.5


@given(st.lists(stamps, min_size=1, max_size=20))
def test_agree_with_the_calendar_of_pandas(moments):
    pandas = pytest.importorskip("pandas")
    times = pandas.DatetimeIndex(np.array(moments))
    expected = [
        times.second / 59,
        times.minute / 59,
        times.hour / 23,
        times.day_of_week / 6,
        (times.day - 1) / 30,
        (times.day_of_year - 1) / 365,
        (times.isocalendar().week.to_numpy(float) - 1) / 52,
        (times.month - 1) / 11,
    ]
    np.testing.assert_allclose(calendar_features(np.array(moments), NAMES), np.stack(expected, -1) - 0.5, atol=1e-7)


def test_columns_come_in_the_order_asked_for():
    times = np.array(["2018-06-22T20:15:30"], "M8[ms]")
    np.testing.assert_array_equal(calendar_features(times, NAMES[::-1]), calendar_features(times, NAMES)[:, ::-1])
