"""Ours is the same function as the public Transformer tutorial: its weights and ids give its numbers."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from model.import_tutorial import convert_weights
from model.transformer import Transformer, TransformerConfig

FIXTURE = Path(__file__).parents[3] / "shared" / "parity" / "transformer_tutorial.npz"
pytestmark = pytest.mark.skipif(not FIXTURE.exists(), reason="no reference outputs beside the checkout")


def test_gives_the_reference_logits_and_maps():
    with np.load(FIXTURE) as fixture:
        arrays = {key: fixture[key] for key in fixture.files}
    theirs = ast.literal_eval(str(arrays["config"]))
    config = TransformerConfig(
        d_model=theirs["d_model"],
        n_heads=theirs["h"],
        e_layers=theirs["N"],
        d_layers=theirs["N"],
        d_ff=theirs["d_ff"],
        tied=False,
        max_len=theirs["src_len"],
    )
    model = Transformer(config, theirs["tgt_vocab"], theirs["src_vocab"]).eval()
    weights = {
        key.removeprefix("weights/"): torch.from_numpy(array)
        for key, array in arrays.items()
        if key.startswith("weights/")
    }
    model.load_state_dict(convert_weights(weights))

    source, target = torch.from_numpy(arrays["src"]), torch.from_numpy(arrays["tgt"])
    mask, target_mask = source != theirs["pad"], target != theirs["pad"]
    assert not mask.all()
    assert not target_mask.all()
    with torch.no_grad():
        memory, encoder_maps = model.encode(source, mask, need_map=True)
        logits, decoder_maps = model.decode(target, memory, mask, target_mask=target_mask, need_map=True)
        bare, _ = model.decode(target, memory, mask)

    np.testing.assert_allclose(memory, arrays["encoder_output"], atol=1e-4)
    np.testing.assert_allclose(logits, arrays["logits"], atol=1e-4)
    for index, (encoder_map, (self_map, cross_map)) in enumerate(zip(encoder_maps, decoder_maps, strict=True)):
        np.testing.assert_allclose(encoder_map, arrays[f"encoder_attention/{index}"], atol=1e-4)
        np.testing.assert_allclose(self_map, arrays[f"decoder_attention/{index}"], atol=1e-4)
        np.testing.assert_allclose(cross_map, arrays[f"cross_attention/{index}"], atol=1e-4)
    # without a target mask, as decoding has it, only what stands behind a target's end differs
    np.testing.assert_allclose(bare[target_mask], arrays["logits"][target_mask], atol=1e-4)
