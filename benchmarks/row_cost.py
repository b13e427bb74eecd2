"""What a row costs in ONNX Runtime, bundle by bundle: CPU time of one thread, alone and with others in one call.

    .venv/bin/python -m benchmarks.row_cost [--bundles DIR]

CPU time, since other work on the machine stretches the clock's; bundles take turns, and medians are printed.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import onnxruntime

from contract.bundle import GOLDEN, bundle_versions, read_bundle

TURNS = 100
CALLS = 5  # a turn
TOGETHER = (1, 2, 3, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    arguments = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    calls = {}
    for name, versions in bundle_versions(arguments.bundles).items():
        bundle = read_bundle(arguments.bundles / name / str(max(versions)))
        if bundle.manifest.task == "forecast":
            session = onnxruntime.InferenceSession(bundle.graph("forecast"), options)
            golden = np.load(bundle.path / GOLDEN)
            for rows in TOGETHER:
                inputs = {each: np.repeat(golden[each][:1], rows, axis=0) for each in ("history", "calendar")}
                calls[name, rows] = session, inputs
    costs: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    for _ in range(TURNS):
        for key, (session, inputs) in calls.items():
            session.run(None, inputs)  # what the others left in the caches is gone
            start = time.process_time()
            for _ in range(CALLS):
                session.run(None, inputs)
            costs[key].append((time.process_time() - start) / CALLS / key[1])
    for name in dict.fromkeys(name for name, _ in calls):
        told = ", ".join(f"{1e3 * statistics.median(costs[name, rows]):.2f} of {rows}" for rows in TOGETHER)
        print(f"{name}: ms a row: {told}")


if __name__ == "__main__":
    main()
