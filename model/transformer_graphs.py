"""The Transformer as ONNX nodes: what its torch module computes, with keys and values kept from step to step.

B batch, S source and T target positions, P target positions before the step, D d_model, H heads, E width of a head.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from onnx import TensorProto

from contract.graphs import Tensor
from model.decoding_graphs import Values
from model.onnx_graph import MICROSOFT, GraphBuilder
from model.onnx_layers import MASKED, Floats, Layers
from model.transformer import Transformer, TransformerConfig

Attend = Callable[[str, str, str], str]
"""Queries, keys and values (N, D) -> context (N, D)."""


class TransformerGraphs:
    """A Description (model/decoding_graphs.py) of a trained Transformer, int8 with `ranges` of its layers' inputs.

    The state is the keys and values of the target so far, the memory those of the source, computed once.
    The embedding is stored times sqrt(D); the norm before a projection
    that is the same matrix is divided by it.
    """

    def __init__(self, model: Transformer, pad: int, ranges: Mapping[str, float] | None) -> None:
        self._config, self._pad = model.config, pad
        self._layers = Layers(None if ranges is None else _by_product(ranges, model.config))
        self._weights = {name: each.detach().numpy() for name, each in model.state_dict().items()}
        self._positions = model.positions.numpy()
        self._shared = model.source_embedding is model.target_embedding
        config = self._config
        cache = (None, config.n_heads, None, config.d_model // config.n_heads)
        pairs = [(f"keys.{i}", f"values.{i}") for i in range(config.d_layers)]
        self.state = tuple(Tensor(name, "float32", cache) for pair in pairs for name in pair)
        self.memory = (
            Tensor("mask", "bool", (None, None)),
            *(Tensor(f"cross_{name}", "float32", cache) for pair in pairs for name in pair),
        )
        layers = {"encoder": config.e_layers, "decoder": config.d_layers, "cross": config.d_layers}
        self.maps = tuple(
            Tensor(f"{kind}_maps", "float32", (None, count, config.n_heads, None, None))
            for kind, count in layers.items()
        )

    def encode(self, b: GraphBuilder, source: str) -> Values:
        """Implements Description.encode."""
        config, n_heads = self._config, self._config.n_heads
        mask = b("Not", b("Equal", source, b.constant(self._pad)))
        padding = b("Cast", mask, to=TensorProto.INT32)
        shape = b("Concat", b("Shape", source), b.constant([config.d_model]), axis=0)
        # padding goes through attention alone: in a batch of sentences it may be half of all
        tokens = b("Squeeze", b("NonZero", b.reshape(mask, -1)), b.constant([0]))  # places (N,) in B*S
        places = b("Unsqueeze", tokens, b.constant([1]))
        empty_rows = b("Reshape", b("ConstantOfShape", shape), b.constant([-1, config.d_model]))

        def padded(x: str) -> str:
            return b("Reshape", b("ScatterND", empty_rows, places, x), shape)  # (N, D) -> (B, S, D)

        def attend(queries: str, keys: str, values: str) -> str:
            sides = (padded(each) for each in (queries, keys, values))
            context = b("MultiHeadAttention", *sides, "", padding, domain=MICROSOFT, num_heads=n_heads)
            return b("Gather", b.reshape(context, -1, config.d_model), tokens)

        position = b("Mod", tokens, b("Shape", source, start=1, end=2))
        x = b(
            "Add",
            self._embedded(b, b("Gather", b.reshape(source, -1), tokens), "source"),
            b("Gather", b.weight("positions", self._positions), position),
        )
        memory = self._encoder(b, x, lambda _: attend)
        values = {"mask": mask}
        for i in range(config.d_layers):
            for kind in ("key", "value"):
                x = self._project(b, memory, f"decoder.{i}.cross_attention", kind)
                heads = b("Transpose", b("Reshape", padded(x), self._split(b, shape)), perm=[0, 2, 1, 3])
                values[f"cross_{kind}s.{i}"] = heads
        empty = b(
            "Concat", b("Shape", source, start=0, end=1), b.constant([n_heads, 0, config.d_model // n_heads]), axis=0
        )
        return {**values, **{each.name: b("ConstantOfShape", empty) for each in self.state}}

    def step(self, b: GraphBuilder, token: str, memory: Values, state: Values) -> tuple[str, Values]:
        """Implements Description.step."""
        config = self._config
        following: dict[str, str] = {}
        padding = b("Cast", memory["mask"], to=TensorProto.INT32)

        def one(x: str) -> str:
            return b.reshape(x, -1, 1, config.d_model)  # (B, D) -> (B, 1, D)

        def attend_self(i: int) -> Attend:
            def attend(queries: str, keys: str, values: str) -> str:
                past = state[f"keys.{i}"], state[f"values.{i}"]
                context, following[f"keys.{i}"], following[f"values.{i}"] = b(
                    "MultiHeadAttention",
                    *(one(queries), one(keys), one(values), "", "", "", *past),
                    outputs=3,
                    domain=MICROSOFT,
                    num_heads=config.n_heads,
                )
                return b.reshape(context, -1, config.d_model)

            return attend

        def attend_cross(i: int, queries: str) -> str:
            both = memory[f"cross_keys.{i}"], memory[f"cross_values.{i}"]
            context = b(
                "MultiHeadAttention",
                *(one(queries), *both, "", padding),
                domain=MICROSOFT,
                num_heads=config.n_heads,
            )
            return b.reshape(context, -1, config.d_model)

        position = b("Shape", state["keys.0"], start=2, end=3)
        x = b("Add", self._embedded(b, token, "target"), b("Gather", b.weight("positions", self._positions), position))
        return self._decoder(b, x, attend_self, attend_cross), following

    def attention(self, b: GraphBuilder, source: str, target: str) -> Values:
        """Implements Description.attention."""
        d_model = self._config.d_model
        mask = b("Unsqueeze", b("Not", b("Equal", source, b.constant(self._pad))), b.constant([1, 2]))  # (B, 1, 1, S)
        length = b("Squeeze", b("Shape", target, start=1, end=2))
        order = b("Range", b.constant(0), length, b.constant(1))
        causal = b("GreaterOrEqual", b("Unsqueeze", order, b.constant([1])), order)  # (T, T)
        source_shape, target_shape = (
            b("Concat", b("Shape", ids), b.constant([d_model]), axis=0) for ids in (source, target)
        )
        maps: dict[str, list[str]] = {each.name: [] for each in self.maps}

        def attend(kind: str, allowed: str, rows: str, columns: str) -> Attend:
            def mapped(queries: str, keys: str, values: str) -> str:
                context, weights = self._plain(b, (queries, rows), (keys, columns), (values, columns), allowed)
                maps[f"{kind}_maps"].append(b("Unsqueeze", weights, b.constant([1])))
                return context

            return mapped

        memory = self._encoder(
            b, self._placed(b, source, "source"), lambda _: attend("encoder", mask, source_shape, source_shape)
        )
        cross = attend("cross", mask, target_shape, source_shape)

        def attend_cross(i: int, queries: str) -> str:
            keys, values = (self._project(b, memory, f"decoder.{i}.cross_attention", kind) for kind in ("key", "value"))
            return cross(queries, keys, values)

        x = self._placed(b, target, "target")
        self._decoder(b, x, lambda _: attend("decoder", causal, target_shape, target_shape), attend_cross)
        return {name: b("Concat", *each, axis=1) for name, each in maps.items()}

    def _encoder(self, b: GraphBuilder, x: str, attend: Callable[[int], Attend]) -> str:
        """(N, D) -> (N, D)."""
        for i in range(self._config.e_layers):
            name = f"encoder.{i}"
            x = self._residual(b, x, f"{name}.attention", self._self_attention(b, f"{name}.attention", attend(i)))
            x = self._residual(b, x, f"{name}.feed_forward", self._feed_forward(b, f"{name}.feed_forward"))
        return self._norm(b, x, "encoder_norm") if self._config.pre_norm else x

    def _decoder(
        self, b: GraphBuilder, x: str, attend_self: Callable[[int], Attend], attend_cross: Callable[[int, str], str]
    ) -> str:
        """(N, D) -> logits (N, V)."""
        for i in range(self._config.d_layers):
            name = f"decoder.{i}"
            cross = f"{name}.cross_attention"
            x = self._residual(b, x, f"{name}.self", self._self_attention(b, f"{name}.self_attention", attend_self(i)))
            x = self._residual(
                b,
                x,
                f"{name}.cross",
                lambda y, cross=cross, i=i: self._project(
                    b, attend_cross(i, self._project(b, y, cross, "query")), cross, "out"
                ),
            )
            x = self._residual(b, x, f"{name}.feed_forward", self._feed_forward(b, f"{name}.feed_forward"))
        if self._config.pre_norm:
            x = self._norm(b, x, "decoder_norm")
        if self._config.tied:
            return self._layers.linear(b, x, "target_embedding", self._scaled("target"))
        weight, bias = self._weights["projection.weight"], self._weights["projection.bias"]
        return self._layers.linear(b, x, "projection", weight, bias)

    def _residual(self, b: GraphBuilder, x: str, name: str, sublayer: Callable[[str], str]) -> str:
        if self._config.pre_norm:
            return str(b("Add", x, sublayer(self._norm(b, x, f"{name}_residual.norm"))))
        return self._norm(b, b("Add", x, sublayer(x)), f"{name}_residual.norm")

    def _self_attention(self, b: GraphBuilder, name: str, attend: Attend) -> Callable[[str], str]:
        def sublayer(y: str) -> str:
            weight = np.concatenate([self._weights[f"{name}.{kind}.weight"] for kind in ("query", "key", "value")])
            joint = self._layers.linear(b, y, f"{name}.joint", weight)  # one product for the three
            queries, keys, values = b("Split", joint, outputs=3, axis=1, num_outputs=3)
            return self._project(b, attend(queries, keys, values), name, "out")

        return sublayer

    def _feed_forward(self, b: GraphBuilder, name: str) -> Callable[[str], str]:
        def sublayer(y: str) -> str:
            for part in (0, 3):
                weight, bias = (self._weights[f"{name}.{part}.{kind}"] for kind in ("weight", "bias"))
                y = self._layers.linear(b, y, f"{name}.{part}", weight, bias)
                y = b("Relu", y) if part == 0 else y
            return y

        return sublayer

    def _project(self, b: GraphBuilder, x: str, name: str, kind: str) -> str:
        return self._layers.linear(b, x, f"{name}.{kind}", self._weights[f"{name}.{kind}.weight"])

    def _plain(
        self, b: GraphBuilder, queries: tuple[str, str], keys: tuple[str, str], values: tuple[str, str], allowed: str
    ) -> tuple[str, str]:
        """Attention of standard operators, which gives its map; each side with its shape (B, L, D)."""
        q, k, v = (
            b("Transpose", b("Reshape", x, self._split(b, shape)), perm=[0, 2, 1, 3])  # (B*L, D) -> (B, H, L, E)
            for x, shape in (queries, keys, values)
        )
        width = self._config.d_model // self._config.n_heads
        scores = b(
            "MatMul", b("Mul", q, b.constant(1 / math.sqrt(width), "float32")), b("Transpose", k, perm=[0, 1, 3, 2])
        )
        weights = b("Softmax", b("Where", allowed, scores, b.constant(MASKED, "float32")), axis=-1)
        context = b("Transpose", b("MatMul", weights, v), perm=[0, 2, 1, 3])
        return b.reshape(context, -1, self._config.d_model), weights

    def _split(self, b: GraphBuilder, shape: str) -> str:
        """(B, L, D) -> (B, L, H, E)."""
        n_heads, d_model = self._config.n_heads, self._config.d_model
        lengths = b("Slice", shape, b.constant([0]), b.constant([2]))
        return str(b("Concat", lengths, b.constant([n_heads, d_model // n_heads]), axis=0))

    def _placed(self, b: GraphBuilder, ids: str, side: str) -> str:
        """(B, L) -> (B * L, D), with where each stands."""
        length = b("Shape", ids, start=1, end=2)
        places = b("Slice", b.weight("positions", self._positions), b.constant([0]), length, b.constant([0]))
        return b.reshape(b("Add", self._embedded(b, ids, side), places), -1, self._config.d_model)

    def _embedded(self, b: GraphBuilder, ids: str, side: str) -> str:
        side = "target" if self._shared else side
        return self._layers.embedding(b, ids, f"{side}_embedding", self._scaled(side))

    def _scaled(self, side: str) -> Floats:
        return self._weights[f"{side}_embedding.weight"] * np.float32(math.sqrt(self._config.d_model))

    def _norm(self, b: GraphBuilder, x: str, name: str) -> str:
        last = (
            "decoder_norm"
            if self._config.pre_norm
            else f"decoder.{self._config.d_layers - 1}.feed_forward_residual.norm"
        )
        scale = np.float32(1 / math.sqrt(self._config.d_model) if self._config.tied and name == last else 1)
        weight, bias = (self._weights[f"{name}.{kind}"] * scale for kind in ("weight", "bias"))
        return self._layers.norm(b, x, name, weight, bias)


def _by_product(ranges: Mapping[str, float], config: TransformerConfig) -> dict[str, float]:
    """Ranges of the module's layers as those of the products here: of queries, keys and values together, and tied."""
    joint = {
        f"{name.removesuffix('query')}joint": each
        for name, each in ranges.items()
        if name.endswith((".attention.query", ".self_attention.query"))
    }
    tied = {"target_embedding": ranges["projection"] / math.sqrt(config.d_model)} if config.tied and ranges else {}
    return {**ranges, **joint, **tied}
