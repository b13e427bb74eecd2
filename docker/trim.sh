#!/bin/sh
# Takes out of the environment at $1 what installed packages bring and no service runs: tests, headers, Cython sources,
# and Flight, Arrow's own RPC. Compiled bytecode stays: under a read-only root file system Python would compile
# everything anew at each start.
set -eu
cd "$1"/lib/python3*/site-packages
find numpy pandas pyarrow -type d -name tests -prune -exec rm -r {} +
rm -r pyarrow/include pyarrow/src
find pandas pyarrow -name '*.p[yx][xdi]' -delete
rm pyarrow/libarrow_flight.so.* pyarrow/libarrow_python_flight.so* pyarrow/_flight.*.so
ORT_DISABLE_TELEMETRY=1 "$1"/bin/python -c 'import numpy, onnxruntime, pandas, pyarrow.ipc'
