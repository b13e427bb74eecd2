import json
from dataclasses import replace

import pytest

from contract.attention import AttentionSpec, Axis
from contract.errors import FaultyManifest, NewerFormat
from contract.manifest import FORMAT, Manifest
from contract.scaler import Scaler


@pytest.fixture
def data(manifest):
    return json.loads(manifest.to_json())


def refusal(data):
    with pytest.raises(FaultyManifest) as caught:
        Manifest.from_json(json.dumps(data).encode())
    return str(caught.value)


def test_reads_what_it_writes(manifest):
    manifest = replace(manifest, files={"forecast.onnx": "0" * 64})
    text = manifest.to_json()
    assert Manifest.from_json(text) == manifest
    assert Manifest.from_json(text).to_json() == text
    assert "°C" in text.decode()


def test_lists_every_fault(data):
    del data["task"]
    data["version"] = "1"
    data["surprise"] = 1
    data["forecast"]["seq_len"] = True
    data["graphs"]["forecast"]["inputs"][1]["dtype"] = "float16"
    assert refusal(data).split("; ") == [
        "/surprise: unknown field",
        "expected one of attention, files, forecast, format, generate, graphs, intervals, metrics, name, task, "
        "training, translate, version",
        '/version: expected an integer, came "1"',
        "/task: required, but missing",
        '/graphs/forecast/inputs/1/dtype: expected one of "float32", "float64", "int64", "bool", came "float16"',
        "/forecast/seq_len: expected an integer, came true",
    ]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "Upper", "expected a name of"),
        ("name", "a/b", "expected a name of"),
        ("name", "", "expected a name of"),
        ("name", "../up", "expected a name of"),
        ("version", 0, "expected a version from 1 on, came 0"),
        ("format", 0, "expected a format from 1 on, came 0"),
        ("files", {"../secrets": "0"}, 'expected plain file names, came "../secrets"'),
        ("files", {"a/b.onnx": "0"}, 'expected plain file names, came "a/b.onnx"'),
        ("files", {"/etc": "0"}, 'expected plain file names, came "/etc"'),
        ("files", {".hidden": "0"}, 'expected plain file names, came ".hidden"'),
        ("files", {"a\\b": "0"}, "expected plain file names"),
    ],
)
def test_refuses_a_field_that_cannot_be(data, field, value, message):
    assert message in refusal({**data, field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("columns", ["load"], "expected a scaler of columns ('load',), came ('load', 'temp')"),
        ("calendar", ["hour"], "expected calendar ('hour', 'day_of_week', 'day_of_month', 'day_of_year')"),
        ("frequency", "D", "expected calendar ('day_of_week', 'day_of_month', 'day_of_year')"),
        ("frequency", "often", "expected a frequency such as 15min"),
        ("label_len", 5, "expected 0 <= label_len <= seq_len and pred_len >= 1, came 5, 4, 2"),
        ("label_len", -1, "expected 0 <= label_len <= seq_len"),
        ("pred_len", 0, "expected 0 <= label_len <= seq_len and pred_len >= 1, came 2, 4, 0"),
        ("scaler", {"columns": ["load", "temp"], "mean": [0, 0], "std": [1, 0]}, "positive finite stds"),
    ],
)
def test_refuses_a_forecast_that_cannot_be(data, field, value, message):
    data["forecast"][field] = value
    assert message in refusal(data)


@pytest.fixture
def attentive(manifest):
    """One encoder layer, and what looks at it."""
    own = AttentionSpec("encoder", 0, 2, Axis(0, 4, 2), Axis(0, 4, 2))
    cross = AttentionSpec("cross", 0, 2, Axis(2, 6, 1), Axis(0, 4, 2))
    graph = manifest.forecast.graph("attention.onnx", (own, cross))
    return replace(manifest, attention=(own, cross), graphs={**manifest.graphs, "attention": graph})


def test_attention_is_a_graph_with_weights_and_selection_of_each_map(attentive):
    assert Manifest.from_json(attentive.to_json()) == attentive
    outputs = {output.name: (output.dtype, output.shape) for output in attentive.graphs["attention"].outputs}
    assert outputs == {
        "forecast": ("float64", (None, 2, 2)),
        "encoder_0": ("float32", (None, 2, 2, 2)),
        "encoder_0_selected": ("bool", (None, 2, 2)),
        "cross_0": ("float32", (None, 2, 4, 2)),
        "cross_0_selected": ("bool", (None, 2, 4)),
    }


def spoil(data, place, value):
    for part in place[:-1]:
        data = data[part]
    data[place[-1]] = value


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("attention", 0, "kind"), "self", '/attention/0/kind: expected one of "encoder", "decoder", "cross"'),
        (("attention", 0, "rows", "stride"), 0, "/attention/0/rows: expected 0 <= start < stop and a stride from 1"),
        (("attention", 0, "columns", "stop"), 5, "expected encoder_0 of rows up to 4, columns up to 4, came 4 and 5"),
        (("attention", 1, "rows", "stop"), 7, "expected cross_0 of rows up to 6, columns up to 4, came 7 and 4"),
        (("attention", 1, "n_heads"), 3, "expected a graph attention such as"),
        (("attention",), [], "expected a graph attention such as None, came Graph(file='attention.onnx'"),
        (("graphs", "attention", "outputs"), [], "expected a graph attention such as"),
    ],
)
def test_refuses_attention_that_is_not_the_graph_s(attentive, place, value, message):
    data = json.loads(attentive.to_json())
    spoil(data, place, value)
    assert message in refusal(data)


def test_refuses_maps_without_a_graph_and_the_same_map_twice(attentive):
    data = json.loads(attentive.to_json())
    del data["graphs"]["attention"]
    assert "expected a graph attention such as" in refusal(data)
    data["attention"].append(data["attention"][0])
    assert "expected each kind and layer of attention once" in refusal(data)


def test_a_manifest_of_before_attention_has_none(data):
    del data["attention"]
    data["format"] = 1
    assert Manifest.from_json(json.dumps(data).encode()).attention == ()


def test_a_newer_format_is_said_before_any_other_fault(data):
    with pytest.raises(NewerFormat, match=f"format {FORMAT + 1}, but this seqcast reads up to {FORMAT}: upgrade"):
        Manifest.from_json(json.dumps({"format": FORMAT + 1, "unheard": "of"}).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[1]", b'"text"', b"null"])
def test_refuses_what_is_no_json_object(text):
    with pytest.raises(FaultyManifest, match="expected"):
        Manifest.from_json(text)


def test_infinity_is_no_scale(data):
    data["forecast"]["scaler"]["mean"][0] = float("inf")
    assert "finite means" in refusal(data)


def test_step_is_the_frequency_parsed(spec):
    assert str(spec.step) == "h"


def test_the_scaler_belongs_to_the_columns(spec):
    with pytest.raises(ValueError, match="expected a scaler of columns"):
        replace(spec, scaler=Scaler(("temp", "load"), (0.0, 0.0), (1.0, 1.0)))
