"""Timestamps as people write them (ISO 8601 with or without an offset, epoch numbers) <-> wall-clock times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal

import numpy as np

from contract.errors import Fault, FaultyInput
from contract.frequency import Times

EpochUnit = Literal["s", "ms", "us", "ns"]
_PER_SECOND: dict[EpochUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_SHOWN_FAULTS = 100
# The commonest form, on every line. numpy reads it ten times faster than a datetime for each would be.
_PLAIN = re.compile(r"(?:\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{3})?)?(?:\n|$))+", re.ASCII)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Timestamps:
    """`times` (L,) datetime64[ms] on the wall clock of `zone`, and the form that they came in."""

    times: Times
    zone: timezone | None
    epoch: EpochUnit | None = None

    def fits(self, times: Times) -> bool:
        """Whether `times` can be written: an epoch number has 64 bits, which in ns end in the year 2262."""
        per_second = _PER_SECOND[self.epoch] if self.epoch is not None else 0
        return all(abs(time) * per_second < 2**63 * 1000 for time in times[-1:].astype(np.int64).tolist())

    def write(self, times: Times) -> list[str] | list[int]:
        """Other `times` of the same clock, in the same form."""
        if self.epoch is not None:
            # in Python's integers: nanoseconds times 1000 are more than 64 bits hold
            return [time * _PER_SECOND[self.epoch] // 1000 for time in times.astype(np.int64).tolist()]
        suffix = ""
        if self.zone is not None:
            suffix = "Z" if self.zone == UTC else datetime.min.replace(tzinfo=self.zone).isoformat()[19:]
        whole = not (times.astype(np.int64) % 1000).any()
        written: list[str] = np.datetime_as_string(times, unit="s" if whole else "ms").tolist()
        return [text + suffix for text in written] if suffix else written


def epoch_unit(largest: float) -> EpochUnit:
    """The unit of epoch numbers, by the size of the largest: 1e11 s would be the year 5138."""
    return "s" if largest < 1e11 else "ms" if largest < 1e14 else "us" if largest < 1e17 else "ns"


def parse_timestamps(stamps: Sequence[Any], pointer: str) -> Timestamps:
    """Strings of one kind (all with an offset, or none) or epoch numbers of one unit.

    Where offsets change, as with summer time, every row is read on the clock of the last one.
    Raises FaultyInput, whose pointers are below `pointer`, with the first faults of each kind.
    """
    kinds = set(map(type, stamps))
    if kinds == {str}:
        return _parse_strings(stamps, pointer)
    if kinds and kinds <= {int, float}:
        return _parse_numbers(stamps, pointer)
    wrong = [
        Fault(f"{pointer}/{row}", f"expected an ISO 8601 string or an epoch number, came {_shown(stamp)}")
        for row, stamp in enumerate(stamps)
        if type(stamp) not in (str, int, float)
    ]
    came = "both" if stamps else "none at all"
    mixed = [Fault(pointer, f"expected all strings or all epoch numbers, came {came}")]
    raise FaultyInput(wrong[:_SHOWN_FAULTS] or mixed)


def on_latest_clock(stamps: Sequence[Any], parsed: Timestamps) -> tuple[Timestamps, int]:
    """`parsed` from `stamps` in any order, on the clock of the latest in time; and how many offsets they have."""
    if parsed.zone is None or parsed.epoch is not None:
        return parsed, 1
    offsets = [datetime.fromisoformat(stamp).utcoffset() or timedelta() for stamp in stamps]
    # where the latest comes twice, the larger offset: whatever the order, the same clock
    _, latest = max(zip(parsed.times.tolist(), offsets, strict=True))
    moved = (latest - parsed.zone.utcoffset(None)) // _MILLISECOND
    return Timestamps(parsed.times + np.timedelta64(moved, "ms"), timezone(latest)), len(set(offsets))


def _parse_strings(stamps: Sequence[str], pointer: str) -> Timestamps:
    lines = "\n".join(stamps)
    if _PLAIN.fullmatch(lines) and lines.count("\n") == len(stamps) - 1:
        try:
            return Timestamps(np.array(stamps, "M8[ms]"), None)
        except ValueError:
            raise FaultyInput(_unparsable(stamps, pointer)) from None
    try:
        parsed = [datetime.fromisoformat(stamp) for stamp in stamps]
    except ValueError:
        raise FaultyInput(_unparsable(stamps, pointer)) from None
    last = parsed[-1].utcoffset()
    for row, stamp in enumerate(parsed):
        if (stamp.tzinfo is None) != (last is None):
            message = f"expected all timestamps with an offset or none, came {_shown(stamps[row])}"
            raise FaultyInput([Fault(f"{pointer}/{row}", f"{message} before {_shown(stamps[-1])}")])
    if last is None:
        return Timestamps(_since(_NAIVE_EPOCH, parsed), None)
    return Timestamps(_since(_EPOCH, parsed) + np.timedelta64(last // _MILLISECOND, "ms"), timezone(last))


def _since(epoch: datetime, parsed: Sequence[datetime]) -> Times:
    return np.array([(stamp - epoch) // _MILLISECOND for stamp in parsed], np.int64).astype("M8[ms]")


def _unparsable(stamps: Sequence[str], pointer: str) -> list[Fault]:
    faults = []
    for row, stamp in enumerate(stamps):
        try:
            datetime.fromisoformat(stamp)
        except ValueError:
            faults.append(Fault(f"{pointer}/{row}", f"expected an ISO 8601 timestamp, came {_shown(stamp)}"))
            if len(faults) == _SHOWN_FAULTS:
                break
    return faults


def _parse_numbers(stamps: Sequence[float], pointer: str) -> Timestamps:
    wrong = [
        Fault(f"{pointer}/{row}", f"expected an epoch number, came {_shown(stamp)}")
        for row, stamp in enumerate(stamps)
        if not abs(stamp) < 2**63  # NaN too
    ]
    if wrong:
        raise FaultyInput(wrong[:_SHOWN_FAULTS])
    unit = epoch_unit(max(map(abs, stamps)))
    # the nearest, since a double of nanoseconds or of seconds with decimals is a little off
    milliseconds = [round(stamp * 1000 / _PER_SECOND[unit]) for stamp in stamps]
    return Timestamps(np.array(milliseconds, np.int64).astype("M8[ms]"), UTC, unit)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
