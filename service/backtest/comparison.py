"""Whether a forecaster's lower error is more than chance: a block bootstrap of what it made of each origin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 95
_RESAMPLES = 2000
_FEWEST_BLOCKS = 10
"""In fewer a percentile interval is a guess."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of a model's error against a baseline's: -0.1 is a tenth less. `low` to `high` is its 95 % interval.

    Without an interval where the origins are too few: `low` and `high` are then None.
    """

    change: float
    low: float | None
    high: float | None

    @property
    def sure(self) -> bool:
        """Whether the interval lies on one side."""
        return self.low is not None and self.high is not None and self.low * self.high > 0


def compare(model: Floats, baseline: Floats, overlap: int) -> Change:
    """Total errors of the same truths by origin, in order of time: (N,) each, the baseline's not all 0.

    The interval is a percentile one by circular block bootstrap (Politis and Romano 1992), for errors of origins that
    are close are alike. Blocks are as long as Politis and White 2004 choose, and never shorter than the `overlap`, the
    origins that forecast a common step.
    """
    change = float(model.sum() / baseline.sum() - 1)
    n = len(model)
    length = max(overlap, block_length(model - baseline))
    if n < _FEWEST_BLOCKS * length:
        return Change(change, None, None)
    blocks = -(-n // length)
    # drawn with a fixed seed: the same table gives the same answer
    starts = np.random.default_rng(0).integers(0, n, (_RESAMPLES, blocks))
    sums = [_block_sums(errors, length)[starts].sum(axis=1) for errors in (model, baseline)]
    if not sums[1].all():
        return Change(change, None, None)
    low, high = np.percentile(sums[0] / sums[1] - 1, [50 - LEVEL / 2, 50 + LEVEL / 2])
    return Change(change, float(low), float(high))


def block_length(differences: Floats) -> int:
    """For a circular block bootstrap of the mean of `differences` (N,): Politis and White 2004, section 3.2."""
    n = len(differences)
    centred = differences - differences.mean()
    most = min(n - 1, int(np.ceil(np.sqrt(n))) + max(5, int(np.ceil(np.sqrt(np.log10(n))))))
    covariances = np.array([centred[: n - lag] @ centred[lag:] / n for lag in range(most + 1)])
    if covariances[0] <= 0:
        return 1
    bandwidth = min(2 * _last_correlated(covariances / covariances[0], n), most)
    lags = np.arange(-bandwidth, bandwidth + 1)
    # the flat-top window: 1 up to half the bandwidth, and down to 0 at its end
    weights = np.clip(2 * (1 - np.abs(lags) / max(bandwidth, 1)), 0, 1) * covariances[np.abs(lags)]
    slope, spectrum = (np.abs(lags) * weights).sum(), weights.sum()
    if spectrum <= 0:
        return 1
    length = (2 * slope**2 / (4 / 3 * spectrum**2)) ** (1 / 3) * n ** (1 / 3)
    return max(1, int(np.ceil(min(length, 3 * np.sqrt(n), n / 3))))


def _last_correlated(correlations: Floats, n: int) -> int:
    """The smallest lag that a run of insignificant correlations follows; the last significant one if none does."""
    run = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    significant = np.abs(correlations[1:]) >= 2 * np.sqrt(np.log10(n) / n)
    for lag in range(len(significant) - run + 1):
        if not significant[lag : lag + run].any():
            return lag
    found = np.flatnonzero(significant)
    return int(found[-1]) + 1 if len(found) else 0


def _block_sums(errors: Floats, length: int) -> Floats:
    """(N,) -> (N,): the sum of the `length` errors from each on, those after the last being the first again."""
    sums: Floats = np.cumsum(np.concatenate([[0.0], errors, errors[: length - 1]]))
    return sums[length:] - sums[:-length]
