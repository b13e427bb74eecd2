"""Forecast intervals by split conformal prediction, scaled by how rough each window is.

Vovk et al. 2005; the scaled (normalised) form is Papadopoulos et al. 2008. N windows, L rows, P steps, C columns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = (50, 80, 90, 95)
_FLOOR = 0.05  # of a column's training std: a flat window does not promise a flat future


@dataclass(frozen=True, slots=True)
class Intervals:
    """`half_widths`: level in percent -> (P, C), in multiples of the window's spread at that step.

    What changed within a window from one season to the next (`season` rows), and over as many rows as a step is
    ahead, is what a forecast has to guess at: the spread is the geometric mean of both root mean squares.
    docs/experiments/intervals.md compares it with others.
    """

    season: int
    half_widths: dict[str, tuple[tuple[float, ...], ...]]

    @classmethod
    def calibrate(cls, errors: Floats, histories: Floats, std: Floats, season: int) -> "Intervals":
        """From forecasts of windows not trained on: `errors` (N, P, C) and `histories` (N, L, C), in units.

        Errors that are NaN do not count; each step of each column has some that are not.
        """
        scores = np.sort(np.abs(errors) / spread(histories, std, season, errors.shape[1]), axis=0)  # NaN comes last
        n = (~np.isnan(scores)).sum(axis=0)  # (P, C)
        half_widths = {}
        for level in LEVELS:
            rank = np.minimum(n, np.ceil((n + 1) * level / 100).astype(np.int64))
            widths = np.take_along_axis(scores, rank[None] - 1, axis=0)[0]
            half_widths[str(level)] = tuple(map(tuple, widths.tolist()))
        return cls(season, half_widths)

    def half_width(self, level: str, histories: Floats, std: Floats) -> Floats:
        """`histories` (N, L, C) in units -> half the width of each interval of `level`, (N, P, C) in units."""
        half_widths = np.array(self.half_widths[level])
        return half_widths * spread(histories, std, self.season, len(half_widths))


def spread(histories: Floats, std: Floats, season: int, pred_len: int) -> Floats:
    """(N, L, C) and the columns' training std (C,), in units -> (N, P, C), in units and above 0."""
    ahead = [min(step, histories.shape[1] // 2) for step in range(1, pred_len + 1)]  # half the rows at least count
    changes = {lag: _change(histories, lag) + _FLOOR * std for lag in {season, *ahead}}
    roughness: Floats = np.sqrt(changes[season][:, None] * np.stack([changes[lag] for lag in ahead], axis=1))
    return roughness


def _change(histories: Floats, lag: int) -> Floats:
    """Root mean square of the change over `lag` rows: (N, L, C) -> (N, C)."""
    changes = histories[:, lag:] - histories[:, :-lag]
    change: Floats = np.sqrt(np.einsum("nlc,nlc->nc", changes, changes) / changes.shape[1])
    return change
