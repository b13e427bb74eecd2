"""A Transformer's weights as a model of CTranslate2's, to compare the two on the same ones."""

from pathlib import Path

import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

from model.transformer import Transformer
from model.translation import PairsData


def save(model: Transformer, data: PairsData, folder: Path) -> None:
    """Write it to `folder`. Pre-norm, with one tied embedding, is what it can say."""
    config = model.config
    weights = {name: each.detach().numpy() for name, each in model.state_dict().items()}
    spec = transformer_spec.TransformerSpec.from_config(
        (config.e_layers, config.d_layers),
        config.n_heads,
        pre_norm=config.pre_norm,
        activation=common_spec.Activation.RELU,
    )

    def norm(layer, name: str) -> None:
        layer.gamma, layer.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]

    def linear(layer, name: str, *kinds: str) -> None:
        layer.weight = np.concatenate([weights[f"{name}.{kind}.weight"] for kind in kinds])
        if f"{name}.{kinds[0]}.bias" in weights:
            layer.bias = weights[f"{name}.{kinds[0]}.bias"]

    def feed_forward(layer, name: str) -> None:
        norm(layer.layer_norm, f"{name}_residual.norm")
        linear(layer.linear_0, name, "0")
        linear(layer.linear_1, name, "3")

    for side in (spec.encoder, spec.decoder):
        embedding = side.embeddings[0] if isinstance(side.embeddings, list) else side.embeddings
        embedding.weight = weights["target_embedding.weight"]
        side.scale_embeddings = True
        side.position_encodings.encodings = model.positions.numpy()
    for i, layer in enumerate(spec.encoder.layer):
        norm(layer.self_attention.layer_norm, f"encoder.{i}.attention_residual.norm")
        linear(layer.self_attention.linear[0], f"encoder.{i}.attention", "query", "key", "value")
        linear(layer.self_attention.linear[1], f"encoder.{i}.attention", "out")
        feed_forward(layer.ffn, f"encoder.{i}.feed_forward")
    for i, layer in enumerate(spec.decoder.layer):
        norm(layer.self_attention.layer_norm, f"decoder.{i}.self_residual.norm")
        linear(layer.self_attention.linear[0], f"decoder.{i}.self_attention", "query", "key", "value")
        linear(layer.self_attention.linear[1], f"decoder.{i}.self_attention", "out")
        norm(layer.attention.layer_norm, f"decoder.{i}.cross_residual.norm")
        linear(layer.attention.linear[0], f"decoder.{i}.cross_attention", "query")
        linear(layer.attention.linear[1], f"decoder.{i}.cross_attention", "key", "value")
        linear(layer.attention.linear[2], f"decoder.{i}.cross_attention", "out")
        feed_forward(layer.ffn, f"decoder.{i}.feed_forward")
    norm(spec.encoder.layer_norm, "encoder_norm")
    norm(spec.decoder.layer_norm, "decoder_norm")
    spec.decoder.projection.weight = weights["target_embedding.weight"]
    tokens = data.target.tokens(range(len(data.target)))
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    special = data.spec.special
    spec.config.bos_token = spec.config.decoder_start_token = special.bos
    spec.config.eos_token, spec.config.unk_token = special.eos, special.unk
    spec.config.add_source_bos = spec.config.add_source_eos = False  # our ids have them
    spec.validate()
    spec.optimize()
    folder.mkdir()
    spec.save(str(folder))
