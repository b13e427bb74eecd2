"""Rows in any order, twice, left out or with values missing: mended and told, or a named fault."""

import re
from datetime import UTC, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.calendar_features import feature_names
from contract.errors import FaultyInput
from contract.filling import fill, fill_window
from contract.frequency import Frequency
from contract.manifest import ForecastSpec
from contract.scaler import Scaler
from contract.timestamps import Timestamps, on_latest_clock, parse_timestamps

METHODS = ("interpolate", "previous", "seasonal")
FREQUENCIES = ("h", "15min", "7min", "D", "B", "2B", "W", "M", "3M")
ROWS, SEQ_LEN = 12, 8
STARTS = ("2018-06-22T20:07", "2020-01-31", "2019-11-29T03:00", "1969-12-29")  # all on weekdays


def spec_of(frequency, seq_len=SEQ_LEN):
    names = feature_names(Frequency.parse(frequency))
    columns = ("load", "temp")
    return ForecastSpec(columns, {}, frequency, seq_len, 2, 2, names, Scaler(columns, (0.0, 0.0), (1.0, 1.0)))


def table_of(frequency, start="2018-06-22T20:00", rows=ROWS):
    first = np.array([start], "M8[ms]")
    times = np.concatenate([first, Frequency.parse(frequency).following(first, rows - 1)])
    return times, np.random.default_rng(rows).normal(size=(rows, 2))


def filled(times, values, method, spec=None, max_share=1.0, zone=None):
    return fill(Timestamps(times, zone), values, spec or spec_of("h"), method, max_share, "/s")


def faults(*arguments, **how):
    with pytest.raises(FaultyInput) as caught:
        filled(*arguments, **how)
    return {fault.pointer: fault.message for fault in caught.value.faults}


@given(st.sampled_from(FREQUENCIES), st.sampled_from(STARTS), st.sampled_from(METHODS), st.data())
def test_order_and_identical_duplicates_change_nothing(frequency, start, method, data):
    times, values = table_of(frequency, start)
    rows = [*range(ROWS), *data.draw(st.lists(st.integers(0, ROWS - 1), max_size=5))]
    rows = data.draw(st.permutations(rows))
    came = filled(times[rows], values[rows], method, spec_of(frequency), max_share=0)
    np.testing.assert_array_equal(came.stamps.times, times[-SEQ_LEN:])
    np.testing.assert_array_equal(came.values, values[-SEQ_LEN:])
    assert any("sorted" in note for note in came.notes) == (sorted(rows) != rows)
    assert any("duplicate" in note for note in came.notes) == (len(rows) > ROWS)


@given(st.sampled_from(FREQUENCIES), st.sampled_from(STARTS), st.sampled_from(METHODS), st.data())
def test_what_is_missing_is_filled_and_told_and_the_rest_is_as_it_was(frequency, start, method, data):
    times, values = table_of(frequency, start)
    kept = sorted(data.draw(st.sets(st.integers(0, ROWS - 1), min_size=4)))
    lacking = values.copy()
    for cell in data.draw(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, 1)), max_size=6)):
        lacking[cell] = np.nan
    gone = np.isnan(lacking)
    gone[[row for row in range(ROWS) if row not in kept]] = True
    share = data.draw(st.sampled_from([0.0, 0.25, 1.0]))
    seen = slice(kept[-1] + 1 - SEQ_LEN, kept[-1] + 1)
    enough = kept[-1] - kept[0] + 1 >= SEQ_LEN
    try:
        came = filled(times[kept], lacking[kept], method, spec_of(frequency), share)
    except FaultyInput:
        assert not enough or gone[seen].all(axis=0).any() or gone[seen].sum() > share * SEQ_LEN * 2
        return
    assert enough
    assert gone[seen].sum() <= share * SEQ_LEN * 2
    there = ~gone[seen]
    np.testing.assert_array_equal(came.values[there], values[seen][there])
    assert np.isfinite(came.values).all()
    if Frequency.parse(frequency).unit != "M":  # a month's end is told by the rows that are there
        np.testing.assert_array_equal(came.stamps.times, times[seen])
    for column, name in enumerate(("load", "temp")):
        told = [note for note in came.notes if note.startswith(f"{name}: ")]
        count = int(gone[seen][:, column].sum())
        assert [re.match(rf"{name}: {count} of {SEQ_LEN} values filled", note) is not None for note in told] == (
            [True] if count else []
        )


SQUARES = np.arange(12.0) ** 2  # every six hours: a season is four rows


@pytest.mark.parametrize(
    ("missing", "expected", "told"),
    [
        (
            [5, 6],
            {"interpolate": [27, 38], "previous": [16, 16], "seasonal": [1, 4]},
            {
                "interpolate": "interpolation",
                "previous": "the value before",
                "seasonal": "the value one season earlier",
            },
        ),
        (
            [10, 11],
            {"interpolate": [81, 81], "previous": [81, 81], "seasonal": [36, 49]},
            {"interpolate": "the value before", "previous": "the value before"},
        ),
        (
            [0, 1],
            {"interpolate": [4, 4], "previous": [4, 4], "seasonal": [16, 25]},
            {
                "interpolate": "the value after",
                "previous": "the value after",
                "seasonal": "the value one season later",
            },
        ),
        ([3, 7, 11], {"interpolate": [10, 50, 100], "previous": [4, 36, 100], "seasonal": [4, 36, 100]}, {}),
    ],
    ids=["within", "at the end", "at the beginning", "a season apart"],
)
@pytest.mark.parametrize("method", METHODS)
def test_each_method_fills_as_it_says(method, missing, expected, told):
    times, _ = table_of("6h")
    values = np.stack([SQUARES, SQUARES], axis=1)
    values[missing, 0] = np.nan
    came = filled(times, values, method, spec_of("6h", 12))
    np.testing.assert_allclose(came.values[missing, 0], expected[method])
    np.testing.assert_array_equal(came.values[:, 1], SQUARES)
    (note,) = came.notes
    assert f" by {told.get(method, '')}" in note


def test_a_filling_is_told_with_its_places():
    times, values = table_of("h", rows=96)
    values[[1, 2, 3, 10, 50, 95], 1] = np.nan
    came = filled(times, values, "interpolate", spec_of("h", 96))
    assert came.notes == (
        "temp: 6 of 96 values filled, 5 by interpolation, 1 by the value before, "
        "2018-06-22T21:00:00 to 2018-06-22T23:00:00, 2018-06-23T06:00:00, 2018-06-24T22:00:00 and 1 more",
    )
    stamps = Timestamps(times, UTC, "s")
    assert (
        fill(stamps, values, spec_of("h", 96), "previous", 1.0, "/s")
        .notes[0]
        .endswith("filled by the value before, 1529701200 to 1529708400, 1529733600, 1529877600 and 1 more")
    )


def test_a_season_before_what_the_model_sees_is_there_to_fill_from():
    times, _ = table_of("6h")
    values = np.stack([SQUARES, SQUARES], axis=1)
    values[9:] = np.nan
    came = filled(times, values, "seasonal", spec_of("6h", 4))
    assert came.values[:, 0].tolist() == [64, 25, 36, 49]


def test_a_frequency_without_a_season_takes_the_value_before():
    times, values = table_of("7min")
    values[6] = np.nan
    assert filled(times, values, "seasonal", spec_of("7min")).values[2].tolist() == values[5].tolist()


def test_between_the_largest_doubles_interpolation_is_finite():
    times, values = table_of("h")
    values[5:9, 0] = 1.7e308, np.nan, np.nan, -1.7e308
    came = filled(times, values, "interpolate")
    np.testing.assert_allclose(came.values[2:4, 0], [1.7e308 / 3, -1.7e308 / 3])


def test_month_ends_stay_month_ends():
    times = np.array(["2019-12-31", "2020-01-31", "2020-03-31", "2020-04-30"], "M8[ms]")
    came = filled(times, np.ones((4, 2)), "previous", spec_of("M", 5))
    assert came.stamps.times[2] == np.datetime64("2020-02-29")


def test_a_row_that_lacks_what_its_duplicate_has_does_not_contradict_it():
    times, values = table_of("h")
    twice, lacking = [*range(ROWS), 9], values[[*range(ROWS), 9]]
    lacking[9, 0] = lacking[ROWS, 1] = np.nan
    came = filled(times[twice], lacking, "previous", max_share=0)
    np.testing.assert_array_equal(came.values, values[-SEQ_LEN:])
    assert came.notes == ("rows not in the order of time: sorted", "1 duplicate row merged")


def test_contradicting_duplicates_are_faults():
    times, values = table_of("h")
    rows = [*range(ROWS), 9, 2]
    changed = values[rows]
    changed[ROWS:, 1] = 7.5, 8.5
    assert faults(times[rows], changed, "previous") == {
        f"/s/timestamps/{row}": f"expected rows of {stamp} to be the same, came temp {value} here "
        f"and {values[first, 1]} in row {first}: contradicting duplicates"
        for row, stamp, value, first in ((13, "2018-06-22T22:00:00", 8.5, 2), (12, "2018-06-23T05:00:00", 7.5, 9))
    }


def test_timestamps_off_the_grid_are_faults():
    times, values = table_of("h")
    times[[3, 11]] += np.timedelta64(7, "m")
    message = "expected every row a whole number of h from the others, such as "
    assert faults(times, values, "previous") == {
        "/s/timestamps/3": f"{message}2018-06-22T23:00:00, came 2018-06-22T23:07:00",
        "/s/timestamps/11": f"{message}2018-06-23T07:00:00, came 2018-06-23T07:07:00",
    }
    times, values = table_of("30min", rows=40)
    assert faults(times, values, "previous") == {"/s/timestamps": "expected h, this model's frequency, came 30min"}
    times, values = table_of("D", "2020-01-01")
    assert faults(times, values, "previous", spec_of("B")).keys() == {"/s/timestamps"}
    assert faults(times[:5], values[:5], "previous", spec_of("M")).keys() == {"/s/timestamps"}


def test_too_few_rows_a_column_without_a_value_and_too_much_to_fill_are_faults():
    times, values = table_of("h")
    assert faults(times[:7], values[:7], "previous") == {
        "/s/values": "expected at least 8 rows from the first to the last, came 7, missing ones counted"
    }
    values[4:, 1] = np.nan
    values[5, 0] = np.nan
    assert faults(times, values, "previous", max_share=0.25) == {
        "/s/values/temp": "expected a value in the latest 8 rows, came none",
        "/s/values": "expected at most 4 of the 16 values that the model sees to be missing, came 9: load 1, temp 8",
    }


zones = st.integers(-14 * 4, 14 * 4).map(lambda quarters: timezone(timedelta(minutes=15 * quarters)))


@given(st.lists(zones, min_size=ROWS, max_size=ROWS), st.data())
def test_whatever_zone_each_row_has_all_are_on_the_clock_of_the_latest(each, data):
    times, _ = table_of("h")
    instants = [time.replace(tzinfo=UTC).astimezone(zone) for time, zone in zip(times.tolist(), each, strict=True)]
    order = data.draw(st.permutations(range(ROWS)))
    given_rows = [instants[row].isoformat() for row in order]
    stamps, offsets = on_latest_clock(given_rows, parse_timestamps(given_rows, ""))
    assert offsets == len(set(each))
    assert stamps.zone == each[-1]
    shift = np.timedelta64(each[-1].utcoffset(None), "ms")
    np.testing.assert_array_equal(stamps.times, times[list(order)] + shift)


@given(st.sampled_from(METHODS), st.data())
def test_a_window_of_even_rows_is_filled_as_a_table_of_them_is(method, data):
    times, values = table_of("D")
    for cell in data.draw(st.sets(st.tuples(st.integers(0, ROWS - 1), st.integers(0, 1)), max_size=12)):
        values[cell] = np.nan
    share = data.draw(st.sampled_from([0.0, 0.25, 1.0]))
    came = fill_window(values, spec_of("D"), method, share)
    try:
        expected = filled(times, values, method, spec_of("D"), share)
    except FaultyInput:
        assert came is None
    else:
        np.testing.assert_array_equal(came, expected.values)
