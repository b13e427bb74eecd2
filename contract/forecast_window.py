"""A history in units -> the arrays that a forecast graph takes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.calendar_features import calendar_features
from contract.frequency import Times
from contract.manifest import ForecastSpec


@dataclass(frozen=True, slots=True)
class ForecastWindow:
    """One row of a forecast graph's input, and when its output is; `n` runs of it, each of pred_len steps."""

    history: NDArray[np.float64]  # (seq_len, C), in units
    calendar: NDArray[np.float32]  # (seq_len + n * pred_len, F)
    future_times: Times  # (n * pred_len,)


def forecast_window(times: Times, values: NDArray[np.float64], spec: ForecastSpec, runs: int = 1) -> ForecastWindow:
    """`times` (L,), evenly spaced by `spec.frequency`, and `values` (L, C), L >= seq_len.

    What is older than the latest seq_len rows is left out. Scaling is the graph's own work.
    """
    recent = times[-spec.seq_len :]
    future_times = spec.step.following(times, runs * spec.pred_len)
    calendar = calendar_features(np.concatenate([recent, future_times]), spec.calendar)
    return ForecastWindow(values[-spec.seq_len :], calendar, future_times)
