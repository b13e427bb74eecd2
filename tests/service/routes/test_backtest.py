import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.bundle import read_bundle
from contract.intervals import Intervals

SHIPPED = Path(__file__).parents[3] / "bundles"
LEVELS = {"50": 0.1, "80": 0.3}
ETTH1 = Path(__file__).parents[4] / "shared" / "data" / "etth1.csv"


@pytest.fixture
def measured(serving, bundles, edit_manifest):
    """A service of the daily model with intervals, which the tiny bundles have none of."""
    folder = bundles("daily")
    half_widths = {level: [[(step + 1) * width, width] for step in range(7)] for level, width in LEVELS.items()}
    intervals = {"season": 7, "half_widths": half_widths}
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest.update(intervals=intervals))
    return serving(folder)


def matrix(series):
    return np.array([*series["values"].values()], float).T


@pytest.mark.parametrize("holes", [(), [("sold", row) for row in (10, 60, 61, 170, 183, 199)]])
def test_is_what_forecasts_from_each_origin_and_the_truth_make(measured, backtest, series, bundle, holes, cut, holed):
    """The daily model, 28 days to 7, on 200 days: those from the 160th on are forecast."""
    table, fill = holed(series("daily", 200), *holes), "seasonal" if holes else "error"
    answer = backtest({"model": "daily", "series": [table], "fill": fill}, measured)
    origins = range(160, 194)
    assert answer["origins"] == {
        "count": 34,
        "first": table["timestamps"][160],
        "last": table["timestamps"][193],
        "stride": 1,
        "left_out": 0,
    }
    assert answer["before"] == {
        "rows": 160,
        "first": table["timestamps"][0],
        "last": table["timestamps"][159],
        "season": 7,
    }

    asked = {"model": "daily", "series": [cut(table, origin) for origin in origins], "fill": fill, "levels": [50, 80]}
    forecasts = measured.forecast(asked)["forecasts"]
    truth = np.stack([matrix(table)[origin : origin + 7] for origin in origins])
    errors = np.stack([matrix(each) for each in forecasts]) - truth
    std = np.array(bundle("daily").manifest.forecast.scaler.std)
    scores = answer["scores"]["model"]
    near = {"rel": 1e-4}
    assert scores["mse"] == pytest.approx(np.nanmean((errors / std) ** 2), **near)
    assert scores["mae"] == pytest.approx(np.nanmean(np.abs(errors / std)), **near)
    assert scores["mse_by_step"] == pytest.approx(np.nanmean((errors / std) ** 2, axis=(0, 2)), **near)
    scale = np.nanmean(np.abs(matrix(table)[7:160] - matrix(table)[:153]), axis=0)
    mase = np.nanmean(np.abs(errors), axis=(0, 1)) / scale
    assert scores["mase"] == pytest.approx(mase.mean(), **near)
    for column, name in enumerate(table["values"]):
        each = scores["columns"][name]
        assert each["mae"] == pytest.approx(np.nanmean(np.abs(errors[..., column])), **near)
        assert each["scaled_mae"] == pytest.approx(each["mae"] / std[column])
        assert each["scaled_mse"] == pytest.approx(each["mse"] / std[column] ** 2)
        assert each["mase"] == pytest.approx(mase[column], **near)
        assert each["mse_by_step"] == pytest.approx(np.nanmean(errors[..., column] ** 2, axis=0), **near)
    assert answer["scores"]["model"]["coverage"].keys() == LEVELS.keys()
    for level, coverage in answer["scores"]["model"]["coverage"].items():
        bounds = [[[*each["intervals"][level][name].values()] for name in table["values"]] for each in forecasts]
        low, high = np.moveaxis(np.array(bounds), (1, 2, 3), (3, 0, 2))
        inside = np.where(np.isnan(truth), np.nan, (low <= truth) & (truth <= high))
        assert coverage["share"] == pytest.approx(np.nanmean(inside))
        assert coverage["share_by_step"] == pytest.approx(np.nanmean(inside, axis=(0, 2)))
        assert coverage["columns"]["sold"]["share"] == pytest.approx(np.nanmean(inside[..., 0]))
        width = np.where(np.isnan(truth), np.nan, high - low)
        assert coverage["columns"]["price"]["width"] == pytest.approx(np.nanmean(width[..., 1]), **near)
        assert coverage["width"] == pytest.approx(np.nanmean(width / std), **near)

    naive = answer["scores"]["last value"]["columns"]["price"]["mae"]
    price = matrix(table)[:, 1]
    assert naive == pytest.approx(np.mean([np.abs(price[at - 1] - price[at : at + 7]).mean() for at in origins]))
    season = answer["scores"]["last season"]["columns"]["price"]["mae_by_step"][2]
    assert season == pytest.approx(np.mean([abs(price[at - 5] - price[at + 2]) for at in origins]))
    assert list(answer["scores"]) == ["model", "last value", "last season", "ridge"]


def test_no_baseline_sees_what_it_forecasts(backtest, series, cut):
    """If the forecast is the same, truths a thousand higher are missed by a thousand and the error, with its sign."""
    table, higher = (cut(series("daily", 200), 167) for _ in range(2))
    for column in higher["values"].values():
        column[160:] = [value + 1000 for value in column[160:]]
    near, far = (backtest({"model": "daily", "series": [each], "share": 0.01})["scores"] for each in (table, higher))
    for name in near:
        for one, other in zip(near[name]["columns"].values(), far[name]["columns"].values(), strict=True):
            assert np.abs(1000 - np.array(other["mae_by_step"])) == pytest.approx(one["mae_by_step"], abs=1e-8)


@given(order=st.permutations(range(80)), zone=st.sampled_from(["", "Z", "+05:30", "-11:00"]))
def test_neither_the_order_of_rows_nor_the_zone_changes_a_score(backtest, series, order, zone, holed):
    table = holed(series("daily", 80), ("sold", 5), ("sold", 70))
    plain = backtest({"model": "daily", "series": [table], "fill": "interpolate"})
    values = {name: [column[row] for row in order] for name, column in table["values"].items()}
    stamps = [table["timestamps"][row] + zone for row in order]
    shuffled = {"timestamps": stamps, "values": values}
    answer = backtest({"model": "daily", "series": [shuffled], "fill": "interpolate"})
    for part in ("scores", "comparison"):
        assert answer[part] == plain[part]
    assert answer["origins"]["first"] == plain["origins"]["first"] + zone


def test_gaps_are_no_truth_and_origins_behind_large_ones_are_left_out(backtest, series):
    table = series("daily", 200)
    kept = [row for row in range(200) if not 165 <= row < 175]
    gap = {
        "timestamps": [table["timestamps"][row] for row in kept],
        "values": {name: [column[row] for row in kept] for name, column in table["values"].items()},
    }
    answer = backtest({"model": "daily", "series": [gap], "fill": "previous"})
    # 28 rows with over a quarter missing: once the window ends at 173, until it begins at 168
    assert answer["origins"]["left_out"] == sum(
        len({*range(origin - 28, origin)} & {*range(165, 175)}) > 7 or (origin + 7 <= 175 and origin >= 165)
        for origin in range(160, 194)
    )
    assert answer["origins"]["count"] + answer["origins"]["left_out"] == 34
    assert any("origins left out" in warning for warning in answer["warnings"])
    assert "20 values of the rows that are forecast are missing, and nowhere counted as truth" in answer["warnings"]


def test_what_cannot_be_measured_is_null_and_told(measured, backtest, series, holed):
    table = series("daily", 200)
    flat = [3.0] * 160 + table["values"]["sold"][160:]
    answer = backtest({"model": "daily", "series": [{**table, "values": {**table["values"], "sold": flat}}]})
    assert answer["scores"]["model"]["columns"]["sold"]["mase"] is None
    assert answer["scores"]["model"]["mase"] == answer["scores"]["model"]["columns"]["price"]["mase"]
    assert any(warning.startswith("sold: no MASE") for warning in answer["warnings"])

    untold = holed(table, *(("sold", row) for row in range(187, 200)))
    answer = backtest({"model": "daily", "series": [untold], "fill": "previous", "share": 0.065}, measured)
    sold = answer["scores"]["model"]["columns"]["sold"]
    assert (sold["mse"], sold["mase"], sold["mae_by_step"]) == (None, None, [None] * 7)
    assert answer["scores"]["model"]["coverage"]["80"]["columns"]["sold"]["share"] is None
    assert any(warning.startswith("sold: no scores") for warning in answer["warnings"])
    assert answer["scores"]["model"]["mse"] == answer["scores"]["model"]["columns"]["price"]["scaled_mse"]


def test_intervals_around_the_baselines_are_made_from_the_rows_before(measured, backtest, series, bundle, cut):
    """Of 800 days 640 are before; the last quarter of those, and 28 to look back on, have 154 windows."""
    table = series("daily", 800)
    answer = backtest({"model": "daily", "series": [table]}, measured)
    for name in ("last value", "last season", "ridge"):
        coverage = answer["scores"][name]["coverage"]
        assert list(coverage) == ["50", "80", "90", "95"]
        for level, each in coverage.items():
            assert each["share"] == pytest.approx(int(level) / 100, abs=0.05)
    # what follows changes no width at the first origin, nor what was before its fit began
    first = {"model": "daily", "series": [cut(table, 647)], "share": 0.001}
    width = backtest(first, measured)["scores"]["last value"]["coverage"]["90"]["columns"]["price"]["width_by_step"]
    values = matrix(table)
    windows = np.stack([values[row : row + 35] for row in range(452, 606)])
    std = np.array(bundle("daily").manifest.forecast.scaler.std)
    made = Intervals.calibrate(windows[:, 27:28] - windows[:, 28:], windows[:, :28], std, 7)
    assert width == pytest.approx(2 * made.half_width("90", values[None, 612:640], std)[0, :, 1])


def test_a_baseline_without_any_error_is_told_as_such(backtest, series):
    table = series("daily", 100)
    table = {**table, "values": {name: [5.0] * 100 for name in table["values"]}}
    answer = backtest({"model": "daily", "series": [table]})
    assert answer["summary"].startswith("On this table daily does not help: last value makes no error at all")
    assert (answer["comparison"]["change"], answer["comparison"]["low"]) == (None, None)
    assert answer["scores"]["model"]["mase"] is None


@pytest.mark.parametrize("rows", [35, 50])
def test_the_shortest_tables_go_without_what_cannot_be_fitted(backtest, series, rows):
    answer = backtest({"model": "daily", "series": [series("daily", rows)]})
    assert list(answer["scores"]) == ["model", "last value", "last season"]
    assert any(warning.startswith("without ridge: ") for warning in answer["warnings"])
    assert "cannot be told" in answer["summary"]
    assert answer["comparison"]["low"] is None


def test_a_table_without_a_season_that_fits(backtest, series):
    answer = backtest({"model": "quarter-hourly", "series": [series("quarter-hourly", 400)]})
    assert list(answer["scores"]) == ["model", "last value", "ridge"]
    assert answer["before"]["season"] == 96


@pytest.fixture
def wave():
    """A table of daily rows that any model but the last season is worse on."""
    times = np.datetime_as_string(np.datetime64("2019-01-01", "s") + np.arange(400) * np.timedelta64(1, "D"))
    noise = np.random.default_rng(0).normal(0, 0.01, 400)
    column = 20 + np.tile([0.0, 3, 1, -2, 5, -4, 2], 58)[:400] + noise
    return {"timestamps": times.tolist(), "values": {"sold": column.tolist(), "price": (3 * column).tolist()}}


def test_says_plainly_that_a_model_does_not_help(backtest, wave):
    answer = backtest({"model": "daily", "series": [wave]})
    best = min(("last value", "last season", "ridge"), key=lambda name: answer["scores"][name]["mse"])
    comparison = answer["comparison"]
    assert comparison["baseline"] == best
    ratio = answer["scores"]["model"]["mse"] / answer["scores"][best]["mse"]
    assert comparison["change"] == pytest.approx(ratio - 1)
    assert 0 < comparison["low"] <= comparison["change"] <= comparison["high"]
    assert comparison["columns_won"] == 0
    assert answer["summary"].startswith("On this table daily does not help: its MSE is ")
    assert f"than that of the best baseline, {best}, and lower in 0 of 2 columns (95 % interval:" in answer["summary"]
    assert "over 74 origins from 2019-11-17T00:00:00 to 2020-01-29T00:00:00" in answer["summary"]


def test_says_so_where_the_rows_may_have_been_trained_on(backtest, serving, bundles, edit_manifest, series):
    folder = bundles("daily")
    table = series("daily", 200)
    request = {"model": "daily", "series": [table]}
    for seen, told in (
        (None, "the bundle does not say which rows it was trained on"),
        (("2010-01-01T00:00:00", table["timestamps"][170]), "11 of 34 origins forecast rows of the time"),
        (("2010-01-01T00:00:00", table["timestamps"][199]), "34 of 34 origins forecast rows of the time"),
        (("2010-01-01T00:00:00", table["timestamps"][159]), None),
        (("rubbish", 17), "the bundle does not say"),
    ):
        names = dict(zip(("seen_from", "seen_to"), seen or (), strict=False))
        edit_manifest(folder / "daily" / "1", lambda manifest, names=names: manifest.update(training=names))
        answer = backtest(request, serving(folder))
        assert any(told in warning for warning in answer["warnings"]) if told else not answer["warnings"]
        assert ("trained on" in answer["summary"]) == ("origins forecast" in (told or ""))


def test_a_table_in_csv_and_scores_in_csv(measured, backtest, series, as_csv):
    client, table = measured, series("daily", 120)
    answer = backtest({"model": "daily", "series": [table], "stride": 2, "share": 0.3}, client)
    parameters = {"model": "daily", "stride": "2", "share": "0.3"}
    came = client.post("/backtest", content=as_csv(table), headers={"content-type": "text/csv"}, params=parameters)
    assert came.json() == answer

    headers = {"content-type": "text/csv", "accept": "text/csv"}
    came = client.post("/backtest", content=as_csv(table), headers=headers, params=parameters)
    assert came.headers["content-type"].startswith("text/csv")
    assert json.loads(came.headers["x-seqcast-summary"]) == answer["summary"]
    rows = list(csv.DictReader(io.StringIO(came.text)))
    assert len(rows) == 4 * 3 * 8
    assert len({(row["forecaster"], row["column"], row["step"]) for row in rows}) == len(rows)
    found = {(row["forecaster"], row["column"], row["step"]): row for row in rows}
    for forecaster, scores in answer["scores"].items():
        assert float(found[forecaster, "", ""]["mse"]) == scores["mse"]
        assert float(found[forecaster, "price", "3"]["mae"]) == scores["columns"]["price"]["mae_by_step"][2]
        assert float(found[forecaster, "price", ""]["mase"]) == scores["columns"]["price"]["mase"]
    level = answer["scores"]["model"]["coverage"]["80"]
    assert float(found["model", "", "7"]["covered_80"]) == level["share_by_step"][6]
    assert float(found["model", "sold", "7"]["width_80"]) == level["columns"]["sold"]["width_by_step"][6]
    assert found["ridge", "sold", "7"]["width_80"] == ""  # too few windows to calibrate on


@pytest.mark.parametrize("step", [5e-324, 1e-310, 1e-200, 1e-14])
def test_a_change_next_to_nothing_is_no_scale(backtest, series, step):
    table = series("daily", 100)
    table["values"]["sold"][:80] = [row % 2 * step for row in range(80)]
    answer = backtest({"model": "daily", "series": [table]})
    assert answer["scores"]["model"]["columns"]["sold"]["mase"] is None
    assert any(warning.startswith("sold: no MASE") for warning in answer["warnings"])


def test_backtests_are_counted(client, backtest, series):
    def rows():
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith('seqcast_rows_total{model="daily"}'))

    before = rows()
    backtest({"model": "daily", "series": [series("daily", 200)]})
    assert rows() - before == 34


@pytest.mark.skipif(not ETTH1.exists(), reason="ETTh1 does not lie beside the checkout")
def test_gives_the_figures_of_evaluate_for_the_same_origins(backtest, serving):
    """The recipe's borders: 14,400 rows of which the last fifth is tested, and three quarters of the rest train."""
    table = b"".join(ETTH1.read_bytes().splitlines(keepends=True)[:14_401])
    client = serving(SHIPPED)
    answer = client.post(
        "/backtest", content=table, headers={"content-type": "text/csv"}, params={"model": "etth1-linear"}
    ).json()
    metrics = read_bundle(SHIPPED / "etth1-linear" / "1").manifest.metrics
    assert answer["origins"]["count"] == metrics["windows"] == 2857
    assert answer["warnings"] == []  # every origin is later than what was trained on
    assert answer["scores"].keys() == metrics["scores"].keys()
    for name, evaluated in metrics["scores"].items():
        came = answer["scores"][name]
        near = {"rel": 1e-6}
        for measure in ("mse", "mae", "mse_by_step", "mae_by_step"):
            assert came[measure] == pytest.approx(evaluated[measure], **near)
        for measure in ("mse", "mae"):
            columns = {column: scores[measure] for column, scores in came["columns"].items()}
            assert columns == pytest.approx(evaluated[f"{measure}_by_column"], **near)
    for level, evaluated in metrics["coverage"].items():
        coverage = answer["scores"]["model"]["coverage"][level]
        assert coverage["share"] == pytest.approx(evaluated["share"], abs=1e-5)
        assert coverage["share_by_step"] == pytest.approx(evaluated["share_by_step"], abs=1e-4)
        assert coverage["width"] == pytest.approx(evaluated["width"])
        assert answer["scores"]["last season"]["coverage"][level]["width"] == pytest.approx(evaluated["naive_width"])
