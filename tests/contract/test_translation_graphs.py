import json
import re
from pathlib import Path

import pytest

from contract.bundle import read_bundle
from contract.errors import FaultyManifest, UnknownModel
from contract.manifest import Manifest

WORDS = Path(__file__).parents[1] / "translators" / "words" / "1"


@pytest.fixture
def data():
    return json.loads((WORDS / "manifest.json").read_bytes())


def refusal(data):
    with pytest.raises(FaultyManifest) as caught:
        Manifest.from_json(json.dumps(data).encode())
    return str(caught.value)


def test_a_bundle_that_translates_needs_its_weights_and_tokenizers():
    manifest = read_bundle(WORDS).manifest
    assert {"weights.bin", "source-tokenizer.json", "target-tokenizer.json", "greedy.onnx"} <= manifest.needed
    with pytest.raises(UnknownModel, match="expected a model that forecasts, came words, made to translate"):
        _ = manifest.forecast_spec


@pytest.mark.parametrize("name", ["greedy", "encode", "step"])
def test_refuses_a_bundle_without_one_of_its_graphs(data, name):
    del data["graphs"][name]
    assert f"expected a graph {name}, came" in refusal(data)


def test_maps_may_be_missing(data):
    del data["graphs"]["attention"]
    assert "attention" not in Manifest.from_json(json.dumps(data).encode()).graphs


@pytest.mark.parametrize(
    ("name", "side", "index", "field", "value"),
    [
        ("greedy", "inputs", 1, "name", "limits"),
        ("greedy", "outputs", 0, "dtype", "float32"),
        ("step", "outputs", 0, "shape", [None, 7]),
        ("step", "inputs", 1, "name", "other"),
        ("step", "outputs", 1, "name", "next_other"),
        ("attention", "outputs", 0, "name", "other_maps"),
    ],
)
def test_refuses_graphs_that_do_not_fit(data, name, side, index, field, value):
    data["graphs"][name][side][index][field] = value
    assert f"expected a graph {name} such as" in refusal(data)


def test_refuses_a_task_without_its_spec(data):
    assert re.search("expected forecast alone of .*, came translate$", refusal({**data, "task": "forecast"}))
    assert re.search("expected translate alone of .*, came none$", refusal({**data, "translate": None}))
