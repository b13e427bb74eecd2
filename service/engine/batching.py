"""Rows over the cores: the pool that every graph runs in."""

import asyncio
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from service.engine.session import Arrays, Session

T = TypeVar("T")

CHUNK = 8
"""Rows of one job: few enough that a single row never waits long behind a large request."""


class RowPool:
    """As many threads as cores, each running one chunk of rows at a time.

    On a CPU a batch buys nothing, so a request's rows are spread over the threads. A request holds at most
    one job per thread at a time: one with thousands of rows takes turns with the others.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or usable_cpus()
        self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="seqcast-rows")

    async def run(
        self, session: Session, inputs: Arrays, names: Sequence[str] | None = None
    ) -> dict[str, NDArray[Any]]:
        """Tensors by name, B rows each -> outputs by name, B rows each, in the same order: all, or `names`."""
        rows = len(next(iter(inputs.values())))
        size = max(1, min(CHUNK, math.ceil(rows / self.threads)))
        chunks = [
            {name: tensor[start : start + size] for name, tensor in inputs.items()} for start in range(0, rows, size)
        ]
        results = await self.spread([partial(session.run, chunk, names) for chunk in chunks or [dict(inputs)]])
        if len(results) == 1:
            return results[0]
        return {name: np.concatenate([each[name] for each in results]) for name in results[0]}

    async def spread(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Run the jobs, no more than one a thread at a time; their results in order."""
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


def usable_cpus(cgroup: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The CPUs of this process's affinity, or fewer if its container's quota (cgroup v2) is less."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = cgroup.read_text().split()
    except OSError:
        return cpus
    return cpus if quota == "max" else max(1, min(cpus, round(int(quota) / int(period))))
