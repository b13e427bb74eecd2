import numpy as np
import pytest
import torch

from contract.calendar_features import calendar_features
from contract.errors import FaultyTable
from contract.forecast_window import forecast_window
from model.config import DataConfig
from model.datasets import split_rows, split_windows
from model.forecasting import ForecastData, forecast_spec
from model.windows import Windows

ETTH1 = DataConfig(borders=(8640, 11520, 14400))


def windows(table, spec, rows):
    calendar = torch.from_numpy(calendar_features(table.times, spec.calendar))
    values, truth = torch.from_numpy(table.values), torch.from_numpy(table.truth)
    return split_windows(table, calendar, values, truth, spec, rows)


def test_etth1_s_borders_give_every_window(make_table, make_spec):
    table = make_table(17_420, columns=("load",))
    spec = make_spec(table, seq_len=96, pred_len=24)
    rows = split_rows(ETTH1, 17_420)
    assert rows == {"train": slice(0, 8640), "val": slice(8640, 11520), "test": slice(11520, 14400)}
    assert {name: len(windows(table, spec, part)) for name, part in rows.items()} == {
        "train": 8521,
        "val": 2857,
        "test": 2857,
    }


@pytest.mark.parametrize(
    ("n_rows", "fractions", "borders"),
    [
        (35_064, (0.7, 0.1, 0.2), (24_544, 28_052, 35_064)),  # WTH, as published
        (10, (0.7, 0.1, 0.2), (7, 8, 10)),
        (100, (0.6, 0.2, 0.2), (60, 80, 100)),
        (100, (0.5, 0.25, 0.125), (50, 76, 88)),
    ],
)
def test_fractions_follow_one_another(n_rows, fractions, borders):
    rows = split_rows(DataConfig(fractions=fractions), n_rows)
    assert [(part.start, part.stop) for part in rows.values()] == list(zip((0, *borders), borders, strict=False))


@pytest.mark.parametrize("rows", [(20, 30), (20, 49)])
def test_a_split_without_a_window_is_refused(make_table, make_spec, rows):
    table = make_table(200)
    spec = make_spec(table, seq_len=24, pred_len=30)
    with pytest.raises(FaultyTable, match="expected at least 54 rows in each split"):
        windows(table, spec, slice(*rows))


def test_borders_past_the_table_are_refused():
    with pytest.raises(FaultyTable, match="expected at least 14400 rows, as in the recipe's borders, came 14399"):
        split_rows(ETTH1, 14_399)


def test_forecasts_lie_in_their_split_and_only_context_before_it(make_table, make_spec):
    table = make_table(300)
    spec = make_spec(table)
    rows = split_rows(DataConfig(), 300)
    for part in rows.values():
        split = windows(table, spec, part)
        starts = torch.tensor([0, len(split) - 1])
        _, _, future = split.batch(starts)
        first = part.start or 24  # the first training rows have no context
        np.testing.assert_array_equal(future[0], table.values[first : first + 6])
        np.testing.assert_array_equal(future[1], table.values[part.stop - 6 : part.stop])


def test_training_and_serving_see_the_same(make_table, make_spec):
    table = make_table(300)
    spec = make_spec(table)
    history, calendar, future = windows(table, spec, slice(0, 300)).batch(torch.tensor([0, 7, 270]))
    for index, start in enumerate((0, 7, 270)):
        stop = start + 24
        served = forecast_window(table.times[:stop], table.values[:stop], spec)
        np.testing.assert_array_equal(history[index], served.history)
        np.testing.assert_array_equal(calendar[index], served.calendar)
        np.testing.assert_array_equal(table.times[stop : stop + 6], served.future_times)
        np.testing.assert_array_equal(future[index], table.values[stop : stop + 6])


@pytest.mark.parametrize("frequency", ["5min", "D", "B", "W", "M"])
def test_so_they_do_at_other_frequencies(make_table, make_spec, frequency):
    table = make_table(60, frequency)
    spec = make_spec(table)
    _, calendar, _ = windows(table, spec, slice(0, 60)).batch(torch.tensor([20]))
    served = forecast_window(table.times[:44], table.values[:44], spec)
    np.testing.assert_array_equal(calendar[0], served.calendar)


def test_a_batch_s_shapes():
    values = torch.arange(20.0).view(10, 2)
    split = Windows(values, values, torch.zeros(10, 4), torch.arange(3), seq_len=5, pred_len=3)
    assert len(split) == 3
    history, calendar, future = split.batch(torch.tensor([2, 0]))
    assert history.shape == (2, 5, 2)
    assert calendar.shape == (2, 8, 4)
    assert future.tolist() == [[[14, 15], [16, 17], [18, 19]], [[10, 11], [12, 13], [14, 15]]]


@pytest.mark.parametrize(("rows", "came"), [(slice(0, 29), 29), (slice(290, 295), 29)])
def test_a_split_without_one_window_is_refused(make_table, make_spec, rows, came):
    table = make_table(300)
    message = f"expected at least 30 rows in each split, came {came} of the table's 300"
    with pytest.raises(FaultyTable, match=message):
        windows(table, make_spec(table), rows)


def test_the_scaler_knows_the_training_rows_alone(make_table, recipe):
    table = make_table(300)
    spec = forecast_spec(recipe, table)
    train = table.values[:210]
    np.testing.assert_allclose(spec.scaler.mean, train.mean(0))
    np.testing.assert_allclose(spec.scaler.std, train.std(0))
    assert spec.units == {"load": "MW"}
    assert (spec.seq_len, spec.label_len, spec.pred_len, spec.frequency) == (24, 12, 6, "h")
    data = ForecastData.of(table, recipe, spec)
    scaled = data.scaled["test"].values.double() * torch.tensor(spec.scaler.std) + torch.tensor(spec.scaler.mean)
    torch.testing.assert_close(scaled, data.units["test"].values, rtol=1e-5, atol=0)
