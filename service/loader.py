"""The thread that looks for versions and loads them."""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from contract.errors import NotReady
from service.engine.repository import Repository

log = logging.getLogger(__name__)

Change = Callable[[Repository], None]

NICE = 10
"""Of the thread: beside requests it gets a tenth of a core."""
STALL_S = 60.0
"""Seconds after which who waits for his turn is refused, and what the thread is at is told of."""
_FAREWELL_S = 3.0
SLOW_S = 10.0
"""Between two looks at what holds up the start."""


def load_at_start(repository: Repository) -> None:
    """And tell of folders that it waits for, where nobody can be answered yet, nor the wait be ended."""
    loaded = threading.Event()

    def tell() -> None:
        told = ""
        while not loaded.wait(SLOW_S):
            if told != repository.at:
                told = repository.at
                log.warning("not started yet: %s is being read or loaded", told)

    threading.Thread(target=tell, name="seqcast-start", daemon=True).start()
    try:
        repository.load()
    finally:
        loaded.set()


class Loader:
    """Changes a repository, one change after the other. Its thread alone does, once the service has started.

    The end of the process does not wait for it, as for those of executors: a file system can hold it for ever.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._changes: SimpleQueue[tuple[Future[None], Change] | None] = SimpleQueue()
        self._began: float | None = None
        self._thread = threading.Thread(target=self._work, name="seqcast-loader", daemon=True)
        self._thread.start()

    def busy_s(self) -> float:
        """For how long it has been at one change; 0 if at none."""
        began = self._began
        return 0.0 if began is None else time.monotonic() - began

    def stall(self) -> str | None:
        """What it has been at for too long, if it has."""
        seconds = self.busy_s()
        if seconds <= STALL_S:
            return None
        return f"no versions are looked for: {self.repository.at} has been read or loaded for {seconds:.0f} s"

    async def run(self, change: Change) -> None:
        """Raises what `change` does, and NotReady if it could not be begun."""
        if (stall := self.stall()) is not None:
            raise NotReady(stall)
        future: Future[None] = Future()
        self._changes.put((future, change))
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait([waiting], timeout=STALL_S)
        if not done and future.cancel():
            raise NotReady(self.stall() or f"no versions are looked for: {STALL_S:.0f} s were not enough")
        if not done and (stall := self.stall()) is not None:
            log.error(stall)
        await waiting

    async def close(self) -> None:
        """What has not begun never will; what runs is waited for a little."""
        while not self._changes.empty():
            if (waiting := self._changes.get()) is not None and waiting[0].set_running_or_notify_cancel():
                waiting[0].set_exception(NotReady("the service ends"))
        self._changes.put(None)
        # a thread that comes back from ONNX Runtime while the interpreter ends would abort the process
        await asyncio.to_thread(self._thread.join, _FAREWELL_S)

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere a priority is the whole process's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while (waiting := self._changes.get()) is not None:
            self._run(*waiting)
            del waiting  # which holds what it loaded

    def _run(self, future: "Future[None]", change: Change) -> None:
        if not future.set_running_or_notify_cancel():
            return
        error: BaseException | None = None
        self._began = time.monotonic()
        try:
            change(self.repository)
        except BaseException as raised:  # noqa: BLE001 it is raised where the change was asked for
            error = raised
        self._began = None
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
