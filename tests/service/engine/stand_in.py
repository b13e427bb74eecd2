"""ONNX Runtime's CPU where CUDA is meant, and rows to run on it."""

import threading

import numpy as np
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from service.engine.session import Device

GRAPHS = Device("cuda", graphs=True)
REFUSAL = "This session cannot use the CUDA Graph feature as requested by the user"
SHAPES = (1, 3, 24)
"""Fewer rows than elsewhere: they are computed on a CPU."""


class Native(onnxruntime.InferenceSession):
    """ONNX Runtime's CPU in place of its CUDA. It notes what it is asked for, and may be told to fail."""

    refuses_graphs = fails_bound = False
    made, ids, threads = [], [], []

    def __init__(self, graph, options, providers):
        asked = {name: value for each in providers if isinstance(each, tuple) for name, value in each[1].items()}
        self.made.append(asked)
        if self.refuses_graphs and asked.get("enable_cuda_graph") == "1":
            raise Fail(f"[ONNXRuntimeError] : 1 : FAIL :\n{REFUSAL}")
        super().__init__(graph, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def run(self, names, inputs, options=None):
        self._note(options)
        return super().run(names, inputs, options)

    def run_with_iobinding(self, bound, options=None):
        self._note(options)
        if self.fails_bound:
            raise Fail("CUDA failure 900: operation not permitted when stream is capturing")
        super().run_with_iobinding(bound, options)

    def _note(self, options):
        self.ids.append(None if options is None else int(options.get_run_config_entry("gpu_graph_id")))
        self.threads.append(threading.get_ident())


def some(bundle, rows, seed):
    """So many rows unlike each other."""
    golden = bundle("hourly").golden()
    factors = np.random.default_rng(seed).uniform(0.9, 1.1, (rows, 1, 1))
    return {"history": golden["history"][:1] * factors, "calendar": np.repeat(golden["calendar"][:1], rows, axis=0)}


def inputs_of(bundle):
    return {name: bundle("hourly").golden()[name] for name in ("history", "calendar")}


def off(run):
    """As `run`, a hundredth beside."""
    return lambda *arguments: [tensor * 1.01 for tensor in run(*arguments)]


def same(came, expected):
    assert list(came) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(came[name], tensor, strict=True)
