"""Timestamps -> (L, F) features in [-0.5, 0.5], the Informer's "timeF" encoding.

Zhou et al. 2021, appendix B; which features go with which frequency follows the public implementation.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from contract.frequency import Frequency, Times, Unit

_DAYS = ("day_of_week", "day_of_month", "day_of_year")
_NAMES: dict[Unit, tuple[str, ...]] = {
    "s": ("second", "minute", "hour", *_DAYS),
    "min": ("minute", "hour", *_DAYS),
    "h": ("hour", *_DAYS),
    "D": _DAYS,
    "B": _DAYS,
    "W": ("day_of_month", "week_of_year"),
    "M": ("month",),
}


def feature_names(frequency: Frequency) -> tuple[str, ...]:
    """The features that tell rows of this frequency apart, in the order of the columns."""
    return _NAMES[frequency.unit]


def calendar_features(times: Times, names: tuple[str, ...]) -> NDArray[np.float32]:
    """`times` datetime64[ms] (L,), wall-clock -> (L, F) float32, a column for each of `names`."""
    parts = _Parts(times)
    features = np.empty((len(times), len(names)), np.float32)
    for column, name in enumerate(names):
        value, largest = _FEATURES[name](parts)
        features[:, column] = value / largest - 0.5
    return features


class _Parts:
    """The calendar parts that more than one feature needs, computed once."""

    def __init__(self, times: Times) -> None:
        self.seconds = times.astype("M8[s]").astype(np.int64)
        self.days = self.seconds // 86_400  # since Thursday 1970-01-01
        self.dates: Times = self.days.view("M8[D]")


_Feature = Callable[[_Parts], tuple[NDArray[np.int64], int]]


def _day_of_year(dates: Times) -> NDArray[np.int64]:
    return (dates - dates.astype("M8[Y]").astype("M8[D]")).astype(np.int64)


def _week_of_year(parts: _Parts) -> tuple[NDArray[np.int64], int]:
    # an ISO week belongs to the year that its Thursday is in
    thursday = parts.days + 3 - (parts.days + 3) % 7
    return _day_of_year(thursday.astype("M8[D]")) // 7, 52


_FEATURES: dict[str, _Feature] = {
    "second": lambda p: (p.seconds % 60, 59),
    "minute": lambda p: (p.seconds // 60 % 60, 59),
    "hour": lambda p: (p.seconds // 3600 % 24, 23),
    "day_of_week": lambda p: ((p.days + 3) % 7, 6),
    "day_of_month": lambda p: ((p.dates - p.dates.astype("M8[M]").astype("M8[D]")).astype(np.int64), 30),
    "day_of_year": lambda p: (_day_of_year(p.dates), 365),
    "month": lambda p: (p.dates.astype("M8[M]").astype(np.int64) % 12, 11),
    "week_of_year": _week_of_year,
}
