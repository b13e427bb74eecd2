"""Horizons beyond a model's own: its forecasts become history."""

import copy

import numpy as np
import onnxruntime
import pytest

from contract.forecast_window import forecast_window


@pytest.fixture
def rolling(serving, bundles):
    """rolling("hourly") -> a client of a service that allows four times the model's horizon."""
    return lambda *names: serving(bundles(*names), max_horizon_factor=4)


@pytest.mark.parametrize("name", ["hourly", "weekly", "monthly"])
def test_each_run_goes_on_from_the_one_before(rolling, bundle, table, series, name):
    spec = bundle(name).manifest.forecast
    session = onnxruntime.InferenceSession(bundle(name).graph("forecast"))
    horizon = 2 * spec.pred_len + 1
    (came,) = rolling(name).forecast({"series": [series(name)], "horizon": horizon})["forecasts"]
    times, values = table(name)
    for _ in range(3):
        window = forecast_window(times, values, spec)
        inputs = {"history": window.history[None], "calendar": window.calendar[None]}
        times = np.concatenate([times, window.future_times])
        values = np.concatenate([values, session.run(["forecast"], inputs)[0][0]])
    expected = slice(spec.seq_len, spec.seq_len + horizon)
    assert came["timestamps"] == np.datetime_as_string(times[expected], unit="s").tolist()
    columns = np.array(list(came["values"].values())).T
    np.testing.assert_allclose(columns / spec.scaler.std, values[expected] / spec.scaler.std, atol=1e-4)
    assert came["warnings"] == [f"steps {spec.pred_len + 1} to {horizon} rest on forecast values"]


def test_the_model_s_own_steps_are_as_they_were_and_not_warned_of(rolling, client, series):
    request = {"model": "hourly", "series": [series("hourly", seed=seed) for seed in range(20)]}
    rolled = rolling("hourly").forecast({**request, "horizon": 96})["forecasts"]
    for long, short in zip(rolled, client.forecast(request)["forecasts"], strict=True):
        assert long["timestamps"][:24] == short["timestamps"]
        for name, column in short["values"].items():
            np.testing.assert_allclose(long["values"][name][:24], column, rtol=1e-4)
        assert (len(long["timestamps"]), short["warnings"]) == (96, [])


def test_fillings_are_told_beside(rolling, series):
    table = copy.deepcopy(series("hourly"))
    table["values"]["load"][3] = None
    request = {"series": [table], "horizon": 25, "fill": "previous"}
    (forecast,) = rolling("hourly").forecast(request)["forecasts"]
    assert [warning[:4] for warning in forecast["warnings"]] == ["load", "step"]


@pytest.mark.parametrize("horizon", [97, 10**30])
def test_beyond_the_setting_is_a_fault(rolling, body, horizon):
    assert rolling("hourly").faults({**body, "horizon": horizon}) == {
        "/horizon": f"expected 1 to 96, 4 times this model's reach, came {horizon}"
    }


def test_intervals_are_not_made_up_for_rolled_steps(serving, bundles, edit_manifest, series):
    folder = bundles("daily")
    intervals = {"season": 7, "half_widths": {"80": np.ones((7, 2)).tolist()}}
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest.update(intervals=intervals))
    client = serving(folder, max_horizon_factor=2)
    request = {"series": [series("daily")], "levels": [80]}
    assert client.forecast({**request, "horizon": 7})["forecasts"][0]["warnings"] == []
    message = "expected none with a horizon beyond 7, for which intervals are calibrated, came [80] with 8"
    assert client.faults({**request, "horizon": 8}) == {"/levels": message}
