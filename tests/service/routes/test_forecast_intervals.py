import numpy as np
import pytest

from contract.intervals import spread


@pytest.fixture
def steps():
    """Half widths of the daily model, (7, 2): wider with each step."""
    return np.outer(np.arange(1.0, 8.0), [1.0, 0.5])


@pytest.fixture
def uncertain(serving, bundles, edit_manifest, steps):
    """Serves the daily bundle with intervals at 80 and 95 percent."""
    folder = bundles("daily")
    intervals = {"season": 7, "half_widths": {"80": steps.tolist(), "95": (steps * 2).tolist()}}
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest.update(intervals=intervals))
    return serving(folder)


def test_intervals_lie_around_the_forecast_as_wide_as_the_window_is_rough(uncertain, series, table, bundle, steps):
    std = np.array(bundle("daily").manifest.forecast.scaler.std)
    answer = uncertain.forecast({"series": [series("daily", seed=1), series("daily", seed=2)], "levels": [80, 95]})
    for seed, forecast in enumerate(answer["forecasts"], start=1):
        assert set(forecast["intervals"]) == {"80", "95"}
        (rough,) = spread(table("daily", seed=seed)[1][None], std, 7, 7)
        for level, factor in (("80", 1), ("95", 2)):
            for column, name in enumerate(("sold", "price")):
                middle = np.array(forecast["values"][name])
                half_width = steps[:, column] * factor * rough[:, column]
                bounds = forecast["intervals"][level][name]
                np.testing.assert_allclose(bounds["lower"], middle - half_width, atol=1e-4 * std[column])
                np.testing.assert_allclose(bounds["upper"], middle + half_width, atol=1e-4 * std[column])


def test_intervals_are_as_long_as_the_horizon(uncertain, series):
    request = {"series": [series("daily")], "levels": [95], "horizon": 3}
    (forecast,) = uncertain.forecast(request)["forecasts"]
    (whole,) = uncertain.forecast({**request, "horizon": 7})["forecasts"]
    for name, bounds in forecast["intervals"]["95"].items():
        assert bounds == {side: column[:3] for side, column in whole["intervals"]["95"][name].items()}


@pytest.mark.parametrize("levels", [{}, {"levels": []}])
def test_without_levels_there_are_no_intervals(uncertain, series, levels):
    (forecast,) = uncertain.forecast({"series": [series("daily")], **levels})["forecasts"]
    assert forecast["intervals"] == {}


def test_an_unknown_level_is_a_fault_that_says_which_are_known(uncertain, series):
    faults = uncertain.faults({"series": [series("daily")], "levels": [80, 99, -1]})
    assert faults == {f"/levels/{row}": f"expected one of 80, 95, came {level}" for row, level in ((1, 99), (2, -1))}
