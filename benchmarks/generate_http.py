"""POST /generate: processor time a word, drawn and scored, and what 10,000 words do to a request for one.

.venv/bin/python -m benchmarks.generate_http
"""

import argparse
import json
import statistics
import threading
import time
import urllib.request
from pathlib import Path

from benchmarks.served import Served, served

TURNS = 5
LARGE = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--model", default="names-wavenet")
    arguments = parser.parse_args()
    with served(arguments.bundles) as service:
        words = [
            each["text"] for each in _post(service, {"model": arguments.model, "count": LARGE, "seed": 1})["generated"]
        ]
        print(f"{LARGE:,} words drawn have {statistics.mean(map(len, words)):.2f} characters")
        for count in (1, 10, 1000, LARGE):
            _tell(service, f"{count:,} drawn", {"model": arguments.model, "count": count, "seed": 1}, count)
        for count in (1, 1000, LARGE):
            _tell(service, f"{count:,} scored", {"model": arguments.model, "score": words[:count]}, count)
        _tell_beside(service, arguments.model)


def _tell(service: Served, label: str, body: dict, words: int) -> None:
    """Medians of TURNS: seconds of the service's processor time, and on the clock; small requests many at a time."""
    repeats = max(1, 200 // words)
    cpu, clock = [], []
    for _ in range(TURNS):
        before, started = service.cpu_seconds(), time.perf_counter()
        for _ in range(repeats):
            _post(service, body)
        cpu.append((service.cpu_seconds() - before) / repeats)
        clock.append((time.perf_counter() - started) / repeats)
    cpu_s, clock_s = statistics.median(cpu), statistics.median(clock)
    print(f"{label}: {cpu_s * 1e3:.2f} ms of CPU, {cpu_s / words * 1e6:.0f} us a word; {clock_s * 1e3:.1f} ms in all")


def _tell_beside(service: Served, model: str) -> None:
    """Requests for one word, alone and while another request draws LARGE."""
    one = {"model": model, "count": 1, "seed": 1}
    alone = [_clock(service, one) for _ in range(100)]
    beside: list[float] = []
    for _ in range(TURNS):
        large = threading.Thread(target=_post, args=(service, {"model": model, "count": LARGE, "seed": 1}))
        large.start()
        time.sleep(0.05)
        while large.is_alive():
            beside.append(_clock(service, one))
        large.join()
    for label, seconds in (("alone", alone), (f"beside {LARGE:,} drawn", beside[:-TURNS])):
        middle, late = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
        print(f"one word {label}: p50 {middle * 1e3:.1f} ms, p99 {late * 1e3:.1f} ms, {len(seconds)} requests")


def _clock(service: Served, body: dict) -> float:
    started = time.perf_counter()
    _post(service, body)
    return time.perf_counter() - started


def _post(service: Served, body: dict) -> dict:
    request = urllib.request.Request(
        f"http://{service.host}:{service.port}/generate",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 the service that was started here
        return json.loads(answer.read())


if __name__ == "__main__":
    main()
