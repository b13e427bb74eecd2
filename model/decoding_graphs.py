"""The graphs of a sequence-to-sequence model, as contract/translation.py has them, from one description of it.

B batch, S source and T target positions, V words of the target vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto

from contract.graphs import NEXT, Graph, Tensor
from contract.translation import TranslateSpec
from model.onnx_graph import GraphBuilder, WeightFile, model_bytes, value

KEPT = 3, 4
"""Rows leave the batch once so many of so many are open, or fewer."""

Values = Mapping[str, str]
"""Names of a graph's values by what they are."""


class Description(Protocol):
    """A model as graphs are built from it; each method adds nodes to a builder."""

    memory: tuple[Tensor, ...]
    state: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]

    def encode(self, builder: GraphBuilder, source: str) -> Values:
        """`source` (B, S) -> the memory, and the state before the first step."""
        ...

    def step(self, builder: GraphBuilder, token: str, memory: Values, state: Values) -> tuple[str, Values]:
        """`token` (B,) -> logits (B, V) of the next one, and the new state."""
        ...

    def attention(self, builder: GraphBuilder, source: str, target: str) -> Values:
        """`source` (B, S), `target` (B, T) -> maps."""
        ...


class SpecialIds(Protocol):
    """What a vocabulary tells of its special tokens."""

    pad: int
    bos: int
    eos: int


def build_graphs(
    description: Description, spec: TranslateSpec, ids: SpecialIds, weights: WeightFile, tolerance: float = 1e-3
) -> tuple[dict[str, Graph], dict[str, bytes]]:
    """The manifest's graphs, `tolerance` in each, and the files that they are in, weights included."""
    source = Tensor("source", "int64", (None, None))
    target = Tensor("target", "int64", (None, None))
    token = Tensor("token", "int64", (None,))
    encoded = (*description.memory, *description.state)
    log_probs = Tensor("log_probs", "float32", (None, spec.target_size))
    following = tuple(Tensor(NEXT + each.name, each.dtype, each.shape) for each in description.state)
    signatures = {
        "greedy": ((source, Tensor("caps", "int64", (None,))), (target,)),
        "encode": ((source,), encoded),
        "step": ((token, *encoded), (log_probs, *following)),
        "attention": ((source, target), description.maps),
    }
    fill = {
        "greedy": lambda b: {"target": _greedy(b, description, ids, spec.target_size)},
        "encode": lambda b: description.encode(b, "source"),
        "step": lambda b: _step(b, description),
        "attention": lambda b: description.attention(b, "source", "target"),
    }
    graphs, files = {}, {}
    for name, (inputs, outputs) in signatures.items():
        if not outputs:
            continue
        builder = GraphBuilder(weights)
        values = fill[name](builder)
        for tensor in outputs:
            builder.alias(values[tensor.name], tensor.name)
        graphs[name] = Graph(f"{name}.onnx", inputs, outputs, weights.name, tolerance)
        files[f"{name}.onnx"] = model_bytes(builder.graph(_infos(inputs), _infos(outputs)))
    return graphs, {**files, weights.name: weights.content}


def _infos(tensors: Sequence[Tensor]) -> list[onnx.ValueInfoProto]:
    """A name for each length that is open: ONNX Runtime plans no memory by them."""
    return [
        value(
            each.name, each.dtype, [f"{each.name}.{i}" if size is None else size for i, size in enumerate(each.shape)]
        )
        for each in tensors
    ]


def _step(b: GraphBuilder, description: Description) -> Values:
    named = {each.name: each.name for each in (*description.memory, *description.state)}
    logits, state = description.step(b, "token", named, named)
    return {"log_probs": b("LogSoftmax", logits, axis=-1), **{NEXT + name: each for name, each in state.items()}}


def _greedy(b: GraphBuilder, description: Description, ids: SpecialIds, size: int) -> str:
    """Two loops: the inner one takes steps, the outer one drops the rows that have ended."""
    carried = (*description.memory, *description.state)
    encoded = description.encode(b, "source")
    batch = b("Shape", "source", start=0, end=1)
    rows = b("Range", b.constant(0), b("Squeeze", batch), b.constant(1))
    first = b("Expand", b.constant(ids.bos), batch)
    target = b("Unsqueeze", first, b.constant([1]))
    results = b(
        "Loop",
        *("", "", rows, first, "caps", target, *(encoded[each.name] for each in carried)),
        outputs=4 + len(carried),
        body=_sweep(b.weights, description, ids, size),
    )
    return str(results[3])


def _sweep(weights: WeightFile, description: Description, ids: SpecialIds, size: int) -> onnx.GraphProto:
    """Steps until so many rows have ended that the others are better off by themselves.

    `rows` (b,) are the batch's rows that are open still, `target` (B, T) what all of them have come to.
    """
    b = GraphBuilder(weights, "sweep.")
    carried = (*description.memory, *description.state)
    inputs = [
        value("sweep.iteration", "int64", []),
        value("sweep.go", "bool", []),
        *(value(f"sweep.{name}", "int64", ["b"]) for name in ("rows", "token", "caps")),
        value("sweep.target", "int64", ["B", "T"]),
        *(value(f"sweep.{each.name}", each.dtype, each.shape) for each in carried),
    ]
    count = b("Shape", "sweep.rows", start=0, end=1)
    n_state = len(description.state)
    opened, token, *state, tokens = b(
        "Loop",
        *("", "", b("Expand", b.weight("true", np.array(True)), count), "sweep.token"),
        *(f"sweep.{each.name}" for each in description.state),
        outputs=3 + n_state,
        body=_steps(weights, description, ids, size),
    )
    kept = b("Squeeze", b("NonZero", opened), b.constant([0]))
    came = b("Transpose", tokens, perm=[1, 0])  # (t, b) -> (b, t)
    whole = b("Concat", b("Shape", "sweep.target", start=0, end=1), b("Shape", tokens, start=0, end=1), axis=0)
    scattered = b(
        "ScatterND", b("Expand", b.constant(ids.pad), whole), b("Unsqueeze", "sweep.rows", b.constant([1])), came
    )
    left = {name: b("Gather", name, kept, axis=0) for name in ("sweep.rows", "sweep.caps")}
    memory = [b("Gather", f"sweep.{each.name}", kept, axis=0) for each in description.memory]
    outputs = [
        b("Greater", b("Size", kept), b.constant(0)),
        left["sweep.rows"],
        b("Gather", token, kept, axis=0),
        left["sweep.caps"],
        b("Concat", "sweep.target", scattered, axis=1),
        *memory,
        *(b("Gather", each, kept, axis=0) for each in state),
    ]
    kinds = [value(outputs[0], "bool", []), *(value(name, "int64", ["b"]) for name in outputs[1:4])]
    kinds.append(value(outputs[4], "int64", ["B", "T"]))
    kinds += [value(name, each.dtype, each.shape) for name, each in zip(outputs[5:], carried, strict=True)]
    return b.graph(inputs, kinds)


def _steps(weights: WeightFile, description: Description, ids: SpecialIds, size: int) -> onnx.GraphProto:
    """One step of the rows of a sweep. Rows that have ended go on to be computed, and come to padding."""
    b = GraphBuilder(weights, "step.")
    inputs = [
        value("step.iteration", "int64", []),
        value("step.go", "bool", []),
        value("step.open", "bool", ["b"]),
        value("step.token", "int64", ["b"]),
        *(value(f"step.{each.name}", each.dtype, each.shape) for each in description.state),
    ]
    memory = {each.name: f"sweep.{each.name}" for each in description.memory}
    logits, state = description.step(
        b, "step.token", memory, {each.name: f"step.{each.name}" for each in description.state}
    )
    token = b("Where", "step.open", _argmax(b, logits, size), b.constant(ids.pad))
    length = b("Add", b("Shape", "sweep.target", start=1, end=2), b("Add", "step.iteration", b.constant(1)))
    going = b("And", b("Not", b("Equal", token, b.constant(ids.eos))), b("Less", length, "sweep.caps"))
    opened = b("And", "step.open", going)
    few, of = KEPT
    count = b("ReduceSum", b("Cast", opened, to=TensorProto.INT64), keepdims=0)
    enough = b("Mul", b("Size", opened), b.constant(few))
    go = b("Greater", b("Mul", count, b.constant(of)), enough)
    outputs = [
        value(go, "bool", []),
        value(opened, "bool", ["b"]),
        value(token, "int64", ["b"]),
        *(value(state[each.name], each.dtype, each.shape) for each in description.state),
        value(b("Identity", token), "int64", ["b"]),
    ]
    return b.graph(inputs, outputs)


def _argmax(b: GraphBuilder, logits: str, size: int) -> str:
    """(B, V) -> (B,), the first of equals. In two stages: ArgMax reads values one by one, ReduceMax many at once."""
    width = next((each for each in range(128, 63, -1) if size % each == 0), 128)
    if size % width:
        padding = b.constant([0, 0, 0, -size % width])
        logits = b("Pad", logits, padding, b.constant(float(np.finfo(np.float32).min), "float32"))
    blocks = b.reshape(logits, 0, -1, width)  # (B, V) -> (B, n, width)
    block = b("ArgMax", b("ReduceMax", blocks, b.constant([2]), keepdims=0), axis=1, keepdims=1)  # (B, 1)
    place = b("ArgMax", b("GatherND", blocks, block, batch_dims=1), axis=1, keepdims=1)  # (B, width) -> (B, 1)
    return str(b("Squeeze", b("Add", b("Mul", block, b.constant(width)), place), b.constant([1])))
