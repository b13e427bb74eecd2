"""The distance between two rows of a table: "15min", "h", "D", "B", "W", "M", each with a count."""

import functools
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from contract.quoting import shown

Times = NDArray[np.datetime64]  # datetime64[ms], wall-clock
Unit = Literal["s", "min", "h", "D", "B", "W", "M"]

_MILLISECONDS: dict[Unit, int] = {"s": 1000, "min": 60_000, "h": 3_600_000, "D": 86_400_000, "W": 604_800_000}
_FORM = re.compile(r"([0-9]{0,9})(s|min|h|D|B|W|MS|ME|M)")


@dataclass(frozen=True, slots=True)
class Frequency:
    """`count` units between rows; spelled as pandas spells it ("h", "15min", "B").

    Seconds to weeks are fixed distances; "B" counts Monday to Friday; "M" counts months on the day
    of the month that the rows have, clipped to the month's length (so month ends are covered).
    """

    count: int
    unit: Unit

    @classmethod
    @functools.lru_cache(maxsize=64)
    def parse(cls, text: str) -> "Frequency":
        """Raises ValueError on a text that is no frequency."""
        match = _FORM.fullmatch(text)
        if not match or match[1].startswith("0"):
            raise ValueError(f"expected a frequency such as 15min, h, D, B, W or M, came {shown(text)}")
        count, unit = int(match[1] or 1), "M" if match[2] in ("MS", "ME") else match[2]
        if unit in _MILLISECONDS:
            return cls._of_step(count * _MILLISECONDS[unit])
        return cls(count, unit)  # type: ignore[arg-type]

    @classmethod
    def infer(cls, times: Times) -> "Frequency":
        """The frequency of sorted `times` (L,), by their most common distance.

        Gaps do not hide it; `breaks` finds them. Raises ValueError if there is none.
        """
        if len(times) < 3:
            raise ValueError(f"expected at least 3 rows to infer a frequency, came {len(times)}")
        steps, counts = np.unique(np.diff(times).astype(np.int64), return_counts=True)
        step = int(steps[counts.argmax()])
        if step <= 0:
            raise ValueError("expected increasing timestamps, but the most common step is not positive")
        if step >= 28 * _MILLISECONDS["D"]:
            months = np.diff(times.astype("M8[M]").astype(np.int64))
            monthly = cls(int(np.bincount(months[months > 0]).argmax()), "M")
            if monthly._on_grid(times).all():
                return monthly
        if step == _MILLISECONDS["D"] and np.is_busday(times.astype("M8[D]")).all() and len(times) > 5:
            return cls(1, "B")
        return cls._of_step(step)

    @classmethod
    def _of_step(cls, step: int) -> "Frequency":
        """Of a fixed distance in ms, in its largest whole unit: 60min is h."""
        for unit in reversed(_MILLISECONDS):
            if step % _MILLISECONDS[unit] == 0:
                return cls(step // _MILLISECONDS[unit], unit)
        raise ValueError(f"expected steps of whole seconds, came {step} ms")

    def __str__(self) -> str:
        return f"{self.count if self.count > 1 else ''}{self.unit}"

    @property
    def season(self) -> int | None:
        """Rows until the calendar comes round: a day of hours, a week of days, a year of weeks or months.

        None if that is not a whole number of rows.
        """
        if self.unit in ("s", "min", "h"):
            rows, rest = divmod(_MILLISECONDS["D"], self.count * _MILLISECONDS[self.unit])
        else:
            rows, rest = divmod({"D": 7, "B": 5, "W": 52, "M": 12}[self.unit], self.count)
        return rows if not rest else None

    def following(self, times: Times, n: int) -> Times:
        """The `n` timestamps after the last of `times` (L,) -> (n,)."""
        steps = np.arange(1, n + 1) * self.count
        if self.unit == "M":
            return _months_after(times[-1], steps, anchor=int(_day_of_month(times).max()))
        if self.unit == "B":
            day = times[-1].astype("M8[D]")
            clock = times[-1] - day.astype("M8[ms]")
            return np.busday_offset(day, steps, roll="backward").astype("M8[ms]") + clock
        return times[-1] + (steps * _MILLISECONDS[self.unit]).astype("m8[ms]")

    def breaks(self, times: Times) -> NDArray[np.int64]:
        """The rows i of sorted `times` (L,) that do not come one step after row i - 1."""
        if self.unit in _MILLISECONDS:  # the common case, and on the path of every request
            steps = (times[1:] - times[:-1]).view(np.int64)
            return np.flatnonzero(steps != self.count * _MILLISECONDS[self.unit]) + 1
        steps, on_grid = np.diff(self._ordinals(times)), self._on_grid(times)
        return np.flatnonzero((steps != self.count) | ~on_grid[1:] | ~on_grid[:-1]) + 1

    def _ordinals(self, times: Times) -> NDArray[np.int64]:
        if self.unit == "M":
            return times.astype("M8[M]").astype(np.int64)
        return np.busday_count(times[0].astype("M8[D]"), times.astype("M8[D]"))

    def _on_grid(self, times: Times) -> NDArray[np.bool]:
        clock = times - times.astype("M8[D]")
        same_clock = clock == clock[0]
        if self.unit == "B":
            return same_clock & np.is_busday(times.astype("M8[D]"))
        day = _day_of_month(times)
        return same_clock & (day == np.minimum(day.max(), _month_length(times.astype("M8[M]"))))


@dataclass(frozen=True, slots=True)
class Grid:
    """Every timestamp that a timeline of `frequency` may have: those a whole number of steps from one another.

    For months and business days rows also share the time of day, `clock` in ms; for months, the day of the month.
    """

    frequency: Frequency
    phase: int
    clock: int
    day: int

    @classmethod
    def of(cls, times: Times, frequency: Frequency) -> "Grid":
        """The one that most of `times` (L,), in any order, are on."""
        if frequency.unit in _MILLISECONDS:
            clock, day = 0, 1
        else:
            clock = int(_commonest((times - times.astype("M8[D]")).astype(np.int64)))
            days, lengths = _day_of_month(times), _month_length(times.astype("M8[M]"))
            # of days that fit equally many rows the latest: month ends are then what they look like
            day = max(np.unique(days).tolist(), key=lambda day: ((days == np.minimum(day, lengths)).sum(), day))
        grid = cls(frequency, 0, clock, day)
        units, on_grid = grid._units(times)
        phases = units[on_grid] % grid._width if on_grid.any() else units[:1] % grid._width
        return cls(frequency, int(_commonest(phases)), clock, day)

    def place(self, times: Times) -> tuple[NDArray[np.int64], NDArray[np.bool]]:
        """The number of steps from a common origin to each of `times` (L,), rounded down; whether it is on the grid."""
        units, on_grid = self._units(times)
        steps, rest = np.divmod(units - self.phase, self._width)
        return steps, on_grid & (rest == 0)

    def times(self, steps: NDArray[np.int64]) -> Times:
        """The timestamps of these numbers of steps."""
        units = steps * self._width + self.phase
        if self.frequency.unit == "M":
            months = units.astype("M8[M]")
            since_first = (np.minimum(self.day, _month_length(months)) - 1).astype("m8[D]")
            dates: Times = (months.astype("M8[D]") + since_first).astype("M8[ms]")
            return dates + np.timedelta64(self.clock, "ms")
        if self.frequency.unit == "B":
            weekdays: Times = np.busday_offset("1970-01-01", units, roll="backward").astype("M8[ms]")
            return weekdays + np.timedelta64(self.clock, "ms")
        return units.astype("M8[ms]")

    @property
    def _width(self) -> int:
        return self.frequency.count * _MILLISECONDS.get(self.frequency.unit, 1)

    def _units(self, times: Times) -> tuple[NDArray[np.int64], NDArray[np.bool]]:
        """Milliseconds, business days or months since 1970, and whether clock and day are the grid's."""
        if self.frequency.unit in _MILLISECONDS:
            return times.astype(np.int64), np.ones(len(times), bool)
        dates = times.astype("M8[D]")
        same_clock = (times - dates).astype(np.int64) == self.clock
        if self.frequency.unit == "B":
            return np.busday_count("1970-01-01", dates), same_clock & np.is_busday(dates)
        months = times.astype("M8[M]")
        return months.astype(np.int64), same_clock & (
            _day_of_month(times) == np.minimum(self.day, _month_length(months))
        )


def _commonest(values: NDArray[Any]) -> Any:
    unique, counts = np.unique(values, return_counts=True)
    return unique[counts.argmax()]


def _day_of_month(times: Times) -> NDArray[np.int64]:
    return (times.astype("M8[D]") - times.astype("M8[M]").astype("M8[D]")).astype(np.int64) + 1


def _month_length(months: Times) -> NDArray[np.int64]:
    return ((months + 1).astype("M8[D]") - months.astype("M8[D]")).astype(np.int64)


def _months_after(last: np.datetime64, steps: NDArray[np.int64], anchor: int) -> Times:
    months = last.astype("M8[M]") + steps
    days = np.minimum(anchor, _month_length(months)) - 1
    clock = last - last.astype("M8[D]")
    return months.astype("M8[D]").astype("M8[ms]") + days.astype("m8[D]") + clock
