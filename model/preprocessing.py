"""A CSV of anyone's -> a checked table: one timestamp column, number columns, one frequency, gaps filled if asked."""

import hashlib
import io
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
from contract.quoting import shown
from contract.tables import FIRST, MISSING, SMALLEST_EPOCH, CsvForm, find_times, repeated
from contract.timestamps import Timestamps, offsets_note, on_latest_clock, parse_timestamps
from model.config import DataConfig

_MENDED = '; fill = "interpolate" under [data] mends that'


@dataclass(frozen=True, slots=True)
class Table:
    """`values` (rows, C) in units, at `times` (rows,) evenly spaced by `frequency` but for gaps, if `mended`."""

    times: Times
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    frequency: Frequency
    sha256: str
    mended: Mended | None = None
    notes: tuple[str, ...] = ()
    """What was left out of the file, and how its timestamps were read."""

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
        form = CsvForm.of(content)
        names = form.first(content)[0]
        if twice := repeated(names, ""):
            raise FaultyTable(twice)
        frame = pd.read_csv(io.BytesIO(content), header=0, names=names, na_values=list(MISSING), **form.options)
    except FaultyInput as error:
        raise FaultyTable(error.faults) from None
    except ValueError as error:
        raise FaultyTable([Fault("", f"expected a CSV with a header: {error}")]) from error
    time_column = config.time_column or _find_time_column(frame)
    if time_column not in frame:
        raise FaultyTable([_no_such_column(time_column, frame)])
    others = [name for name in names if name != time_column]
    # one without a name counts rows, as pandas writes it
    columns = config.columns or tuple(name for name in others if name and _holds_numbers(frame[name], form))
    values, faults = _values(frame, columns, form, config.fill != "error")
    if not columns:
        faults.append(Fault("", "expected at least one number column"))
    pointer = f"/{escape(time_column)}"
    stamps, notes, more = _times(frame[time_column], pointer)
    frequency = None
    if stamps is not None:
        frequency, more = _checked_frequency(stamps.times, pointer, config)
    if faults or stamps is None or frequency is None:
        raise FaultyTable([*faults, *more])
    if not config.columns and len(columns) < len(others):
        left = ", ".join(name or "one without a name" for name in others if name not in columns)
        notes = (f"left out, for most of their cells are no numbers or they have no name: {left}", *notes)
    sha256 = hashlib.sha256(content).hexdigest()
    if config.fill == "error" or (not len(frequency.breaks(stamps.times)) and np.isfinite(values).all()):
        return Table(stamps.times, columns, values, frequency, sha256, notes=notes)
    longest = config.fill_limit or longest_filled(frequency)
    try:
        mended = mend(stamps, values, columns, frequency, config.fill, longest, pointer)
    except FaultyInput as error:
        raise FaultyTable(error.faults) from None
    return Table(mended.times, columns, mended.values, frequency, sha256, mended, notes)


def longest_filled(frequency: Frequency) -> int:
    """How many missing rows running are filled, unless the recipe says: a quarter of a season."""
    return max(1, (frequency.season or 12) // 4)


def _find_time_column(frame: pd.DataFrame) -> str:
    first = frame.iloc[:FIRST].astype(object).fillna("")
    found = find_times({str(name): [str(cell) for cell in first[name]] for name in frame.columns})
    if found is None:
        raise FaultyTable([Fault("", f"expected a timestamp column, came {', '.join(map(str, frame.columns))}")])
    return found


def _no_such_column(name: str, frame: pd.DataFrame) -> Fault:
    return Fault(f"/{escape(name)}", f"no such column; the table has {', '.join(frame.columns)}")


def _holds_numbers(column: pd.Series, form: CsvForm) -> bool:
    """Whether it is meant as a number column, though a cell or two may be something else: a fault, not a text."""
    return pd.api.types.is_numeric_dtype(column) or bool(
        _numbers(column, form).notna().sum() > column.notna().sum() / 2
    )


def _numbers(column: pd.Series, form: CsvForm) -> pd.Series:
    """NaN for what is none."""
    numeric = pd.api.types.is_numeric_dtype(column)
    return column if numeric else pd.to_numeric(form.readable(column), errors="coerce")


def _values(
    frame: pd.DataFrame, columns: tuple[str, ...], form: CsvForm, mend: bool
) -> tuple[NDArray[np.float64], list[Fault]]:
    faults = []
    values = np.empty((len(frame), len(columns)))
    for index, name in enumerate(columns):
        if name not in frame:
            faults.append(_no_such_column(name, frame))
            continue
        values[:, index] = _numbers(frame[name], form)
        missing = frame[name].isna().to_numpy()
        bad = np.flatnonzero(~np.isfinite(values[:, index]) & ~(missing & mend))
        if len(bad):
            message = f"expected a number, came {shown(frame[name].tolist()[bad[0]])} ({len(bad)} such rows)"
            faults.append(Fault(f"/{escape(name)}/{bad[0]}", message + _MENDED * bool(missing[bad].all())))
    return values, faults


def _times(column: pd.Series, pointer: str) -> tuple[Timestamps | None, tuple[str, ...], list[Fault]]:
    """Read as the service reads them, on the wall clock of their zone, so that the hour of the day stays as it was.

    With how that was told, and what is wrong with them.
    """
    missing = column.isna().to_numpy()
    if missing.any():
        return None, (), [Fault(f"{pointer}/{missing.argmax()}", "expected a timestamp, came nothing")]
    stamps: list[Any] = column.tolist()
    if pd.api.types.is_numeric_dtype(column):
        largest = column.abs().max()
        if largest < SMALLEST_EPOCH:
            return None, (), [Fault(pointer, f"expected timestamps or epoch numbers, came numbers up to {largest}")]
    try:
        parsed = parse_timestamps(stamps, pointer)
        latest, offsets = on_latest_clock(stamps, parsed)
    except FaultyInput as error:
        return None, (), [Fault(pointer, f"expected timestamps of one form: {error.faults[0]}")]
    notes = () if parsed.note is None else (parsed.note,)
    if offsets > 1:
        notes = (*notes, offsets_note(latest, offsets))
    elif latest.zone is not None:
        notes = (*notes, f"timestamps on the clock of {latest.zone}")
    return latest, notes, []


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
