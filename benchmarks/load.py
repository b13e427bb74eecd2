"""A closed-loop HTTP load generator that costs little of the cores it shares with the service.

Each client keeps one connection and sends its next request when the last is answered. Requests are bytes made
beforehand, and answers are only counted: a client library would take longer than the service's own front end.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import uvloop


@dataclass(frozen=True)
class Load:
    """What `clients` clients saw in `seconds`."""

    clients: int
    seconds: float
    latencies: list[float]
    failures: int

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent)) * 1000


def request_bytes(path: str, body: bytes) -> bytes:
    head = ("host: localhost", "content-type: application/json", f"content-length: {len(body)}")
    return "\r\n".join((f"POST {path} HTTP/1.1", *head, "", "")).encode() + body


def run_load(host: str, port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    return uvloop.run(_load(host, port, requests, clients, seconds))


async def _load(host: str, port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Load:
    latencies: list[float] = []
    failures = 0
    started = time.perf_counter()
    end = started + seconds

    async def client(index: int) -> None:
        nonlocal failures
        reader, writer = await asyncio.open_connection(host, port)
        turn = index * 7919  # clients start at different windows
        while (sent := time.perf_counter()) < end:
            writer.write(requests[turn % len(requests)])
            turn += 1
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_content_length(head))
            except (asyncio.IncompleteReadError, ConnectionError):  # some proxies hang up between requests
                failures += 1
                reader, writer = await asyncio.open_connection(host, port)
                continue
            if head.startswith(b"HTTP/1.1 200"):
                latencies.append(time.perf_counter() - sent)
            else:
                failures += 1
        writer.close()

    await asyncio.gather(*(client(index) for index in range(clients)))
    return Load(clients, time.perf_counter() - started, latencies, failures)


def _content_length(head: bytes) -> int:
    lower = head.lower()
    start = lower.index(b"content-length:") + len(b"content-length:")
    return int(lower[start : lower.index(b"\r\n", start)])
