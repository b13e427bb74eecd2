"""POST /forecast beside bare session.run: requests a second and latency at 1, 8 and 32 clients.

    .venv/bin/python -m benchmarks.forecast_http --data ETTh1.csv [--bundles DIR --model NAME]

The load generator shares the cores with the service. Bare and HTTP take turns, and ratios are of each turn's
own pair; the medians over the turns are printed. Without --data, windows are the bundle's golden ones.
"""

import argparse
import csv
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.load import request_bytes, run_load
from benchmarks.served import served
from contract.forecast_window import forecast_window
from contract.timestamps import parse_timestamps
from service.engine.batching import usable_cpus
from service.engine.repository import LoadedBundle, Repository
from service.engine.session import CPU
from service.forecaster import sample_request

CLIENTS = (1, 8, 32)
WINDOWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a CSV with the bundle's columns and one named date")
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--model", default="etth1-informer")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()

    repository = Repository([arguments.bundles], CPU)
    repository.load()
    loaded = repository.served.get(arguments.model)
    bodies = request_bodies(loaded, arguments.data)
    requests = [request_bytes("/forecast", json.dumps(body).encode()) for body in bodies]
    cores = usable_cpus()
    bare_rates: list[float] = []
    loads: dict[int, list] = {clients: [] for clients in CLIENTS}
    with served(arguments.bundles) as service:
        run_load(service.host, service.port, requests, 8, 1)  # warm
        for _ in range(arguments.turns):
            bare_rates.append(bare_rate(loaded, bodies, cores, arguments.seconds))
            for clients in CLIENTS:
                load = run_load(service.host, service.port, requests, clients, arguments.seconds)
                loads[clients].append(load)
        memory = service.memory_mib()
        ready = service.seconds_to_ready

    print(f"{arguments.model}: {cores} cores, shared with the load generator; {arguments.turns} turns of")
    print(f"{arguments.seconds:g} s each, medians; windows from {arguments.data or 'the golden vectors'}")
    print(f"bare session.run, {cores} threads: {statistics.median(bare_rates):.0f} rows/s")
    for clients in CLIENTS:
        runs = loads[clients]
        rate, p50, p99, ratio = (
            statistics.median(values)
            for values in (
                [run.rate for run in runs],
                [run.percentile_ms(50) for run in runs],
                [run.percentile_ms(99) for run in runs],
                [run.rate / bare for run, bare in zip(runs, bare_rates, strict=True)],
            )
        )
        failures = sum(run.failures for run in runs)
        print(
            f"{clients:3} clients: {rate:6.0f} requests/s, p50 {p50:5.1f} ms, p99 {p99:5.1f} ms, "
            f"{ratio:.2f} of bare, {failures} failures"
        )
    print(f"start to ready {ready:.2f} s; memory (PSS) {memory:.0f} MiB")


def request_bodies(loaded: LoadedBundle, data: Path | None) -> list[dict]:
    """Request bodies of one series each: windows spread over the table's last tenth."""
    if data is None:
        return [sample_request(loaded)]
    spec = loaded.manifest.forecast
    with data.open() as file:
        rows = list(csv.DictReader(file))
    starts = np.linspace(len(rows) * 9 // 10, len(rows) - spec.seq_len, WINDOWS).astype(int)
    bodies = []
    for start in starts:
        window = rows[start : start + spec.seq_len]
        values = {name: [float(row[name]) for row in window] for name in spec.columns}
        series = {"timestamps": [row["date"] for row in window], "values": values}
        bodies.append({"model": loaded.manifest.name, "series": [series]})
    return bodies


def bare_rate(loaded: LoadedBundle, bodies: list[dict], threads: int, seconds: float) -> float:
    """Rows a second of the session alone, one row a call, a caller on each core, nothing else running."""
    spec = loaded.manifest.forecast
    inputs = []
    for body in bodies:
        (series,) = body["series"]
        values = np.stack([series["values"][name] for name in spec.columns], axis=1)
        window = forecast_window(parse_timestamps(series["timestamps"], "").times, values, spec)
        inputs.append({"history": window.history[None], "calendar": window.calendar[None]})
    session = loaded.sessions["forecast"]
    end = time.perf_counter() + seconds

    def caller(index: int) -> int:
        rows = 0
        while time.perf_counter() < end:
            session.run(inputs[(index + rows) % len(inputs)])
            rows += 1
        return rows

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        rows = sum(pool.map(caller, range(threads)))
    return rows / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
