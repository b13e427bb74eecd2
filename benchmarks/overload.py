"""What happens to a service that is asked for ten times what it can do: answers, latency, throughput, memory.

    .venv/bin/python -m benchmarks.overload [--bundles DIR --model NAME --series 1 --turns 3]

A turn measures what sixteen clients can get at most, then sends requests at Poisson times: .8, 1 and 10 times as many,
and ends with the sixteen again, since other work on the machine makes it now quicker, now slower. The service has one
core and the clients another; ratios are of each turn's own figures, and their medians are held against the aims. Exits
with 1 if one is missed.
"""

import argparse
import json
import os
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.load import request_bytes, run_load
from benchmarks.open_load import OpenLoad, run_open_load
from benchmarks.served import Served, served
from service.engine.repository import Repository
from service.engine.session import CPU
from service.forecaster import sample_request

CLIENTS = 16
SECONDS = {0.8: 30.0, 1.0: 15.0, 10.0: 60.0}
PEAK_S = 10.0
MOST_P99, LEAST_RATE, MOST_GROWTH = 3.0, 0.95, 0.02
"""Aims: 99th percentile of those answered over that at .8, answers a second over the most, and memory's growth."""


@dataclass
class Turn:
    """One turn's figures; `loads` by how many times the peak was asked for."""

    peaks: list[float]
    loads: dict[float, OpenLoad]
    cpu: dict[float, float]
    """Of a core, that the service took."""
    memory_mib: list[float]
    """Second by second, of the overload."""

    @property
    def peak(self) -> float:
        return statistics.mean(self.peaks)

    def rate(self, times: float) -> float:
        """Answered a second."""
        load = self.loads[times]
        return len(load.of(200)) / load.seconds

    def p99(self, times: float) -> float:
        return float(np.percentile(self.loads[times].of(200), 99))

    @property
    def growth(self) -> float:
        """From the overload's second quarter to its last."""
        quarter = len(self.memory_mib) // 4
        before = statistics.median(self.memory_mib[quarter : 2 * quarter])
        return statistics.median(self.memory_mib[-quarter:]) / before - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--model", default="etth1-informer")
    parser.add_argument("--series", type=int, default=1, help="of a request")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--shorter", type=float, default=1, help="so many times, for a first look")
    arguments = parser.parse_args()

    repository = Repository([arguments.bundles], CPU)
    repository.load()
    body = sample_request(repository.served.get(arguments.model))
    body["series"] *= arguments.series
    request = request_bytes("/forecast", json.dumps(body).encode())
    cores = sorted(os.sched_getaffinity(0))
    turns = []
    with on_core(cores[0]), served(arguments.bundles) as service, on_core(cores[-1]):
        run_load(service.host, service.port, [request], CLIENTS, 3)  # warm
        for seed in range(arguments.turns):
            turns.append(_turn(service, request, seed, arguments.shorter))
            _print_turn(turns[-1])
    missed = _judge(turns)
    print(f"missed: {', '.join(missed)}" if missed else "no aim is missed")
    sys.exit(bool(missed))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started within runs there alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _turn(service: Served, request: bytes, seed: int, shorter: float) -> Turn:
    def peak() -> float:
        return run_load(service.host, service.port, [request], CLIENTS, PEAK_S / shorter).rate

    turn = Turn([peak()], {}, {}, [])
    for times, seconds in SECONDS.items():
        cpu = service.cpu_seconds()
        with _memory(service, turn.memory_mib if times == max(SECONDS) else []):
            rate = times * turn.peaks[0]
            load = run_open_load(service.host, service.port, [request], rate, seconds / shorter, seed)
        turn.loads[times], turn.cpu[times] = load, (service.cpu_seconds() - cpu) / load.seconds
    turn.peaks.append(peak())
    return turn


@contextmanager
def _memory(service: Served, into: list[float]) -> Iterator[None]:
    """Once a second."""
    over = threading.Event()

    def measure() -> None:
        while not over.wait(1):
            into.append(service.memory_mib())

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _print_turn(turn: Turn) -> None:
    print(f"most: {turn.peaks[0]:.0f} answers/s before, {turn.peaks[1]:.0f} after, with {CLIENTS} clients")
    for times, load in turn.loads.items():
        told = f"{times:4g} x: {turn.rate(times):5.0f} answers/s ({turn.rate(times) / turn.peak:.2f} of the most)"
        p50, p99 = np.percentile(load.of(200), [50, 99])
        told += f", p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        refused = load.of(429)
        if len(refused):
            told += f"; {len(refused) / load.seconds:.0f} times 429/s, p99 {np.percentile(refused, 99):.0f} ms"
        told += f"; CPU {turn.cpu[times]:.2f}, of the clients {load.cpu_seconds / load.seconds:.2f}"
        told += f", who were late by {1000 * np.percentile(load.lags, 99):.0f} ms (p99)"
        print(told + "".join(f"; {what}: {count}" for what, count in load.wrong.items()))
    print(f"memory {turn.memory_mib[0]:.0f} MiB at first, {turn.memory_mib[-1]:.0f} at last", flush=True)


def _judge(turns: list[Turn]) -> list[str]:
    """Aims that are missed."""
    wrong: Counter[str] = sum((load.wrong for turn in turns for load in turn.loads.values()), Counter())
    p99, rate, growth = (
        statistics.median(values)
        for values in (
            [turn.p99(10.0) / turn.p99(0.8) for turn in turns],
            [turn.rate(10.0) / turn.peak for turn in turns],
            [turn.growth for turn in turns],
        )
    )
    print(f"medians of {len(turns)} turns: p99 at 10 x over p99 at .8 x: {p99:.2f} (aim: at most {MOST_P99:g});")
    print(f"answers/s at 10 x over the most: {rate:.2f} (aim: at least {LEAST_RATE:g}); memory {growth:+.1%}")
    aims = {
        "every answer is 200 or 429 with Retry-After": not wrong,
        "p99": p99 <= MOST_P99,
        "answers/s": rate >= LEAST_RATE,
        "memory": growth <= MOST_GROWTH,
    }
    return [aim for aim, reached in aims.items() if not reached]


if __name__ == "__main__":
    main()
