import numpy as np
import onnxruntime
import pytest
import torch

from contract.decoding import padded, stripped
from contract.translation import NEXT, TranslateSpec, states
from model.calibration import input_ranges
from model.decoding_graphs import build_graphs
from model.onnx_graph import WeightFile
from model.transformer import Transformer, TransformerConfig
from model.transformer_graphs import TransformerGraphs
from model.translation import greedy


class Ids:
    pad, unk, bos, eos = 0, 1, 2, 3


SMALL = {"d_model": 32, "n_heads": 4, "e_layers": 2, "d_layers": 2, "d_ff": 64, "dropout": 0.0, "max_len": 40}
CASES = {
    "shared": ({}, 160, None),
    "post_norm": ({"pre_norm": False}, 131, None),
    "untied": ({"tied": False}, 160, 90),
    "untied_post_norm": ({"tied": False, "pre_norm": False}, 149, 133),
    "one_layer_one_head": ({"n_heads": 1, "e_layers": 1, "d_layers": 1}, 60, 70),
}


class Built:
    """A random Transformer, and sessions of its graphs."""

    def __init__(self, folder, options, target_size, source_size, int8):
        torch.manual_seed(1)
        self.model = Transformer(TransformerConfig(**(SMALL | options)), target_size, source_size).eval()
        for parameter in self.model.parameters():  # norms and biases are ones and zeros at first
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, 1, 0.3)
        files = ("t.json", "t.json") if source_size is None else ("s.json", "t.json")
        self.spec = TranslateSpec("en", "it", *files, source_size or target_size, target_size, 40)
        self.size = source_size or target_size
        self.weights = WeightFile("weights.bin")
        ranges = (
            input_ranges(self.model, [(each, [i % target_size for i in each]) for each in self.sources(40, 7)])
            if int8
            else None
        )
        self.graphs, self.files = build_graphs(
            TransformerGraphs(self.model, Ids.pad, ranges), self.spec, Ids, self.weights
        )
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.sessions = {
            name: onnxruntime.InferenceSession(folder / graph.file, options, providers=["CPUExecutionProvider"])
            for name, graph in self.graphs.items()
        }

    def run(self, name, **inputs):
        session = self.sessions[name]
        return dict(zip([each.name for each in session.get_outputs()], session.run(None, inputs), strict=True))

    def sources(self, count, seed=0):
        random = np.random.default_rng(seed)
        return [random.integers(4, self.size, random.integers(1, 12)).tolist() for _ in range(count)]

    def greedy(self, sources, caps):
        return self.run("greedy", source=padded(sources, Ids.pad), caps=np.array(caps))["target"]

    def torch_greedy(self, sources, caps):
        source = torch.from_numpy(padded(sources, Ids.pad))
        return greedy(self.model, source, source != Ids.pad, caps, Ids)


@pytest.fixture(scope="module", params=CASES)
def built(request, tmp_path_factory):
    return Built(tmp_path_factory.mktemp("graphs"), *CASES[request.param], False)


@pytest.fixture(scope="module", params=CASES)
def small(request, tmp_path_factory):
    return Built(tmp_path_factory.mktemp("graphs"), *CASES[request.param], True)


def test_the_graphs_are_those_of_the_contract(built):
    built.spec.check(built.graphs)
    assert set(built.graphs) == {"greedy", "encode", "step", "attention"}
    assert states(built.graphs["step"]) == tuple(
        name for i in range(built.model.config.d_layers) for name in (f"keys.{i}", f"values.{i}")
    )


def test_the_loop_says_what_torch_says_without_a_cache(built):
    sources = built.sources(40)
    caps = np.random.default_rng(1).integers(2, 30, 40).tolist()
    target = built.greedy(sources, caps)
    assert stripped(target, {Ids.pad, Ids.bos, Ids.eos}) == built.torch_greedy(sources, caps)
    assert (target[:, 0] == Ids.bos).all()
    assert ((target != Ids.pad).sum(axis=1) <= caps).all()


@torch.no_grad()
def test_steps_give_torch_s_log_probabilities(built):
    sources = built.sources(5)
    source = padded(sources, Ids.pad)
    target = np.random.default_rng(2).integers(4, built.spec.target_size, (5, 9))
    expected = built.model(torch.from_numpy(source), torch.from_numpy(target), torch.from_numpy(source != Ids.pad))
    tensors = built.run("encode", source=source)
    for position in range(9):
        given = built.run("step", token=target[:, position], **tensors)
        log_probs = expected[:, position].log_softmax(-1)
        np.testing.assert_allclose(given.pop("log_probs"), log_probs, atol=1e-4)
        tensors |= {name.removeprefix(NEXT): each for name, each in given.items()}


@torch.no_grad()
def test_maps_are_torch_s(built):
    source = padded(built.sources(4), Ids.pad)
    mask = torch.from_numpy(source != Ids.pad)
    target = np.random.default_rng(3).integers(4, built.spec.target_size, (4, 7))
    memory, encoder = built.model.encode(torch.from_numpy(source), mask, need_map=True)
    _, decoder = built.model.decode(torch.from_numpy(target), memory, mask, need_map=True)
    came = built.run("attention", source=source, target=target)
    expected = {
        "encoder_maps": encoder,
        "decoder_maps": [each for each, _ in decoder],
        "cross_maps": [each for _, each in decoder],
    }
    for name, layers in expected.items():
        np.testing.assert_allclose(came[name], torch.stack(layers, dim=1), atol=1e-5)


def test_a_sentence_of_int8_weights_is_the_same_alone_and_in_a_batch(small):
    sources = small.sources(40)
    caps = np.random.default_rng(1).integers(2, 30, 40).tolist()
    together = stripped(small.greedy(sources, caps), {Ids.pad})
    alone = [stripped(small.greedy([each], [cap]), {Ids.pad})[0] for each, cap in zip(sources, caps, strict=True)]
    assert alone == together
    assert stripped(small.greedy(sources[::-1], caps[::-1]), {Ids.pad}) == together[::-1]


@torch.no_grad()
def test_int8_weights_are_near_torch_s(small):
    source = padded(small.sources(8), Ids.pad)
    target = np.full((8, 1), Ids.bos)
    expected = small.model(torch.from_numpy(source), torch.from_numpy(target), torch.from_numpy(source != Ids.pad))[
        :, 0
    ]
    came = small.run("step", token=target[:, 0], **small.run("encode", source=source))["log_probs"]
    log_probs = expected.log_softmax(-1).numpy()
    assert np.abs(came - log_probs).max() < 0.2 * log_probs.std()
    assert np.corrcoef(came.ravel(), log_probs.ravel())[0, 1] > 0.995


def test_inputs_of_int8_weights_have_scales_fixed_beforehand(small):
    for name, content in small.files.items():
        assert b"Abs" not in content, name


def test_weights_are_stored_once_for_all_graphs(built, small):
    parameters = sum(each.numel() for each in built.model.parameters())
    assert len(built.weights.content) < 4.3 * (parameters + built.model.positions.numel())


def test_the_same_model_gives_the_same_files(built):
    again, files = build_graphs(
        TransformerGraphs(built.model, Ids.pad, None), built.spec, Ids, WeightFile("weights.bin")
    )
    assert (again, files) == (built.graphs, built.files)
