import numpy as np
import pytest

from service.backtest.comparison import block_length, compare


def autoregressive(rows, coefficient, random):
    noise = random.normal(size=rows + 100)
    for row in range(1, len(noise)):
        noise[row] += coefficient * noise[row - 1]
    return noise[100:] * np.sqrt(1 - coefficient**2)


def test_the_change_is_that_of_the_totals_and_the_interval_is_around_it():
    random = np.random.default_rng(1)
    baseline = random.uniform(1, 2, 400)
    change = compare(0.8 * baseline + random.uniform(-0.1, 0.1, 400), baseline, 1)
    assert change.change == pytest.approx(-0.2, abs=0.01)
    assert change.low < change.change < change.high
    assert change.high - change.low < 0.03
    assert change.sure
    assert compare(baseline, 0.8 * baseline, 1).low == pytest.approx(0.25)


def test_the_same_errors_give_the_same_interval():
    model, baseline = np.random.default_rng(2).uniform(1, 2, (2, 300))
    assert compare(model, baseline, 5) == compare(model, baseline, 5)


@pytest.mark.parametrize(("rows", "overlap", "told"), [(99, 10, False), (100, 10, True), (9, 1, False)])
def test_no_interval_of_few_blocks(rows, overlap, told):
    model, baseline = np.random.default_rng(3).uniform(1, 2, (2, rows))
    change = compare(model, baseline, overlap)
    assert (change.low is not None, change.high is not None) == (told, told)
    assert change.change == pytest.approx(model.sum() / baseline.sum() - 1)
    assert told or not change.sure


def test_blocks_are_longer_where_neighbours_are_alike():
    random = np.random.default_rng(4)
    lengths = [block_length(autoregressive(2000, coefficient, random)) for coefficient in (0.0, 0.5, 0.9)]
    assert lengths[0] <= 5 < lengths[1] < lengths[2] <= 3 * np.sqrt(2000) + 1


@pytest.mark.parametrize("differences", [np.zeros(50), np.ones(3), np.arange(2.0), np.arange(500.0)])
def test_some_length_is_always_found(differences):
    assert 1 <= block_length(differences) <= max(1, len(differences) / 3 + 1)


def test_equal_forecasters_seldom_look_unequal_though_neighbours_are_alike():
    """Blocks of one, as for independent origins, would find a difference in about every other of these."""
    random = np.random.default_rng(5)
    found = 0
    for _ in range(100):
        model, baseline = (3 + autoregressive(600, 0.8, random) for _ in range(2))
        found += compare(model, baseline, 1).sure
    assert found <= 15
