"""Layers as ONNX nodes, of fp32 or int8 weights. D d_model, N and M rows and columns of a layer's input and output."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.onnx_graph import MICROSOFT, GraphBuilder

Floats = NDArray[np.float32]

EPSILON = 1e-5
"""Of torch's LayerNorm."""
WEIGHT_BITS = 63
"""Largest int8 weight. A processor without VNNI adds two products of 8 bits in 16, which more would overflow:
answers would then differ from machine to machine."""


@dataclass(frozen=True, slots=True)
class Layers:
    """With `int8`, weights are 8 bit with a scale for each output column, inputs 8 bit with a scale for each row.

    A scale of its own for each row is what lets a sentence be the same alone and in a batch.
    """

    int8: bool

    def linear(
        self,
        b: GraphBuilder,
        x: str,
        name: str,
        weight: Floats,
        bias: Floats | None = None,
    ) -> str:
        """x (N, D) times weight (M, D), as torch has it -> (N, M)."""
        if not self.int8:
            bias_too = () if bias is None else (b.weight(f"{name}.bias", bias),)
            return str(b("Gemm", x, b.weight(f"{name}.weight", weight), *bias_too, transB=1))
        rows, row_scale = _quantized_rows(b, x)
        columns, column_scale = quantize(weight)
        y = b(
            "MatMulIntegerToFloat",
            rows,
            b.weight(f"{name}.int8", np.ascontiguousarray(columns.T)),
            b.constant(1.0, "float32"),
            b.weight(f"{name}.scale", column_scale),
            b.weight("zero", np.array(128, np.uint8)),
            domain=MICROSOFT,
        )
        y = b("Mul", y, row_scale)
        return str(y if bias is None else b("Add", y, b.weight(f"{name}.bias", bias)))

    def embedding(self, b: GraphBuilder, ids: str, name: str, weight: Floats) -> str:
        """ids (...) of weight (V, D) -> (..., D)."""
        if not self.int8:
            return str(b("Gather", b.weight(f"{name}.weight", weight), ids))
        rows, scale = quantize(weight)
        found = b("Cast", b("Gather", b.weight(f"{name}.rows", rows), ids), to=1)
        scales = b("Gather", b.weight(f"{name}.scale", scale), ids)
        return str(b("Mul", found, b("Unsqueeze", scales, b.constant([-1]))))

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
