"""Timestamps as people write them (ISO 8601, epoch numbers, dates such as 1/31/2010 0:00) <-> wall-clock times."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import Any, Literal

import numpy as np

from contract.errors import Fault, FaultyInput
from contract.frequency import Times
from contract.quoting import shown

EpochUnit = Literal["s", "ms", "us", "ns"]
_PER_SECOND: dict[EpochUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_SHOWN_FAULTS = 100
# The commonest form. numpy reads it ten times faster than a datetime for each would be.
_PLAIN = re.compile(rb"0000-00-00[T ]00:00(?::00(?:\.000)?)?")
_DIGITS = bytes.maketrans(b"0123456789", b"0000000000")
# as spreadsheets write them: day and month in either order, or behind the year
_DATE = re.compile(
    r"(?:(\d{1,2})([/.-])(\d{1,2})\2(\d{4})|(\d{4})/(\d{1,2})/(\d{1,2}))"
    r"(?:[T ]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,3})\d*)?)?(?: ?([AP]M))?)?",
    re.ASCII | re.IGNORECASE,
)
_NAMED = re.compile(r"(\d{1,2})([ -])([A-Z]{3})[a-z]*\2(\d{4})", re.ASCII | re.IGNORECASE)
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = 12
_NAIVE_EPOCH = datetime(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000 = np.datetime64("10000-01-01", "ms")
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Timestamps:
    """`times` (L,) datetime64[ms] on the wall clock of `zone`, and the form that they came in."""

    times: Times
    zone: timezone | None
    epoch: EpochUnit | None = None
    note: str | None = None
    """How dates were read whose form alone does not tell."""

    def fits(self, times: Times) -> bool:
        """Whether `times` can be written: epoch numbers of ns end in the year 2262, ISO 8601 of four digits in 9999."""
        if self.epoch is None:
            return bool((times[-1:] < _YEAR_10000).all())
        per_second = _PER_SECOND[self.epoch]
        return all(abs(time) * per_second < 2**63 * 1000 for time in times[-1:].astype(np.int64).tolist())

    def write(self, times: Times) -> list[str] | list[int] | list[float]:
        """Other `times` of the same clock, in the same form; epoch seconds with a fraction, if any has one."""
        if self.epoch is not None:
            milliseconds = times.astype(np.int64).tolist()
            if self.epoch == "s" and any(time % 1000 for time in milliseconds):
                return [time / 1000 for time in milliseconds]
            # in Python's integers: nanoseconds times 1000 are more than 64 bits hold
            return [time * _PER_SECOND[self.epoch] // 1000 for time in milliseconds]
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

    Dates with slashes, dots or dashes are read if a day above 12 tells in which order day and month are.
    Where offsets change, as with summer time, every row is read on the clock of the last one.
    Raises FaultyInput, whose pointers are below `pointer`, with the first faults of each kind.
    """
    kinds = set(map(type, stamps))
    if kinds == {str}:
        return _parse_strings(stamps, pointer)
    if kinds and kinds <= {int, float}:
        return _parse_numbers(stamps, pointer)
    wrong = (
        Fault(f"{pointer}/{row}", f"expected an ISO 8601 string or an epoch number, came {shown(stamp)}")
        for row, stamp in enumerate(stamps)
        if type(stamp) not in (str, int, float)
    )
    came = "both" if stamps else "none at all"
    mixed = [Fault(pointer, f"expected all strings or all epoch numbers, came {came}")]
    raise FaultyInput(list(islice(wrong, _SHOWN_FAULTS)) or mixed)


def on_latest_clock(stamps: Sequence[Any], parsed: Timestamps) -> tuple[Timestamps, int]:
    """`parsed` from `stamps` in any order, on the clock of the latest in time; and how many offsets they have."""
    if parsed.zone is None or parsed.epoch is not None:
        return parsed, 1
    offsets = [datetime.fromisoformat(stamp).utcoffset() or timedelta() for stamp in stamps]
    # where the latest comes twice, the larger offset: whatever the order, the same clock
    _, latest = max(zip(parsed.times.tolist(), offsets, strict=True))
    moved = (latest - parsed.zone.utcoffset(None)) // _MILLISECOND
    return Timestamps(parsed.times + np.timedelta64(moved, "ms"), timezone(latest)), len(set(offsets))


def offsets_note(latest: Timestamps, offsets: int) -> str:
    """What `on_latest_clock` did to timestamps of so many offsets."""
    return f"timestamps with {offsets} offsets from UTC: all put on the clock of the latest, {latest.zone}"


def _parse_strings(stamps: Sequence[str], pointer: str) -> Timestamps:
    if _plain(stamps):
        try:
            # not from an array of bytes: numpy 2.4 ends the process at a date in it that there is not
            return Timestamps(np.array(stamps, "M8[ms]"), None)
        except ValueError:
            raise FaultyInput(_unparsable(stamps, pointer)) from None
    try:
        parsed = [datetime.fromisoformat(stamp) for stamp in stamps]
    except ValueError:
        if 2 * sum(_date(stamp) is not None for stamp in stamps) >= len(stamps):
            return _parse_dates(stamps, pointer)
        raise FaultyInput(_unparsable(stamps, pointer)) from None
    last = parsed[-1].utcoffset()
    for row, stamp in enumerate(parsed):
        if (stamp.tzinfo is None) != (last is None):
            message = f"expected all timestamps with an offset or none, came {shown(stamps[row])}"
            raise FaultyInput([Fault(f"{pointer}/{row}", f"{message} before {shown(stamps[-1])}")])
    if last is None:
        return Timestamps(_since(_NAIVE_EPOCH, parsed), None)
    return Timestamps(_since(_EPOCH, parsed) + np.timedelta64(last // _MILLISECOND, "ms"), timezone(last))


def _plain(stamps: Sequence[str]) -> bool:
    """Whether all have the commonest form, each character in its place, and years that datetime has."""
    text = "\n".join(stamps)
    if not text.isascii() or text.startswith("0000") or "\n0000" in text:
        return False
    zeros = text.encode().translate(_DIGITS)
    first, _, _ = zeros.partition(b"\n")
    return _PLAIN.fullmatch(first) is not None and zeros == b"\n".join([first] * len(stamps))


def readable(stamp: str) -> bool:
    """Whether a string may be a timestamp, among others of its form."""
    try:
        return _date(stamp) is not None or bool(datetime.fromisoformat(stamp))
    except ValueError:
        return False


def day_or_month_first(stamp: str) -> bool:
    """Whether it is a date, and its form alone does not tell day from month."""
    date = _date(stamp)
    return date is not None and date[1] is not None


def _date(stamp: str) -> re.Match[str] | None:
    """1 Jan 2018 is as 2018/1/1."""
    named = _NAMED.match(stamp)
    if named and named[3].lower() in _NAMES:
        stamp = f"{named[4]}/{_NAMES.index(named[3].lower()) + 1}/{named[1]}{stamp[named.end() :]}"
    return _DATE.fullmatch(stamp)


def _parse_dates(stamps: Sequence[str], pointer: str) -> Timestamps:
    """Dates all written as the first: year first, or day and month in the one order that fits all."""
    matches = [_date(stamp) for stamp in stamps]
    year_first = matches[0] is not None and matches[0][5] is not None
    wrong = [row for row, match in enumerate(matches) if match is None or (match[5] is not None) != year_first]
    if wrong:
        places = wrong[:_SHOWN_FAULTS]
        message = f"expected a date written as {shown(stamps[0])} is, came"
        raise FaultyInput([Fault(f"{pointer}/{row}", f"{message} {shown(stamps[row])}") for row in places])
    found = [match for match in matches if match is not None]
    note, groups = None, (5, 6, 7)
    if not year_first:
        groups, note = _order(stamps, found, pointer)
    times, faults = [], []
    for row, match in enumerate(found):
        try:
            year, month, day = (int(match[group]) for group in groups)
            times.append(datetime(year, month, day, *_clock(match)))
        except ValueError as error:
            faults.append(Fault(f"{pointer}/{row}", f"expected a date and a time, came {shown(stamps[row])}: {error}"))
    if faults:
        raise FaultyInput(faults[:_SHOWN_FAULTS])
    return Timestamps(_since(_NAIVE_EPOCH, times), None, note=note)


def _order(
    stamps: Sequence[str], found: Sequence[re.Match[str]], pointer: str
) -> tuple[tuple[int, int, int], str | None]:
    """Which groups are year, month and day, and how to tell that. Raises FaultyInput if the dates do not."""
    first = next((row for row, match in enumerate(found) if int(match[1]) > _MONTHS), None)
    second = next((row for row, match in enumerate(found) if int(match[3]) > _MONTHS), None)
    if first is not None and second is not None:
        message = f"expected day and month in one order, came {shown(stamps[first])} and {shown(stamps[second])}"
        raise FaultyInput([Fault(f"{pointer}/{max(first, second)}", message)])
    if first is None and second is None:
        row = next((row for row, match in enumerate(found) if int(match[1]) != int(match[3])), None)
        if row is None:  # 3/3, in either order
            return (4, 1, 3), None
        one, _, other, year = found[row].groups()[:4]
        which = f"{year}-{one:0>2}-{other:0>2} or {year}-{other:0>2}-{one:0>2}"
        message = f"expected dates that tell day from month, came none with a day above 12: write {which} for"
        raise FaultyInput([Fault(f"{pointer}/{row}", f"{message} {shown(stamps[row])}")])
    if first is not None:
        return (4, 3, 1), f"timestamps read as day, month, year, which {shown(stamps[first])} tells"
    return (4, 1, 3), f"timestamps read as month, day, year, which {shown(stamps[second or 0])} tells"


def _clock(match: re.Match[str]) -> tuple[int, int, int, int]:
    """Hour, minute, second, microsecond. Raises ValueError."""
    hour, minute, second = (int(match[group] or 0) for group in (8, 9, 10))
    if match[12]:
        if not 1 <= hour <= 12:
            raise ValueError(f"hour must be in 1..12 with {match[12]}")
        hour = hour % 12 + 12 * (match[12].upper() == "PM")
    return hour, minute, second, int((match[11] or "").ljust(3, "0")) * 1000


def _since(epoch: datetime, parsed: Sequence[datetime]) -> Times:
    return np.array([(stamp - epoch) // _MILLISECOND for stamp in parsed], np.int64).astype("M8[ms]")


def _unparsable(stamps: Sequence[str], pointer: str) -> list[Fault]:
    faults = []
    for row, stamp in enumerate(stamps):
        try:
            datetime.fromisoformat(stamp)
        except ValueError:
            faults.append(Fault(f"{pointer}/{row}", f"expected an ISO 8601 timestamp, came {shown(stamp)}"))
            if len(faults) == _SHOWN_FAULTS:
                break
    return faults


def _parse_numbers(stamps: Sequence[float], pointer: str) -> Timestamps:
    wrong = [
        Fault(f"{pointer}/{row}", f"expected an epoch number, came {shown(stamp)}")
        for row, stamp in enumerate(stamps)
        if not abs(stamp) < 2**63  # NaN too
    ]
    if wrong:
        raise FaultyInput(wrong[:_SHOWN_FAULTS])
    unit = epoch_unit(max(map(abs, stamps)))
    # the nearest, since a double of nanoseconds or of seconds with decimals is a little off
    milliseconds = [round(stamp * 1000 / _PER_SECOND[unit]) for stamp in stamps]
    return Timestamps(np.array(milliseconds, np.int64).astype("M8[ms]"), UTC, unit)
