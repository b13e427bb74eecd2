"""A table as it comes (rows in any order, twice, left out, values missing) -> the even rows that a model sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput
from contract.frequency import Frequency, Grid
from contract.manifest import ForecastSpec
from contract.pointers import escape
from contract.timestamps import Timestamps

Method = Literal["interpolate", "previous", "seasonal"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_SHOWN_FAULTS = 100
_SHOWN_RUNS = 3
_SOURCES = (
    "interpolation",
    "the value before",
    "the value after",
    "the value one season earlier",
    "the value one season later",
)
_INTERPOLATION, _BEFORE, _AFTER, _EARLIER, _LATER = range(len(_SOURCES))


@dataclass(frozen=True, slots=True)
class Filled:
    """The latest seq_len rows of a timeline without gaps, and in words all that was done to get them."""

    stamps: Timestamps  # (seq_len,)
    values: Floats  # (seq_len, C), finite
    notes: tuple[str, ...]


def fill(
    stamps: Timestamps, values: Floats, spec: ForecastSpec, method: Method, max_share: float, pointer: str
) -> Filled:
    """`stamps` (L,) in any order and `values` (L, C), NaN where missing, of the series at `pointer`; L >= 1.

    Rows older than those that the model sees may be what others are filled from; they are not filled themselves.
    Raises FaultyInput if a timestamp is off the grid, rows of one timestamp contradict each other, there are too
    few rows, a column has no value in them, or more than `max_share` of what the model sees is missing.
    """
    line = in_order(stamps, values, spec, pointer)
    grid, steps, values, notes = line.grid, line.steps, line.values, [*line.notes]
    seen = np.arange(steps[-1] - spec.seq_len + 1, steps[-1] + 1)
    if steps[0] > seen[0]:
        came = steps[-1] - steps[0] + 1
        message = f"expected at least {spec.seq_len} rows from the first to the last, came {came}, missing ones counted"
        raise FaultyInput([Fault(f"{pointer}/values", message)])
    times = grid.times(seen)
    even = np.empty((spec.seq_len, len(spec.columns)))
    missing: dict[str, int] = {}
    faults: list[Fault] = []
    for column, name in enumerate(spec.columns):
        given = np.isfinite(values[:, column])
        known, known_values = steps[given], values[given, column]
        there = np.isin(seen, known)
        missing[name] = int((~there).sum())
        if not there.any():
            message = f"expected a value in the latest {spec.seq_len} rows, came none"
            faults.append(Fault(f"{pointer}/values/{escape(name)}", message))
            continue
        even[there, column] = known_values[known >= seen[0]]
        if missing[name]:
            even[~there, column], sources = _fill_in(seen[~there], known, known_values, method, spec.step.season)
            notes.append(_told(name, sources, seen[~there], stamps.write(times[~there]), spec.seq_len))
    most = _most_missing(even.size, max_share)
    if sum(missing.values()) > most:
        came = ", ".join(f"{name} {count}" for name, count in missing.items() if count)
        message = f"expected at most {most} of the {even.size} values that the model sees to be missing"
        faults.append(Fault(f"{pointer}/values", f"{message}, came {sum(missing.values())}: {came}"))
    if faults:
        raise FaultyInput(faults)
    return Filled(Timestamps(times, stamps.zone, stamps.epoch), even, tuple(notes))


@dataclass(frozen=True, slots=True)
class InOrder:
    """A table's rows in the order of time and each once; some may be left out, and values be missing."""

    grid: Grid
    steps: Integers  # (N,), on the grid
    values: Floats  # (N, C), NaN where missing
    notes: tuple[str, ...]  # what was done


def in_order(stamps: Timestamps, values: Floats, spec: ForecastSpec, pointer: str) -> InOrder:
    """`stamps` (L,) and `values` (L, C) as `fill` takes them, L >= 1.

    Raises FaultyInput if a timestamp is off the grid, or rows of one timestamp contradict each other.
    """
    grid = Grid.of(stamps.times, spec.step)
    steps, on_grid = grid.place(stamps.times)
    if not on_grid.all():
        raise FaultyInput(list(_off_grid(stamps, grid, steps, on_grid, f"{pointer}/timestamps")))
    steps, values, notes = _once_each(stamps, values, steps, spec, f"{pointer}/timestamps")
    return InOrder(grid, steps, values, tuple(notes))


def fill_window(rows: Floats, spec: ForecastSpec, method: Method, max_share: float) -> Floats | None:
    """The latest seq_len of even `rows` (L, C), filled as `fill` does from them all; None where it would refuse."""
    seen = np.arange(len(rows) - spec.seq_len, len(rows))
    window = rows[seen]
    missing = np.isnan(window)
    if missing.sum() > _most_missing(window.size, max_share) or missing.all(axis=0).any():
        return None
    for column in np.flatnonzero(missing.any(axis=0)):
        known = np.flatnonzero(np.isfinite(rows[:, column]))
        there = missing[:, column]
        window[there, column], _ = _fill_in(seen[there], known, rows[known, column], method, spec.step.season)
    return window


def _most_missing(size: int, max_share: float) -> int:
    return int(max_share * size + 1e-9)


def _once_each(
    stamps: Timestamps, values: Floats, steps: Integers, spec: ForecastSpec, pointer: str
) -> tuple[Integers, Floats, list[str]]:
    """The N different `steps` in order, the values (N, C) of each, and what was done. Raises FaultyInput."""
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(steps[order], prepend=steps.min() - 1))
    # both pass over NaN: a row that lacks a value does not contradict one that has it
    lowest, highest = (each.reduceat(values[order], starts) for each in (np.fmin, np.fmax))
    unequal = np.flatnonzero((lowest < highest).any(axis=1))[:_SHOWN_FAULTS]
    if len(unequal):
        ends = np.append(starts[1:], len(order))
        groups = [order[starts[group] : ends[group]] for group in unequal]
        raise FaultyInput([_contradiction(stamps, values, rows, spec, pointer) for rows in groups])
    notes = ["rows not in the order of time: sorted"] if (np.diff(steps) < 0).any() else []
    if twice := len(order) - len(starts):
        notes.append(f"{twice} duplicate row{'s' * (twice > 1)} merged")
    return steps[order][starts], lowest, notes


def _fill_in(
    missing: Integers, known: Integers, values: Floats, method: Method, season: int | None
) -> tuple[Floats, Integers]:
    """A value for each of the `missing` steps (M,) of a column that has `values` (K,) at `known` steps (K,).

    With it an index into _SOURCES. What a method has no value for (interpolation before the first value, a season
    that is missing too) is the value before, and before the first value that.
    """
    before = np.searchsorted(known, missing) - 1
    filled = values[np.maximum(before, 0)]
    sources = np.where(before < 0, _AFTER, _BEFORE)
    if method == "interpolate":
        between = (before >= 0) & (missing < known[-1])
        # of halves, since the difference of two doubles may be more than a double holds
        filled[between] = np.interp(missing[between], known, values / 2) * 2
        sources[between] = _INTERPOLATION
    elif method == "seasonal" and season is not None:
        for source, wanted in ((_LATER, missing + season), (_EARLIER, missing - season)):  # the earlier one wins
            place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            there = known[place] == wanted
            filled[there] = values[place[there]]
            sources[there] = source
    return filled, sources


def _told(name: str, sources: Integers, missing: Integers, stamps: list[str] | list[int], rows: int) -> str:
    """Such as: OT: 3 of 96 values filled by interpolation, 2018-06-22T20:00:00 to 2018-06-22T22:00:00."""
    counts = [(int((sources == source).sum()), by) for source, by in enumerate(_SOURCES)]
    used = [(count, by) for count, by in counts if count]
    how = f" by {used[0][1]}" if len(used) == 1 else "".join(f", {count} by {by}" for count, by in used)
    runs = np.split(np.arange(len(missing)), np.flatnonzero(np.diff(missing) > 1) + 1)
    when = [f"{stamps[run[0]]} to {stamps[run[-1]]}" if len(run) > 1 else str(stamps[run[0]]) for run in runs]
    more = f" and {len(runs) - _SHOWN_RUNS} more" if len(runs) > _SHOWN_RUNS else ""
    return f"{name}: {len(missing)} of {rows} values filled{how}, {', '.join(when[:_SHOWN_RUNS])}{more}"


def _off_grid(
    stamps: Timestamps, grid: Grid, steps: Integers, on_grid: NDArray[np.bool], pointer: str
) -> Iterator[Fault]:
    step = grid.frequency
    try:
        came = Frequency.infer(np.unique(stamps.times))
    except ValueError:
        came = step
    if came != step and Grid.of(stamps.times, came).place(stamps.times)[1].all():
        yield Fault(pointer, f"expected {step}, this model's frequency, came {came}")
        return
    for row in np.flatnonzero(~on_grid)[:_SHOWN_FAULTS]:
        (due,), (this,) = stamps.write(grid.times(steps[row : row + 1])), stamps.write(stamps.times[row : row + 1])
        message = f"expected every row a whole number of {step} from the others, such as {due}, came {this}"
        yield Fault(f"{pointer}/{row}", message)


def _contradiction(stamps: Timestamps, values: Floats, rows: Integers, spec: ForecastSpec, pointer: str) -> Fault:
    """`rows` of one timestamp: the first that differs from one before."""
    known = np.isfinite(values[rows])
    first = known.argmax(axis=0)  # (C,)
    differs = known & (values[rows] != values[rows[first], np.arange(len(spec.columns))])
    other, column = np.argwhere(differs)[0]
    row, before = rows[other], rows[first[column]]
    (stamp,) = stamps.write(stamps.times[row : row + 1])
    message = f"expected rows of {stamp} to be the same, came {spec.columns[column]} {values[row, column]} here"
    return Fault(
        f"{pointer}/{row}", f"{message} and {values[before, column]} in row {before}: contradicting duplicates"
    )
