"""ONNX Runtime, and nothing else of the service imports it."""

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from contract.errors import GraphFailed, NotReady, UnusableFile, WrongAnswer
from contract.graphs import Graph

Arrays = Mapping[str, NDArray[Any]]
Device = Literal["cpu", "cuda"]
_DTYPES = {"tensor(double)": "float64", "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}
# ONNX Runtime's errors have no base of their own; those of C++ come as Python's
_FAILURES: tuple[type[Exception], ...] = (
    *(each for each in vars(_native).values() if isinstance(each, type) and issubclass(each, Exception)),
    RuntimeError,
    MemoryError,
)


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Raises NotReady if CUDA is asked for and there is none."""
    if wanted == "cpu":
        return "cpu"
    lack = lack_of_cuda()
    if lack is None:
        onnxruntime.preload_dlls()  # the CUDA libraries that came as Python packages
        return "cuda"
    if wanted == "cuda":
        raise NotReady(f"device cuda was asked for, but {lack}")
    return "cpu"


def providers() -> list[str]:
    """What this ONNX Runtime was built to compute with, whether it is there or not."""
    available: list[str] = onnxruntime.get_available_providers()
    return available


def lack_of_cuda() -> str | None:
    """Why CUDA cannot be used; None if nothing is known to be missing."""
    if "CUDAExecutionProvider" not in providers():
        return "this ONNX Runtime has no CUDA: install seqcast[serve-gpu]"
    if not _has_gpu():
        return "there is no NVIDIA driver with a GPU"
    return None


def _has_gpu() -> bool:
    try:
        return int(ctypes.CDLL("libcuda.so.1").cuInit(0)) == 0
    except OSError:
        return False


class Session:
    """One graph, ready to run. Safe to call from many threads; the GIL is free while it computes.

    Raises UnusableFile if `path` is no graph that this ONNX Runtime can run.
    """

    def __init__(self, path: Path, device: Device) -> None:
        options = onnxruntime.SessionOptions()
        # parallel across rows, not within one: for small models two threads on a row are slower than one
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        if device == "cuda":
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        except _FAILURES as error:
            raise UnusableFile(f"{path.name}: ONNX Runtime cannot load it: {error}") from error
        if device == "cuda" and self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise NotReady("ONNX Runtime could not start CUDA and fell back to the CPU; its log says why")
        self.inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.suspect = False
        """Whether a run has failed since the last replay: it may be the input's doing, or the engine's."""

    def run(self, inputs: Arrays, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Tensors by name, each with the same number of rows B -> outputs by name, B rows each: all, or `names`.

        Raises GraphFailed.
        """
        names = names or self._outputs
        try:
            outputs = self._session.run(names, dict(inputs))
        except _FAILURES as error:
            self.suspect = True
            raise GraphFailed(str(error)) from error
        return dict(zip(names, outputs, strict=True))

    def replay(self, graph: Graph, golden: Arrays) -> None:
        """Run on golden inputs. Raises UnusableFile if this is not `graph`, WrongAnswer if it answers otherwise."""
        came = _signature(self._session.get_inputs()), _signature(self._session.get_outputs())
        expected = tuple(
            [(each.name, each.dtype, each.shape[1:]) for each in side] for side in (graph.inputs, graph.outputs)
        )
        if came != expected:
            raise UnusableFile(f"{graph.file}: expected a graph of {expected}, came one of {came}")
        missing = [each.name for each in (*graph.inputs, *graph.outputs) if each.name not in golden]
        if missing:
            raise UnusableFile(f"expected golden vectors {', '.join(missing)}, came {', '.join(golden)}")
        try:
            answer = self.run({each.name: golden[each.name] for each in graph.inputs})
        except GraphFailed as error:
            raise UnusableFile(f"{graph.file} cannot run on its golden inputs: {error}") from error
        wrong = differ(answer, {each.name: golden[each.name] for each in graph.outputs}, graph.tolerance)
        if wrong:
            raise WrongAnswer(f"{graph.file} on its golden inputs: {wrong}")
        self.suspect = False


def _signature(arguments: Sequence[onnxruntime.NodeArg]) -> list[tuple[str, str, tuple[int | None, ...]]]:
    """Name, type and shape of a row of each, as a manifest has them."""
    return [
        (each.name, _DTYPES.get(each.type, each.type), tuple(_length(size) for size in each.shape[1:]))
        for each in arguments
    ]


def _length(size: int | str | None) -> int | None:
    return size if isinstance(size, int) else None


def differ(came: Arrays, expected: Arrays, tolerance: float = 1e-3) -> str | None:
    """What is wrong with `came`, beyond `tolerance` of each output's own spread; None if nothing."""
    for name, golden in expected.items():
        if came[name].shape != golden.shape:
            return f"{name}: expected shape {golden.shape}, came {came[name].shape}"
        worst = float(np.abs(np.subtract(came[name], golden, dtype=np.float64)).max(initial=0))
        # a token or a choice is the same or another one
        allowed = 0.0 if golden.dtype.kind in "bi" or not golden.size else tolerance * float(golden.std())
        if not worst <= allowed:
            return f"{name}: expected the golden values, came values up to {worst:.3g} off"
    return None
