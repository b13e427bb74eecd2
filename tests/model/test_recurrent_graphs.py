from typing import NamedTuple

import numpy as np
import onnxruntime
import pytest
import torch

from contract.decoding import stripped
from contract.translation import TranslateSpec
from model.decoding_graphs import build_graphs
from model.onnx_graph import WeightFile
from model.recurrent import Recurrent, RecurrentConfig
from model.recurrent_graphs import RecurrentGraphs
from model.translation import greedy

WORDS, FOREIGN = 30, 40
LENGTHS = (7, 2, 5)


class Ids(NamedTuple):
    pad: int = 0
    bos: int = 2
    eos: int = 3


@pytest.fixture(params=["fixed", "additive", "dot", "scaled_dot", "bilinear"])
def model(request):
    torch.manual_seed(1)
    model = Recurrent(RecurrentConfig(d_embed=8, d_hidden=16, attention=request.param), WORDS, FOREIGN).eval()
    for weight in model.parameters():  # far from where it begins, so that gates and scores matter
        torch.nn.init.normal_(weight, std=0.5)
    return model


@pytest.fixture
def sessions(model, tmp_path):
    spec = TranslateSpec("en", "it", "source.json", "target.json", FOREIGN, WORDS, 64)
    graphs, files = build_graphs(RecurrentGraphs(model, 0, ranges=None), spec, Ids(), WeightFile("weights.bin"))
    spec.check(graphs)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return {name: onnxruntime.InferenceSession(tmp_path / graph.file) for name, graph in graphs.items()}


@pytest.fixture
def source():
    ids = torch.randint(4, FOREIGN, (3, 7), generator=torch.Generator().manual_seed(1))
    return ids.where(torch.arange(7) < torch.tensor(LENGTHS)[:, None], 0)


def test_steps_give_what_torch_gives_for_the_whole_target(model, sessions, source):
    target = torch.randint(4, WORDS, (3, 6), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = model(source, target, source != 0).log_softmax(-1).numpy()
    names = [each.name for each in sessions["encode"].get_outputs()]
    values = dict(zip(names, sessions["encode"].run(names, {"source": source.numpy()}), strict=True))
    for position in range(6):
        inputs = {"token": target[:, position].numpy(), **values}
        log_probs, values["hidden"] = sessions["step"].run(["log_probs", "next_hidden"], inputs)
        np.testing.assert_allclose(log_probs, expected[:, position], atol=1e-4)


def test_the_loop_translates_as_torch_does(model, sessions, source):
    caps = [12, 3, 20]
    expected = greedy(model, source, source != 0, caps, Ids())
    (target,) = sessions["greedy"].run(["target"], {"source": source.numpy(), "caps": np.array(caps)})
    assert stripped(target, set(Ids())) == expected
    for row, length in enumerate(LENGTHS):
        alone = {"source": source[row : row + 1, :length].numpy(), "caps": np.array(caps[row : row + 1])}
        (target,) = sessions["greedy"].run(["target"], alone)
        assert stripped(target, set(Ids())) == expected[row : row + 1]


def test_maps_are_torch_s(model, sessions, source):
    if model.attention is None:
        assert "attention" not in sessions
        return
    target = torch.randint(4, WORDS, (3, 6), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        memory, _ = model.encode(source, source != 0)
        _, ((_, expected),) = model.decode(target, memory, source != 0, need_map=True)
    inputs = {"source": source.numpy(), "target": target.numpy()}
    (maps,) = sessions["attention"].run(["cross_maps"], inputs)
    np.testing.assert_allclose(maps[:, 0], expected, atol=1e-5)
