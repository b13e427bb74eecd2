"""The GRU encoder-decoder as ONNX nodes: what its torch module computes, one step at a time.

B batch, S source and T target positions, D d_embed, U d_hidden.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import TensorProto

from contract.graphs import Tensor
from model.decoding_graphs import Values
from model.onnx_graph import GraphBuilder
from model.onnx_layers import MASKED, Floats, Layers
from model.recurrent import Recurrent


class RecurrentGraphs:
    """A Description (model/decoding_graphs.py) of a trained Recurrent.

    The state is the decoder's; the memory is the fixed vector, or the source's positions and, where the score projects
    them, their keys, computed once. What runs over a whole sentence is the GRU operator, which computes in fp32.
    """

    def __init__(self, model: Recurrent, pad: int, ranges: Mapping[str, float] | None) -> None:
        self._config, self._pad = model.config, pad
        self._layers = Layers(None if ranges is None else {})  # a scale for each row
        self._weights = {name: each.detach().numpy() for name, each in model.state_dict().items()}
        self._shared = model.source_embedding is model.target_embedding
        self._kind = model.config.attention
        hidden = model.config.d_hidden
        self.state = (Tensor("hidden", "float32", (None, hidden)),)
        positions = [Tensor(name, "float32", (None, None, hidden)) for name in ("positions", *self._keys())]
        self.memory: tuple[Tensor, ...] = (Tensor("mask", "bool", (None, None)), *positions)
        self.maps: tuple[Tensor, ...] = (Tensor("cross_maps", "float32", (None, 1, 1, None, None)),)
        if self._kind == "fixed":
            self.memory, self.maps = (Tensor("vector", "float32", (None, hidden)),), ()

    def _keys(self) -> tuple[str, ...]:
        return ("keys",) if self._kind in ("additive", "bilinear") else ()

    def encode(self, b: GraphBuilder, source: str) -> Values:
        """Implements Description.encode."""
        hidden = self._config.d_hidden
        mask = b("Not", b("Equal", source, b.constant(self._pad)))
        lengths = b("ReduceSum", b("Cast", mask, to=TensorProto.INT32), b.constant([1]), keepdims=0)
        embedded = b("Transpose", self._embedded(b, source, "source"), perm=[1, 0, 2])  # (B, S, D) -> (S, B, D)
        states, last = self._gru(b, "encoder", embedded, ("", "_reverse"), lengths)
        last = b.reshape(b("Transpose", last, perm=[1, 0, 2]), -1, 2 * hidden)  # (2, B, U) -> (B, 2 U)
        vector = b("Tanh", self._linear(b, last, "vector"))
        values = {"mask": mask, "vector": vector, "hidden": vector}
        if self._kind == "fixed":
            return values
        states = b.reshape(b("Transpose", states, perm=[2, 0, 1, 3]), -1, 2 * hidden)  # (S, 2, B, U) -> (B * S, 2 U)
        shape = b("Concat", b("Shape", source), b.constant([hidden]), axis=0)
        positions = self._linear(b, states, "positions")
        values["positions"] = b("Reshape", positions, shape)
        if self._keys():
            name = {"additive": "attention.key", "bilinear": "attention.weight"}[self._kind]
            values["keys"] = b("Reshape", self._linear(b, positions, name), shape)
        return values

    def step(self, b: GraphBuilder, token: str, memory: Values, state: Values) -> tuple[str, Values]:
        """Implements Description.step."""
        x = self._embedded(b, token, "target")  # (B, D)
        if self._kind == "fixed":
            x = b("Concat", x, memory["vector"], axis=1)
        hidden = self._cell(b, x, state["hidden"])
        if self._kind == "fixed":
            context = memory["vector"]
        else:
            query = b("Unsqueeze", hidden, b.constant([1]))  # (B, 1, U)
            context, _ = self._attend(b, query, memory)
            context = b("Squeeze", context, b.constant([1]))
        output = b("Tanh", self._linear(b, b("Concat", hidden, context, axis=1), "output"))
        return self._linear(b, output, "projection"), {"hidden": hidden}

    def attention(self, b: GraphBuilder, source: str, target: str) -> Values:
        """Implements Description.attention."""
        memory = self.encode(b, source)
        embedded = b("Transpose", self._embedded(b, target, "target"), perm=[1, 0, 2])
        first = b("Unsqueeze", memory["hidden"], b.constant([0]))
        states, _ = self._gru(b, "decoder", embedded, ("",), "", first)
        queries = b("Transpose", b("Squeeze", states, b.constant([1])), perm=[1, 0, 2])  # (T, B, U) -> (B, T, U)
        _, weights = self._attend(b, queries, memory)
        return {"cross_maps": b("Unsqueeze", weights, b.constant([1, 2]))}

    def _attend(self, b: GraphBuilder, queries: str, memory: Values) -> tuple[str, str]:
        """(B, T, U) -> context (B, T, U) and weights (B, T, S)."""
        scores = self._scores(b, queries, memory)
        allowed = b("Unsqueeze", memory["mask"], b.constant([1]))
        weights = b("Softmax", b("Where", allowed, scores, b.constant(MASKED, "float32")), axis=-1)
        return b("MatMul", weights, memory["positions"]), weights

    def _scores(self, b: GraphBuilder, queries: str, memory: Values) -> str:
        """(B, T, U) -> (B, T, S), as model/attention.py scores."""
        if self._kind == "additive":
            shape = b("Shape", queries)
            flat = b.reshape(queries, -1, self._config.d_hidden)
            asked = b("Reshape", self._linear(b, flat, "attention.query"), shape)
            both = b("Add", b("Unsqueeze", asked, b.constant([2])), b("Unsqueeze", memory["keys"], b.constant([1])))
            scores = b("MatMul", b("Tanh", both), b.weight("score", self._weights["attention.score.weight"].T))
            return str(b("Squeeze", scores, b.constant([3])))
        keys = memory["keys" if self._kind == "bilinear" else "positions"]
        scores = b("MatMul", queries, b("Transpose", keys, perm=[0, 2, 1]))
        if self._kind == "scaled_dot":
            scores = b("Mul", scores, b.constant(1 / math.sqrt(self._config.d_hidden), "float32"))
        return str(scores)

    def _cell(self, b: GraphBuilder, x: str, hidden: str) -> str:
        """One step of a GRU, as torch has it: (B, D) and (B, U) -> (B, U)."""
        sides = []
        for kind, value in (("ih", x), ("hh", hidden)):
            weight, bias = (self._weights[f"decoder.{part}_{kind}_l0"] for part in ("weight", "bias"))
            gates = self._layers.linear(b, value, f"decoder.{kind}", weight, bias)
            sides.append(b("Split", gates, outputs=3, axis=1, num_outputs=3))
        (reset_x, update_x, new_x), (reset_h, update_h, new_h) = sides
        reset = b("Sigmoid", b("Add", reset_x, reset_h))
        update = b("Sigmoid", b("Add", update_x, update_h))
        new = b("Tanh", b("Add", new_x, b("Mul", reset, new_h)))
        return str(b("Add", new, b("Mul", update, b("Sub", hidden, new))))

    def _gru(
        self, b: GraphBuilder, name: str, x: str, directions: Sequence[str], lengths: str, first: str = ""
    ) -> tuple[str, str]:
        """(L, B, D) -> all states (L, directions, B, U) and the last ones."""
        parts = {
            kind: np.stack([_zrh(self._weights[f"{name}.weight_{kind}_l0{way}"]) for way in directions])
            for kind in ("ih", "hh")
        }
        biases = [
            np.concatenate([_zrh(self._weights[f"{name}.bias_{kind}_l0{way}"]) for kind in ("ih", "hh")])
            for way in directions
        ]
        states, last = b(
            "GRU",
            x,
            *(self._layers.loaded(b, f"{name}.gru.{kind}", weight) for kind, weight in parts.items()),
            b.weight(f"{name}.gru.bias", np.stack(biases)),
            lengths,
            first,
            outputs=2,
            hidden_size=self._config.d_hidden,
            direction="bidirectional" if len(directions) == 2 else "forward",
            linear_before_reset=1,
        )
        return states, last

    def _linear(self, b: GraphBuilder, x: str, name: str) -> str:
        return self._layers.linear(b, x, name, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))

    def _embedded(self, b: GraphBuilder, ids: str, side: str) -> str:
        name = "target_embedding" if self._shared else f"{side}_embedding"
        return self._layers.embedding(b, ids, name, self._weights[f"{name}.weight"])


def _zrh(weight: Floats) -> Floats:
    """torch's order of gates, reset, update and new, as ONNX has it: update, reset, new."""
    reset, update, new = np.split(weight, 3)
    return np.concatenate([update, reset, new])
