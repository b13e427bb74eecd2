"""ONNX Runtime, and nothing else of the service imports it."""

import ctypes
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from contract.errors import GraphFailed, NotReady, UnusableFile, WrongAnswer
from contract.graphs import Graph

Arrays = Mapping[str, NDArray[Any]]
Precision = Literal["fp32", "tf32", "fp16"]
_DTYPES = {"tensor(double)": "float64", "tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}
# ONNX Runtime's errors have no base of their own; those of C++ come as Python's
_FAILURES: tuple[type[Exception], ...] = (
    *(each for each in vars(_native).values() if isinstance(each, type) and issubclass(each, Exception)),
    RuntimeError,
    MemoryError,
)


HALF_TOLERANCE = 0.1
"""Golden answers of TF32 and FP16, which both have ten bits of mantissa, may differ by so much of their spread."""


@dataclass(frozen=True, slots=True)
class Device:
    """Where graphs are computed; on CUDA, in which precision, and with how much memory at most for each."""

    kind: Literal["cpu", "cuda"] = "cpu"
    precision: Precision = "fp32"
    memory_mib: int | None = None

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind} {self.precision}"

    @property
    def exact(self) -> bool:
        """Whether it computes as the exporter did."""
        return self.precision == "fp32"


CPU = Device()


def choose_device(
    wanted: Literal["auto", "cpu", "cuda"], precision: Precision = "fp32", memory_mib: int | None = None
) -> Device:
    """`precision` and `memory_mib` are for CUDA. Raises NotReady if that is asked for and not there."""
    if wanted == "cpu":
        return CPU
    lack = lack_of_cuda()
    if lack is None:
        onnxruntime.preload_dlls()  # the CUDA libraries that came as Python packages
        return Device("cuda", precision, memory_mib)
    if wanted == "cuda":
        raise NotReady(f"device cuda was asked for, but {lack}")
    return CPU


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
        try:
            graph = half(path) if device.precision == "fp16" else path
            self._session = onnxruntime.InferenceSession(graph, options, providers=_providers(device))
        except _FAILURES as error:
            raise UnusableFile(f"{path.name}: ONNX Runtime cannot load it: {error}") from error
        if device.kind == "cuda" and self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise NotReady("ONNX Runtime could not start CUDA and fell back to the CPU; its log says why")
        self._device = device
        self.inputs = [each.name for each in self._session.get_inputs()]
        self._outputs = [output.name for output in self._session.get_outputs()]
        outputs = _signature(self._session.get_outputs())
        self.shapes = {name: shape for name, _, shape in outputs}
        """Of a row of each output; None is a length that differs from call to call."""
        tensors = [*_signature(self._session.get_inputs()), *outputs]
        self.varying = any(None in shape for _, _, shape in tensors)
        """Whether lengths differ from call to call: such graphs go token by token, and rows cost less together."""
        self.together = device.kind == "cuda" and not self.varying
        """Whether rows of several callers are to be computed together: on CUDA, where all have the same shape."""
        self.row_bytes = sum(np.dtype(dtype).itemsize * math.prod(filter(None, shape)) for _, dtype, shape in tensors)
        """Of a row's inputs and outputs."""
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
        tolerance = graph.tolerance if self._device.exact else max(graph.tolerance, HALF_TOLERANCE)
        wrong = differ(answer, {each.name: golden[each.name] for each in graph.outputs}, tolerance)
        if wrong:
            raise WrongAnswer(f"{graph.file} on its golden inputs: {wrong}")
        self.suspect = False


def half(path: Path) -> bytes:
    """The graph with weights and computation in FP16, its inputs and outputs as they were. Raises NotReady."""
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise NotReady(f"fp16 was asked for, but {error.name} is missing: install seqcast[serve-gpu]") from error
    # inferring shapes would write a file into the bundle
    model = convert_float_to_float16(str(path), keep_io_types=True, disable_shape_infer=True)
    content: bytes = model.SerializeToString()
    return content


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    if device.kind == "cpu":
        return ["CPUExecutionProvider"]
    options = {
        "use_tf32": str(int(device.precision == "tf32")),
        "cudnn_conv_algo_search": "HEURISTIC",  # the default tries every algorithm at each new shape
        "arena_extend_strategy": "kSameAsRequested",
    }
    if device.memory_mib is not None:
        options["gpu_mem_limit"] = str(device.memory_mib * 2**20)
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]


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
