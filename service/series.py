"""One series of a request -> checked arrays, or every fault that it has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from sys import float_info
from types import NoneType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput
from contract.filling import Method, fill
from contract.frequency import Frequency
from contract.manifest import ForecastSpec
from contract.pointers import escape
from contract.quoting import shown
from contract.timestamps import Timestamps, offsets_note, on_latest_clock, parse_timestamps
from service.schemas import SHOWN_FAULTS, Series, read


@dataclass(frozen=True, slots=True)
class CheckedSeries:
    """Rows one frequency apart, with a finite number in every column; or, of `check_rows`, those to be mended."""

    id: str | None
    stamps: Timestamps
    values: NDArray[np.float64]  # (L, C), in units, columns in the bundle's order
    notes: tuple[str, ...] = ()  # what was mended, and how dates were read
    filled: NDArray[np.bool] | None = None  # (L, C): which of the values were made up; None if none was


def check_series(
    data: Any, spec: ForecastSpec, pointer: str, method: Method | Literal["error"], max_share: float
) -> CheckedSeries:
    """`data` as it came, at `pointer` in the request; `method` and `max_share` are of contract.filling.

    Raises FaultyInput with every fault of this series.
    """
    if method == "error":
        return check_rows(data, spec, pointer, spec.seq_len)
    given = check_rows(data, spec, pointer, spec.seq_len, mend=True)
    uneven = len(spec.step.breaks(given.stamps.times)) > 0
    if not uneven and len(given.values) >= spec.seq_len and np.isfinite(given.values).all():
        return given
    filled = fill(given.stamps, given.values, spec, method, max_share, pointer)
    return CheckedSeries(given.id, filled.stamps, filled.values, (*given.notes, *filled.notes), filled.filled)


def check_rows(data: Any, spec: ForecastSpec, pointer: str, least: int, *, mend: bool = False) -> CheckedSeries:
    """All rows of `data`, at `least` so many. To `mend`, they may be fewer and uneven, and NaN is a missing value.

    Raises FaultyInput with every fault of this series.
    """
    series, faults = read(Series, data, pointer)
    if series is None:
        raise FaultyInput(faults)
    values = _values(series, spec, least, mend)
    if values is None:
        faults += _value_faults(series, spec, f"{pointer}/values", least, mend)
    faults += _frequency_faults(series, spec.step, f"{pointer}/frequency")
    try:
        stamps = _stamps(series, spec.step, pointer, mend)
    except FaultyInput as error:
        faults += error.faults
    if faults or values is None:
        raise FaultyInput(faults)
    notes: tuple[str, ...] = () if stamps.note is None else (stamps.note,)
    if mend and series.timestamps is not None:
        stamps, offsets = on_latest_clock(series.timestamps, stamps)
        if offsets > 1:
            notes = (*notes, offsets_note(stamps, offsets))
    return CheckedSeries(series.id, stamps, values, notes)


def _values(series: Series, spec: ForecastSpec, least: int, mend: bool) -> NDArray[np.float64] | None:
    """The columns in the bundle's order (L, C), or None if anything is wrong with them; NaN for null, if we `mend`."""
    if not has_columns(series.values, spec):
        return None
    columns = [series.values[name] for name in spec.columns]
    if set(map(type, columns)) != {list} or len(set(map(len, columns))) != 1:
        return None
    if len(columns[0]) < (1 if mend else least):  # missing rows may be filled
        return None
    # by type, since numpy would take "1.5", true and null for numbers
    if not set(map(type, chain.from_iterable(columns))) <= ({float, int, NoneType} if mend else {float, int}):
        return None
    try:
        values = np.array(columns, np.float64)
    except OverflowError:  # an integer beyond the largest double
        return None
    missing = sum(column.count(None) for column in columns) if mend else 0
    return values.T if np.isfinite(values).sum() == values.size - missing else None


def longest(data: Any) -> int:
    """Rows of `data` as it came, of which nothing is checked yet: the length of the longest list."""
    if not isinstance(data, dict):
        return 0
    values = data.get("values")
    lists = [data.get("timestamps"), *(values.values() if isinstance(values, dict) else ())]
    return max((len(each) for each in lists if isinstance(each, list)), default=0)


def has_columns(values: Any, spec: ForecastSpec) -> bool:
    """Whether `values` has just the columns of the bundle."""
    return isinstance(values, dict) and values.keys() == set(spec.columns)


def _value_faults(series: Series, spec: ForecastSpec, pointer: str, least: int, mend: bool) -> Iterator[Fault]:
    given = series.values
    if not isinstance(given, dict):
        yield Fault(pointer, f"expected an object with the columns {', '.join(spec.columns)}, came {shown(given)}")
        return
    for name in islice((name for name in given if name not in spec.columns), SHOWN_FAULTS):
        yield Fault(f"{pointer}/{escape(name)}", f"unknown column; expected {', '.join(spec.columns)}")
    for name in spec.columns:
        if name not in given:
            yield Fault(f"{pointer}/{escape(name)}", "required column, but missing")
        elif not isinstance(given[name], list):
            yield Fault(f"{pointer}/{escape(name)}", f"expected a list of numbers, came {shown(given[name])}")
    lengths = {name: len(given[name]) for name in spec.columns if isinstance(given.get(name), list)}
    if len(set(lengths.values())) > 1:
        came = ", ".join(f"{name} {length}" for name, length in lengths.items())
        yield Fault(pointer, f"expected columns of one length, came {came}")
    elif lengths and min(lengths.values()) < (1 if mend else least):
        yield Fault(pointer, f"expected at least {least} rows, came {min(lengths.values())}")
    for name in lengths:
        yield from islice(_not_numbers(given[name], f"{pointer}/{escape(name)}", mend), SHOWN_FAULTS)


def _not_numbers(column: Sequence[Any], pointer: str, mend: bool) -> Iterator[Fault]:
    for row, value in enumerate(column):
        if value is None and mend:
            continue
        if type(value) not in (int, float) or not abs(value) <= float_info.max:
            came = 'null: missing values are not filled without "fill"' if value is None else shown(value)
            yield Fault(f"{pointer}/{row}", f"expected a finite number{' or null' * mend}, came {came}")


def _stamps(series: Series, step: Frequency, pointer: str, mend: bool) -> Timestamps:
    """The timestamp of every row. Raises FaultyInput unless they are one `step` apart or we `mend` them."""
    columns = series.values.values() if isinstance(series.values, dict) else ()
    length = max((len(column) for column in columns if isinstance(column, list)), default=None)
    if series.timestamps is not None and series.start is None:
        return _listed(series.timestamps, length, step, f"{pointer}/timestamps", mend)
    if series.start is not None and series.timestamps is None and series.frequency is not None:
        return _counted(series.start, length or 1, step, f"{pointer}/start")
    raise FaultyInput([Fault(pointer, "expected timestamps, or start and frequency, and not both")])


def _listed(given: Any, length: int | None, step: Frequency, pointer: str, mend: bool) -> Timestamps:
    if not isinstance(given, list):
        raise FaultyInput([Fault(pointer, f"expected a list of timestamps, came {shown(given)}")])
    faults = []
    if length is not None and len(given) != length:
        faults.append(Fault(pointer, f"expected a timestamp for each of {length} rows, came {len(given)}"))
    try:
        stamps = parse_timestamps(given, pointer)
        if not mend:
            faults += _uneven(stamps, step, pointer)
    except FaultyInput as error:
        faults += error.faults
    if faults:
        raise FaultyInput(faults)
    return stamps


def _counted(start: Any, length: int, step: Frequency, pointer: str) -> Timestamps:
    try:
        first = parse_timestamps([start], "")
    except FaultyInput as error:
        raise FaultyInput([Fault(pointer, fault.message) for fault in error.faults]) from None
    times = np.concatenate([first.times, step.following(first.times, length - 1)])
    stamps = Timestamps(times, first.zone, first.epoch, first.note)
    if not stamps.fits(times):
        end = "the year 10000" if first.epoch is None else f"epoch numbers of 64 bits in {first.epoch}"
        raise FaultyInput(
            [Fault(pointer, f"expected a start whose {length} rows end before {end}, came {shown(start)}")]
        )
    return stamps


def _frequency_faults(series: Series, step: Frequency, pointer: str) -> Iterator[Fault]:
    if series.frequency is None:
        return
    if not isinstance(series.frequency, str):
        yield Fault(pointer, f"expected {step}, this model's frequency, came {shown(series.frequency)}")
        return
    try:
        came = Frequency.parse(series.frequency)
    except ValueError as error:
        yield Fault(pointer, str(error))
        return
    if came != step:
        yield Fault(pointer, f"expected {step}, this model's frequency, came {came}")


def _uneven(stamps: Timestamps, step: Frequency, pointer: str) -> Iterator[Fault]:
    """Another frequency than `step`; rows out of order, twice, or not one frequency after the row before."""
    times = stamps.times
    breaks = step.breaks(times)
    if not len(breaks):
        return
    try:
        came = Frequency.infer(times)
    except ValueError:
        came = step
    if came != step and len(came.breaks(times)) < len(breaks):
        yield Fault(pointer, f"expected {step}, this model's frequency, came {came}")
        step, breaks = came, came.breaks(times)
    for row in breaks[:SHOWN_FAULTS]:
        before, this = times[row - 1 : row + 1]
        due = step.following(times[row - 1 : row], 1)[0]
        kind = "a step back" if this < before else "a duplicate" if this == before else "a gap"
        if before < this < due:
            kind = "too early"
        shown_before, shown_this = stamps.write(times[row - 1 : row + 1])
        yield Fault(f"{pointer}/{row}", f"expected {step} after {shown_before}, came {shown_this}: {kind}")
