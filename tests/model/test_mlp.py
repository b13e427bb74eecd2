from dataclasses import replace

import numpy as np
import pytest
import torch

from contract.errors import FaultyRecipe
from model.architectures import ARCHITECTURES
from model.config import parse_recipe
from model.evaluate import forecast_errors
from model.export import onnx_bytes, onnx_forecaster
from model.forecasting import ForecastGraph, forecast_spec, load_data
from model.mlp import MLPConfig, build_mlp
from model.runs import build_model, load_run, train
from model.trainer import BEST, LAST

RECIPE = """
name = "tiny-mlp"
seed = 1
architecture = "mlp"
[data]
fractions = [0.6, 0.2, 0.2]
[model]
seq_len = 24
pred_len = 6
turning_rows = 6
harmonics = 1
shared_rows = 6
seasons = ["hour", "day_of_week"]
d_hidden = 16
dropout = 0.1
[training]
epochs = 3
weight_average = 0.9
batch_size = 32
learning_rate = 3e-3
"""


@pytest.fixture(scope="module")
def recipe():
    return parse_recipe(RECIPE)


@pytest.fixture
def build(make_table, make_spec):
    """build(**config): an MLP with random weights in place of the zeros, of three hourly columns."""

    def build(**config):
        torch.manual_seed(1)
        model = build_mlp(MLPConfig(seq_len=24, pred_len=6, d_hidden=8, **config), make_spec(make_table(60))).eval()
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.1)
        return model

    return build


def windows(n=4):
    random = torch.Generator().manual_seed(2)
    return torch.randn(n, 24, 3, generator=random), torch.rand(n, 30, 4, generator=random) - 0.5


def test_untrained_is_its_linear_path(make_table, make_spec):
    model = build_mlp(MLPConfig(seq_len=24, pred_len=6, shared_rows=3), make_spec(make_table(60))).eval()
    torch.nn.init.normal_(model.linear.own_weights)
    torch.nn.init.normal_(model.linear.shared_weights)
    history, calendar = windows()
    forecast = model(history, calendar)
    assert forecast.shape == (4, 6, 3)
    assert torch.equal(forecast, model.linear(history, calendar))


def test_a_forecast_depends_on_its_own_window_alone(build):
    model = build(seasons=("hour",))
    history, calendar = windows()
    torch.testing.assert_close(model(history, calendar)[2:3], model(history[2:3], calendar[2:3]))


def test_every_column_sees_every_row_of_every_column(build):
    model = build()
    history, calendar = windows(1)
    history.requires_grad_()
    for column in range(3):
        (slope,) = torch.autograd.grad(model(history, calendar)[..., column].sum(), history)
        assert (slope != 0).all()


def test_sees_the_seasons_of_the_first_step_to_forecast_alone(build):
    model = build(seasons=("day_of_year", "hour"))
    history, calendar = windows(1)
    calendar.requires_grad_()
    (slope,) = torch.autograd.grad(model(history, calendar).sum(), calendar)
    seen = [feature in (0, 3) and step == 24 for step in range(30) for feature in range(4)]  # of hour, ..., day_of_year
    assert (slope[0].flatten() != 0).tolist() == seen


def test_a_season_ends_where_it_begins(build):
    """The last hour of a day lies beside its first one."""
    model = build(seasons=("hour",))
    history, calendar = windows(1)
    calendar = calendar.repeat(24, 1, 1)
    calendar[:, 24, 0] = torch.arange(24) / 23 - 0.5
    forecasts = model(history.expand(24, -1, -1), calendar)
    steps = (forecasts - forecasts.roll(1, 0)).abs().amax((1, 2))  # the first is from the last hour
    assert 0 < steps[0] < 2 * steps[1:].max()


def test_learns_what_no_linear_map_can(tmp_path, make_table, write_csv):
    """A column that is the size of what another was six rows before: its sign is as often right as wrong."""
    table = make_table(1200, columns=("size", "signed"))
    table.values[:, 1] = np.random.default_rng(3).normal(0, 1, 1200)
    table.values[6:, 0] = np.abs(table.values[:-6, 1])
    csv = write_csv(tmp_path / "size.csv", table)
    text = RECIPE.replace("seq_len = 24", "seq_len = 8").replace("d_hidden = 16", "d_hidden = 64")
    train(
        parse_recipe(text.replace("epochs = 3", "epochs = 10\nlr_decay = 0.9").replace("3e-3", "1e-2")),
        csv,
        tmp_path / "run",
        resume=False,
    )
    run = load_run(tmp_path / "run")
    data = load_data(csv, run.recipe, run.spec)
    errors = {
        name: forecast_errors(torch.no_grad()(ForecastGraph(model, run.spec.scaler)), data.units["test"])[..., 0]
        for name, model in (("mlp", run.model), ("linear", run.model.linear))
    }
    assert errors["mlp"].square().mean() < 0.5 * errors["linear"].square().mean()


def test_the_linear_path_is_fitted_first_and_stays(tmp_path, recipe, csv):
    train(recipe, csv, tmp_path, resume=False)
    linear = load_run(tmp_path).model.linear.state_dict()
    assert all(weight.any() for weight in linear.values())
    last = torch.load(tmp_path / LAST, weights_only=True)["model"]
    for name, weight in linear.items():
        assert torch.equal(weight, last[f"linear.{name}"])
    own = parse_recipe(
        RECIPE.replace('"mlp"', '"linear"').partition("seasons")[0] + "[training]\n"  # the same path alone
    )
    train(own, csv, tmp_path / "linear", resume=False)
    for name, weight in load_run(tmp_path / "linear").model.state_dict().items():
        torch.testing.assert_close(linear[name], weight)


def test_the_seed_decides_and_a_resumed_run_is_an_unbroken_one(tmp_path, recipe, csv):
    train(recipe, csv, tmp_path / "unbroken", resume=False)
    short = replace(recipe, training=replace(recipe.training, epochs=1))
    train(short, csv, tmp_path / "resumed", resume=False)
    train(recipe, csv, tmp_path / "resumed", resume=True)
    train(parse_recipe(RECIPE.replace("seed = 1", "seed = 2")), csv, tmp_path / "other", resume=False)
    unbroken, resumed, other = (
        torch.load(tmp_path / run / BEST, weights_only=True)["output.weight"]
        for run in ("unbroken", "resumed", "other")
    )
    assert torch.equal(unbroken, resumed)
    assert not torch.equal(unbroken, other)


def test_onnx_runtime_gives_torch_s_forecast(recipe, make_table):
    table = make_table(300)
    spec = forecast_spec(recipe, table)
    model = build_model(recipe, spec)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    graph = ForecastGraph(model, spec.scaler).eval()
    forecaster = onnx_forecaster(onnx_bytes(graph, spec))
    history, calendar = windows(5)
    history = torch.from_numpy(spec.scaler.unscale(history.double().numpy()))
    with torch.no_grad():
        differ = (graph(history, calendar) - forecaster(history, calendar)).abs() / torch.tensor(spec.scaler.std)
    assert differ.max() < 1e-5


def test_refuses_a_season_that_the_frequency_has_not(make_table, make_spec):
    with pytest.raises(FaultyRecipe) as raised:
        build_mlp(MLPConfig(seasons=("hour", "minute", "noon")), make_spec(make_table(200), seq_len=96, pred_len=24))
    (fault,) = raised.value.faults
    assert fault.pointer == "/model/seasons"
    assert "hour, day_of_week" in fault.message
    assert fault.message.endswith("came minute, noon")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"d_hidden": 0}, "d_hidden"),
        ({"dropout": 1.0}, "dropout"),
        ({"input_dropout": -0.1}, "input_dropout"),
        ({"seasons": ("hour", "hour")}, "once"),
        ({"turning_rows": 97}, "turning_rows"),
        ({"label_len": 3}, "no decoder"),
    ],
)
def test_refuses_what_cannot_be(wrong, said):
    with pytest.raises(ValueError, match=said):
        MLPConfig(**wrong)


def test_is_trained_after_a_start_in_closed_form():
    assert ARCHITECTURES["mlp"].fit is None
    assert ARCHITECTURES["mlp"].start is not None
