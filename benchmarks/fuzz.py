"""Hostile bodies to a running service: whether any gives a 5xx or hangs, and whether memory stays flat.

    .venv/bin/python -m benchmarks.fuzz [--bodies 50000 --seed 1]

The service is a process of its own with the tiny bundles of the tests and its default limits. Bodies are made by
hypothesis (tests/service/hostile), as many for each route and kind, in rounds with seeds of their own, and sent one
after the other; one that fails is made smaller and printed. Memory (PSS) is read after each round.
"""

import argparse
import json
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyFailure
from hypothesis.strategies import SearchStrategy

from benchmarks.served import Served, served
from tests.service.hostile.requests import targets
from tests.service.hostile.wire import Hostile, Sender, wrong

TESTS = Path(__file__).parents[1] / "tests"
ROUNDS = 20
SLOW_S = 1.0


class Wrong(Exception):
    """An answer that no request should get, or none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="routes and kinds with this in their name")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundles = Path(folder)
        for path in TESTS.glob("*/*/1/manifest.json"):
            (bundles / path.parents[1].name).symlink_to(path.parents[1])
        with served(bundles) as service:
            samples = {path.name: _sample(service, path.name) for path in bundles.iterdir()}
            strategies = {name: each for name, each in targets(bundles, samples).items() if arguments.only in name}
            fuzz = Fuzz(service)
            each = -(-arguments.bodies // ROUNDS // len(strategies))
            for turn in range(ROUNDS):
                for name, strategy in strategies.items():
                    fuzz.run(name, strategy, each, arguments.seed * ROUNDS + turn)
                print(f"{len(fuzz.seconds)} bodies, {service.memory_mib():.0f} MiB", flush=True)
            fuzz.report()
    sys.exit(1 if fuzz.failures else 0)


def _sample(service: Served, name: str) -> dict:
    with urllib.request.urlopen(f"http://{service.host}:{service.port}/models/{name}/sample") as answer:
        return json.load(answer)


class Fuzz:
    """Sends, and counts what comes."""

    def __init__(self, service: Served) -> None:
        self._sender = Sender(service.host, service.port)
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._slow: list[tuple[float, str]] = []
        self.seconds: list[float] = []
        self.failures = 0

    def run(self, name: str, strategy: SearchStrategy[Hostile], bodies: int, number: int) -> None:
        @seed(number)
        @settings(
            max_examples=bodies,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(strategy)
        def send(request: Hostile) -> None:
            answer = self._sender.send(request)
            self._statuses[name, answer.status] += 1
            self.seconds.append(answer.seconds)
            if answer.seconds > SLOW_S:
                self._slow.append((answer.seconds, repr(request)))
            complaint = wrong(request, answer)
            if complaint is not None:
                raise Wrong(f"{complaint}\n{request}")

        try:
            send()
        except (Wrong, TimeoutError, FlakyFailure) as error:
            self.failures += 1
            print(f"{name}, seed {number}: {type(error).__name__} {error}", flush=True)

    def report(self) -> None:
        for name in dict.fromkeys(name for name, _ in self._statuses):
            counts = sorted((status, count) for (each, status), count in self._statuses.items() if each == name)
            print(f"{name}: {', '.join(f'{count} x {status}' for status, count in counts)}")
        self.seconds.sort()
        p999 = self.seconds[int(0.999 * len(self.seconds))]
        print(f"{len(self.seconds)} bodies, {self.failures} failures; 0 is an answer that a lie about the length cost")
        print(f"p99.9 {p999:.2f} s, slowest {self.seconds[-1]:.2f} s")
        for seconds, request in sorted(self._slow, reverse=True)[:10]:
            print(f"{seconds:.2f} s: {request}")


if __name__ == "__main__":
    main()
