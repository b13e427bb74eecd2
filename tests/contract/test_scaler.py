import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.scaler import Scaler


def test_fits_the_mean_and_the_population_s_deviation_of_each_column():
    scaler = Scaler.fit(["a", "b"], np.array([[1.0, 10.0], [3.0, 30.0]]))
    assert scaler == Scaler(("a", "b"), (2.0, 20.0), (1.0, 10.0))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, -7.7, 1e9 + 0.1])
def test_a_column_that_never_varies_gets_a_deviation_of_one(value):
    values = np.full((8640, 2), value)
    values[:, 1] = np.arange(8640)
    scaler = Scaler.fit(["flat", "ramp"], values)
    assert scaler.std[0] == 1.0
    assert scaler.std[1] == pytest.approx(np.arange(8640).std())
    np.testing.assert_allclose(scaler.scale(values)[:, 0], 0, atol=1e-3)


def test_fitting_leaves_the_values_alone():
    values = np.array([[1.0], [3.0]])
    Scaler.fit(["a"], values)
    np.testing.assert_array_equal(values, [[1.0], [3.0]])


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e6), st.lists(st.floats(-100, 100), min_size=1, max_size=10))
def test_unscale_undoes_scale(mean, std, deviations):
    scaler = Scaler(("a",), (mean,), (std,))
    values = mean + std * np.array(deviations)[:, None]
    np.testing.assert_allclose(scaler.unscale(scaler.scale(values)), values, rtol=1e-12, atol=1e-9 * std)


def test_scales_the_last_axis_of_any_shape():
    scaler = Scaler(("a", "b"), (1.0, 2.0), (2.0, 4.0))
    np.testing.assert_array_equal(scaler.scale(np.full((3, 5, 2), 6.0)), np.tile([2.5, 1.0], (3, 5, 1)))


@pytest.mark.parametrize(
    ("columns", "mean", "std", "message"),
    [
        (("a", "b"), (1.0,), (1.0, 1.0), "for each of 2 columns, came 1 and 2"),
        (("a",), (1.0,), (), "for each of 1 columns, came 1 and 0"),
        ((), (), (), "at least one column"),
        (("a",), (float("nan"),), (1.0,), "finite means"),
        (("a",), (1.0,), (float("inf"),), "finite stds"),
        (("a",), (1.0,), (0.0,), "positive"),
        (("a",), (1.0,), (-1.0,), "positive"),
        (("a", "a"), (1.0, 2.0), (1.0, 2.0), "and each column once, came a, a"),
    ],
)
def test_refuses_what_cannot_scale(columns, mean, std, message):
    with pytest.raises(ValueError, match=message):
        Scaler(columns, mean, std)


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Scaler(("a",), (1.0,), (1.0,)).mean = (2.0,)
