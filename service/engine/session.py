"""ONNX Runtime, which beside this only `binding` imports of the service."""

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as _native

from contract.errors import GraphFailed, NotReady, UnusableFile, WrongAnswer
from contract.graphs import Graph
from service.engine.binding import Bound, Turns, graph_option

T = TypeVar("T")
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
    """Where graphs are computed; on CUDA, in which precision, with how much memory at most for each, and whether
    batches are captured in CUDA graphs.
    """

    kind: Literal["cpu", "cuda"] = "cpu"
    precision: Precision = "fp32"
    memory_mib: int | None = None
    graphs: bool = False

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind} {self.precision}"

    @property
    def exact(self) -> bool:
        """Whether it computes as the exporter did."""
        return self.precision == "fp32"

    @property
    def buffer_bytes(self) -> float:
        """Of the memory, what bound batches may take: they are not in ONNX Runtime's arena, which has the rest."""
        return math.inf if self.memory_mib is None else self.memory_mib * 2**17


_TURNS = Turns()
CPU = Device()


def choose_device(
    wanted: Literal["auto", "cpu", "cuda"],
    precision: Precision = "fp32",
    memory_mib: int | None = None,
    graphs: bool = False,
) -> Device:
    """All but `wanted` is for CUDA. Raises NotReady if that is asked for and not there."""
    if wanted == "cpu":
        return CPU
    lack = lack_of_cuda()
    if lack is None:
        onnxruntime.preload_dlls()  # the CUDA libraries that came as Python packages
        return Device("cuda", precision, memory_mib, graphs)
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
        try:
            graph = half(path) if device.precision == "fp16" else path
            self._session = _native_session(graph, replace(device, graphs=False))
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
        self.uncaptured: str | None = None
        """Why no CUDA graphs can be captured of it, where they are asked for."""
        self._bound: dict[int, Bound] = {}
        self._beside = _TURNS.beside if device.graphs else nullcontext
        self._thread: ThreadPoolExecutor | None = None
        self._plain_options = None
        if device.graphs and self.together:
            self._prepare_captures(graph)

    def _prepare_captures(self, graph: Path | bytes) -> None:
        """Another session that captures, all runs of which are one thread's.

        To ONNX Runtime a capture is that of the thread it was made in, and a replay writes where runs beside it
        would keep what they are at.
        """
        try:
            self._session = _native_session(graph, self._device)
        except _FAILURES as error:
            self.uncaptured = " ".join(str(error).split())
            return
        self._thread = ThreadPoolExecutor(1, "seqcast-captured")
        self._plain_options = graph_option(-1)
        self._graph_ids = count(1)  # not the rows: once unbound, their graph would write to memory of others

    @property
    def captures(self) -> bool:
        """Whether what it binds is captured in a CUDA graph."""
        return self._thread is not None

    @property
    def bound(self) -> list[int]:
        """Rows of the batches that are run in buffers of their own."""
        return sorted(self._bound)

    @property
    def room(self) -> float:
        """Bytes that may still be bound."""
        return self._device.buffer_bytes - sum(each.size for each in self._bound.values())

    def run(self, inputs: Arrays, names: Sequence[str] | None = None, *, bound: bool = True) -> dict[str, NDArray[Any]]:
        """Tensors by name, each with the same number of rows B -> outputs by name, B rows each: all, or `names`.

        In the buffers of their shape, unless others run in them, there are none, or they are not to be used: `bound`.
        Raises GraphFailed.
        """
        names = names or self._outputs
        return dict(zip(names, self._call(self._run, inputs, names, bound), strict=True))

    def bind(self, inputs: Arrays, outputs: Arrays) -> None:
        """Have batches of as many rows run in buffers from now on. Raises GraphFailed."""
        self._call(self._bind, inputs, outputs)

    def unbind(self, rows: int) -> None:
        """The buffers are freed."""
        del self._bound[rows]

    def _call(self, function: Callable[..., T], *arguments: Any) -> T:
        """In the thread that ONNX Runtime is to be called in."""
        try:
            if self._thread is None:
                return function(*arguments)
            return self._thread.submit(function, *arguments).result()
        except _FAILURES as error:
            self.suspect = True
            raise GraphFailed(str(error)) from error

    def _run(self, inputs: Arrays, names: Sequence[str], bound: bool) -> Sequence[NDArray[Any]]:
        with self._beside():
            among = self._bound.values() if bound else ()
            buffers = next((each for each in among if each.take(inputs, names)), None)
            if buffers is None:
                plain: list[NDArray[Any]] = self._session.run(names, dict(inputs), self._plain_options)
                return plain
            try:
                return buffers.run(inputs, names)
            finally:
                buffers.give_back()

    def _bind(self, inputs: Arrays, outputs: Arrays) -> None:
        graph_id = next(self._graph_ids) if self.captures else None
        with _TURNS.alone() if self.captures else self._beside():
            buffers = Bound(self._session, self._device.kind, inputs, outputs, graph_id)
            buffers.run(inputs, self._outputs)
        self._bound[len(next(iter(inputs.values())))] = buffers

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
        inputs = {each.name: golden[each.name] for each in graph.inputs}
        outputs = {each.name: golden[each.name] for each in graph.outputs}
        tolerance = self.tolerance(graph)
        try:
            wrong = differ(self.run(inputs, bound=False), outputs, tolerance)
            in_buffers = (self.bound_differs(repeated(inputs, rows), tolerance) for rows in self.bound)
            wrong = wrong or next(filter(None, in_buffers), None)
        except GraphFailed as error:
            raise UnusableFile(f"{graph.file} cannot run on its golden inputs: {error}") from error
        if wrong:
            raise WrongAnswer(f"{graph.file} on its golden inputs: {wrong}")
        self.suspect = False

    def bound_differs(self, inputs: Arrays, tolerance: float) -> str | None:
        """What is wrong with answers from buffers, beside those without. Raises GraphFailed."""
        return differ(self.run(inputs), self.run(inputs, bound=False), tolerance)

    def tolerance(self, graph: Graph) -> float:
        """Of golden answers, where this computes."""
        return graph.tolerance if self._device.exact else max(graph.tolerance, HALF_TOLERANCE)


def repeated(tensors: Arrays, rows: int) -> dict[str, NDArray[Any]]:
    """The first so many rows, or all of them again and again."""
    return {name: np.resize(tensor, (rows, *tensor.shape[1:])) for name, tensor in tensors.items()}


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


def _native_session(graph: Path | bytes, device: Device) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # parallel across rows, not within one: for small models two threads on a row are slower than one
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=_providers(device))


def _providers(device: Device) -> list[str | tuple[str, dict[str, str]]]:
    if device.kind == "cpu":
        return ["CPUExecutionProvider"]
    options = {
        "use_tf32": str(int(device.precision == "tf32")),
        "cudnn_conv_algo_search": "HEURISTIC",  # the default tries every algorithm at each new shape
        "arena_extend_strategy": "kSameAsRequested",
    }
    if device.memory_mib is not None:
        options["gpu_mem_limit"] = f"{device.memory_mib * 2**20 - device.buffer_bytes:.0f}"
    if device.graphs:
        options["enable_cuda_graph"] = "1"
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
