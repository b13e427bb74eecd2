import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from contract.bundle import GOLDEN, bundle_versions, read_bundle
from contract.errors import ExportRefused
from contract.forecast_window import forecast_window
from contract.records import encode
from contract.scaler import Scaler
from model import export
from model.evaluate import evaluate
from model.forecasting import load_data
from model.runs import load_run


@pytest.fixture(scope="module")
def run(trained):
    return load_run(trained)


@pytest.fixture(scope="module")
def data(run, csv):
    return load_data(csv, run.recipe, run.spec)


@pytest.fixture(scope="module")
def content(bundle):
    return bundle.graph("forecast").read_bytes()


@pytest.fixture
def export_again(run, data, bundle, content, tmp_path, monkeypatch):
    """export_again(model): export it as if the graph of `bundle` had come out."""
    attention = bundle.graph("attention").read_bytes()
    monkeypatch.setattr(export, "onnx_bytes", lambda graph, spec, maps=(): attention if maps else content)
    return lambda model=run.model: export.export_forecast(
        run.recipe, run.spec, model, data, run.provenance, tmp_path / "bundles"
    )


def test_the_manifest_tells_the_truth(bundle, run, data, content):
    manifest = read_bundle(bundle.path).manifest
    assert manifest.to_json() == bundle.manifest.to_json()
    assert (manifest.name, manifest.version, manifest.task) == ("tiny", 1, "forecast")
    assert manifest.forecast == run.spec
    assert set(manifest.files) == {"forecast.onnx", "attention.onnx", GOLDEN, "card.md"}
    assert manifest.attention == run.recipe.model.attention_specs()
    for name, signature in manifest.graphs.items():
        session = onnxruntime.InferenceSession(bundle.graph(name), providers=["CPUExecutionProvider"])
        for listed, tensors in ((signature.inputs, session.get_inputs()), (signature.outputs, session.get_outputs())):
            assert [tensor.name for tensor in listed] == [tensor.name for tensor in tensors]
            types = {"float64": "tensor(double)", "float32": "tensor(float)", "bool": "tensor(bool)"}
            assert [types[tensor.dtype] for tensor in listed] == [tensor.type for tensor in tensors]
            for ours, theirs in zip(listed, tensors, strict=True):
                assert ours.shape == (None, *theirs.shape[1:])
                assert isinstance(theirs.shape[0], str)
    assert manifest.training["recipe"] == run.recipe.text
    assert manifest.training["parameters"] == sum(weight.numel() for weight in run.model.parameters())
    # 320 of the 400 hours: those of the test split were never seen
    assert (manifest.training["seen_from"], manifest.training["seen_to"]) == (
        "2018-01-01T00:00:00",
        "2018-01-14T07:00:00",
    )
    assert manifest.training["data_sha256"] == run.provenance["data_sha256"]
    evaluation = evaluate(export.onnx_forecaster(content), data, run.spec)
    assert manifest.metrics == json.loads(json.dumps(encode(evaluation)))


def test_tells_nothing_of_the_machine_that_made_it(bundle):
    for path in bundle.path.iterdir():
        content = path.read_bytes()
        for place in (Path(export.__file__).parent, Path(torch.__file__).parent, bundle.path.parents[1]):
            assert str(place).encode() not in content, path.name
        assert b'File "' not in content


def test_the_golden_vectors_replay(bundle, content):
    golden = bundle.golden()
    forecast = export.onnx_forecaster(content)(*(torch.from_numpy(golden[name]) for name in ("history", "calendar")))
    np.testing.assert_array_equal(forecast, golden["forecast"])
    maps = export.onnx_outputs(bundle.graph("attention").read_bytes())(
        *(torch.from_numpy(golden[name]) for name in ("history", "calendar"))
    )
    del maps["forecast"]
    assert set(golden) == {"times", "history", "calendar", "forecast", *maps}
    for name, output in maps.items():
        np.testing.assert_array_equal(output, golden[name])
    assert golden["history"].shape == (2, 24, 3)
    for history, calendar in zip(golden["history"], golden["calendar"], strict=True):
        window = forecast_window(golden["times"], history, bundle.manifest.forecast)
        np.testing.assert_array_equal(window.calendar, calendar)
    deviations = bundle.manifest.forecast.scaler.scale(golden["history"])
    assert 0.2 < deviations.std() < 2
    assert np.abs(deviations).max() < 5


@pytest.mark.parametrize(("mean", "std"), [(3e-4, 7e-6), (0, 1e-300), (2, 3), (1e9, 1e6)])
def test_the_golden_vectors_vary_whatever_the_scale(make_spec, make_table, mean, std):
    spec = make_spec(make_table(200, columns=("a",)))
    spec = replace(spec, scaler=Scaler(("a",), (mean,), (std,)))
    times = spec.step.following(np.array([export.GOLDEN_START]), spec.seq_len)
    histories = export._made_up_histories(times, spec, np.random.default_rng(0))
    assert len(np.unique(histories)) > histories.size * 0.9
    digits = {len(repr(value).partition("e")[0].replace(".", "").strip("-0")) for value in histories.ravel().tolist()}
    assert max(digits) <= 8


def test_the_golden_vectors_are_made_up_and_the_seed_s(run, content):
    graphs = [export.onnx_outputs(content)]
    assert export.golden_vectors(graphs, run.spec, 1) == export.golden_vectors(graphs, run.spec, 1)
    assert export.golden_vectors(graphs, run.spec, 1) != export.golden_vectors(graphs, run.spec, 2)


def test_one_row_alone_or_among_64(run, data, content):
    forecast = export.onnx_forecaster(content)
    windows = data.units["test"]
    history, calendar, _ = windows.batch(torch.arange(64) % len(windows))
    together = forecast(history, calendar) / torch.tensor(run.spec.scaler.std)
    for row in range(64):
        alone = forecast(history[row : row + 1], calendar[row : row + 1]) / torch.tensor(run.spec.scaler.std)
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_counter_of_a_thousand_million_keeps_its_last_digits(run, data, content):
    scaler = run.spec.scaler
    assert scaler.mean[2] > 9e8
    assert scaler.std[2] < 2
    history, calendar, _ = data.units["test"].batch(torch.arange(8))
    scaled = torch.from_numpy(scaler.scale(history.numpy())).float()
    expected = run.model(scaled, calendar)
    came = scaler.scale(export.onnx_forecaster(content)(history, calendar).numpy())
    np.testing.assert_allclose(came, expected, atol=1e-5)
    assert expected[..., 2].std() > 0.1


@pytest.mark.parametrize("column", [0, 1, 2])
def test_refuses_a_graph_that_computes_something_else(run, export_again, tmp_path, column):
    other = copy.deepcopy(run.model)
    with torch.no_grad():
        other.projection.bias[column] += 2e-4
    name = run.spec.columns[column]
    with pytest.raises(ExportRefused, match=rf"differ by over 0\.0001 standard deviations: {name} by 0\.0002$"):
        export_again(other)
    assert not (tmp_path / "bundles").exists()


def test_refuses_a_graph_that_computes_nothing(run, export_again, monkeypatch):
    monkeypatch.setattr(
        export, "onnx_forecaster", lambda _: lambda history, _: torch.full((len(history), 6, 3), torch.nan)
    )
    with pytest.raises(ExportRefused, match="load by nan, temp by nan, meter by nan"):
        export_again()


@torch.no_grad()
def test_maps_are_torch_s_and_belong_to_the_forecast(bundle, run, data, content):
    history, calendar, _ = data.units["test"].batch(torch.arange(16))
    came = export.onnx_outputs(bundle.graph("attention").read_bytes())(history, calendar)
    std = torch.tensor(run.spec.scaler.std)
    forecast = export.onnx_forecaster(content)(history, calendar)
    torch.testing.assert_close(came["forecast"] / std, forecast / std, atol=1e-6, rtol=0)
    _, maps = run.model.explain(torch.from_numpy(run.spec.scaler.scale(history.numpy())).float(), calendar)
    for spec, (weights, selected) in zip(bundle.manifest.attention, maps, strict=True):
        assert torch.equal(came[spec.selected], selected)
        torch.testing.assert_close(came[spec.weights], weights, atol=1e-5, rtol=0)


@pytest.mark.parametrize("output", ["encoder_0", "decoder_0_selected", "cross_0"])
def test_refuses_a_graph_that_attends_to_something_else(run, export_again, monkeypatch, output):
    sound = export.onnx_outputs

    def spoilt(content):
        outputs = sound(content)

        def run(history, calendar):
            came = outputs(history, calendar)
            if output in came:
                came[output] = came[output].roll(1, dims=-1)
            return came

        return run

    monkeypatch.setattr(export, "onnx_outputs", spoilt)
    with pytest.raises(ExportRefused, match=f"torch and ONNX Runtime attend to different steps: {output}$"):
        export_again()


def test_lets_rounding_pass(run, export_again):
    other = copy.deepcopy(run.model)
    with torch.no_grad():
        other.projection.bias += 5e-5
    assert export_again(other).manifest.version == 1


def test_each_export_is_the_next_version(export_again, tmp_path):
    assert [export_again().manifest.version for _ in range(3)] == [1, 2, 3]
    assert bundle_versions(tmp_path / "bundles") == {"tiny": [3, 2, 1]}
