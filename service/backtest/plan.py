"""A long table -> even rows, and those of them that forecasts begin at. R rows, C columns, N origins."""

from dataclasses import dataclass
from math import ceil, gcd

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput, FaultyRequest
from contract.filling import in_order
from contract.manifest import ForecastSpec
from contract.timestamps import Timestamps
from service.backtest.schemas import BacktestRequest
from service.series import check_rows

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LARGEST = 1e100
"""Of a value: its square, and the sum of many, are still doubles."""
NEXT_TO_NOTHING = 1e-9
"""Of a column's spread in training: what varies by less is constant, and nothing to divide by."""
_MOST_STEPS = 4
"""Rows that a table may span for each that it has: one row a thousand years off would else cost gigabytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A table made ready: its rows one step apart, and where forecasts begin."""

    stamps: Timestamps  # (R,)
    values: Floats  # (R, C), in units, NaN where missing
    origins: Integers  # (N,) rows: the first step of each forecast
    stride: int
    notes: tuple[str, ...]

    @property
    def before(self) -> Floats:
        """The rows that are not forecast, (B, C)."""
        return self.values[: self.origins[0]]


def plan_backtest(request: BacktestRequest, spec: ForecastSpec, most_origins: int) -> Plan:
    """Raises FaultyRequest with every fault."""
    needed = spec.seq_len + spec.pred_len
    mend = request.fill != "error"
    try:
        given = check_rows(request.series[0], spec, "/series/0", needed, mend=mend)
        stamps, values, notes = given.stamps, given.values, given.notes
        if mend:
            stamps, values, more = _laid_out(stamps, values, spec)
            notes = (*notes, *more)
    except FaultyInput as error:
        raise FaultyRequest(error.faults) from None
    if len(values) < needed:
        came = f"{len(values)}, missing ones counted"
        message = f"expected at least {needed} rows: {spec.seq_len} to look back on and {spec.pred_len} to"
        raise FaultyRequest([Fault("/series/0/values", f"{message} forecast; came {came}")])
    if np.nanmax(np.abs(values), initial=0) > LARGEST:
        message = f"expected values up to {LARGEST:g}, whose squares can be summed, came larger ones"
        raise FaultyRequest([Fault("/series/0/values", message)])
    forecast_rows = max(spec.pred_len, round(request.share * len(values)))
    first = max(spec.seq_len, len(values) - forecast_rows)
    every = np.arange(first, len(values) - spec.pred_len + 1)
    stride = _stride(request.stride, len(every), most_origins, spec.step.season)
    return Plan(stamps, values, every[::stride], stride, notes)


def _laid_out(stamps: Timestamps, values: Floats, spec: ForecastSpec) -> tuple[Timestamps, Floats, tuple[str, ...]]:
    """Rows in any order, some left out -> all rows from the first to the last. Raises FaultyInput."""
    rows = in_order(stamps, values, spec.columns, spec.step, "/series/0/timestamps")
    span = int(rows.steps[-1] - rows.steps[0]) + 1
    if span > _MOST_STEPS * len(rows.steps) + spec.seq_len:
        message = f"expected most rows from the first to the last to be there, came {len(rows.steps)} of {span}"
        raise FaultyInput([Fault("/series/0/timestamps", message)])
    even = np.full((span, values.shape[1]), np.nan)
    even[rows.steps - rows.steps[0]] = rows.values
    times = rows.grid.times(np.arange(rows.steps[0], rows.steps[-1] + 1))
    return Timestamps(times, stamps.zone, stamps.epoch), even, rows.notes


def _stride(wanted: int | None, n_origins: int, most: int, season: int | None) -> int:
    """Raises FaultyRequest if the one wanted gives too many origins."""
    if wanted is None:
        return thinning(n_origins, most, season)
    least = ceil(n_origins / most)
    if wanted < least:
        message = f"expected at least {least}, which gives at most {most} origins, came {wanted}"
        raise FaultyRequest([Fault("/stride", message)])
    return wanted


def thinning(n: int, most: int, season: int | None) -> int:
    """The smallest stride that leaves at most `most` of `n`, and no part of the season out: no hour of the day."""
    stride = ceil(n / most)
    while gcd(stride, season or 1) > 1:
        stride += 1
    return stride
