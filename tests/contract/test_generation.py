import json
from dataclasses import replace

import pytest

from contract.errors import FaultyManifest, UnknownModel
from contract.generation import GenerateSpec
from contract.graphs import Graph, Tensor
from contract.manifest import FORMAT, Manifest

SPEC = GenerateSpec("abcé", context=8, max_len=12)
CACHES = (Tensor("cache_0", "float32", (None, 1, 4)), Tensor("cache_1", "float32", (None, 2, 6)))
SCORE = Graph(
    "score.onnx",
    (Tensor("words", "int64", (None, None)),),
    (Tensor("log_probs", "float32", (None, None, 5)), *CACHES),
)
STEP = Graph(
    "step.onnx",
    (Tensor("token", "int64", (None,)), *CACHES),
    (
        Tensor("next_log_probs", "float32", (None, 5)),
        Tensor("next_cache_0", "float32", (None, 1, 4)),
        Tensor("next_cache_1", "float32", (None, 2, 6)),
    ),
)


@pytest.fixture
def generating():
    graphs = {"score": SCORE, "step": STEP}
    return Manifest(FORMAT, "tiny", 1, "generate", graphs, {}, {}, {}, generate=SPEC)


def test_ids_are_from_1_on_behind_the_end_sign():
    assert SPEC.size == 5
    assert SPEC.encode("") == [0]
    assert SPEC.encode("cab") == [0, 3, 1, 2]
    assert SPEC.decode([3, 1, 2, 0]) == "cab"


def test_composed_and_decomposed_are_one_character():
    assert SPEC.encode("e\N{COMBINING ACUTE ACCENT}") == SPEC.encode("é") == [0, 4]


def test_names_each_strange_character_once():
    with pytest.raises(ValueError, match=r'^expected characters of abcé, came "X", "\."$'):
        SPEC.encode("aXb.X")


@pytest.mark.parametrize("alphabet", ["", "ba", "aa"])
def test_an_alphabet_has_an_order(alphabet):
    with pytest.raises(ValueError, match="expected an alphabet of different characters in order"):
        GenerateSpec(alphabet, 8, 12)


@pytest.mark.parametrize(("context", "max_len"), [(0, 1), (1, 0)])
def test_lengths_are_from_1_on(context, max_len):
    with pytest.raises(ValueError, match=f"from 1 on, came {context} and {max_len}"):
        GenerateSpec("ab", context, max_len)


def test_a_manifest_reads_what_it_writes(generating):
    assert Manifest.from_json(generating.to_json()) == generating
    assert generating.generate_spec == SPEC


def test_a_forecast_is_no_generator(manifest, generating):
    with pytest.raises(UnknownModel, match="expected a model that generates, came tiny, made to forecast"):
        _ = manifest.generate_spec
    with pytest.raises(UnknownModel, match="expected a model that forecasts, came tiny, made to generate"):
        _ = generating.forecast_spec


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        ({"score": SCORE}, "expected graphs score and step, came score"),
        ({"score": SCORE, "step": STEP, "more": STEP}, "came score, step, more"),
        ({"score": replace(SCORE, inputs=()), "step": STEP}, "expected a graph score"),
        ({"score": replace(SCORE, outputs=SCORE.outputs[:2]), "step": STEP}, "expected a graph step"),
        ({"score": SCORE, "step": replace(STEP, outputs=STEP.outputs[:2])}, "expected a graph step"),
        ({"score": SCORE, "step": replace(STEP, inputs=STEP.inputs[::-1])}, "expected a graph step"),
    ],
)
def test_graphs_are_those_of_the_task(generating, graphs, message):
    with pytest.raises(ValueError, match=message):
        replace(generating, graphs=graphs)


def test_a_manifest_has_the_spec_of_its_task(generating):
    data = json.loads(generating.to_json())
    data["task"] = "forecast"
    with pytest.raises(FaultyManifest, match="expected forecast alone of forecast, translate, generate, came generate"):
        Manifest.from_json(json.dumps(data).encode())
