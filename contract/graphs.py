"""A bundle's graphs, by what they take and give."""

from dataclasses import dataclass
from typing import Literal

NEXT = "next_"
"""Before the name of a state, in what a step gives."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A graph's input or output; a None in `shape` is the batch, or a length that differs from call to call."""

    name: str
    dtype: Literal["float32", "float64", "int64", "bool"]
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX file of the bundle; `weights` is the file beside it that its large tensors are in, if they are.

    Golden answers agree if they differ by at most `tolerance` of their own spread.
    """

    file: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: str | None = None
    tolerance: float = 1e-3


def expect(name: str, graph: Graph, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
    """Raises ValueError if `graph` takes or gives something else."""
    expected = Graph(graph.file, inputs, outputs, graph.weights, graph.tolerance)
    if graph != expected:
        raise ValueError(f"expected a graph {name} such as {expected}, came {graph}")
