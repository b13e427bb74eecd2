"""A CSV of anyone's -> a checked table: one timestamp column, number columns, one frequency, gaps filled if asked."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput, FaultyTable
from contract.filling import Mended, mend
from contract.frequency import Frequency, Times
from contract.pointers import escape
from contract.timestamps import Timestamps, on_latest_clock, parse_timestamps, readable
from model.config import DataConfig

_MENDED = '; fill = "interpolate" under [data] mends that'
_SMALLEST_EPOCH = 1e8  # March 1973 in seconds: below are years, row numbers, dates such as 20160701


@dataclass(frozen=True, slots=True)
class Table:
    """`values` (rows, C) in units, at `times` (rows,) evenly spaced by `frequency` but for gaps, if `mended`."""

    times: Times
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    frequency: Frequency
    sha256: str
    mended: Mended | None = None

    @property
    def truth(self) -> NDArray[np.float64]:
        """`values`, but NaN where they were filled."""
        return self.values if self.mended is None else np.where(self.mended.filled, np.nan, self.values)


def read_table(path: Path, config: DataConfig) -> Table:
    """Raises FaultyTable, which lists every fault."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FaultyTable([Fault("", f"cannot read {path}: {error.strerror}")]) from error
    try:
        frame = pd.read_csv(path, low_memory=False, skipinitialspace=True)  # whole columns, so that each has one type
    except ValueError as error:
        raise FaultyTable([Fault("", f"expected a CSV with a header: {error}")]) from error
    time_column = config.time_column or _find_time_column(frame)
    if time_column not in frame:
        raise FaultyTable([_no_such_column(time_column, frame)])
    columns = config.columns or tuple(
        name for name in frame.columns if name != time_column and _holds_numbers(frame[name])
    )
    values, faults = _values(frame, columns, config.fill != "error")
    if not columns:
        faults.append(Fault("", "expected at least one number column"))
    pointer = f"/{escape(time_column)}"
    stamps, more = _times(frame[time_column], pointer)
    frequency = None
    if stamps is not None:
        frequency, more = _checked_frequency(stamps.times, pointer, config)
    if faults or stamps is None or frequency is None:
        raise FaultyTable([*faults, *more])
    sha256 = hashlib.sha256(content).hexdigest()
    if config.fill == "error" or (not len(frequency.breaks(stamps.times)) and np.isfinite(values).all()):
        return Table(stamps.times, columns, values, frequency, sha256)
    longest = config.fill_limit or longest_filled(frequency)
    try:
        mended = mend(stamps, values, columns, frequency, config.fill, longest, pointer)
    except FaultyInput as error:
        raise FaultyTable(error.faults) from None
    return Table(mended.times, columns, mended.values, frequency, sha256, mended)


def longest_filled(frequency: Frequency) -> int:
    """How many missing rows running are filled, unless the recipe says: a quarter of a season."""
    return max(1, (frequency.season or 12) // 4)


def _find_time_column(frame: pd.DataFrame) -> str:
    for name in frame.columns:
        texts = len(frame) and not _holds_numbers(frame[name])
        if texts and all(readable(str(cell)) for cell in frame[name].iloc[:10]):
            return str(name)
    for name in frame.columns:
        if str(name).lower() in ("date", "time", "timestamp", "datetime", "ds", "epoch"):
            return str(name)
    raise FaultyTable([Fault("", f"expected a timestamp column, came {', '.join(map(str, frame.columns))}")])


def _no_such_column(name: str, frame: pd.DataFrame) -> Fault:
    return Fault(f"/{escape(name)}", f"no such column; the table has {', '.join(frame.columns)}")


def _holds_numbers(column: pd.Series) -> bool:
    """Whether it is meant as a number column, though a cell or two may be something else: a fault, not a text."""
    if pd.api.types.is_numeric_dtype(column):
        return True
    return bool(pd.to_numeric(column, errors="coerce").notna().mean() > 0.5)


def _values(frame: pd.DataFrame, columns: tuple[str, ...], mend: bool) -> tuple[NDArray[np.float64], list[Fault]]:
    faults = []
    values = np.empty((len(frame), len(columns)))
    for index, name in enumerate(columns):
        if name not in frame:
            faults.append(_no_such_column(name, frame))
            continue
        values[:, index] = pd.to_numeric(frame[name], errors="coerce")
        missing = frame[name].isna().to_numpy()
        bad = np.flatnonzero(~np.isfinite(values[:, index]) & ~(missing & mend))
        if len(bad):
            message = f"expected a number, came {frame[name].tolist()[bad[0]]!r} ({len(bad)} such rows)"
            faults.append(Fault(f"/{escape(name)}/{bad[0]}", message + _MENDED * bool(missing[bad].all())))
    return values, faults


def _times(column: pd.Series, pointer: str) -> tuple[Timestamps | None, list[Fault]]:
    """Read as the service reads them, on the wall clock of their zone, so that the hour of the day stays as it was."""
    missing = column.isna().to_numpy()
    if missing.any():
        return None, [Fault(f"{pointer}/{missing.argmax()}", "expected a timestamp, came nothing")]
    stamps: list[Any] = column.tolist()
    if pd.api.types.is_numeric_dtype(column):
        largest = column.abs().max()
        if largest < _SMALLEST_EPOCH:
            return None, [Fault(pointer, f"expected timestamps or epoch numbers, came numbers up to {largest}")]
    try:
        parsed = parse_timestamps(stamps, pointer)
        return on_latest_clock(stamps, parsed)[0], []
    except FaultyInput as error:
        return None, [Fault(pointer, f"expected timestamps of one form: {error.faults[0]}")]


def _checked_frequency(times: Times, pointer: str, config: DataConfig) -> tuple[Frequency | None, list[Fault]]:
    mend = config.fill != "error"
    backward = np.flatnonzero(np.diff(times).astype(np.int64) <= 0) + 1
    if len(backward) and not mend:
        row = backward[0]
        came = f"{times[row]} after {times[row - 1]} ({len(backward)} such rows)"
        return None, [Fault(f"{pointer}/{row}", f"expected increasing timestamps, came {came}{_MENDED}")]
    try:
        frequency = Frequency.infer(np.unique(times))
    except ValueError as error:
        return None, [Fault(pointer, str(error))]
    if config.frequency is not None and frequency != Frequency.parse(config.frequency):
        return None, [Fault(pointer, f"expected frequency {config.frequency}, came {frequency}")]
    gaps = frequency.breaks(times)
    if len(gaps) and not mend:
        row = gaps[0]
        message = f"expected one row every {frequency}, came {times[row]} after {times[row - 1]} ({len(gaps)} gaps)"
        return None, [Fault(f"{pointer}/{row}", message + _MENDED)]
    return frequency, []
