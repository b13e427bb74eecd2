"""Rows over the cores: the pool that every graph runs in."""

import asyncio
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.engine.session import Arrays, Session

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
        loop = asyncio.get_running_loop()
        rows = len(next(iter(inputs.values())))
        if rows <= 1:
            return await loop.run_in_executor(self._executor, session.run, inputs, names)
        size = min(CHUNK, math.ceil(rows / self.threads))
        starts = range(0, rows, size)
        results: dict[int, dict[str, NDArray[Any]]] = {}
        waiting = iter(starts)

        async def lane() -> None:
            for start in waiting:
                chunk = {name: tensor[start : start + size] for name, tensor in inputs.items()}
                results[start] = await loop.run_in_executor(self._executor, session.run, chunk, names)

        try:
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(self.threads, len(starts))):
                    lanes.create_task(lane())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # as one row would: the caller need not know of lanes
        return {name: np.concatenate([results[start][name] for start in starts]) for name in results[0]}

    async def run_whole(self, session: Session, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """The same as one batch, for a graph whose rows gain from each other's company."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, session.run, inputs)

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
