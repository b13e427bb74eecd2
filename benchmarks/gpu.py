"""A forecast graph on a GPU: rows a second, p50 and p99 by batch in fp32, TF32 and FP16, beside torch and a floor.

    python -m benchmarks.gpu RECIPE.toml... [--batches 1 8 64 512] [--seconds 2] [--device cuda]

Weights are random: they cost the same. Needs torch, onnx, onnxscript and onnxruntime-gpu in one environment; `--device
cpu` tries three of the ways where there is no GPU. All take turns within one run, and a call ends when its answer is in
the host's memory. "plain", "bound" and "CUDA graph" are the service's own: without buffers that stay, in them (ONNX
Runtime's I/O binding), and replayed from a captured graph. The floor is the count of operations over what a large
matrix product reaches in the same run.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch.utils.flop_counter import FlopCounterMode

from contract.calendar_features import feature_names
from contract.frequency import Frequency
from contract.manifest import ForecastSpec
from contract.scaler import Scaler
from model.config import Recipe, read_recipe
from model.export import onnx_bytes
from model.forecasting import ForecastGraph
from model.runs import build_model
from service.engine.session import CPU, Arrays, Device, Session, choose_device

PRECISIONS = ("fp32", "tf32", "fp16")
TURNS = 5
LARGE = 8192
"""Rows and columns of the matrix product that the floor is reckoned with."""

Way = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", type=Path, nargs="+")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    cuda = arguments.device == "cuda"
    name = torch.cuda.get_device_name() if cuda else "CPU"
    print(f"{name}, torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}")
    peaks = {each: _peak(each) for each in PRECISIONS} if cuda else {}
    for each, peak in peaks.items():
        print(f"a matrix product of {LARGE} x {LARGE} in {each}: {peak / 1e12:.0f} Tflop/s")
    for path in arguments.recipes:
        recipe = read_recipe(path)
        for batch in arguments.batches:
            _compare(recipe, batch, arguments.seconds, peaks)


def _compare(recipe: Recipe, batch: int, seconds: float, peaks: dict[str, float]) -> None:
    spec = _spec(recipe)
    module = ForecastGraph(build_model(recipe, spec), spec.scaler).eval()
    history, calendar = _inputs(spec, batch)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.from_numpy(history), torch.from_numpy(calendar))
    operations = counter.get_total_flops()
    print(f"\n{recipe.name}, {batch} rows, {operations / batch / 1e6:.1f} Mflop a row")
    inputs = {"history": history, "calendar": calendar}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "forecast.onnx")
        path.write_bytes(onnx_bytes(module, spec))
        ways = _ways(path, module, inputs, cuda=bool(peaks))
    print(f"{'':<26}{'rows/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'of floor':>10}")
    for name, times in _times(ways, seconds).items():
        peak = next((peak for precision, peak in peaks.items() if precision in name), None)
        share = "" if peak is None else f"{operations / peak / np.median(times):10.2%}"
        p50, p99 = 1e3 * np.quantile(times, [0.5, 0.99])
        print(f"{name:<26}{batch / np.median(times):>10,.0f}{p50:>10.3f}{p99:>10.3f}{share}")


def _spec(recipe: Recipe) -> ForecastSpec:
    columns = recipe.data.columns
    return ForecastSpec(
        columns=columns,
        units={},
        frequency=recipe.data.frequency,
        seq_len=recipe.model.seq_len,
        label_len=recipe.model.label_len,
        pred_len=recipe.model.pred_len,
        calendar=feature_names(Frequency.parse(recipe.data.frequency)),
        scaler=Scaler(columns, (0.0,) * len(columns), (1.0,) * len(columns)),
    )


def _inputs(spec: ForecastSpec, batch: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    length = spec.seq_len + spec.pred_len
    history = random.normal(size=(batch, spec.seq_len, len(spec.columns)))
    return history, random.uniform(-0.5, 0.5, (batch, length, len(spec.calendar))).astype(np.float32)


def _ways(path: Path, module: ForecastGraph, inputs: Arrays, *, cuda: bool) -> dict[str, Way]:
    ways: dict[str, Way] = {}
    for precision in PRECISIONS if cuda else ("fp32",):
        device = choose_device("cuda", precision) if cuda else CPU
        session = _bound(path, device, inputs)
        ways[f"plain {precision}"] = partial(session.run, inputs, bound=False)
        ways[f"bound {precision}"] = partial(session.run, inputs)
        if cuda:
            captured = _bound(path, replace(device, graphs=True), inputs)
            if captured.captures:
                ways[f"CUDA graph {precision}"] = partial(captured.run, inputs)
            else:
                print(f"no CUDA graph {precision}: {captured.uncaptured}")
        ways[f"torch eager {precision}"] = _torch(module, inputs, precision, cuda=cuda)
        if cuda:
            compiled = torch.compile(module, mode="reduce-overhead")
            ways[f"torch.compile {precision}"] = _torch(compiled, inputs, precision, cuda=cuda)
    return ways


def _bound(path: Path, device: Device, inputs: Arrays) -> Session:
    session = Session(path, device)
    session.bind(inputs, session.run(inputs))
    return session


def _torch(module: Any, inputs: Arrays, precision: str, *, cuda: bool) -> Way:
    device = torch.device("cuda" if cuda else "cpu")
    tensors = [torch.from_numpy(tensor) for tensor in inputs.values()]

    @torch.no_grad()
    def run() -> np.ndarray:
        module.to(device)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        with torch.autocast(device.type, dtype=torch.float16, enabled=precision == "fp16"):
            answer: np.ndarray = module(*(tensor.to(device) for tensor in tensors)).cpu().numpy()
        return answer

    return run


def _times(ways: dict[str, Way], seconds: float) -> dict[str, np.ndarray]:
    """Seconds of each call, the ways taking turns."""
    for way in ways.values():
        for _ in range(5):  # compiles, captures, fills caches
            way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            way()
            end = time.perf_counter() + seconds / TURNS
            while (began := time.perf_counter()) < end:
                way()
                times[name].append(time.perf_counter() - began)
    return {name: np.array(each) for name, each in times.items()}


def _peak(precision: str) -> float:
    """Operations a second of a matrix product."""
    dtype = torch.float16 if precision == "fp16" else torch.float32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    matrix = torch.randn(LARGE, LARGE, device="cuda", dtype=dtype)
    seconds = []
    for _ in range(10):
        torch.cuda.synchronize()
        began = time.perf_counter()
        matrix @ matrix
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return float(2 * LARGE**3 / np.median(seconds))


if __name__ == "__main__":
    main()
