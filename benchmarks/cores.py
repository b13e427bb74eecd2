"""What this machine's cores are worth at the moment: Python's work in one process, and in one on each core at once.

    .venv/bin/python -m benchmarks.cores [--turns 5]

Cores of a virtual machine may be threads of one core, and shared with others: then all together do hardly more than one
alone, and a request's CPU time grows with whatever runs beside it.
"""

import argparse
import statistics
import time
from multiprocessing import Pool

from service.engine.batching import usable_cpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    cores = usable_cpus()
    shares = []
    with Pool(cores) as pool:
        for _ in range(arguments.turns):
            (alone,) = pool.map(_work, [arguments.seconds])
            shares.append(sum(pool.map(_work, [arguments.seconds] * cores, chunksize=1)) / alone)
    low, middle, high = min(shares), statistics.median(shares), max(shares)
    print(f"{cores} cores do {middle:.2f} times the work of one ({low:.2f} to {high:.2f})")


def _work(seconds: float) -> float:
    """Steps a second."""
    end, steps, seen = time.perf_counter() + seconds, 0, {}
    while time.perf_counter() < end:
        for number in range(1000):
            seen[number % 50] = number
        steps += 1
    return steps / seconds


if __name__ == "__main__":
    main()
