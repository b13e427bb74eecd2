"""The service beside what a user would pick instead: the same graph, the same JSON, each server in its best settings.

    .venv/bin/python -m benchmarks.peers --environments DIR [--bundle DIR] [--servers NAME...] [--turns 5] [--seconds 4]

DIR/litserve, DIR/bentoml, DIR/mlserver and DIR/ray are virtual environments with that package, onnxruntime and orjson
(`ray[serve]` of Ray); those that are not there are left out. All run on the cores that the load generator shares, one
at a time, and take turns, in an order that rotates; medians over the turns are printed. The service checks, counts and
logs every request as it does by default; the others do as benchmarks/peer_servers has them, which check nothing.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.forecast_http import CLIENTS, bare_rate, request_bodies
from benchmarks.load import Load, request_bytes, run_load
from service.engine.batching import usable_cpus
from service.engine.repository import load_bundle
from service.engine.session import CPU

STARTS_WITHIN = 120  # seconds
PORT = 9300
_SERVERS = "benchmarks.peer_servers"


@dataclass(slots=True)
class Peer:
    """A server, and what was measured of it."""

    name: str
    command: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    loads: dict[int, list[Load]] = field(default_factory=lambda: {clients: [] for clients in CLIENTS})
    ready: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    """Of all its processes, a request of 8 clients."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=Path("bundles/etth1-informer/1"), help="a version's folder")
    parser.add_argument("--data", type=Path, help="a CSV with the bundle's columns and one named date")
    parser.add_argument("--servers", nargs="+", help="of those that are there")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()

    cores = usable_cpus()
    loaded = load_bundle(arguments.bundle.resolve(), CPU)
    bodies = request_bodies(loaded, arguments.data)
    requests = [request_bytes("/forecast", json.dumps(body).encode()) for body in bodies]
    bare = []
    with TemporaryDirectory() as folder:
        alone = Path(folder, loaded.manifest.name, arguments.bundle.name)
        shutil.copytree(arguments.bundle, alone)
        peers = [
            each
            for each in _peers(alone, arguments.environments.absolute(), cores)
            if Path(each.command[0]).exists() and each.name in (arguments.servers or [each.name])
        ]
        for turn in range(arguments.turns):
            bare.append(bare_rate(loaded, bodies, cores, arguments.seconds))
            for peer in peers[turn % len(peers) :] + peers[: turn % len(peers)]:
                _measure(peer, bodies[0], requests, arguments.seconds)
                print(f"turn {turn + 1}: {peer.name}", file=sys.stderr)
    _print(peers, bare, cores)


def _peers(bundle: Path, environments: Path, cores: int) -> list[Peer]:
    """The bundle is alone in its folder."""

    def python(name: str, module: str) -> list[str]:
        return [str(environments / name / "bin/python"), "-m", f"{_SERVERS}.{module}", str(PORT), str(cores)]

    bento = [str(environments / "bentoml/bin/bentoml"), "serve", f"{_SERVERS}.bentoml_server:Forecast"]
    variables = {"PEER_BUNDLE": str(bundle), "PEER_WORKERS": str(cores), "PYTHONPATH": str(Path.cwd())}
    return [
        Peer(
            "seqcast",
            [sys.executable, "-m", "seqcast", "serve", "--port", str(PORT), "--bundles", str(bundle.parents[1])],
        ),
        Peer("LitServe", python("litserve", "litserve_server"), variables),
        Peer("BentoML", [*bento, "--host", "127.0.0.1", "--port", str(PORT)], variables),
        Peer("MLServer", python("mlserver", "mlserver_server"), variables),
        Peer("Ray Serve", python("ray", "ray_server"), variables),
        Peer("Ray Serve, HAProxy", python("ray", "ray_server"), {**variables, "RAY_SERVE_ENABLE_HA_PROXY": "1"}),
    ]


def _measure(peer: Peer, body: dict, requests: list[bytes], seconds: float) -> None:
    content = json.dumps(body).encode()
    started = time.perf_counter()
    with _running(peer) as process:
        answer = _first_answer(process, content)
        peer.ready.append(time.perf_counter() - started)
        _check(peer, answer, body)
        run_load("127.0.0.1", PORT, requests, 8, seconds / 2)  # warm
        for clients in CLIENTS:
            before = _cpu_s(process.pid)
            load = run_load("127.0.0.1", PORT, requests, clients, seconds)
            peer.loads[clients].append(load)
            if clients == 8:
                peer.cpu_ms.append((_cpu_s(process.pid) - before) / len(load.latencies) * 1000)
        peer.memory.append(_memory_mib(process.pid))


@contextmanager
def _running(peer: Peer) -> Iterator[subprocess.Popen]:
    """In a session of its own, which is ended with all the processes that it started."""
    environment = {**os.environ, **peer.variables}
    process = subprocess.Popen(
        peer.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
    )
    try:
        yield process
    finally:
        family = _family(process.pid)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while _answers():
            time.sleep(0.1)


def _answers() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def _first_answer(process: subprocess.Popen, content: bytes) -> dict:
    end = time.perf_counter() + STARTS_WITHIN
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}/forecast", content, {"content-type": "application/json"})
    while time.perf_counter() < end:
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended with {process.returncode}")
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310 of this machine
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    sys.exit(f"{process.args[0]} did not answer within {STARTS_WITHIN} s")


def _check(peer: Peer, answer: dict, body: dict) -> None:
    """All compute the same, or are not compared."""
    (forecast,) = answer["forecasts"]
    key = json.dumps(body["series"])
    values = np.array([forecast["values"][name] for name in body["series"][0]["values"]])
    expected = _ANSWERS.setdefault(key, values)
    if not np.allclose(values, expected, rtol=1e-4, atol=1e-4):
        sys.exit(f"{peer.name} forecasts otherwise than the first")


_ANSWERS: dict[str, np.ndarray] = {}


def _family(pid: int) -> list[int]:
    """The process and all under it, and who belongs to its session."""
    parents, sessions = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)], sessions[int(path.parent.name)] = int(fields[1]), int(fields[3])
    family = {pid}
    while more := {each for each in parents if parents[each] in family or sessions[each] in family} - family:
        family |= more
    return sorted(family)


def _cpu_s(pid: int) -> float:
    """Processor time that the process and all under it have taken."""
    ticks = 0
    for each in _family(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int) -> float:
    """Proportional set size of all its processes."""
    total = 0
    for each in _family(pid):
        try:
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / 1024


def _print(peers: list[Peer], bare: list[float], cores: int) -> None:
    print(f"{cores} cores; bare session.run: {statistics.median(bare):.0f} rows/s")
    heads = [f"{clients} client{'s' * (clients > 1)}" for clients in CLIENTS]
    print(f"| server | {' | '.join(heads)} | CPU a request | memory (PSS) | start to first answer |")
    print("|" + "---|" * (len(heads) + 4))
    for peer in peers:
        cells = []
        for clients in CLIENTS:
            runs = peer.loads[clients]
            rate = statistics.median(run.rate for run in runs)
            ratio = statistics.median(run.rate / each for run, each in zip(runs, bare, strict=True))
            p50, p99 = (statistics.median(run.percentile_ms(q) for run in runs) for q in (50, 99))
            failures = sum(run.failures for run in runs)
            failed = f", {failures} failed" if failures else ""
            cells.append(f"{rate:.0f}, {ratio:.2f} of bare, {p50:.1f}/{p99:.1f} ms{failed}")
        cpu, memory, ready = map(statistics.median, (peer.cpu_ms, peer.memory, peer.ready))
        print(f"| {peer.name} | {' | '.join(cells)} | {cpu:.1f} ms | {memory:.0f} MiB | {ready:.1f} s |")


if __name__ == "__main__":
    main()
