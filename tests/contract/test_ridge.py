import numpy as np
import pytest

from contract.ridge import PENALTIES, ridge_weights

RANDOM = np.random.default_rng(0)
X, NOISE = RANDOM.normal(size=(2, 60, 3))
Y = X @ [[1.0, 0.0], [0.0, -2.0], [0.5, 0.5]] + 1.7 * NOISE[:, :2]


def test_takes_the_weights_of_the_penalty_that_is_best_on_other_rows():
    x, y, x_val, y_val = X[:8], Y[:8], X[20:], Y[20:]
    candidates = [np.linalg.inv(x.T @ x + penalty * np.eye(3)) @ x.T @ y for penalty in PENALTIES]
    errors = [np.square(x_val @ weights - y_val).sum() for weights in candidates]
    assert 0 < np.argmin(errors) < len(PENALTIES) - 1
    np.testing.assert_allclose(ridge_weights([(x, y)], [(x_val, y_val)]), candidates[np.argmin(errors)])


def test_parts_are_as_good_as_the_whole_and_may_be_empty():
    whole = ridge_weights([(X[:40], Y[:40])], [(X[40:], Y[40:])])
    cuts = [slice(0, 7), slice(7, 7), slice(7, 40)]
    parts = ridge_weights(
        ((X[cut], Y[cut]) for cut in cuts), ((X[cut], Y[cut]) for cut in (slice(40, 41), slice(41, 60)))
    )
    np.testing.assert_allclose(parts, whole)


def test_inputs_that_tell_nothing_apart_are_no_trouble():
    x = np.ones((10, 2))
    np.testing.assert_allclose(x @ ridge_weights([(x, 3 * x)], [(x, 3 * x)]), 3, rtol=0.01)


@pytest.mark.parametrize(("train", "val"), [(0, 5), (5, 0)])
@pytest.mark.parametrize("listed", [True, False])
def test_refuses_to_fit_on_nothing(train, val, listed):
    parts = ([(X[:n], Y[:n])] if n or listed else [] for n in (train, val))
    with pytest.raises(ValueError, match="came none"):
        ridge_weights(*parts)


def test_targets_that_are_missing_count_as_nothing():
    random = np.random.default_rng(3)
    x = random.normal(size=(4000, 3))
    weights = np.array([[1.0, -2.0], [0.5, 0.0], [3.0, 1.0]])
    y = x @ weights
    lacking = np.where(random.random(y.shape) < 0.2, np.nan, y)
    np.testing.assert_allclose(ridge_weights([(x, lacking)], [(x, lacking)]), weights, atol=0.2)
    with pytest.raises(ValueError, match="expected rows to fit on"):
        ridge_weights([(x, np.full_like(y, np.nan))], [(x, y)])
