import numpy as np

from contract.calendar_features import calendar_features
from contract.forecast_window import forecast_window


def test_takes_the_latest_rows_and_the_calendar_of_history_and_future(spec, hours):
    times, values = hours(6), np.arange(12.0).reshape(6, 2)
    window = forecast_window(times, values, spec)
    np.testing.assert_array_equal(window.history, values[2:])
    np.testing.assert_array_equal(window.future_times, hours(8)[6:])
    assert window.calendar.dtype == np.float32
    np.testing.assert_array_equal(window.calendar, calendar_features(hours(8)[2:], spec.calendar))


def test_older_rows_change_nothing(spec, hours):
    times, values = hours(30), np.random.default_rng(0).normal(size=(30, 2))
    window, shorter = forecast_window(times, values, spec), forecast_window(times[-4:], values[-4:], spec)
    np.testing.assert_array_equal(window.history, shorter.history)
    np.testing.assert_array_equal(window.calendar, shorter.calendar)
    np.testing.assert_array_equal(window.future_times, shorter.future_times)


def test_more_runs_look_further_ahead(spec, hours):
    times, values = hours(6), np.arange(12.0).reshape(6, 2)
    window = forecast_window(times, values, spec, runs=3)
    np.testing.assert_array_equal(window.history, values[2:])
    np.testing.assert_array_equal(window.future_times, hours(12)[6:])
    np.testing.assert_array_equal(window.calendar, calendar_features(hours(12)[2:], spec.calendar))
