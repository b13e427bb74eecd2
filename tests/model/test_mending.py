"""Tables as they come, in training: filled values are no truth, gaps are not gone across, and both are told."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from contract.bundle import read_bundle
from contract.errors import FaultyTable
from model.config import DataConfig, parse_recipe
from model.defaults import default_lengths, default_recipe
from model.evaluate import forecast_errors
from model.forecasting import ForecastData, ForecastTask, forecast_spec
from model.preprocessing import read_table
from model.runs import export_run, train

FILL = DataConfig(fill="interpolate", fill_limit=3)
RECIPE = """
name = "mended"
seed = 1
architecture = "linear"
[data]
fill = "interpolate"
fill_limit = 3
[model]
seq_len = 24
pred_len = 6
"""
SPAN = 30


@pytest.fixture
def write(tmp_path, make_table):
    """write(change, rows=400) -> a CSV of hourly rows, as `change` leaves the frame."""

    def write(change, rows=400):
        table = make_table(rows)
        frame = pd.DataFrame(table.values.round(3), columns=table.columns)
        frame.insert(0, "date", np.datetime_as_string(table.times, unit="s"))
        frame = change(frame)
        frame.to_csv(tmp_path / "table.csv", index=False)
        return tmp_path / "table.csv"

    return write


def without(*rows):
    return lambda frame: frame.drop(index=list(rows))


def blank(column, *rows):
    def change(frame):
        frame.loc[list(rows), column] = np.nan
        return frame

    return change


def data_of(path, text=RECIPE):
    recipe = parse_recipe(text)
    table = read_table(path, recipe.data)
    return table, ForecastData.of(table, recipe, forecast_spec(recipe, table))


def test_a_clean_table_is_as_without_filling(write):
    path = write(lambda frame: frame)
    assert read_table(path, FILL).mended is None
    (table, data), (_, plain) = data_of(path), data_of(path, RECIPE.replace('"interpolate"', '"error"'))
    assert data.notes == ()
    assert data.spec == plain.spec
    for split, windows in data.units.items():
        assert len(windows) == len(plain.units[split])
        assert torch.equal(windows.truth, plain.units[split].values)
    assert np.array_equal(table.truth, table.values)


def test_sorted_merged_and_filled_it_is_the_even_table(write):
    clean = read_table(write(lambda frame: frame), DataConfig())
    rows = [*range(50), *range(52, 400), 7]
    mixed = np.random.default_rng(0).permutation(rows)
    table = read_table(write(lambda frame: frame.iloc[mixed]), FILL)
    np.testing.assert_array_equal(table.times, clean.times)
    measured = np.setdiff1d(np.arange(400), [50, 51])
    np.testing.assert_array_equal(table.values[measured], clean.values[measured])
    np.testing.assert_allclose(table.values[50], (2 * clean.values[49] + clean.values[52]) / 3)
    assert np.isnan(table.truth).sum() == 6
    assert table.mended.notes == (
        "rows not in the order of time: sorted",
        "1 duplicate row merged",
        *(f"{name}: 2 of 400 values filled by interpolation, at most 2 running" for name in table.columns),
    )


@pytest.mark.parametrize(
    "change", [without(*range(100, 110)), blank("temp", *range(100, 110))], ids=["of rows", "in a column"]
)
def test_no_window_goes_across_a_gap_that_is_too_long(write, change):
    table, data = data_of(write(change))
    assert len(table.times) == 390
    assert table.mended.notes == ("10 rows left out, where more than 3 running are missing, in 1 place",)
    assert not table.mended.filled.any()
    windows = data.units["train"]
    starts = windows.starts.tolist()
    assert starts == [*range(100 - SPAN + 1), *range(100, 273 - SPAN + 1)]
    for start in starts:
        hours = np.diff(data.times["train"][start : start + SPAN]).astype("m8[h]").astype(int)
        assert set(hours) == {1}


def test_a_gap_of_a_thousand_years_is_not_laid_out(write):
    def change(frame):
        frame["date"] = [f"1{date[1:]}" if row < 10 else date for row, date in enumerate(frame["date"])]
        return frame

    assert len(read_table(write(change), FILL).times) == 400


def test_filled_values_are_no_truth_and_no_history_tells_of_its_future(write):
    table, data = data_of(write(blank("temp", 200, 350)))
    assert np.argwhere(table.mended.filled).tolist() == [[200, 1], [350, 1]]
    windows, first = data.units["test"], 320 - 24
    ends = windows.starts + first + 24  # the rows that the futures begin with
    assert 351 not in ends  # its history would end with a row interpolated to the first value of its future
    assert len(windows) == 80 - 6 + 1 - 1
    errors = forecast_errors(lambda history, _: history[:, -1:].expand(-1, 6, -1), windows)
    missing = np.argwhere(np.isnan(errors.numpy())).tolist()
    assert missing == [[end - 320, 350 - end, 1] for end in range(345, 351)]


def test_scattered_nulls_leave_ridge_enough_to_learn(write, tmp_path):
    def change(frame):
        return frame.assign(temp=frame["temp"].where(np.random.default_rng(1).random(len(frame)) > 0.1))

    scores = {}
    for name, each in (("clean", lambda frame: frame), ("scattered", change)):
        path = write(each, 1500)
        train(parse_recipe(RECIPE), path, tmp_path / name, resume=False)
        bundle = export_run(tmp_path / name, path, tmp_path / f"{name}-bundles")
        scores[name] = bundle.manifest.metrics["scores"]["model"]["mse_by_column"]["temp"]
    assert scores["clean"] == pytest.approx(scores["scattered"], rel=0.15)


def test_what_comes_from_before_tells_nothing(write):
    _, data = data_of(write(blank("temp", 350)), RECIPE.replace('"interpolate"', '"previous"'))
    assert len(data.units["test"]) == 80 - 6 + 1


def test_filled_values_are_not_learned_from(write):
    _, data = data_of(write(blank("temp", 100)))
    task = ForecastTask(data, torch.device("cpu"))
    constant = torch.nn.Parameter(torch.zeros(1, 6, 3))
    batch = task.train.batch(torch.tensor([100 - 24]))  # whose future begins with the filled value
    loss = task.loss(lambda history, calendar: constant, batch)
    loss.backward()
    assert loss.item() == pytest.approx(batch[2].square().nanmean().item())
    assert (constant.grad == 0).nonzero().tolist() == [[0, 0, 1]]


def test_the_card_and_the_manifest_tell_what_was_mended(write, tmp_path, capsys):
    path = write(lambda frame: blank("temp", 100, 101, 350)(without(*range(200, 210))(frame)))
    train(parse_recipe(RECIPE), path, tmp_path / "run", resume=False)
    told = [
        "temp: 3 of 390 values filled by interpolation, at most 2 running",
        "10 rows left out, where more than 3 running are missing, in 1 place",
    ]
    assert capsys.readouterr().out.splitlines()[1:3] == told
    bundle = read_bundle(export_run(tmp_path / "run", path, tmp_path / "bundles").path)
    assert bundle.manifest.training["mended"] == told
    assert "; ".join(told) in bundle.card()
    assert np.isfinite(bundle.manifest.metrics["scores"]["ridge"]["mse"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: pd.concat([frame, frame.iloc[[5]].assign(load=1.0)]), "contradicting duplicates"),
        (lambda frame: frame.assign(date=[*frame["date"][:-1], "2019-01-01T00:07:00"]), "came 2019-01-01T00:07:00"),
        (blank("temp", *range(400)), "/temp: expected numbers, came none"),
        (lambda frame: frame.assign(temp=["x", *frame["temp"][1:]]), '/temp/0: expected a number, came "x"'),
    ],
    ids=["contradiction", "off the grid", "empty column", "text"],
)
def test_what_cannot_be_mended_is_a_fault(write, change, message):
    with pytest.raises(FaultyTable) as caught:
        data_of(write(change))
    assert message in str(caught.value)


def test_offsets_that_change_are_put_on_the_clock_of_the_latest(write):
    def change(frame):
        instants = pd.to_datetime(frame["date"]).dt.tz_localize("UTC")
        berlin = instants.dt.tz_convert("Europe/Berlin") + pd.Timedelta(days=80)  # into summer
        return frame.assign(date=[stamp.isoformat() for stamp in berlin])

    path = write(change)
    for config in (DataConfig(), FILL):
        table = read_table(path, config)
        assert table.mended is None
        assert table.times[-1] == np.datetime64("2018-04-07T17:00")
        assert table.times[0] == np.datetime64("2018-03-22T02:00")  # 01:00 on the clock of winter


@pytest.mark.parametrize(
    ("rows", "season", "expected"),
    [
        (35_040, 96, (192, 96)),
        (8760, 24, (192, 24)),
        (105_120, 288, (576, 288)),
        (730, 7, (56, 7)),
        (520, 52, (104, 26)),
        (240, 12, (60, 12)),
        (60, 12, (12, 3)),
        (40, 52, (10, 2)),
        (1000, None, (192, 24)),
    ],
)
def test_lengths_that_suit_the_table(rows, season, expected):
    assert default_lengths(rows, season) == expected


def test_a_recipe_for_a_table_without_one(write):
    path = write(blank("temp", 100))
    recipe = default_recipe(path.rename(path.with_name("My Meters (2).csv")))
    assert (recipe.name, recipe.architecture, recipe.data.fill) == ("my-meters-2", "linear", "interpolate")
    assert (recipe.model.seq_len, recipe.model.pred_len) == (96, 20)
    assert replace(parse_recipe(recipe.text), text="") == replace(recipe, text="")
