from dataclasses import replace

import numpy as np
import pytest
import torch

from contract.scaler import Scaler
from model.config import DataConfig, parse_recipe
from model.evaluate import calibrate, evaluate
from model.forecasting import ForecastData, forecast_spec
from model.preprocessing import read_table

RECIPE = """
name = "by-hand"
seed = 1
architecture = "informer"
[model]
seq_len = 24
label_len = 0
pred_len = 2
"""


def prepared(table, text=RECIPE):
    recipe = parse_recipe(text)
    spec = forecast_spec(recipe, table)
    return ForecastData.of(table, recipe, spec), spec


@pytest.fixture
def flat(make_table):
    """Columns that stay at 10 and 20, with deviations of 2 and 4."""
    table = make_table(3000, columns=("a", "b"))
    table.values[:] = [10.0, 20.0]
    data, spec = prepared(table)
    return data, replace(spec, scaler=Scaler(("a", "b"), (10.0, 20.0), (2.0, 4.0)))


def test_scores_by_hand(flat):
    data, spec = flat
    errors = torch.tensor([[1.0, -4.0], [3.0, 0.0]])  # by step and column, in units

    def forecaster(history, calendar):
        assert history.shape[1:] == (24, 2)
        assert calendar.shape[1:] == (26, 4)
        return history[:, -1:] + errors

    evaluation = evaluate(forecaster, data, spec)
    scores = evaluation.scores["model"]
    assert evaluation.split == "test"
    assert evaluation.windows == 599
    assert scores.mse == pytest.approx((0.25 + 1 + 2.25 + 0) / 4)
    assert scores.mae == pytest.approx((0.5 + 1 + 1.5 + 0) / 4)
    assert scores.mse_by_step == pytest.approx(((0.25 + 1) / 2, 2.25 / 2))
    assert scores.mae_by_step == pytest.approx((1.5 / 2, 1.5 / 2))
    assert scores.mse_by_column == pytest.approx({"a": 5, "b": 8})
    assert scores.mae_by_column == pytest.approx({"a": 2, "b": 2})


def test_every_window_counts_and_each_but_once(flat):
    data, spec = flat
    steps = iter(range(10_000))

    def forecaster(history, calendar):
        wrong = torch.tensor([float(next(steps)) for _ in history])[:, None, None]
        return history[:, -1:] + wrong * torch.tensor([1.0, 0.0]).expand(2, 2)

    intervals = calibrate(lambda history, _: history[:, -2:], data, spec)
    scores = evaluate(forecaster, data, spec, intervals=intervals).scores["model"]
    assert scores.mae_by_column["a"] == pytest.approx(np.arange(599).mean())
    assert next(steps) == 599


@pytest.mark.parametrize(("split", "windows"), [("val", 299), ("test", 599)])
def test_either_split(flat, split, windows):
    data, spec = flat
    evaluation = evaluate(lambda history, _: history[:, -2:], data, spec, split)
    assert (evaluation.split, evaluation.windows) == (split, windows)
    assert next(iter(evaluation.scores)) == "model"
    assert set(evaluation.scores) == {"model", "last value", "last season", "ridge"}


def test_the_baselines_repeat_the_last_value_and_the_last_season(make_table):
    table = make_table(3000, columns=("a", "b"))
    table.values[:] = (np.arange(3000) % 24)[:, None] * [1.0, 100.0]
    data, spec = prepared(table)
    scores = evaluate(lambda history, _: history[:, -2:], data, spec).scores
    assert scores["last season"].mae == 0
    # the step ahead is 1 in 23 of 24 cases, and -23 in one
    assert scores["last value"].mae_by_step[0] * spec.scaler.std[0] == pytest.approx(46 / 24, abs=0.01)
    assert scores["ridge"].mae < scores["last value"].mae


@pytest.mark.parametrize(
    ("frequency", "has"), [("h", True), ("15min", False), ("D", True), ("7min", False), ("W", False), ("12M", False)]
)
def test_no_last_season_where_none_is_in_the_context(make_table, frequency, has):
    data, spec = prepared(make_table(300, frequency))
    assert ("last season" in evaluate(lambda history, _: history[:, -2:], data, spec).scores) == has


def test_a_season_shorter_than_the_horizon_is_repeated(make_table):
    table = make_table(300, "D", columns=("a",))
    table.values[:] = (np.arange(300) % 7)[:, None]
    data, spec = prepared(table, RECIPE.replace("pred_len = 2", "pred_len = 20"))
    assert evaluate(lambda history, _: history[:, -20:], data, spec).scores["last season"].mae == 0


ETTH1 = """
name = "etth1"
seed = 1
architecture = "informer"
[data]
borders = [8640, 11520, 14400]
"""


def test_the_baselines_on_etth1_prove_the_protocol(shared):
    path = shared / "data" / "etth1.csv"
    if not path.exists():
        pytest.skip("ETTh1 does not lie beside the checkout")
    data, spec = prepared(read_table(path, DataConfig()), ETTH1)
    evaluation = evaluate(lambda history, _: history[:, -24:], data, spec)
    assert evaluation.windows == 2857
    assert len(data.units["train"]) == 8521
    for name, mse, mae in (("last season", 0.424, 0.389), ("ridge", 0.298, 0.344)):
        assert evaluation.scores[name].mse == pytest.approx(mse, abs=0.003)
        assert evaluation.scores[name].mae == pytest.approx(mae, abs=0.003)
    assert evaluation.scores["model"] == evaluation.scores["last season"]


def test_intervals_cover_what_they_promise_on_windows_like_those_of_validation(make_table):
    table = make_table(3000)
    table.values[:] = np.random.default_rng(3).normal(size=table.values.shape)
    data, spec = prepared(table)
    evaluation = evaluate(lambda history, _: 0 * history[:, -2:], data, spec)
    assert list(evaluation.coverage) == ["50", "80", "90", "95"]
    for level, coverage in evaluation.coverage.items():
        assert coverage.share == pytest.approx(int(level) / 100, abs=0.06)
        assert coverage.width < coverage.naive_width
