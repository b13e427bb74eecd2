"""One series of a request -> checked arrays, or every fault that it has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from sys import float_info
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput
from contract.frequency import Frequency
from contract.manifest import ForecastSpec
from contract.timestamps import Timestamps, parse_timestamps
from service.pointers import escape
from service.schemas import Series

SHOWN_FAULTS = 100
"""Faults listed for one column or one timeline; a hostile body could hold millions."""


@dataclass(frozen=True, slots=True)
class CheckedSeries:
    """Rows one frequency apart, with a finite number in every column."""

    stamps: Timestamps
    values: NDArray[np.float64]  # (L, C), in units, columns in the bundle's order


def check_series(series: Series, spec: ForecastSpec, pointer: str) -> CheckedSeries:
    """Raises FaultyInput with every fault of this series; `pointer` is where it is in the request."""
    faults: list[Fault] = []
    values = _values(series, spec)
    if values is None:
        faults += _value_faults(series, spec, f"{pointer}/values")
    try:
        stamps = _stamps(series, spec.step, pointer)
    except FaultyInput as error:
        faults += error.faults
    if faults or values is None:
        raise FaultyInput(faults)
    return CheckedSeries(stamps, values)


def _values(series: Series, spec: ForecastSpec) -> NDArray[np.float64] | None:
    """The columns in the bundle's order (L, C), or None if anything is wrong with them."""
    if series.values.keys() != set(spec.columns):
        return None
    columns = [series.values[name] for name in spec.columns]
    if len(set(map(len, columns))) != 1 or len(columns[0]) < spec.seq_len:
        return None
    # by type, since numpy would take "1.5", true and null for numbers
    if not set(map(type, chain.from_iterable(columns))) <= {float, int}:
        return None
    try:
        values = np.array(columns, np.float64)
    except OverflowError:  # an integer beyond the largest double
        return None
    return values.T if np.isfinite(values).all() else None


def _value_faults(series: Series, spec: ForecastSpec, pointer: str) -> Iterator[Fault]:
    given = series.values
    for name in islice((name for name in given if name not in spec.columns), SHOWN_FAULTS):
        yield Fault(f"{pointer}/{escape(name)}", f"unknown column; expected {', '.join(spec.columns)}")
    for name in spec.columns:
        if name not in given:
            yield Fault(f"{pointer}/{escape(name)}", "required column, but missing")
    lengths = {name: len(given[name]) for name in spec.columns if name in given}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        yield Fault(pointer, f"expected columns of one length, came {shown}")
    elif lengths and min(lengths.values()) < spec.seq_len:
        yield Fault(pointer, f"expected at least {spec.seq_len} rows, came {min(lengths.values())}")
    for name in lengths:
        yield from islice(_not_numbers(given[name], f"{pointer}/{escape(name)}"), SHOWN_FAULTS)


def _not_numbers(column: Sequence[Any], pointer: str) -> Iterator[Fault]:
    for row, value in enumerate(column):
        if type(value) not in (int, float) or not abs(value) <= float_info.max:
            came = "null: missing values are not filled" if value is None else repr(value)[:60]
            yield Fault(f"{pointer}/{row}", f"expected a finite number, came {came}")


def _stamps(series: Series, step: Frequency, pointer: str) -> Timestamps:
    """The timestamp of every row. Raises FaultyInput unless they are one `step` apart."""
    length = max(map(len, series.values.values()), default=0)
    faults = list(_frequency_faults(series, step, f"{pointer}/frequency"))
    if series.timestamps is not None and series.start is None:
        if len(series.timestamps) != length:
            message = f"expected a timestamp for each of {length} rows, came {len(series.timestamps)}"
            faults.append(Fault(f"{pointer}/timestamps", message))
        stamps = parse_timestamps(series.timestamps, f"{pointer}/timestamps")
        faults += _uneven(stamps, step, f"{pointer}/timestamps")
    elif series.start is not None and series.timestamps is None and series.frequency is not None:
        first = parse_timestamps([series.start], f"{pointer}/start")
        rest = step.following(first.times, max(length - 1, 0))
        stamps = Timestamps(np.concatenate([first.times, rest]), first.zone, first.epoch)
    else:
        faults.append(Fault(pointer, "expected timestamps, or start and frequency, and not both"))
    if faults:
        raise FaultyInput(faults)
    return stamps


def _frequency_faults(series: Series, step: Frequency, pointer: str) -> Iterator[Fault]:
    if series.frequency is None:
        return
    try:
        came = Frequency.parse(series.frequency)
    except ValueError as error:
        yield Fault(pointer, str(error))
        return
    if came != step:
        yield Fault(pointer, f"expected {step}, this model's frequency, came {came}")


def _uneven(stamps: Timestamps, step: Frequency, pointer: str) -> Iterator[Fault]:
    """Rows out of order, twice, or not one `step` after the row before."""
    breaks = step.breaks(stamps.times)
    if not len(breaks):
        return
    distances = np.diff(stamps.times)
    if len(breaks) == len(distances) > 1 and (distances == distances[0]).all() and distances[0].astype(int) > 0:
        yield Fault(pointer, f"expected rows {step} apart, this model's frequency, came {distances[0]} apart")
        return
    for row in breaks[:SHOWN_FAULTS]:
        before, this = stamps.write(stamps.times[row - 1 : row + 1])
        distance = distances[row - 1].astype(int)
        kind = "a gap" if distance > 0 else "a duplicate" if distance == 0 else "a step back"
        yield Fault(f"{pointer}/{row}", f"expected {step} after {before}, came {this}: {kind}")
