"""Ours is the same function as the public Informer: its weights, inputs and key samples give its numbers."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from model.attention import ProbSparseAttention, count_samples
from model.informer import Informer, InformerConfig
from model.informer2020 import convert_weights

FIXTURES = Path(__file__).parents[3] / "shared" / "parity"
pytestmark = pytest.mark.skipif(not FIXTURES.is_dir(), reason="no reference outputs beside the checkout")


@pytest.mark.parametrize("name", ["informer_all_queries", "informer_sparse", "informer_sparse_mix"])
def test_gives_the_reference_outputs_and_encoder_maps(name):
    with np.load(FIXTURES / f"{name}.npz") as fixture:
        arrays = {key: fixture[key] for key in fixture.files}
    theirs = ast.literal_eval(str(arrays["config"]))
    n_columns = theirs.pop("enc_in")
    assert theirs.pop("attn") == "prob"
    model = Informer(InformerConfig(**theirs), n_columns, n_features=4, seed=0).eval()
    weights = {
        key.removeprefix("weights/"): torch.from_numpy(array)
        for key, array in arrays.items()
        if key.startswith("weights/")
    }
    missing, unexpected = model.load_state_dict(convert_weights(weights), strict=False)
    assert unexpected == []
    assert all(key.endswith("sample_counts") for key in missing)
    drawn = [module for module in model.modules() if isinstance(module, ProbSparseAttention)]
    for index, module in enumerate(drawn):
        sample = torch.from_numpy(arrays[f"key_sample/{index}"])
        module.sample_counts.copy_(count_samples(sample, module.sample_counts.shape[1]))

    x_enc, x_mark_enc, x_dec, x_mark_dec = (
        torch.from_numpy(arrays[key]) for key in ("x_enc", "x_mark_enc", "x_dec", "x_mark_dec")
    )
    with torch.no_grad():
        memory, maps = model.encode(x_enc, x_mark_enc, need_map=True)
        output, _ = model.decode(x_dec, x_mark_dec, memory)

    np.testing.assert_allclose(output[:, -24:], arrays["y"], atol=1e-5)
    for index, layer_map in enumerate(maps):
        np.testing.assert_allclose(layer_map.weights, arrays[f"encoder_attention/{index}"], atol=1e-5)
