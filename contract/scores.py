"""Errors and coverage of forecasts, summed up window by window. N windows, P steps, C columns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Mean:
    """Of something that each step and column of a window has, such as a squared error; NaN counts as nothing."""

    total: Floats  # (P, C)
    count: Floats  # (P, C)

    @classmethod
    def of(cls, values: Floats) -> "Mean":
        """`values` (N, P, C)."""
        return cls(np.nansum(values, axis=0), np.isfinite(values).sum(axis=0).astype(float))

    def __add__(self, other: "Mean") -> "Mean":
        """Of the windows of both."""
        return Mean(self.total + other.total, self.count + other.count)

    def __truediv__(self, scale: Floats) -> "Mean":
        """Each column's divided by its own `scale` (C,)."""
        return Mean(self.total / scale, self.count)

    def overall(self) -> float:
        """NaN if nothing counts; so are the others where nothing does."""
        return float(_divided(self.total.sum(), self.count.sum()))

    def by_step(self) -> Floats:
        """(P,)."""
        return _divided(self.total.sum(axis=1), self.count.sum(axis=1))

    def by_column(self) -> Floats:
        """(C,)."""
        return _divided(self.total.sum(axis=0), self.count.sum(axis=0))

    def by_both(self) -> Floats:
        """(P, C)."""
        return _divided(self.total, self.count)


@dataclass(frozen=True, slots=True)
class Errors:
    """A forecaster's, squared and absolute, in the columns' units."""

    squared: Mean
    absolute: Mean

    @classmethod
    def of(cls, errors: Floats) -> "Errors":
        """`errors` (N, P, C), NaN where there is no truth."""
        return cls(Mean.of(np.square(errors)), Mean.of(np.abs(errors)))

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(self.squared + other.squared, self.absolute + other.absolute)

    def __truediv__(self, std: Floats) -> "Errors":
        """In multiples of `std` (C,)."""
        return Errors(self.squared / np.square(std), self.absolute / std)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How often the truth lay within the intervals of a level, and how wide they were, in the columns' units."""

    share: Mean
    width: Mean

    @classmethod
    def of(cls, errors: Floats, half_widths: Floats) -> "Coverage":
        """(N, P, C) each; `errors` are NaN where there is no truth, and intervals there do not count."""
        missing = np.isnan(errors)
        inside = np.where(missing, np.nan, np.abs(errors) <= half_widths)
        return cls(Mean.of(inside), Mean.of(np.where(missing, np.nan, 2 * half_widths)))

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(self.share + other.share, self.width + other.width)


def _divided(total: Floats, count: Floats) -> Floats:
    means: Floats = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return means
