"""Who is in the service, by model: how much is ahead of a newcomer, and whether that is too much."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from contract.errors import QueueFull
from service.engine.batching import Caller, RowPool
from service.engine.session import Arrays, Session

log = logging.getLogger(__name__)

T = TypeVar("T")

_MEASURED_S = 10.0
"""Seconds at work after which what was measured before counts half."""
_LONGEST_S = 3600
_SAME_S = 0.1
"""Seconds in which all who are turned away hear the same: they may be hundreds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be in the service at a time. A request is held against what is ahead of it, not against its own size.

    So one of any size is taken by an idle service, and none is refused for ever.
    """

    requests: int
    """Of all models; shared equally between those that are asked for more."""
    rows: int
    """Of a model, that have not begun."""
    size: int
    """Bytes of bodies; shared as requests are."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one more request cannot be taken now, and in how many seconds it might be."""

    message: str
    retry_after_s: int

    def error(self) -> QueueFull:
        """To be raised: a new one for each who is refused."""
        return QueueFull(self.message, self.retry_after_s)


class Lines:
    """Requests that were taken and are not answered yet, in a line for each model and one for those without."""

    def __init__(self, pool: RowPool, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.pool, self.limits = pool, limits
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._taken = 0
        self._holding: dict[Passage, int] = {}
        self._size = 0
        self._refused, self._told, self._turned_away = 0, -math.inf, -math.inf

    def passage(self) -> "Passage":
        """Of one request."""
        return Passage(self.pool, self)

    def rows(self) -> dict[str, int]:
        """That have not begun, by model."""
        return {name: line.rows() for name, line in self._lines.items()}

    def requests(self) -> dict[str, int]:
        """By model."""
        return {name: len(line.passages) for name, line in self._lines.items()}

    def size(self) -> int:
        """Bytes of their bodies."""
        return self._size

    @property
    def turning_away(self) -> bool:
        """Whether somebody was just now."""
        return self._clock() < self._turned_away + _SAME_S

    def full(self, model: str, coming: int = 0) -> Refusal | None:
        """Why one more could not enter the line of `model` now, behind those that are `coming`, if so."""
        line = self._line(model)
        active = sum(bool(each.passages) for each in self._lines.values() if each is not line) + 1
        most, ahead = self.limits.requests, len(line.passages) + coming
        if self._taken + coming >= most and ahead * active >= most:
            return self._refusal(model, f"{ahead} requests are ahead")
        return self._behind(model, line.rows())

    def enter(self, passage: "Passage", model: str) -> None:
        """Put it into the line of `model`, out of the one it was in. Raises QueueFull, and then it is in none."""
        line = self._line(model)
        if passage in line.passages:
            refusal = self._behind(model, line.rows() - passage.waiting)
        else:
            self.leave(passage)
            refusal = self.full(model)
        if refusal is not None:
            self.leave(passage)
            raise refusal.error()
        if passage not in line.passages:
            line.note(self._clock())
            line.passages.add(passage)
            self._taken += 1
            passage.line = model

    def hold(self, passage: "Passage", size: int) -> None:
        """Count `size` bytes more of its body. Raises QueueFull."""
        held, others = self._holding.get(passage, 0) + size, len(self._holding) - (passage in self._holding)
        if others and self._size + size > self.limits.size and held * (others + 1) > self.limits.size:
            refusal = self._refusal(passage.line, f"bodies of {self._size} bytes are in hand")
            raise refusal.error()
        self._holding[passage] = held
        self._size += size

    def leave(self, passage: "Passage") -> None:
        """Take it out of its line, and what is left of its rows."""
        line = self._lines.get(passage.line)
        if line is not None and passage in line.passages:
            line.note(self._clock())
            line.forget(passage)
            self._taken -= 1

    def let_go(self, passage: "Passage") -> None:
        """Its body is no more."""
        self._size -= self._holding.pop(passage, 0)

    def _line(self, model: str) -> "_Line":
        if model not in self._lines:
            self._lines[model] = _Line()
        return self._lines[model]

    def _behind(self, model: str, rows: int) -> Refusal | None:
        return self._refusal(model, f"{rows} rows are ahead") if rows >= self.limits.rows else None

    def _refusal(self, model: str, why: str) -> Refusal:
        now, line, why = self._clock(), self._line(model), f"{model}: {why}" if model else why
        self._refused += 1
        self._turned_away = now
        if now >= self._told + 1:
            log.warning("requests turned away since this was told last: %d; %s", self._refused, why)
            self._told, self._refused = now, 0
        if line.refusal is None or now >= line.refused + _SAME_S:
            seconds = min(_LONGEST_S, max(1, math.ceil(line.wait_s(now))))
            line.refusal, line.refused = Refusal(f"{why}; expected again in {seconds} s", seconds), now
        return line.refusal


class _Line:
    """Of one model. What it gets done is measured while somebody is in it."""

    def __init__(self) -> None:
        self.passages: set[Passage] = set()
        self.refusal: Refusal | None = None
        self.refused = 0.0
        self._since = 0.0
        self._seconds = self._done = 0.0

    def rows(self) -> int:
        return sum(each.waiting for each in self.passages)

    def note(self, now: float) -> None:
        """That time has gone by."""
        if self.passages:
            self._seconds += now - self._since
        self._since = now

    def forget(self, passage: "Passage") -> None:
        self._done += passage.begun
        self.passages.remove(passage)
        if self._seconds > _MEASURED_S:
            self._seconds, self._done = self._seconds / 2, self._done / 2

    def wait_s(self, now: float) -> float:
        """Seconds until the rows that wait now are done, at the rate of late; 0 while there is none."""
        self.note(now)
        done = self._done + sum(each.begun for each in self.passages)
        return self.rows() * self._seconds / done if done else 0.0


class Passage(Caller):
    """A request on its way through the service, or work that no request asked for: then nothing bounds it."""

    def __init__(self, pool: RowPool, lines: Lines | None = None) -> None:
        super().__init__()
        self._pool, self._lines = pool, lines
        self._expected = 0
        self._arrived = 0.0
        self._limit: asyncio.Timeout | None = None
        self.allowed_s = math.inf

    @property
    def threads(self) -> int:
        return self._pool.threads

    @property
    def waiting(self) -> int:
        """Rows that have not begun."""
        return max(0, self._expected - self.begun)

    def enter(self, model: str, rows: int) -> None:
        """Stand in line for `model`, to have so many rows computed, as far as is known. Raises QueueFull."""
        if self._lines is not None:
            self._lines.enter(self, model)
        self.expect(rows)

    def expect(self, rows: int) -> None:
        """How many there will be, once it is known better."""
        self._expected = rows

    def limited(self, seconds: float) -> asyncio.Timeout:
        """A context that is left by TimeoutError after so many seconds, or after those of `within`."""
        self._arrived, self.allowed_s = asyncio.get_running_loop().time(), seconds
        self._limit = asyncio.timeout_at(self._arrived + seconds)
        return self._limit

    def within(self, milliseconds: float | None) -> None:
        """From its arrival on, an answer is wanted in this time, or as late as the service allows."""
        if self._limit is not None and milliseconds is not None and milliseconds / 1000 < self.allowed_s:
            self.allowed_s = milliseconds / 1000
            self._limit.reschedule(self._arrived + self.allowed_s)

    def hold(self, size: int) -> None:
        """Have `size` bytes more of a body. Raises QueueFull."""
        if self._lines is not None:
            self._lines.hold(self, size)

    def leave(self) -> None:
        """It is answered, or nobody waits for it any more."""
        if self._lines is not None:
            self._lines.leave(self)
            self._lines.let_go(self)

    async def run(
        self, session: Session, inputs: Arrays, names: Sequence[str] | None = None, fill: int = 0
    ) -> dict[str, NDArray[Any]]:
        """As RowPool.run."""
        self._hand_over(len(next(iter(inputs.values()))))
        return await self._pool.run(self, session, inputs, names, fill)

    async def spread(self, jobs: Sequence[Callable[[], T]], rows: Sequence[int]) -> list[T]:
        """As RowPool.spread."""
        self._hand_over(sum(rows))
        return await self._pool.spread(self, jobs, rows)

    def _hand_over(self, rows: int) -> None:
        self._expected = max(self._expected, self.begun + rows)
