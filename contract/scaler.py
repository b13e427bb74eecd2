"""Per-column standardisation, fitted once on the training rows and never again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaler:
    """Mean and standard deviation (population, ddof 0) of each named column, in the column's units."""

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.columns) == len(self.mean) == len(self.std):
            raise ValueError(
                f"expected a mean and a std for each of {len(self.columns)} columns, "
                f"came {len(self.mean)} and {len(self.std)}"
            )
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"expected at least one column, and each column once, came {', '.join(self.columns)}")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and np.min(self.std) > 0):
            raise ValueError("expected finite means and positive finite stds")

    @classmethod
    def fit(cls, columns: Sequence[str], values: Floats) -> "Scaler":
        """`values` (rows, C), in units, NaN where missing. A column that never varies gets a std of 1."""
        std = np.nanstd(values, axis=0)
        # a mean of equal values may be one bit off, so std need not be 0
        std[np.nanmax(values, axis=0) == np.nanmin(values, axis=0)] = 1.0
        return cls(tuple(columns), tuple(np.nanmean(values, axis=0).tolist()), tuple(std.tolist()))

    def scale(self, values: Floats) -> Floats:
        """(..., C) in units -> (..., C) in standard deviations from the mean."""
        return (values - np.array(self.mean)) / np.array(self.std)

    def unscale(self, values: Floats) -> Floats:
        """The inverse of `scale`."""
        return values * np.array(self.std) + np.array(self.mean)
