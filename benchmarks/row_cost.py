"""What a row costs in ONNX Runtime, bundle by bundle: CPU time of one call of one row, on one thread.

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

TURNS = 200
CALLS = 5  # a turn


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
            calls[name] = session, {each: golden[each][:1] for each in ("history", "calendar")}
    costs: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, (session, inputs) in calls.items():
            session.run(None, inputs)  # what the others left in the caches is gone
            start = time.process_time()
            for _ in range(CALLS):
                session.run(None, inputs)
            costs[name].append((time.process_time() - start) / CALLS)
    for name, each in costs.items():
        print(f"{name}: {1e3 * statistics.median(each):.2f} ms a row")


if __name__ == "__main__":
    main()
