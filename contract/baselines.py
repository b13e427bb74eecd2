"""What a model has to beat: the last value, the last season, and ridge on each column's own history.

The last is the line of Zeng et al. 2023 ("Are Transformers effective for time series forecasting?"), in closed form.
N windows, L rows of history, P steps, C columns; NaN is a missing value.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from contract.manifest import ForecastSpec
from contract.ridge import Part, ridge_weights
from contract.scaler import Scaler

Floats = NDArray[np.float64]
Baseline = Callable[[Floats], Floats]  # (N, L, C) in units -> (N, P, C) in units

_PART = 4096


def naive_baselines(spec: ForecastSpec) -> dict[str, Baseline]:
    """Those that need no fit. Without "last season" where the frequency has none, or none that fits the history."""
    baselines: dict[str, Baseline] = {"last value": lambda history: history[:, -1:].repeat(spec.pred_len, axis=1)}
    season = spec.step.season
    if season is not None and 1 < season <= spec.seq_len:
        rows = spec.seq_len - season + np.arange(spec.pred_len) % season
        baselines["last season"] = lambda history: history[:, rows]
    return baselines


@dataclass(frozen=True, slots=True)
class Ridge:
    """From each column's history, less its last value, to its next steps less the same."""

    scaler: Scaler
    weights: Floats  # (C, L + 1, P), the last row a constant

    @classmethod
    def fit(cls, train: Floats, val: Floats, scaler: Scaler, seq_len: int, pred_len: int) -> "Ridge":
        """On every window without a missing value in the rows `train` (R, C), with each column's penalty from `val`.

        Both in units. Raises ValueError if a column has no such window in one of them.
        """
        train, val = scaler.scale(train), scaler.scale(val)
        weights = []
        for column in range(train.shape[1]):
            parts = (_parts(rows[:, column], seq_len, pred_len) for rows in (train, val))
            weights.append(ridge_weights(*parts))
        return cls(scaler, np.stack(weights))

    def __call__(self, history: Floats) -> Floats:
        """(N, L, C) in units -> (N, P, C) in units."""
        scaled = self.scaler.scale(history)
        columns = [_inputs(scaled[..., column]) @ weights for column, weights in enumerate(self.weights)]
        return self.scaler.unscale(scaled[:, -1:] + np.stack(columns, axis=-1))


def _parts(values: Floats, seq_len: int, pred_len: int) -> Iterator[Part]:
    """A column (R,) -> inputs (n, L + 1) and targets (n, P) of its whole windows, some at a time."""
    if len(values) < seq_len + pred_len:
        return
    windows = sliding_window_view(values, seq_len + pred_len)
    for start in range(0, len(windows), _PART):
        part = windows[start : start + _PART]
        part = part[np.isfinite(part).all(axis=1)]
        yield _inputs(part[:, :seq_len]), part[:, seq_len:] - part[:, seq_len - 1 : seq_len]


def _inputs(history: Floats) -> Floats:
    """(n, L) -> (n, L + 1)."""
    return np.concatenate([history - history[:, -1:], np.ones((len(history), 1))], axis=1)
