"""Splits and windows of a table.

N windows, L = seq_len + pred_len rows each, C columns, F calendar features.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.errors import Fault, FaultyTable
from contract.manifest import ForecastSpec
from contract.pointers import escape
from model.config import DataConfig
from model.preprocessing import Table
from model.windows import Windows

SPLITS = ("train", "val", "test")


def split_rows(config: DataConfig, n_rows: int) -> dict[str, slice]:
    """Rows of train, validation and test, without the context that comes before them.

    Raises FaultyTable if the table ends before the recipe's borders do.
    """
    if config.borders:
        borders = config.borders
    else:
        train, _, test = config.fractions
        end = round(n_rows * sum(config.fractions))
        borders = (int(n_rows * train), end - int(n_rows * test), end)  # rounded as the published splits are
    if borders[2] > n_rows:
        raise FaultyTable(
            [Fault("", f"expected at least {borders[2]} rows, as in the recipe's borders, came {n_rows}")]
        )
    return dict(zip(SPLITS, map(slice, (0, *borders), borders), strict=True))


def split_windows(
    table: Table, calendar: Tensor, values: Tensor, truth: Tensor, spec: ForecastSpec, rows: slice
) -> Windows:
    """The windows whose forecasts lie in `rows`; the first ones reach back for their context.

    Raises FaultyTable if there is not one.
    """
    seen = with_context(rows, spec)
    starts = torch.from_numpy(_starts(table, seen, spec))
    windows = Windows(values[seen], truth[seen], calendar[seen], starts, spec.seq_len, spec.pred_len)
    if len(windows) < 1:
        running = " running" if table.mended is not None else ""
        message = f"expected at least {spec.seq_len + spec.pred_len} rows{running} in each split"
        raise FaultyTable([Fault("", f"{message}, came {len(windows.values)} of the table's {len(table.times)}")])
    if table.mended is not None:
        _check_truth(windows, table.columns)
    return windows


def _starts(table: Table, seen: slice, spec: ForecastSpec) -> NDArray[np.int64]:
    """The rows, counted from the first of `seen`, at which a window begins.

    No window goes across a gap. None has a row in its history that was filled from a value after that: interpolated
    to the first value of the future, it would tell of it.
    """
    length = spec.seq_len + spec.pred_len
    starts = np.arange(max(0, seen.stop - seen.start - length + 1))
    if table.mended is None or not len(starts):
        return starts
    steps, ahead = table.mended.steps[seen], table.mended.ahead[seen]
    (rows,) = np.nonzero(ahead)
    # a row filled from k rows later spoils the k histories that end with it and before that
    spoilt = np.zeros(len(steps) + 1, np.int64)
    np.add.at(spoilt, rows, 1)
    np.add.at(spoilt, np.minimum(rows + ahead[rows], len(steps)), -1)
    told = np.cumsum(spoilt)[starts + spec.seq_len - 1] > 0
    return starts[(steps[starts + length - 1] - steps[starts] == length - 1) & ~told]


def _check_truth(windows: Windows, columns: tuple[str, ...]) -> None:
    """Raises FaultyTable if a column was measured at some step of the future of no window."""
    _, _, future = windows.batch(torch.arange(len(windows)))
    known = (~future.isnan()).any(dim=0).all(dim=0).tolist()  # by column
    message = (
        f"expected values that need not be filled in each split, came none at some steps of {len(windows)} windows"
    )
    faults = [Fault(f"/{escape(name)}", message) for name, each in zip(columns, known, strict=True) if not each]
    if faults:
        raise FaultyTable(faults)


def with_context(rows: slice, spec: ForecastSpec) -> slice:
    """A split's rows and those before them that its first forecast looks back on."""
    return slice(max(0, rows.start - spec.seq_len), rows.stop)
