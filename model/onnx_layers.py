"""Layers as ONNX nodes, of fp32 or int8 weights. D d_model, N and M rows and columns of a layer's input and output."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from model.onnx_graph import MICROSOFT, GraphBuilder

Floats = NDArray[np.float32]

EPSILON = 1e-5
"""Of torch's LayerNorm."""
MASKED = -1e9
"""In place of the score of a position that may not be looked at."""
WEIGHT_BITS = 63
"""Largest int8 weight. A processor without VNNI adds two products of 8 bits in 16, which more would overflow:
answers would then differ from machine to machine."""


@dataclass(frozen=True, slots=True)
class Layers:
    """Weights are fp32 if `ranges` is None, otherwise 8 bit with a scale for each output column.

    Inputs are 8 bit then too. `ranges` has the largest of each layer by its name; what is beyond is clipped. Those of a
    layer that it lacks have a scale for each row, which takes nine operators more. Either way no batch changes its
    sentences.
    """

    ranges: Mapping[str, float] | None

    def linear(
        self,
        b: GraphBuilder,
        x: str,
        name: str,
        weight: Floats,
        bias: Floats | None = None,
    ) -> str:
        """x (N, D) times weight (M, D), as torch has it -> (N, M)."""
        if self.ranges is None:
            bias_too = () if bias is None else (b.weight(f"{name}.bias", bias),)
            return str(b("Gemm", x, b.weight(f"{name}.weight", weight), *bias_too, transB=1))
        columns, column_scale = quantize(weight)
        zero = b.weight("zero", np.array(128, np.uint8))
        fixed = name in self.ranges
        scale = b.constant(self.ranges[name] / 127 if fixed else 1.0, "float32")
        rows, row_scale = (b("QuantizeLinear", x, scale, zero), "") if fixed else _quantized_rows(b, x)
        y = b(
            "MatMulIntegerToFloat",
            *(rows, b.weight(f"{name}.int8", np.ascontiguousarray(columns.T)), scale),
            *(b.weight(f"{name}.scale", column_scale), zero),
            *(("", b.weight(f"{name}.bias", bias)) if fixed and bias is not None else ()),
            domain=MICROSOFT,
        )
        if fixed:
            return str(y)
        y = b("Mul", y, row_scale)
        return str(y if bias is None else b("Add", y, b.weight(f"{name}.bias", bias)))

    def embedding(self, b: GraphBuilder, ids: str, name: str, weight: Floats) -> str:
        """ids (...) of weight (V, D) -> (..., D)."""
        if self.ranges is None:
            return str(b("Gather", b.weight(f"{name}.weight", weight), ids))
        rows, scale = quantize(weight)
        found = b("Cast", b("Gather", b.weight(f"{name}.rows", rows), ids), to=TensorProto.FLOAT)
        scales = b("Gather", b.weight(f"{name}.scale", scale), ids)
        return str(b("Mul", found, b("Unsqueeze", scales, b.constant([-1]))))

    def loaded(self, b: GraphBuilder, name: str, weight: Floats) -> str:
        """A weight of an operator that has no int8: in half the bytes on disk, and fp32 once the graph is loaded."""
        if self.ranges is None:
            return b.weight(name, weight)
        return str(b("Cast", b.weight(name, weight.astype(np.float16)), to=TensorProto.FLOAT))

    def norm(self, b: GraphBuilder, x: str, name: str, weight: Floats, bias: Floats) -> str:
        """LayerNorm of (..., D)."""
        scale, shift = b.weight(f"{name}.weight", weight), b.weight(f"{name}.bias", bias)
        return str(b("LayerNormalization", x, scale, shift, axis=-1, epsilon=EPSILON))


def quantize(weight: Floats) -> tuple[NDArray[np.int8], Floats]:
    """(M, D) -> int8 of the same shape, and the scale (M,) of each row."""
    scale = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny) / WEIGHT_BITS
    return np.rint(weight / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def _quantized_rows(b: GraphBuilder, x: str) -> tuple[str, str]:
    """(N, D) -> uint8 around 128, and the scale (N, 1) of each row."""
    largest = b("ReduceMax", b("Abs", x), b.constant([1]), keepdims=0)
    scale = b("Max", b("Mul", largest, b.constant(1 / 127, "float32")), b.constant(1e-30, "float32"))
    zeros = b("Expand", b.weight("zero", np.array(128, np.uint8)), b("Shape", scale))
    return b("QuantizeLinear", x, scale, zeros, axis=0), b("Unsqueeze", scale, b.constant([1]))
