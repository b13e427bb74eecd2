import numpy as np
import pytest

from contract.baselines import Ridge, naive_baselines
from contract.calendar_features import feature_names
from contract.frequency import Frequency
from contract.manifest import ForecastSpec
from contract.scaler import Scaler


def spec(frequency="h", seq_len=48, pred_len=30, columns=("a", "b")):
    scaler = Scaler(columns, (0.0,) * len(columns), (1.0,) * len(columns))
    calendar = feature_names(Frequency.parse(frequency))
    return ForecastSpec(columns, {}, frequency, seq_len, 0, pred_len, calendar, scaler)


def test_repeats_the_last_value_and_the_last_season():
    rows = np.arange(48)[None, :, None] + [0, 100]
    baselines = naive_baselines(spec())
    np.testing.assert_array_equal(baselines["last value"](rows), np.broadcast_to([47, 147], (1, 30, 2)))
    expected = [*range(24, 48), *range(24, 30)]  # a season shorter than the horizon, once more
    np.testing.assert_array_equal(baselines["last season"](rows)[0, :, 0], expected)


@pytest.mark.parametrize(
    ("frequency", "has"), [("h", True), ("15min", False), ("D", True), ("7min", False), ("12M", False)]
)
def test_no_last_season_where_none_is_in_the_history(frequency, has):
    assert ("last season" in naive_baselines(spec(frequency))) == has


def waves(rows, first=0):
    """Two columns, each a linear map of its own last rows."""
    return np.sin(np.outer(np.arange(first, first + rows), [0.5, 1.1])) * [1, 1e6] + [0, 1e9]


def fitted(train, val):
    return Ridge.fit(train, val, Scaler.fit(("a", "b"), waves(60)), seq_len=4, pred_len=2)


def test_ridge_finds_each_column_s_own_map_in_units():
    ridge = fitted(waves(60), waves(40, 100))
    windows = np.lib.stride_tricks.sliding_window_view(waves(30, 200), 6, axis=0).transpose(0, 2, 1)
    errors = ridge(windows[:, :4]) - windows[:, 4:]
    naive = windows[:, 3:4] - windows[:, 4:]
    assert (np.abs(errors).max(axis=(0, 1)) < 0.3 * np.abs(naive).max(axis=(0, 1))).all()
    shift = np.array([7, 7e6])
    np.testing.assert_allclose(ridge(windows[:, :4] + shift), ridge(windows[:, :4]) + shift)


def test_ridge_passes_over_windows_with_a_missing_value_in_their_column_alone():
    whole, val = waves(60), waves(40, 100)
    holed = whole.copy()
    holed[30, 0] = np.nan
    ridge = fitted(holed, val)
    np.testing.assert_array_equal(ridge.weights[1], fitted(whole, val).weights[1])
    assert np.isfinite(ridge.weights[0]).all()
    assert (ridge.weights[0] != fitted(whole, val).weights[0]).any()


@pytest.mark.parametrize(("train", "val"), [(5, 40), (60, 5), (60, 0)])
def test_ridge_wants_a_whole_window_of_each_column_on_either_side(train, val):
    with pytest.raises(ValueError, match="came none"):
        fitted(waves(60)[:train], waves(40, 100)[:val])
    holed = waves(60)
    holed[::3, 1] = np.nan
    with pytest.raises(ValueError, match="expected rows to fit on, came none"):
        fitted(holed, waves(40))


def test_ridge_on_a_column_that_never_varies_stays_where_it_is():
    flat = np.full((30, 2), 5.0)
    ridge = Ridge.fit(flat, flat, Scaler.fit(("a", "b"), flat), seq_len=4, pred_len=2)
    np.testing.assert_allclose(ridge(np.full((1, 4, 2), 8.0)), 8.0)
