"""ONNX graphs written operator by operator, for what torch's exporter cannot say: loops, caches, int8 weights.

Several graphs of a bundle share their large weights, which stand once in a file beside them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
MICROSOFT = "com.microsoft"
INLINE = 1024
"""Bytes up to which a tensor stands in the graph itself."""
ALIGNED = 64

_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
}


class WeightFile:
    """The tensors of several graphs, each stored once: `content` is the file `name` beside them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._content = bytearray()
        self._offsets: dict[bytes, int] = {}

    @property
    def content(self) -> bytes:
        return bytes(self._content)

    def tensor(self, name: str, array: NDArray[Any]) -> TensorProto:
        """An initializer; a small one holds its values, a large one points into the file."""
        array = np.asarray(array, order="C")
        if array.nbytes <= INLINE:
            return numpy_helper.from_array(array, name)
        raw = array.tobytes()
        if raw not in self._offsets:
            self._content += bytes(-len(self._content) % ALIGNED)
            self._offsets[raw] = len(self._content)
            self._content += raw
        tensor = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.name), ("offset", self._offsets[raw]), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))
        return tensor


class GraphBuilder:
    """Nodes and initializers of one graph, or of the body of a loop in it.

    Names of values are strings, as in ONNX. Initializers stand in the graph that uses them: ONNX Runtime packs a matrix
    for its kernels only there.
    """

    def __init__(self, weights: WeightFile, prefix: str = "") -> None:
        self.weights = weights
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def __call__(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        """Add a node; returns the name of its output, or the names of all."""
        names = [self._name(op) if outputs == 1 else f"{self._name(op)}.{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(op, list(inputs), names, name=names[0], domain=domain, **attributes))
        return names[0] if outputs == 1 else tuple(names)

    def constant(self, value: Any, dtype: str = "int64") -> str:
        """A tensor of these values, once however often it is asked for."""
        array = np.asarray(value, dtype)
        key = (dtype, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._prefix + f"constant.{len(self._constants)}"
            self._initializers[self._constants[key]] = self.weights.tensor(self._constants[key], array)
        return self._constants[key]

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """A named initializer; the same name is the same tensor."""
        name = self._prefix + name
        if name not in self._initializers:
            self._initializers[name] = self.weights.tensor(name, array)
        return name

    def reshape(self, x: str, *shape: int) -> str:
        return self("Reshape", x, self.constant(shape))  # type: ignore[no-any-return]

    def alias(self, x: str, name: str) -> str:
        """A value under a name of its own, as an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [x], [name], name=name))
        return name

    def graph(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.GraphProto:
        name = self._prefix.rstrip(".") or "main"
        return helper.make_graph(self._nodes, name, inputs, outputs, list(self._initializers.values()))

    def _name(self, op: str) -> str:
        return f"{self._prefix}{op}.{len(self._nodes)}"


def value(name: str, dtype: str, shape: Sequence[int | str | None]) -> onnx.ValueInfoProto:
    """A graph's input or output; a name in `shape` is a length that differs from call to call."""
    return helper.make_tensor_value_info(name, _TYPES[dtype], shape)


def model_bytes(graph: onnx.GraphProto) -> bytes:
    """The graph as a file, which needs its weight file beside it."""
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
