"""ONNX Runtime, and nothing else of the service imports it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contract.errors import NotReady

Arrays = Mapping[str, NDArray[Any]]
Device = Literal["cpu", "cuda"]


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """Raises NotReady if CUDA is asked for and this ONNX Runtime has none."""
    available = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if wanted == "cuda" and not available:
        raise NotReady("device cuda was asked for, but this ONNX Runtime has no CUDA: install seqcast[serve-gpu]")
    return "cuda" if available and wanted != "cpu" else "cpu"


class Session:
    """One graph, ready to run. Safe to call from many threads; the GIL is free while it computes."""

    def __init__(self, path: Path, device: Device) -> None:
        options = onnxruntime.SessionOptions()
        # parallel across rows, not within one: for small models two threads on a row are slower than one
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        if device == "cuda":
            providers.insert(0, "CUDAExecutionProvider")
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        if device == "cuda" and self._session.get_providers()[0] != "CUDAExecutionProvider":
            raise NotReady("ONNX Runtime could not start CUDA and fell back to the CPU; its log says why")
        self._outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Tensors by name, each with the same number of rows B -> the outputs by name, B rows each."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(inputs)), strict=True))


def differ(came: Arrays, expected: Arrays, tolerance: float = 1e-3) -> str | None:
    """What is wrong with `came`, beyond `tolerance` of each output's own spread; None if nothing."""
    for name, golden in expected.items():
        if came[name].shape != golden.shape:
            return f"{name}: expected shape {golden.shape}, came {came[name].shape}"
        worst = float(np.abs(came[name] - golden).max())
        if not worst <= tolerance * float(golden.std()):
            return f"{name}: expected the golden values, came values up to {worst:.3g} off"
    return None
