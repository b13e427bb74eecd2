"""The whole way: a table is trained on, exported and served, and the answers are the torch model's."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from model.forecasting import ForecastGraph, load_data
from model.runs import load_run

ROOT = Path(__file__).parents[2]
SERVING = ROOT / ".venv" / "bin" / "seqcast"
ETTH1 = ROOT.parent / "shared" / "data" / "etth1.csv"
RECIPE = """
name = "slice"
seed = 1
architecture = "informer"
[data]
borders = [600, 900, 1200]
[model]
d_model = 16
n_heads = 2
d_ff = 32
[training]
epochs = 1
"""

pytestmark = pytest.mark.skipif(not SERVING.exists(), reason="no serving environment: make .venv/.dev")


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Path:
    if ETTH1.exists():
        return ETTH1
    path = tmp_path_factory.mktemp("table") / "table.csv"
    rows = np.arange(1300)
    random = np.random.default_rng(1)
    waves = {
        name: 10 + 3 * np.sin(rows * 2 * np.pi / 24 + i) + random.normal(0, 1, 1300) for i, name in enumerate("abc")
    }
    pd.DataFrame({"date": pd.date_range("2024-01-01", periods=1300, freq="h"), **waves}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory) -> Path:
    """A folder with `run` and `bundles`, made by the command line."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "recipe.toml").write_text(RECIPE)
    data = ["--data", str(table)]
    for verb in (
        ["train", str(folder / "recipe.toml"), *data, "--run", str(folder / "run")],
        ["export", str(folder / "run"), *data, "--bundles", str(folder / "bundles")],
    ):
        subprocess.run([sys.executable, "-m", "seqcast", *verb], check=True, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def url(trained):
    command = [SERVING, "serve", "--port", "0", "--bundles", str(trained / "bundles")]
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield re.search(r"http://\S+", process.stdout.readline())[0]
        process.terminate()
        assert process.wait(10) == 0


def test_served_forecasts_are_the_torch_models(table, trained, url):
    run = load_run(trained / "run")
    windows = load_data(table, run.recipe, run.spec).units["test"]
    starts = torch.tensor([0, 17, 101, len(windows) - 1])
    history, calendar, _ = windows.batch(starts)
    with torch.no_grad():
        expected = ForecastGraph(run.model, run.spec.scaler).eval()(history, calendar).numpy()

    times = pd.to_datetime(pd.read_csv(table)["date"])
    first = 900 - run.spec.seq_len  # the test split reaches back for its context
    series = []
    for start, window in zip(starts.tolist(), history.numpy(), strict=True):
        stamps = times.iloc[first + start : first + start + run.spec.seq_len]
        values = dict(zip(run.spec.columns, window.T.tolist(), strict=True))
        series.append({"timestamps": [stamp.isoformat() for stamp in stamps], "values": values})
    answer = post(f"{url}/forecast", {"model": "slice", "series": series})

    std = np.array(run.spec.scaler.std)
    for forecast, torch_forecast in zip(answer["forecasts"], expected, strict=True):
        came = np.array([forecast["values"][name] for name in run.spec.columns]).T
        np.testing.assert_allclose(came / std, torch_forecast / std, atol=1e-4)
    after = times.iloc[first + 17 + run.spec.seq_len :][: run.spec.pred_len]
    assert answer["forecasts"][1]["timestamps"] == [stamp.isoformat() for stamp in after]


def test_served_maps_are_the_torch_model_s(table, trained, url):
    run = load_run(trained / "run")
    windows = load_data(table, run.recipe, run.spec).units["test"]
    history, calendar, _ = windows.batch(torch.tensor([40]))
    with torch.no_grad():
        scaled = torch.from_numpy(run.spec.scaler.scale(history.numpy())).float()
        _, maps = run.model.explain(scaled, calendar)
    times = pd.to_datetime(pd.read_csv(table)["date"])[900 - run.spec.seq_len + 40 :][: run.spec.seq_len]
    values = dict(zip(run.spec.columns, history[0].T.tolist(), strict=True))
    series = {"timestamps": [stamp.isoformat() for stamp in times], "values": values}
    answer = post(f"{url}/forecast", {"model": "slice", "series": [series], "attention": True})
    told = answer["forecasts"][0]["attention"]
    specs = run.recipe.model.attention_specs()
    assert [(each["kind"], each["layer"]) for each in told] == [(spec.kind, spec.layer) for spec in specs]
    for each, (weights, selected) in zip(told, maps, strict=True):
        for head in each["heads"]:
            chosen = selected[0, head["head"]]
            assert head["selected"] == chosen.tolist()
            came = np.array(head["weights"], np.float64)
            np.testing.assert_allclose(came[chosen], weights[0, head["head"]][chosen], atol=1e-4)
            assert np.isnan(came[~chosen]).all()
    assert [np.mean(told[0]["heads"][0]["selected"]), np.mean(told[3]["heads"][0]["selected"])] == [25 / 96, 1]


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)
