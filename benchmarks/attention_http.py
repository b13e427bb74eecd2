"""What attention maps cost: the same bundle served with and without its attention graph, side by side.

    .venv/bin/python -m benchmarks.attention_http [--bundles DIR --model NAME]

Requests do not ask for maps but in the last line. The two services take turns, and ratios are of each turn's own
pair; medians over the turns are printed, with their quartiles. Windows are the bundle's golden ones.
"""

import argparse
import json
import statistics
import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np

from benchmarks.load import request_bytes, run_load
from benchmarks.served import Served, served
from contract.bundle import GOLDEN, Bundle, write_bundle
from service.engine.repository import Repository
from service.engine.session import CPU
from service.forecaster import sample_request

CLIENTS = (1, 8)
STARTS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--model", default="etth1-informer")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--turns", type=int, default=15)
    arguments = parser.parse_args()

    repository = Repository([arguments.bundles], CPU)
    repository.load()
    loaded = repository.served.get(arguments.model)
    body = sample_request(loaded)
    plain = [request_bytes("/forecast", json.dumps(body).encode())]
    asking = [request_bytes("/forecast", json.dumps({**body, "attention": True}).encode())]
    with tempfile.TemporaryDirectory() as folder:
        roots = {name: Path(folder) / name for name in ("with", "without")}
        _copy(loaded.bundle, roots["with"], attention=True)
        _copy(loaded.bundle, roots["without"], attention=False)
        for name, root in roots.items():
            seconds, cpu, memory = _start(root)
            print(f"{name} the graph: ready after {seconds:.2f} s, {cpu:.2f} of CPU; memory (PSS) {memory:.1f} MiB")
        with served(roots["with"]) as first, served(roots["without"]) as second:
            for clients in CLIENTS:
                _compare(first, second, plain, clients, arguments.turns, arguments.seconds)
            load = run_load(first.host, first.port, asking, 1, arguments.seconds)
            print(f"asked for all maps, 1 client: {load.rate:.0f} requests/s, p50 {load.percentile_ms(50):.1f} ms")


def _copy(bundle: Bundle, root: Path, *, attention: bool) -> None:
    manifest = bundle.manifest
    files = {name: (bundle.path / name).read_bytes() for name in manifest.files}
    if not attention:
        del files[manifest.graphs["attention"].file]
        maps = {output.name for output in manifest.graphs["attention"].outputs} - {"forecast"}
        golden = BytesIO()
        np.savez_compressed(golden, **{name: each for name, each in bundle.golden().items() if name not in maps})
        files[GOLDEN] = golden.getvalue()
        manifest = replace(manifest, graphs={"forecast": manifest.graphs["forecast"]}, attention=())
    write_bundle(root, manifest, files)


def _start(root: Path) -> list[float]:
    """Seconds to ready, those of CPU, and MiB: medians of some starts."""
    came = []
    for _ in range(STARTS):
        with served(root) as service:
            came.append((service.seconds_to_ready, service.cpu_seconds(), service.memory_mib()))
    return [statistics.median(each) for each in zip(*came, strict=True)]


def _compare(first: Served, second: Served, requests: list[bytes], clients: int, turns: int, seconds: float) -> None:
    cpu, rates = [], []
    for turn in range(turns + 1):
        order = (first, second) if turn % 2 else (second, first)
        came = {id(service): _measured(service, requests, clients, seconds) for service in order}
        if turn:  # the first one warms
            (rate, each), (other_rate, other) = came[id(first)], came[id(second)]
            rates.append(rate / other_rate)
            cpu.append(each / other)
    print(f"{clients} clients, with the graph of without: CPU a request {_spread(cpu)}; requests/s {_spread(rates)}")


def _measured(service: Served, requests: list[bytes], clients: int, seconds: float) -> tuple[float, float]:
    """Requests a second, and seconds of CPU for each."""
    before = service.cpu_seconds()
    load = run_load(service.host, service.port, requests, clients, seconds)
    return load.rate, (service.cpu_seconds() - before) / len(load.latencies)


def _spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
