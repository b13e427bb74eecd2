"""POST /forecast while one new version after the other comes, and while none does, in turn.

.venv/bin/python -m benchmarks.swaps --bundle bundles/etth1-informer/1
"""

import argparse
import json
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from benchmarks.load import Load, request_bytes, run_load
from benchmarks.served import Served, served
from contract.bundle import MANIFEST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=Path("bundles/etth1-informer/1"), help="a bundle's version")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--turns", type=int, default=8)
    arguments = parser.parse_args()
    name = arguments.bundle.parent.name
    with tempfile.TemporaryDirectory() as made:
        shutil.copytree(arguments.bundle, Path(made, name, "1"))
        variables = {"SEQCAST_WATCH_S": "0.2", "SEQCAST_VERSIONS": "1"}
        with served(Path(made), **variables) as service:
            swaps = _Swaps(Path(made, name), service)
            body = _get(service, f"/models/{name}/sample")
            requests = [request_bytes("/forecast", body)]
            run_load(service.host, service.port, requests, arguments.clients, 2)
            before = service.memory_mib()
            alone, beside = [], []
            for _ in range(arguments.turns):
                alone.append(run_load(service.host, service.port, requests, arguments.clients, arguments.seconds))
                with swaps:
                    beside.append(run_load(service.host, service.port, requests, arguments.clients, arguments.seconds))
            _tell("no swaps", alone)
            _tell(f"{swaps.count} swaps", beside)
            print(f"{before:.0f} MiB before, {service.memory_mib():.0f} after")


class _Swaps:
    """Within it, a copy of the newest version takes its place, and when it is served the next one comes."""

    def __init__(self, folder: Path, service: Served) -> None:
        self._folder, self._service = folder, service
        self.count = 0

    def __enter__(self) -> None:
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._bring)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _bring(self) -> None:
        while not self._end.is_set():
            version = self.count + 1
            draft = shutil.copytree(self._folder / str(version), self._folder / ".draft")
            manifest = json.loads((draft / MANIFEST).read_text())
            (draft / MANIFEST).write_text(json.dumps({**manifest, "version": version + 1}))
            draft.rename(self._folder / str(version + 1))
            while json.loads(_get(self._service, "/models"))["models"][0]["version"] == version:
                time.sleep(0.1)
            shutil.rmtree(self._folder / str(version))
            self.count += 1


def _tell(label: str, loads: list[Load]) -> None:
    """Medians of the turns."""
    rate = statistics.median(load.rate for load in loads)
    middle, late = (statistics.median(load.percentile_ms(percent) for load in loads) for percent in (50, 99))
    requests, failures = sum(len(load.latencies) for load in loads), sum(load.failures for load in loads)
    print(f"{label}: {rate:.0f} a second, p50 {middle:.1f} ms, p99 {late:.1f} ms; {failures} of {requests} failed")


def _get(service: Served, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{service.host}:{service.port}{path}") as answer:
        return answer.read()


if __name__ == "__main__":
    main()
