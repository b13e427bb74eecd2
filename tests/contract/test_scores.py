import numpy as np
import pytest

from contract.scores import Coverage, Errors

NAN = np.nan
# two windows, two steps, two columns, in units
ERRORS = np.array([[[1.0, -4.0], [3.0, 0.0]], [[-1.0, 2.0], [NAN, 8.0]]])


def test_means_by_step_and_column_and_over_all():
    errors = Errors.of(ERRORS)
    assert errors.absolute.by_step() == pytest.approx([8 / 4, 11 / 3])
    assert errors.absolute.by_column() == pytest.approx([5 / 3, 14 / 4])
    assert errors.squared.by_both() == pytest.approx(np.array([[1, 10], [9, 32]]))
    assert errors.squared.overall() == pytest.approx((1 + 16 + 9 + 0 + 1 + 4 + 64) / 7)
    scaled = errors / np.array([1.0, 2.0])
    assert scaled.squared.by_column() == pytest.approx([11 / 3, 84 / 4 / 4])
    assert scaled.absolute.by_column() == pytest.approx([5 / 3, 14 / 4 / 2])


def test_windows_may_be_summed_up_some_at_a_time():
    parts = Errors.of(ERRORS[:1]) + Errors.of(ERRORS[1:])
    for part, whole in zip(parts.squared.by_both(), Errors.of(ERRORS).squared.by_both(), strict=True):
        assert part == pytest.approx(whole)
    covered = Coverage.of(ERRORS[:1], np.ones((1, 2, 2))) + Coverage.of(ERRORS[1:], np.ones((1, 2, 2)))
    assert covered.share.overall() == pytest.approx(3 / 7)


def test_what_has_no_truth_is_nowhere_counted_and_nothing_is_nan():
    missing = ERRORS.copy()
    missing[:, 1] = NAN
    errors = Errors.of(missing)
    assert errors.squared.by_step() == pytest.approx([22 / 4, NAN], nan_ok=True)
    assert np.isnan(Errors.of(missing * NAN).squared.overall())


def test_coverage_and_width_where_there_is_a_truth():
    half_widths = np.array([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 3.0], [50.0, 3.0]]])
    coverage = Coverage.of(ERRORS, half_widths)
    assert coverage.share.by_both() == pytest.approx(np.array([[1, 0.5], [0, 0.5]]))
    assert coverage.width.by_column() == pytest.approx([2, 4])
    assert (coverage.width / np.array([1.0, 4.0])).overall() == pytest.approx((3 * 2 + 4 * 1) / 7)
