"""Rows over the cores, in turns: the pool that every graph runs in."""

import asyncio
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from contract.errors import GraphFailed
from service.engine.session import Arrays, Session
from service.tally import tally

T = TypeVar("T")
Observe = Callable[[str, int], None]
"""Hears of rows that went through a model together: the line's name, and how many."""

CGROUP = Path("/sys/fs/cgroup")
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Where cgroup v2 and v1 have a quota and its period, in microseconds."""
CHUNK = 8
"""Rows that a thread takes at a time, at most."""
CHUNK_S = 0.01
"""Seconds of CPU that they take, about, if one row does not take longer: so long a single row waits for each large
request."""
VARYING_S = 0.1
"""The same for graphs that go token by token: a row by itself takes more than twice what one among eight does."""
_RECENT = 0.2
"""How much the latest rows count in how long a row takes."""
_LARGE = 64
"""Rows from which on joining them would hold up the loop."""


@dataclass(slots=True, eq=False)
class Caller:
    """Whose rows they are. Those of one line take turns with each other, and lines do."""

    line: str = ""
    begun: int = 0
    """Rows that a thread has begun."""


@dataclass(slots=True)
class Part:
    """Rows of one work that run in one piece: its place among the parts of that work."""

    work: "Work"
    place: int
    rows: int


@dataclass(slots=True)
class Piece:
    """What a thread runs at a time; `call` gives what came of each part, which may be an error."""

    parts: list[Part]
    call: Callable[[], Sequence[Any]]
    gathered: bool = False


class Work:
    """What was handed to the pool at once: jobs of so many rows each, that any thread takes one after the other."""

    def __init__(self, caller: Caller, jobs: Sequence[Callable[[], Any]], rows: Sequence[int]) -> None:
        self.caller = caller
        self._jobs, self._rows = jobs, rows
        self._next = 0
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[list[Any]] = self.loop.create_future()
        self._results: dict[int, Any] = {}
        self._running = 0
        self._over = False
        self.sizes: list[int] = []
        self.handed = time.perf_counter()
        self.began = self.ended = 0.0

    @property
    def more(self) -> bool:
        """Whether there is something left to take."""
        return not self._over and self._next < len(self._jobs)

    def take(self) -> Piece:
        """The next job."""
        place = self._next
        self._next += 1
        job = self._jobs[place]
        return Piece([self.begin(place, self._rows[place])], lambda: [job()])

    def begin(self, place: int, rows: int) -> Part:
        self.began = self.began or time.perf_counter()
        self.sizes.append(rows)
        self._running += 1
        self.caller.begun += rows
        return Part(self, place, rows)

    def end(self, place: int, result: Any) -> None:
        """A part's result, or the error that ends all of them."""
        self._running -= 1
        if self._over:
            return
        self._results[place] = result
        if isinstance(result, BaseException) or not (self.more or self._running):
            self._over = True
            self.ended = time.perf_counter()
            self.loop.call_soon_threadsafe(self._settle, result)

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self._over = True
        self.ended = self.ended or time.perf_counter()

    def _settle(self, last: Any) -> None:
        if self.future.done():
            return
        if isinstance(last, BaseException):
            self.future.set_exception(last)
        else:
            self.future.set_result([self._results[place] for place in sorted(self._results)])


class Rows(Work):
    """Rows through a session, cut as they are taken; a result is of the rows from its place on."""

    def __init__(self, caller: Caller, session: Session, inputs: Arrays, names: Sequence[str] | None) -> None:
        super().__init__(caller, (), ())
        self.session, self.inputs, self.names = session, inputs, tuple(names or ())
        self.rows = len(next(iter(inputs.values())))
        self._untaken = True

    @property
    def more(self) -> bool:
        return not self._over and (self._next < self.rows or self._untaken)

    @property
    def left(self) -> int:
        return self.rows - self._next

    def goes_with(self, other: "Rows") -> bool:
        """Whether one run does for both: through one graph, to the same outputs, whatever the company."""
        alike = other.session is self.session and other.names == self.names and not self.session.varying
        return alike or other is self

    def cut(self, most: int) -> "Cut":
        """The next rows, at most so many."""
        start = self._next
        self._next, self._untaken = min(self.rows, start + most), False
        inputs = {name: tensor[start : self._next] for name, tensor in self.inputs.items()}
        return self.begin(start, self._next - start), inputs


Cut = tuple[Part, dict[str, NDArray[Any]]]
"""Rows of one work, and their inputs."""


def ignore(line: str, rows: int) -> None:
    """Observes nothing."""


class RowPool:
    """As many threads as cores, each running a few rows at a time.

    On a CPU a large batch buys little, so a request's rows are spread over the threads; a few rows together take less
    than one by one, so those that wait for one graph when a thread is free go together. Whoever has rows takes turns:
    line after line, and in each caller after caller, so that one with thousands holds up no other. One whose rows a
    graph fails on hears of it alone: then each caller's rows are run again by themselves.
    """

    def __init__(self, threads: int | None = None, observe: Observe = ignore) -> None:
        self.threads = threads or usable_cpus()
        self._observe = observe
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="seqcast-rows")
        self._lock = threading.Lock()
        self._lines: OrderedDict[str, deque[Work]] = OrderedDict()  # whose turn it is first
        self._running = 0
        self._row_s: WeakKeyDictionary[Session, float] = WeakKeyDictionary()

    async def run(
        self, caller: Caller, session: Session, inputs: Arrays, names: Sequence[str] | None = None, fill: int = 0
    ) -> dict[str, NDArray[Any]]:
        """Tensors by name, B rows each -> outputs by name, B rows each, in the same order: all, or `names`.

        Rows are as long as the longest; to those that came shorter `fill` is added.
        """
        work = Rows(caller, session, inputs, names)
        parts: list[dict[str, NDArray[Any]]] = await self._through(work)
        if len(parts) == 1:
            return parts[0]
        return await asyncio.to_thread(_joined, parts, fill) if work.rows > _LARGE else _joined(parts, fill)

    async def spread(self, caller: Caller, jobs: Sequence[Callable[[], T]], rows: Sequence[int]) -> list[T]:
        """Run the jobs, of so many rows each; their results in order."""
        return await self._through(Work(caller, jobs, rows)) if jobs else []

    async def _through(self, work: Work) -> list[Any]:
        with self._lock:
            self._lines.setdefault(work.caller.line, deque()).append(work)
        self._fill()
        try:
            return await work.future
        finally:
            self._drop(work)
            tally().ran(work.handed, work.began or work.ended, work.ended, work.sizes)

    def _fill(self) -> None:
        """Give every thread that is free what is next."""
        pieces = []
        with self._lock:
            while self._running < self.threads and (piece := self._next()) is not None:
                self._running += 1
                pieces.append(piece)
        for piece in pieces:
            self._executor.submit(self._work, piece)

    def _next(self) -> Piece | None:
        """Of the line whose turn it is, the caller whose turn it is, and those whose rows go with his."""
        if not self._lines:
            return None
        name, line = next(iter(self._lines.items()))
        first = line[0]
        if isinstance(first, Rows):
            others = (each for each in islice(line, CHUNK * self.threads) if isinstance(each, Rows))
            mates = [each for each in others if each.goes_with(first)]
            return self._gather(name, mates, self._most(mates))
        line.popleft()
        piece = first.take()
        if first.more:
            line.append(first)
        self._turn(name)
        return piece

    def _gather(self, name: str, mates: Sequence[Rows], room: int) -> Piece:
        """Of a batch each caller has the same share, and what some do not need goes to those who have more."""
        line, mates = self._lines[name], mates[:room]
        shares: list[int] = []
        for each in mates:
            shares.append(min(each.left, (room - sum(shares)) // (len(mates) - len(shares))))
        for index, each in enumerate(mates):
            shares[index] += min(each.left - shares[index], room - sum(shares))
        cuts = [each.cut(share) for each, share in zip(mates, shares, strict=True)]
        for each in mates:
            line.remove(each)
            if each.more:
                line.append(each)
        self._turn(name)
        return Piece([part for part, _ in cuts], partial(self._run, mates[0].session, cuts, mates[0].names))

    def _run(self, session: Session, cuts: Sequence[Cut], names: Sequence[str]) -> list[Any]:
        """What came of each."""
        try:
            outputs = session.run(self._batch(session, [inputs for _, inputs in cuts]), names)
        except GraphFailed as error:
            if len(cuts) == 1:
                return [error]
            return [each for cut in cuts for each in self._run(session, [cut], names)]
        ends = list(accumulate(part.rows for part, _ in cuts))
        starts = [0, *ends[:-1]]
        return [
            {name: output[start:end] for name, output in outputs.items()}
            for start, end in zip(starts, ends, strict=True)
        ]

    def _batch(self, session: Session, parts: Sequence[Arrays]) -> Arrays:
        """The rows of all."""
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _turn(self, name: str) -> None:
        """It is the next line's."""
        if self._lines[name]:
            self._lines.move_to_end(name)
        else:
            del self._lines[name]

    def _most(self, mates: Sequence[Rows]) -> int:
        """Rows to take at a time: a share for each thread, of single rows twice that, and no more than are quick."""
        session = mates[0].session
        seconds = VARYING_S if session.varying else CHUNK_S
        quick = int(seconds / self._row_s[session]) if session in self._row_s else CHUNK
        share = max(sum(each.rows for each in mates), 2 * len(mates)) / self.threads
        return max(1, min(CHUNK, quick, math.ceil(share)))

    def _work(self, piece: Piece | None) -> None:
        """A thread's part, until nothing waits."""
        while piece is not None:
            results = self._timed(piece)
            with self._lock:
                self._end(piece, results)
                following = self._next()
                self._running -= following is None
            self._fill()
            self._observe(piece.parts[0].work.caller.line, sum(part.rows for part in piece.parts))
            piece = following

    def _timed(self, piece: Piece) -> Sequence[Any]:
        # of the thread's own time: on a busy machine rows would seem slow, be taken one by one, and be slower for it
        began = time.thread_time()
        try:
            results = piece.call()
        except BaseException as error:  # noqa: BLE001 its callers', as every result
            results = [error] * len(piece.parts)
        work, rows = piece.parts[0].work, sum(part.rows for part in piece.parts)
        if isinstance(work, Rows) and rows:
            row_s = (time.thread_time() - began) / rows
            self._row_s[work.session] = row_s + (1 - _RECENT) * (self._row_s.get(work.session, row_s) - row_s)
        return results

    def _end(self, piece: Piece, results: Sequence[Any]) -> None:
        for part, result in zip(piece.parts, results, strict=True):
            part.work.end(part.place, result)
            if isinstance(result, BaseException):
                self._remove(part.work)

    def _drop(self, work: Work) -> None:
        """What has not begun never will."""
        with self._lock:
            work.drop()
            self._remove(work)

    def _remove(self, work: Work) -> None:
        line = self._lines.get(work.caller.line)
        if line is not None and work in line:
            line.remove(work)
            if not line:
                del self._lines[work.caller.line]

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._executor.shutdown()


def _joined(parts: Sequence[dict[str, NDArray[Any]]], fill: int) -> dict[str, NDArray[Any]]:
    return {name: _concatenated([part[name] for part in parts], fill) for name in parts[0]}


def _concatenated(parts: Sequence[NDArray[Any]], fill: int) -> NDArray[Any]:
    """Rows of all parts; rows of (T,) differ in length from part to part where a graph decides itself when to stop."""
    lengths = {part.shape[1:] for part in parts}
    if len(lengths) > 1:
        longest = tuple(max(sizes) for sizes in zip(*lengths, strict=True))
        parts = [
            np.pad(
                part,
                [(0, 0), *((0, most - size) for size, most in zip(part.shape[1:], longest, strict=True))],
                constant_values=fill,
            )
            for part in parts
        ]
    return np.concatenate(parts)


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """The CPUs of this process's affinity, or fewer if its container's quota is less."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, round(quota)))


def cpu_quota(cgroup: Path = CGROUP) -> float | None:
    """How many CPUs' time its container gives this process, if it limits it."""
    for files in _QUOTAS:
        try:
            quota, period = " ".join((cgroup / file).read_text() for file in files).split()
        except OSError:
            continue
        return None if quota in ("max", "-1") else int(quota) / int(period)
    return None
