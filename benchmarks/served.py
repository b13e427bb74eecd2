"""The service as a benchmark sees it: a process that is started, measured from outside, and ended."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Served:
    """A running service."""

    process: subprocess.Popen[str]
    host: str
    port: int
    seconds_to_ready: float

    def memory_mib(self) -> float:
        """Proportional set size: pages shared with others count in part."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) / 1024

    def cpu_seconds(self) -> float:
        """Taken so far, by all its threads: what else runs on the machine moves it less than the clock on the wall."""
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(bundles: Path) -> Iterator[Served]:
    """Starts `seqcast serve` on a free port; ready is when /readyz says so."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "seqcast", "serve", "--port", "0", "--bundles", str(bundles)]
    environment = {**os.environ, "SEQCAST_LOG_LEVEL": "warning"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            host, port = re.search(r"http://([\d.]+):(\d+)", process.stdout.readline()).groups()
            with urllib.request.urlopen(f"http://{host}:{port}/readyz") as answer:
                answer.read()
            yield Served(process, host, int(port), time.perf_counter() - started)
        finally:
            process.terminate()
