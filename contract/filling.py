"""A table as it comes (rows in any order, twice, left out, values missing) -> the even rows that a model sees."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput
from contract.frequency import Frequency, Grid, Times
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
    filled: NDArray[np.bool]  # (seq_len, C): which of the values were made up


def fill(
    stamps: Timestamps, values: Floats, spec: ForecastSpec, method: Method, max_share: float, pointer: str
) -> Filled:
    """`stamps` (L,) in any order and `values` (L, C), NaN where missing, of the series at `pointer`; L >= 1.

    Rows older than those that the model sees may be what others are filled from; they are not filled themselves.
    Raises FaultyInput if a timestamp is off the grid, rows of one timestamp contradict each other, there are too
    few rows, a column has no value in them, or more than `max_share` of what the model sees is missing.
    """
    line = in_order(stamps, values, spec.columns, spec.step, f"{pointer}/timestamps")
    grid, steps, values, notes = line.grid, line.steps, line.values, [*line.notes]
    seen = np.arange(steps[-1] - spec.seq_len + 1, steps[-1] + 1)
    if steps[0] > seen[0]:
        came = steps[-1] - steps[0] + 1
        message = f"expected at least {spec.seq_len} rows from the first to the last, came {came}, missing ones counted"
        raise FaultyInput([Fault(f"{pointer}/values", message)])
    times = grid.times(seen)
    even = _laid_out(seen, steps, values)
    filled = np.isnan(even)
    missing = filled.sum(axis=0).tolist()
    told: dict[int, str] = {}
    faults: list[Fault] = []
    for given, columns in _alike(values):
        places = np.flatnonzero(filled[:, columns[0]])
        if len(places) == spec.seq_len:
            message = f"expected a value in the latest {spec.seq_len} rows, came none"
            faults += [Fault(f"{pointer}/values/{escape(spec.columns[column])}", message) for column in columns]
        elif len(places):
            filling = _fill_in(seen[places], steps[given], values[given][:, columns], method, spec.step.season)
            even[places[:, None], columns] = filling.values
            when = _when(seen[places], times[places], stamps)
            how = f"{len(places)} of {spec.seq_len} values filled{_how(filling.sources)}, {when}"
            told |= {column: f"{spec.columns[column]}: {how}" for column in columns}
    most = _most_missing(even.size, max_share)
    if sum(missing) > most:
        came = ", ".join(f"{name} {count}" for name, count in zip(spec.columns, missing, strict=True) if count)
        message = f"expected at most {most} of the {even.size} values that the model sees to be missing"
        faults.append(Fault(f"{pointer}/values", f"{message}, came {sum(missing)}: {came}"))
    if faults:
        raise FaultyInput(faults)
    notes += [told[column] for column in sorted(told)]
    return Filled(Timestamps(times, stamps.zone, stamps.epoch), even, tuple(notes), filled)


@dataclass(frozen=True, slots=True)
class Mended:
    """A whole table: even rows but where `steps` (rows,) jump, since more than could be filled is missing there.

    `filled` (rows, C) says which values were made up, and `ahead` (rows,) from how many rows later the row has one:
    to whom the table ends before that, the row looked otherwise.
    """

    times: Times
    steps: Integers
    values: Floats  # (rows, C), finite
    filled: NDArray[np.bool]
    ahead: Integers
    notes: tuple[str, ...]


def mend(
    stamps: Timestamps,
    values: Floats,
    columns: Sequence[str],
    frequency: Frequency,
    method: Method,
    longest: int,
    pointer: str,
) -> Mended:
    """As `fill`, of all rows: `stamps` (L,), L >= 1, and `values` (L, C). `pointer` is that of the timestamps.

    Where a column lacks more than `longest` rows running, these rows are left out for all columns. Raises FaultyInput
    if a timestamp is off the grid, rows of one timestamp contradict each other, or a column has no value.
    """
    line = in_order(stamps, values, columns, frequency, pointer)
    grid, steps, values, notes = line.grid, line.steps, line.values, [*line.notes]
    groups = [(steps[given], values[given][:, alike], alike) for given, alike in _alike(values)]
    empty = [columns[column] for known, _, alike in groups if not len(known) for column in alike]
    if empty:
        raise FaultyInput([Fault(f"/{escape(name)}", "expected numbers, came none") for name in empty])
    kept = _without_long_gaps(steps, [known for known, _, _ in groups], longest)
    even = _laid_out(kept, steps, values)
    filled = np.isnan(even)
    ahead = np.zeros(len(kept), np.int64)
    told: dict[int, str] = {}
    for known, known_values, alike in groups:
        places = np.flatnonzero(filled[:, alike[0]])
        if not len(places):
            continue
        filling = _fill_in(kept[places], known, known_values, method, frequency.season)
        even[places[:, None], alike] = filling.values
        ahead[places] = np.maximum(ahead[places], filling.ahead)
        longest_run = max(map(len, _runs(kept[places])))
        how = f"{len(places)} of {len(kept)} values filled{_how(filling.sources)}, at most {longest_run} running"
        told |= {column: f"{columns[column]}: {how}" for column in alike}
    notes += [told[column] for column in sorted(told)]
    if left_out := int(steps[-1] - steps[0] + 1 - len(kept)):
        jumps = int((np.diff(kept, prepend=steps[0] - 1, append=steps[-1] + 1) > 1).sum())
        where = f"in {jumps} place{'s' * (jumps > 1)}"
        notes.append(f"{left_out} rows left out, where more than {longest} running are missing, {where}")
    return Mended(grid.times(kept), kept, even, filled, ahead, tuple(notes))


def _laid_out(wanted: Integers, steps: Integers, values: Floats) -> Floats:
    """The rows of `values` (N, C) at the `wanted` of `steps` (N,), which are in order; NaN where there is none."""
    places = np.minimum(np.searchsorted(steps, wanted), len(steps) - 1)
    even = values[places]
    even[steps[places] != wanted] = np.nan
    return even


def _without_long_gaps(steps: Integers, known: Sequence[Integers], longest: int) -> Integers:
    """Every step from the first to the last of `steps`, but those of more than `longest` running that one lacks."""
    gaps: list[tuple[int, int]] = []
    for each in known:
        ends = np.concatenate([steps[:1] - 1, each, steps[-1:] + 1])
        long = np.flatnonzero(np.diff(ends) > longest + 1)
        gaps += zip((ends[long] + 1).tolist(), ends[long + 1].tolist(), strict=True)
    kept, start = [], int(steps[0])
    for first, stop in sorted(gaps):
        kept.append(np.arange(start, max(start, first)))
        start = max(start, stop)
    return np.concatenate([*kept, np.arange(start, steps[-1] + 1)])


@dataclass(frozen=True, slots=True)
class InOrder:
    """A table's rows in the order of time and each once; some may be left out, and values be missing."""

    grid: Grid
    steps: Integers  # (N,), on the grid
    values: Floats  # (N, C), NaN where missing
    notes: tuple[str, ...]  # what was done


def in_order(stamps: Timestamps, values: Floats, columns: Sequence[str], frequency: Frequency, pointer: str) -> InOrder:
    """`stamps` (L,), at `pointer`, and `values` (L, C) as `fill` takes them, L >= 1.

    Raises FaultyInput if a timestamp is off the grid, or rows of one timestamp contradict each other.
    """
    grid = Grid.of(stamps.times, frequency)
    steps, on_grid = grid.place(stamps.times)
    if not on_grid.all():
        raise FaultyInput(list(_off_grid(stamps, grid, steps, on_grid, pointer)))
    steps, values, notes = _once_each(stamps, values, steps, columns, pointer)
    return InOrder(grid, steps, values, tuple(notes))


def fill_window(rows: Floats, spec: ForecastSpec, method: Method, max_share: float) -> Floats | None:
    """The latest seq_len of even `rows` (L, C), filled as `fill` does from them all; None where it would refuse."""
    seen = np.arange(len(rows) - spec.seq_len, len(rows))
    window = rows[seen]
    missing = np.isnan(window)
    if missing.sum() > _most_missing(window.size, max_share) or missing.all(axis=0).any():
        return None
    for given, columns in _alike(rows):
        places = np.flatnonzero(missing[:, columns[0]])
        if len(places):
            known = np.flatnonzero(given)
            filling = _fill_in(seen[places], known, rows[known][:, columns], method, spec.step.season)
            window[places[:, None], columns] = filling.values
    return window


def _most_missing(size: int, max_share: float) -> int:
    return int(max_share * size + 1e-9)


def _alike(values: Floats) -> Iterator[tuple[NDArray[np.bool], list[int]]]:
    """Which rows of `values` (N, C) are there (N,), and the columns of which just these are."""
    given = np.isfinite(values)
    columns: dict[bytes, list[int]] = {}
    for column, rows in enumerate(given.T):
        columns.setdefault(rows.tobytes(), []).append(column)
    return ((given[:, alike[0]], alike) for alike in columns.values())


def _once_each(
    stamps: Timestamps, values: Floats, steps: Integers, columns: Sequence[str], pointer: str
) -> tuple[Integers, Floats, list[str]]:
    order = np.argsort(steps, kind="stable")
    starts = np.flatnonzero(np.diff(steps[order], prepend=steps.min() - 1))
    # both pass over NaN: a row that lacks a value does not contradict one that has it
    lowest, highest = (each.reduceat(values[order], starts) for each in (np.fmin, np.fmax))
    unequal = np.flatnonzero((lowest < highest).any(axis=1))[:_SHOWN_FAULTS]
    if len(unequal):
        ends = np.append(starts[1:], len(order))
        groups = [order[starts[group] : ends[group]] for group in unequal]
        raise FaultyInput([_contradiction(stamps, values, rows, columns, pointer) for rows in groups])
    notes = ["rows not in the order of time: sorted"] if (np.diff(steps) < 0).any() else []
    if twice := len(order) - len(starts):
        notes.append(f"{twice} duplicate row{'s' * (twice > 1)} merged")
    return steps[order][starts], lowest, notes


class _Filling(NamedTuple):
    """`values` (M, C), and for each of M rows an index into _SOURCES and from how many rows later it is."""

    values: Floats
    sources: Integers
    ahead: Integers


def _fill_in(missing: Integers, known: Integers, values: Floats, method: Method, season: int | None) -> _Filling:
    """For each of the `missing` steps (M,) of columns that have `values` (K, C) at `known` steps (K,), K >= 1.

    What a method has no value for (interpolation before the first value, a season that is missing too) is the value
    before, and before the first value that.
    """
    before = np.searchsorted(known, missing) - 1
    left, right = np.maximum(before, 0), np.minimum(before + 1, len(known) - 1)
    filled = values[left]
    sources = np.where(before < 0, _AFTER, _BEFORE)
    ahead = np.where(before < 0, known[0] - missing, 0)
    if method == "interpolate":
        between = (before >= 0) & (missing < known[-1])
        left, right, missing = left[between], right[between], missing[between]
        share = ((missing - known[left]) / (known[right] - known[left]))[:, None]
        # of halves, since the difference of two doubles may be more than a double holds
        filled[between] = (values[left] / 2 + (values[right] / 2 - values[left] / 2) * share) * 2
        sources[between] = _INTERPOLATION
        ahead[between] = known[right] - missing
    elif method == "seasonal" and season is not None:
        for source, wanted in ((_LATER, missing + season), (_EARLIER, missing - season)):  # the earlier one wins
            place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
            there = known[place] == wanted
            filled[there] = values[place[there]]
            sources[there] = source
            ahead[there] = max(0, wanted[0] - missing[0])
    return _Filling(filled, sources, ahead)


def _how(sources: Integers) -> str:
    """Such as: by interpolation; or: , 2 by interpolation, 1 by the value before."""
    counts = np.bincount(sources, minlength=len(_SOURCES)).tolist()
    used = [(count, by) for count, by in zip(counts, _SOURCES, strict=True) if count]
    return f" by {used[0][1]}" if len(used) == 1 else "".join(f", {count} by {by}" for count, by in used)


def _when(missing: Integers, times: Times, stamps: Timestamps) -> str:
    """Such as: 2018-06-22T20:00:00 to 2018-06-22T22:00:00, 2018-06-23T01:00:00 and 2 more."""
    runs = _runs(missing)
    shown = runs[:_SHOWN_RUNS]
    first, last = (stamps.write(times[[run[end] for run in shown]]) for end in (0, -1))
    when = [f"{a} to {b}" if a != b else str(a) for a, b in zip(first, last, strict=True)]
    return ", ".join(when) + (f" and {len(runs) - _SHOWN_RUNS} more" if len(runs) > _SHOWN_RUNS else "")


def _runs(steps: Integers) -> list[Integers]:
    """The places (of sorted `steps`) of each run without a jump."""
    return np.split(np.arange(len(steps)), np.flatnonzero(np.diff(steps) > 1) + 1)


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


def _contradiction(stamps: Timestamps, values: Floats, rows: Integers, columns: Sequence[str], pointer: str) -> Fault:
    """`rows` of one timestamp: the first that differs from one before."""
    known = np.isfinite(values[rows])
    first = known.argmax(axis=0)  # (C,)
    differs = known & (values[rows] != values[rows[first], np.arange(len(columns))])
    other, column = np.argwhere(differs)[0]
    row, before = rows[other], rows[first[column]]
    (stamp,) = stamps.write(stamps.times[row : row + 1])
    message = f"expected rows of {stamp} to be the same, came {columns[column]} {values[row, column]} here"
    return Fault(
        f"{pointer}/{row}", f"{message} and {values[before, column]} in row {before}: contradicting duplicates"
    )
