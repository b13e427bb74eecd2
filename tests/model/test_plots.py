import json

import numpy as np
import pytest
import torch
from matplotlib.dates import date2num, num2date

import seqcast
from contract.attention import AttentionSpec, Axis
from model.config import parse_recipe
from model.evaluate import calibrate, evaluate
from model.forecasting import ForecastData, forecast_spec
from model.plots import attention_maps, coverage_by_step, draw, error_by_step, forecast_against_truth, windows_by_error

RECIPE = """
name = "drawn"
seed = 1
architecture = "linear"
[data]
units = {{ load = "MW" }}
[model]
seq_len = {seq_len}
pred_len = {pred_len}
"""
NAMES = ["coverage_by_step", "error_by_step", "forecast_p10", "forecast_p50", "forecast_p90"]
MAPS = [f"attention_{layer}" for layer in ("cross_0", "decoder_0", "encoder_0", "encoder_1")]


@pytest.fixture(scope="module")
def evaluated(make_table):
    """evaluated(rows, frequency, columns, seq_len, pred_len) -> a naive forecaster's evaluation and what it is of."""

    def evaluated(rows=600, frequency="h", columns=("load", "temp"), seq_len=48, pred_len=6):
        table = make_table(rows, frequency, columns)
        recipe = parse_recipe(RECIPE.format(seq_len=seq_len, pred_len=pred_len))
        spec = forecast_spec(recipe, table)
        data = ForecastData.of(table, recipe, spec)

        def forecaster(history, _):
            return history[:, -1:].expand(-1, pred_len, -1)

        intervals = calibrate(forecaster, data, spec)
        return evaluate(forecaster, data, spec, intervals=intervals), forecaster, data, spec, intervals, table

    return evaluated


@pytest.mark.parametrize(
    ("frequency", "columns", "seq_len", "pred_len"),
    [("15min", 16, 24, 12), ("M", 1, 24, 6), ("D", 2, 28, 1), ("B", 5, 20, 5), ("s", 1, 24, 80)],
)
def test_draws_any_number_of_columns_and_any_frequency(evaluated, tmp_path, frequency, columns, seq_len, pred_len):
    names = tuple(f"c{column}" for column in range(columns))
    *given, _ = evaluated(900, frequency, names, seq_len, pred_len)
    paths = draw(tmp_path / "new" / "folder", *given)
    assert sorted(path.stem for path in paths) == NAMES
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_shows_the_windows_at_percentiles_of_the_error(evaluated):
    _, forecaster, data, spec, intervals, table = evaluated()
    windows = windows_by_error(forecaster, data, spec, intervals, "test")
    assert list(windows) == [10, 50, 90]

    def mse(window):
        return np.square((window.forecast - window.truth[-6:]) / spec.scaler.std).mean()

    split = data.units["test"]
    history, _, future = split.batch(torch.arange(len(split)))
    errors = (history[:, -1:] - future) / torch.tensor(spec.scaler.std)
    expected = np.percentile(errors.square().mean((1, 2)).numpy(), list(windows), method="nearest")
    assert [mse(window) for window in windows.values()] == pytest.approx(expected)
    for window in windows.values():
        row = int(np.flatnonzero(table.times == window.times[0])[0])
        np.testing.assert_array_equal(window.times, table.times[row : row + 54])
        np.testing.assert_array_equal(window.truth, table.values[row : row + 54])
        np.testing.assert_allclose(window.forecast, np.broadcast_to(window.truth[47], (6, 2)))


def test_a_forecast_is_drawn_where_and_when_it_is(evaluated):
    _, forecaster, data, spec, intervals, _ = evaluated()
    window = windows_by_error(forecaster, data, spec, intervals, "test")[50]
    figure = forecast_against_truth(window, spec)
    first, second = figure.axes
    assert (first.get_title("left"), second.get_title("left")) == ("load (MW)", "temp")
    for column, axes in enumerate(figure.axes):
        truth, forecast, _ = axes.get_lines()
        np.testing.assert_array_equal(truth.get_ydata(), window.truth[-48:, column])
        np.testing.assert_array_equal(forecast.get_ydata(), window.forecast[:, column])
        drawn = [np.datetime64(num2date(x).replace(tzinfo=None)) for x in axes.convert_xunits(forecast.get_xdata())]
        assert drawn == window.times[-6:].tolist()
        widest, narrower = (np.ptp(band.get_paths()[0].vertices[:, 1]) for band in axes.collections)
        assert widest > narrower


def test_errors_and_coverage_are_those_of_the_evaluation(evaluated):
    evaluation, _, _, spec, _, _ = evaluated()
    mse, mae = error_by_step(evaluation, spec).axes
    for axes, measure in ((mse, "mse_by_step"), (mae, "mae_by_step")):
        drawn = {line.get_label(): tuple(line.get_ydata()) for line in axes.get_lines()}
        assert drawn == {name: getattr(scores, measure) for name, scores in evaluation.scores.items()}
    assert mse.get_xlabel() == "steps ahead, one every hour"

    lines = coverage_by_step(evaluation, spec).axes[0].get_lines()
    shares = {line.get_label(): tuple(line.get_ydata()) for line in lines[:4]}
    assert shares == {f"{level} %": each.share_by_step for level, each in evaluation.coverage.items()}
    assert [line.get_ydata()[0] for line in lines[4:]] == [0.5, 0.8, 0.9, 0.95]


@pytest.mark.parametrize("frequency", ["h", "M"])
def test_maps_are_drawn_on_the_steps_that_positions_stand_for_without_queries_not_selected(
    make_table, make_spec, frequency
):
    table = make_table(32, frequency, ("load",))
    spec = make_spec(table, seq_len=25, pred_len=6)
    attention = AttentionSpec("cross", 1, 2, Axis(20, 31, 1), Axis(0, 25, 2), mixed=True)
    random = np.random.default_rng(0)
    weights, selected = random.dirichlet(np.ones(13), (2, 11)), random.random((2, 11)) < 0.5
    figure = attention_maps(attention, weights, selected, table.times[:31], spec)
    assert "cross 1" in figure.get_suptitle()
    assert "mix" in figure.get_suptitle()
    for head, axes in enumerate(figure.axes[:2]):
        (mesh,) = axes.collections
        drawn = np.ma.getmaskarray(mesh.get_array()) | ~np.isfinite(mesh.get_array())
        np.testing.assert_array_equal(drawn, np.broadcast_to(~selected[head][:, None], (11, 13)))
        np.testing.assert_allclose(mesh.get_array()[selected[head]], weights[head][selected[head]])
        edges = mesh.get_coordinates()
        # table.times[31] is the step behind the forecast
        np.testing.assert_array_equal(edges[0, :, 0], date2num(table.times[[*range(0, 25, 2), 25]]))
        np.testing.assert_array_equal(edges[:, 0, 1], date2num(table.times[20:32]))
        first, last = axes.get_ylim()
        assert first > last  # time goes down
        assert axes.patch.get_hatch()
        assert axes.get_title("left") == f"head {head}: {selected[head].sum()} of 11 queries"
        (begins,) = axes.get_lines()
        assert begins.get_ydata()[0] == date2num(table.times[25])


def test_the_verb_draws_runs_and_bundles_and_keeps_its_output_clean(trained, bundle, csv, tmp_path, capsys):
    for path in (trained, bundle.path):
        capsys.readouterr()
        folder = tmp_path / path.name
        status = seqcast.main(["evaluate", str(path), "--data", str(csv), "--json", "--plots", str(folder)])
        out, err = capsys.readouterr()
        assert status == 0
        assert json.loads(out)["windows"] == 75
        assert err.count("drew ") == 9
        assert sorted(each.stem for each in folder.iterdir()) == [*MAPS, *NAMES]
