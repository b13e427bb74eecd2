from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from contract.calendar_features import feature_names
from contract.frequency import Frequency
from contract.manifest import ForecastSpec
from contract.scaler import Scaler
from model.config import parse_recipe
from model.export import export_forecast
from model.forecasting import load_data
from model.preprocessing import Table
from model.runs import load_run, train

torch.set_num_threads(1)

SHARED = Path(__file__).parents[3] / "shared"

RECIPE = """
name = "tiny"
seed = 1
architecture = "informer"
[data]
units = { load = "MW" }
[model]
seq_len = 24
label_len = 12
pred_len = 6
d_model = 16
n_heads = 2
d_ff = 32
[training]
epochs = 3
level_shift = 0.5
weight_average = 0.9
batch_size = 16
learning_rate = 1e-3
"""


@pytest.fixture(scope="session")
def shared():
    """Data and reference outputs that lie beside some checkouts."""
    return SHARED


@pytest.fixture(scope="session")
def recipe():
    """A tiny Informer, 24 hours to 6; `recipe.text` is its TOML."""
    return parse_recipe(RECIPE)


def _waves(n, n_columns):
    """(n, n_columns): a day's wave and noise, each column on a scale of its own."""
    rows = np.arange(n)[:, None]
    columns = np.arange(n_columns)
    noise = np.random.default_rng(0).normal(0, 0.3, (n, n_columns))
    return 10.0**columns * (np.sin(2 * np.pi * rows / 24 + columns) + noise + 5)


@pytest.fixture(scope="session")
def make_table():
    """make_table(n, frequency="h", columns=("load", "temp", "wind")): a Table of made-up rows."""

    def make_table(n, frequency="h", columns=("load", "temp", "wind")):
        step = Frequency.parse(frequency)
        first = np.array(["2018-01-01"], "M8[ms]")
        times = np.concatenate([first, step.following(first, n - 1)])
        return Table(times, columns, _waves(n, len(columns)), step, "0" * 64)

    return make_table


@pytest.fixture(scope="session")
def write_csv():
    """write_csv(path, table) -> path."""

    def write_csv(path, table):
        frame = pd.DataFrame(table.values, columns=table.columns)
        frame.insert(0, "date", table.times)
        frame.to_csv(path, index=False)
        return path

    return write_csv


@pytest.fixture(scope="session")
def csv(tmp_path_factory, make_table, write_csv):
    """A CSV of 400 hourly rows; the column "meter" varies by one, at a thousand million."""
    table = make_table(400, columns=("load", "temp", "meter"))
    table.values[:, 2] = 1e9 + table.values[:, 2] / 100
    return write_csv(tmp_path_factory.mktemp("data") / "made-up.csv", table)


@pytest.fixture(scope="session", autouse=True)
def on_cpu():
    """A GPU's sums are in no fixed order: what has to be equal to the last bit is made on the CPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory, recipe, csv):
    """The run directory of `recipe`, trained on `csv`."""
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    train(recipe, csv, run, resume=False)
    return run


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, trained, csv):
    """The bundle of `trained`."""
    run = load_run(trained)
    data = load_data(csv, run.recipe, run.spec)
    return export_forecast(run.recipe, run.spec, run.model, data, run.provenance, tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="session")
def make_spec():
    """make_spec(table, seq_len=24, pred_len=6): its scaler fitted on all rows."""

    def make_spec(table, *, seq_len=24, pred_len=6):
        return ForecastSpec(
            columns=table.columns,
            units={},
            frequency=str(table.frequency),
            seq_len=seq_len,
            label_len=seq_len // 2,
            pred_len=pred_len,
            calendar=feature_names(table.frequency),
            scaler=Scaler.fit(table.columns, table.values),
        )

    return make_spec
