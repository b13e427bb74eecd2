"""A CSV of anyone's -> a checked table: one timestamp column, number columns, one frequency."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contract.errors import Fault, FaultyTable
from contract.frequency import Frequency, Times
from model.config import DataConfig

_EPOCH_UNITS = (
    ("s", 1e11),
    ("ms", 1e14),
    ("us", 1e17),
    ("ns", float("inf")),
)  # by size; 1e11 s is the year 5138


@dataclass(frozen=True, slots=True)
class Table:
    """`values` (rows, C) in units, at `times` (rows,) evenly spaced by `frequency`."""

    times: Times
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    frequency: Frequency
    sha256: str


def read_table(path: Path, config: DataConfig) -> Table:
    """Raises FaultyTable, which lists every fault."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FaultyTable([Fault("", f"cannot read {path}: {error.strerror}")]) from error
    try:
        frame = pd.read_csv(path)
    except ValueError as error:
        raise FaultyTable([Fault("", f"expected a CSV with a header: {error}")]) from error
    time_column = config.time_column or _find_time_column(frame)
    if time_column not in frame:
        raise FaultyTable([Fault(f"/{time_column}", f"no such column; the table has {', '.join(frame.columns)}")])
    columns = config.columns or tuple(
        name for name in frame.columns if name != time_column and pd.api.types.is_numeric_dtype(frame[name])
    )
    values, faults = _values(frame, columns)
    if not columns:
        faults.append(Fault("", "expected at least one number column"))
    times = _times(frame[time_column])
    frequency, more = _checked_frequency(times, time_column, config)
    if faults or more or frequency is None:
        raise FaultyTable([*faults, *more])
    return Table(times, columns, values, frequency, hashlib.sha256(content).hexdigest())


def _find_time_column(frame: pd.DataFrame) -> str:
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]) and len(frame):
            try:
                pd.to_datetime(frame[name].iloc[:10])
            except ValueError:
                continue
            return str(name)
    for name in frame.columns:
        if str(name).lower() in ("date", "time", "timestamp", "datetime", "ds", "epoch"):
            return str(name)
    raise FaultyTable([Fault("", f"expected a timestamp column, came {', '.join(map(str, frame.columns))}")])


def _values(frame: pd.DataFrame, columns: tuple[str, ...]) -> tuple[NDArray[np.float64], list[Fault]]:
    faults = []
    values = np.empty((len(frame), len(columns)))
    for index, name in enumerate(columns):
        if name not in frame:
            faults.append(Fault(f"/{name}", f"no such column; the table has {', '.join(frame.columns)}"))
            continue
        values[:, index] = pd.to_numeric(frame[name], errors="coerce")
        bad = np.flatnonzero(~np.isfinite(values[:, index]))
        if len(bad):
            came = frame[name].iloc[bad[0]]
            faults.append(Fault(f"/{name}/{bad[0]}", f"expected a number, came {came!r} ({len(bad)} such rows)"))
    return values, faults


def _times(column: pd.Series) -> Times:
    """Wall-clock times; a zone is dropped, so that the hour of the day stays what it was there."""
    try:
        if pd.api.types.is_numeric_dtype(column):
            largest = column.abs().max()
            unit = next(unit for unit, limit in _EPOCH_UNITS if largest < limit)
            parsed = pd.to_datetime(column, unit=unit)
        else:
            parsed = pd.to_datetime(column)
    except (ValueError, StopIteration) as error:
        raise FaultyTable([Fault(f"/{column.name}", f"expected timestamps of one form: {error}")]) from error
    if parsed.isna().any():
        raise FaultyTable([Fault(f"/{column.name}/{parsed.isna().argmax()}", "expected a timestamp, came nothing")])
    return parsed.dt.tz_localize(None).to_numpy().astype("M8[ms]")


def _checked_frequency(times: Times, name: str, config: DataConfig) -> tuple[Frequency | None, list[Fault]]:
    backward = np.flatnonzero(np.diff(times).astype(np.int64) <= 0) + 1
    if len(backward):
        row = backward[0]
        message = (
            f"expected increasing timestamps, came {times[row]} after {times[row - 1]} ({len(backward)} such rows)"
        )
        return None, [Fault(f"/{name}/{row}", f"expected increasing timestamps, came {came}")]
    try:
        frequency = Frequency.infer(times)
    except ValueError as error:
        return None, [Fault(f"/{name}", str(error))]
    if config.frequency is not None and frequency != Frequency.parse(config.frequency):
        return None, [Fault(f"/{name}", f"expected frequency {config.frequency}, came {frequency}")]
    gaps = frequency.breaks(times)
    if len(gaps):
        row = gaps[0]
        message = f"expected one row every {frequency}, came {times[row]} after {times[row - 1]} ({len(gaps)} gaps)"
        return None, [Fault(f"/{name}/{row}", message)]
    return frequency, []
