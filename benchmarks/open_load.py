"""An open-loop HTTP load generator: requests come when they come, whether the service keeps up or not.

Latency counts from when a request was due, so that one that had to wait for the generator or for a connection is not
taken for a quick one. Requests are bytes made beforehand; runs in a process of its own.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
import uvloop

MOST_CONNECTIONS = 4000
_RETRY_AFTER = re.compile(rb"\r\nretry-after: ([1-9]\d*)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass
class OpenLoad:
    """What came of requests at `rate` a second for `seconds`: a row for each, in the order of their answers."""

    rate: float
    seconds: float
    due: list[float] = field(default_factory=list)
    """Seconds from the beginning."""
    latencies: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    """What no answer may be, and how often it was."""
    lags: list[float] = field(default_factory=list)
    """Seconds from when each was due until it was sent: those of the generator, not of the service."""
    cpu_seconds: float = 0.0
    """Of the generator."""

    def of(self, status: int) -> np.ndarray:
        """Latencies in ms."""
        return 1000 * np.array(self.latencies)[np.array(self.statuses) == status]


def run_open_load(host: str, port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int) -> OpenLoad:
    """Poisson arrivals."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_run, host, port, requests, rate, seconds, seed).result()


def _run(host: str, port: int, requests: Sequence[bytes], rate: float, seconds: float, seed: int) -> OpenLoad:
    return uvloop.run(_Generator(host, port, requests, OpenLoad(rate, seconds), seed).run())


class _Generator:
    def __init__(self, host: str, port: int, requests: Sequence[bytes], load: OpenLoad, seed: int) -> None:
        self._host, self._port, self._requests, self._load = host, port, requests, load
        gaps = np.random.default_rng(seed).exponential(1 / load.rate, int(load.rate * load.seconds * 1.2) + 100)
        self._due = np.cumsum(gaps)
        self._due = self._due[self._due < load.seconds].tolist()
        self.idle: list[_Connection] = []
        self._connections: list[_Connection] = []
        self.open = 0
        self._began = 0.0

    async def run(self) -> OpenLoad:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(self._connect() for _ in range(64)))
        cpu, self._began = time.process_time(), time.perf_counter()
        for index, due in enumerate(self._due):
            while (wait := due - (time.perf_counter() - self._began)) > 0:
                await asyncio.sleep(wait)
            if not self.idle:
                if len(self._connections) < MOST_CONNECTIONS:
                    await self._connect()
                while not self.idle:
                    await asyncio.sleep(0.001)
            self.open += 1
            self._load.lags.append(time.perf_counter() - self._began - due)
            self.idle.pop().ask(self._requests[index % len(self._requests)], due)
        end = loop.time() + 30
        while self.open and loop.time() < end:
            await asyncio.sleep(0.01)
        if self.open:
            self._load.wrong["no answer within 30 s of the end"] += self.open
        self._load.cpu_seconds = time.process_time() - cpu
        for connection in self._connections:
            connection.close()
        return self._load

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: _Connection(self), self._host, self._port)
        self._connections.append(connection)
        self.idle.append(connection)

    def answered(self, connection: "_Connection", due: float, head: bytes) -> None:
        load, status = self._load, int(head[9:12])
        load.due.append(due)
        load.latencies.append(time.perf_counter() - self._began - due)
        load.statuses.append(status)
        if status == 429 and not _RETRY_AFTER.search(head):
            load.wrong["429 without Retry-After"] += 1
        elif status not in (200, 429):
            load.wrong[f"status {status}"] += 1
        self.open -= 1
        self.idle.append(connection)

    def broken(self) -> None:
        self.open -= 1
        self._load.wrong["connection closed without an answer"] += 1


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._due: float | None = None
        self._came = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._came += data
        end = self._came.find(b"\r\n\r\n") + 4
        if end < 4 or self._due is None:
            return
        head = self._came[:end]
        if len(self._came) >= end + int(_LENGTH.search(head)[1]):
            due, self._due, self._came = self._due, None, b""
            self._generator.answered(self, due, head)

    def connection_lost(self, error: Exception | None) -> None:
        if self._due is not None:
            self._due = None
            self._generator.broken()
        if self in self._generator.idle:
            self._generator.idle.remove(self)

    def close(self) -> None:
        self._transport.close()
