from itertools import pairwise

import numpy as np
import pytest

from contract.intervals import LEVELS, Intervals, spread
from contract.records import decode, encode

STD = np.array([1.0, 10.0])


def made_up(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Histories (n, 12, 2), each as rough as its errors (n, 3, 2) are large."""
    random = np.random.default_rng(seed)
    roughness = random.uniform(0.5, 2, (n, 1, 1)) * STD
    return roughness * random.normal(size=(n, 12, 2)), roughness * random.normal(size=(n, 3, 2))


def test_cover_what_they_promise_on_windows_of_the_same_kind():
    histories, errors = made_up(4000, 1)
    intervals = Intervals.calibrate(errors, histories, STD, season=4)
    histories, errors = made_up(4000, 2)
    for level in LEVELS:
        inside = np.abs(errors) <= intervals.half_width(str(level), histories, STD)
        assert inside.mean() == pytest.approx(level / 100, abs=0.01)
        assert inside.mean(axis=(0, 2)) == pytest.approx(level / 100, abs=0.02)


def test_higher_levels_are_wider():
    histories, errors = made_up(500, 1)
    intervals = Intervals.calibrate(errors, histories, STD, season=4)
    widths = [intervals.half_width(str(level), histories, STD) for level in LEVELS]
    assert all((wider >= narrower).all() for narrower, wider in pairwise(widths))


def test_the_rank_is_the_one_that_few_windows_need():
    errors = np.arange(1.0, 10)[:, None, None]  # 9 windows: 80 % needs the 8th of them, 95 % the largest
    intervals = Intervals.calibrate(errors, np.zeros((9, 12, 1)), np.ones(1), season=4)
    flat = spread(np.zeros((1, 12, 1)), np.ones(1), 4, 1)[0, 0, 0]
    assert intervals.half_widths["80"][0][0] * flat == pytest.approx(8)
    assert intervals.half_widths["95"][0][0] * flat == pytest.approx(9)


def test_a_rougher_window_gets_wider_intervals_and_a_flat_one_some():
    histories, errors = made_up(500, 1)
    intervals = Intervals.calibrate(errors, histories, STD, season=4)
    calm, rough = np.zeros((1, 12, 2)), histories[:1]
    narrow, wide = (intervals.half_width("80", each, STD) for each in (calm, rough))
    assert (narrow > 0).all()
    assert (wide > narrow).all()


def test_the_spread_is_what_changed_over_a_season_and_over_as_many_rows_as_a_step_is_ahead():
    wave = np.tile([0.0, 3.0], 6)[None, :, None]  # repeats every second row
    assert spread(wave, np.ones(1), 2, 3)[0, :, 0] == pytest.approx([(0.05 * 3.05) ** 0.5, 0.05, (0.05 * 3.05) ** 0.5])
    assert spread(wave, np.ones(1), 1, 2)[0, :, 0] == pytest.approx([3.05, (3.05 * 0.05) ** 0.5])


def test_far_steps_go_by_half_the_window():
    wave = np.random.default_rng(1).normal(size=(1, 12, 2))
    far = spread(wave, STD, 4, 20)
    assert (far[:, 5:] == far[:, 5:6]).all()


def test_travel_in_a_manifest():
    histories, errors = made_up(50, 1)
    intervals = Intervals.calibrate(errors, histories, STD, season=4)
    assert decode(Intervals, encode(intervals)) == (intervals, [])
