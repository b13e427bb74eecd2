"""Rows over the cores: the pool that every graph runs in."""

import asyncio
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.engine.session import Arrays, Session
from service.tally import tally

T = TypeVar("T")

CGROUP = Path("/sys/fs/cgroup/cpu.max")
CHUNK = 8
"""Rows of one job: few enough that a single row never waits long behind a large request."""


class _Passage:
    """Jobs on their way through the pool, and how many rows each has."""

    def __init__(self, rows: Sequence[int]) -> None:
        self._rows = sum(rows)
        self._handed = time.perf_counter()
        self._began: list[tuple[float, int]] = []

    @property
    def waiting(self) -> int:
        """Rows of jobs that have not begun."""
        return self._rows - sum(rows for _, rows in self._began)

    def run(self, job: Callable[[], T], rows: int) -> T:
        self._began.append((time.perf_counter(), rows))
        return job()

    def note(self) -> None:
        """That all which will run has ended."""
        ended = time.perf_counter()
        began = self._began[0][0] if self._began else ended
        tally().ran(self._handed, began, ended, [rows for _, rows in self._began])


class RowPool:
    """As many threads as cores, each running one chunk of rows at a time.

    On a CPU a batch buys nothing, so a request's rows are spread over the threads. A request holds at most
    one job per thread at a time: one with thousands of rows takes turns with the others.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or usable_cpus()
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="seqcast-rows")
        self._passages: set[_Passage] = set()

    async def run(
        self, session: Session, inputs: Arrays, names: Sequence[str] | None = None, fill: int = 0
    ) -> dict[str, NDArray[Any]]:
        """Tensors by name, B rows each -> outputs by name, B rows each, in the same order: all, or `names`.

        Rows are as long as the longest; to those that came shorter `fill` is added.
        """
        rows = len(next(iter(inputs.values())))
        size = max(1, min(CHUNK, math.ceil(rows / self.threads)))
        chunks = [
            {name: tensor[start : start + size] for name, tensor in inputs.items()} for start in range(0, rows, size)
        ]
        chunks = chunks or [dict(inputs)]
        sizes = [len(next(iter(chunk.values()))) for chunk in chunks]
        results = await self.spread([partial(session.run, chunk, names) for chunk in chunks], sizes)
        if len(results) == 1:
            return results[0]
        return {name: _joined([each[name] for each in results], fill) for name in results[0]}

    async def spread(self, jobs: Sequence[Callable[[], T]], rows: Sequence[int]) -> list[T]:
        """Run the jobs, of so many rows each, no more than one a thread at a time; their results in order."""
        passage = _Passage(rows)
        self._passages.add(passage)
        try:
            return await self._spread([partial(passage.run, job, each) for job, each in zip(jobs, rows, strict=True)])
        finally:
            self._passages.remove(passage)
            passage.note()

    def waiting(self) -> int:
        """Rows that wait for a thread."""
        return sum(passage.waiting for passage in list(self._passages))

    async def _spread(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        loop = asyncio.get_running_loop()
        if len(jobs) == 1:
            return [await loop.run_in_executor(self._executor, jobs[0])]
        results: dict[int, T] = {}
        waiting = iter(enumerate(jobs))

        async def lane() -> None:
            for index, job in waiting:
                results[index] = await loop.run_in_executor(self._executor, job)

        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(self.threads, len(jobs))):
                    lanes.create_task(lane())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # as one job would: the caller need not know of lanes
        return [results[index] for index in range(len(jobs))]

    def close(self) -> None:
        """Wait for what runs, and end the threads."""
        self._executor.shutdown()


def _joined(parts: Sequence[NDArray[Any]], fill: int) -> NDArray[Any]:
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
    """The CPUs of this process's affinity, or fewer if its container's quota (cgroup v2) is less."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(cgroup)
    return cpus if quota is None else max(1, min(cpus, round(quota)))


def cpu_quota(cgroup: Path = CGROUP) -> float | None:
    """How many CPUs' time its container gives this process, if it limits it."""
    try:
        quota, period = cgroup.read_text().split()
    except OSError:
        return None
    return None if quota == "max" else int(quota) / int(period)
