import json

import pytest
import torch

from contract.errors import FaultyRecipe, WrongHash
from contract.records import encode
from model.forecasting import ForecastGraph
from model.runs import RECIPE, SPEC, load_run, load_trained
from model.trainer import BEST, LOSSES


def copy(run, to):
    to.mkdir()
    for name in (RECIPE, SPEC, BEST, LOSSES):
        (to / name).write_bytes((run / name).read_bytes())
    return to


def test_a_run_is_loaded_with_its_best_weights(trained, recipe):
    run = load_run(trained)
    assert run.recipe == recipe
    assert not run.model.training
    torch.testing.assert_close(run.model.state_dict(), torch.load(trained / BEST, weights_only=True), rtol=0, atol=0)
    assert encode(run.spec) == encode(load_run(trained).spec)
    assert run.provenance.keys() == {"data_sha256", "date", "history"}


def test_its_history_tells_the_best_epoch(trained, tmp_path):
    run = copy(trained, tmp_path / "run")
    (run / LOSSES).write_text(json.dumps([[1, float("nan")], [1, 0.5], [1, 0.25], [1, 0.75]]))
    history = load_run(run).provenance["history"]
    assert history == "4 of at most 3 epochs, seed 1; validation loss 0.2500 at epoch 3"


@pytest.mark.parametrize("missing", [RECIPE, SPEC, BEST, LOSSES])
def test_refuses_what_is_no_trained_run(trained, tmp_path, missing):
    run = copy(trained, tmp_path / "run")
    (run / missing).unlink()
    with pytest.raises(FaultyRecipe, match=f"is not a trained run: it has no {missing}"):
        load_run(run)


def test_a_run_and_its_bundle_forecast_alike(trained, bundle, csv):
    _, by_torch, data = load_trained(trained, csv)
    _, by_onnx, same = load_trained(bundle.path, csv)
    assert data.spec == same.spec
    history, calendar, _ = data.units["test"].batch(torch.arange(10))
    difference = (by_torch(history, calendar) - by_onnx(history, calendar)).abs() / torch.tensor(data.spec.scaler.std)
    assert difference.max() < 1e-4


def test_a_forecaster_tracks_no_gradient(trained, csv):
    _, forecast, data = load_trained(trained, csv)
    history, calendar, _ = data.units["test"].batch(torch.arange(2))
    assert not forecast(history, calendar).requires_grad


def test_a_bundle_is_verified(bundle, csv, tmp_path):
    copied = tmp_path / bundle.manifest.name / "1"
    copied.mkdir(parents=True)
    for path in bundle.path.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    (copied / "card.md").write_text("# better")
    with pytest.raises(WrongHash):
        load_trained(copied, csv)


def test_the_graph_scales_in_double(trained):
    run = load_run(trained)
    graph = ForecastGraph(run.model, run.spec.scaler)
    assert graph.mean.dtype == graph.std.dtype == torch.float64
