"""What large bodies that are refused, or nearly, cost those who ask meanwhile: time, /healthz, memory.

    .venv/bin/python -m benchmarks.large_bodies [--bundles DIR]

Each goes to a service of its own, once, while another client asks for /healthz without a rest. Memory is the process's
peak resident set over what it had before.
"""

import argparse
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.served import Served, served

MIB = 2**20
BODIES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "5,000,000 unknown names": (
        "/generate",
        lambda: b"{" + b",".join(b'"%d":0' % each for each in range(5_000_000)) + b"}",
    ),
    "20,000,000 empty series": ("/forecast", lambda: b'{"series":[' + b"{}," * 19_999_999 + b"{}]}"),
    "999,000 empty series, which are read": ("/forecast", lambda: b'{"series":[' + b"{}," * 998_999 + b"{}]}"),
    "30,000,000 brackets": ("/v2/models/etth1-linear/infer", lambda: b'{"inputs":[{"data":' + b"[" * 30_000_000),
    "62 MiB of numbers in a list": (
        "/forecast",
        lambda: b'{"series":[{"values":{"OT":[' + b"1.25," * (62 * MIB // 5) + b"1]}}]}",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    arguments = parser.parse_args()
    print("| body | MiB | status | s | longest /healthz, s | memory, MiB |\n|---|---|---|---|---|---|")
    for name, (path, make) in BODIES.items():
        body = make()
        with served(arguments.bundles) as service:
            before = _peak_mib(service)
            status, seconds, longest = _ask(service, path, body)
            grown = _peak_mib(service) - before
        print(
            f"| {name} | {len(body) / MIB:.0f} | {status} | {seconds:.1f} | {longest:.2f} | {grown:.0f} |", flush=True
        )


def _ask(service: Served, path: str, body: bytes) -> tuple[int, float, float]:
    """Status, seconds until the answer, and the longest that /healthz took meanwhile."""
    address, over, waits = f"{service.host}:{service.port}", threading.Event(), [0.0]

    def probe() -> None:
        while not over.is_set():
            began = time.perf_counter()
            with urllib.request.urlopen(f"http://{address}/healthz") as answer:
                answer.read()
            waits.append(time.perf_counter() - began)
            time.sleep(0.01)

    prober = threading.Thread(target=probe)
    prober.start()
    began = time.perf_counter()
    try:
        request = urllib.request.Request(f"http://{address}{path}", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:  # noqa: S310 of this machine
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    seconds = time.perf_counter() - began
    over.set()
    prober.join()
    return status, seconds, max(waits)


def _peak_mib(service: Served) -> float:
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024


if __name__ == "__main__":
    main()
