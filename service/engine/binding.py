"""Buffers that stay where a graph is computed, for batches of one shape: I/O binding, and what CUDA graphs ask for."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, OrtValue, RunOptions


class Bound:
    """A session's inputs and outputs of one shape; `take` and `give_back` keep other threads out meanwhile.

    With a `graph_id`, of its own in the session, the first run captures a CUDA graph, which asks for the same
    addresses ever after. Raises what ONNX Runtime does.
    """

    def __init__(
        self,
        session: InferenceSession,
        kind: str,
        inputs: Mapping[str, NDArray[Any]],
        outputs: Mapping[str, NDArray[Any]],
        graph_id: int | None = None,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._options = None if graph_id is None else graph_option(graph_id)
        self._lock = threading.Lock()
        self._shapes = _shapes(inputs)
        self._inputs = {name: _like(tensor, kind) for name, tensor in inputs.items()}
        self._outputs = {name: _like(tensor, kind) for name, tensor in outputs.items()}
        for name, buffer in self._inputs.items():
            self._binding.bind_ortvalue_input(name, buffer)
        for name, buffer in self._outputs.items():
            self._binding.bind_ortvalue_output(name, buffer)
        self.size = sum(tensor.nbytes for side in (inputs, outputs) for tensor in side.values())
        """Bytes of the buffers."""

    def take(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> bool:
        """Whether these can be run in the buffers, which nobody else runs in now: then they are taken."""
        fit = _shapes(inputs) == self._shapes and self._outputs.keys() >= set(names)
        return fit and self._lock.acquire(blocking=False)

    def give_back(self) -> None:
        self._lock.release()

    def run(self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str]) -> list[NDArray[Any]]:
        for name, tensor in inputs.items():
            self._inputs[name].update_inplace(np.ascontiguousarray(tensor))
        self._session.run_with_iobinding(self._binding, self._options)
        return [_copied(self._outputs[name]) for name in names]


def graph_option(graph_id: int) -> RunOptions:
    """Capture or replay the CUDA graph of this id; -1 is to do neither."""
    options = RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(graph_id))
    return options


class Turns:
    """Many run at a time, or one captures a CUDA graph alone.

    ONNX Runtime captures in CUDA's global mode: what another thread allocates meanwhile fails, and the capture with it.
    """

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._left = threading.Condition()
        self._inside = 0

    @contextmanager
    def beside(self) -> Iterator[None]:
        with self._door, self._left:
            self._inside += 1
        try:
            yield
        finally:
            with self._left:
                self._inside -= 1
                self._left.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._door:
            with self._left:
                self._left.wait_for(lambda: not self._inside)
            yield


def _shapes(tensors: Mapping[str, NDArray[Any]]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _like(tensor: NDArray[Any], kind: str) -> OrtValue:
    return OrtValue.ortvalue_from_shape_and_type(tensor.shape, tensor.dtype, kind, 0)


def _copied(buffer: OrtValue) -> NDArray[Any]:
    """On a CPU `numpy` is a view, which the next run would write to."""
    tensor: NDArray[Any] = buffer.numpy()
    return tensor.copy() if tensor.ctypes.data == buffer.data_ptr() else tensor
