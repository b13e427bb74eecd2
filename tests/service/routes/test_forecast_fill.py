"""Tables as they come, over HTTP: the clean table's forecast, or a filling that is told, or a named fault."""

import copy
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HOUR = timedelta(hours=1)
METHODS = ["interpolate", "previous", "seasonal"]
ROWS = 100  # the hourly model sees 96
BOUNDED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(series, rows):
    """Those rows of a series, in that order."""
    stamps, values = series["timestamps"], series["values"]
    return {
        "timestamps": [stamps[row] for row in rows],
        "values": {name: [column[row] for row in rows] for name, column in values.items()},
    }


def asked(series, method="error"):
    return {"model": "hourly", "series": [series], "fill": method}


def warned(client, series, method):
    """The one forecast, and its warnings taken out of it."""
    (forecast,) = client.forecast(asked(series, method))["forecasts"]
    return forecast, forecast.pop("warnings")


@pytest.fixture
def clean(series):
    return series("hourly", ROWS)


@pytest.mark.parametrize("method", METHODS)
def test_a_clean_table_is_left_as_it_is(client, clean, method):
    assert client.forecast(asked(clean, method)) == client.forecast(asked(clean))


@BOUNDED
@given(method=st.sampled_from(METHODS), data=st.data())
def test_order_zones_and_identical_duplicates_change_nothing(client, series, method, data):
    clean = copy.deepcopy(series("hourly", ROWS))
    offsets = data.draw(st.none() | st.lists(st.integers(-14, 14), min_size=ROWS, max_size=ROWS))
    if offsets:
        for row, hours in enumerate(offsets):
            zone, moment = timezone(hours * HOUR), datetime.fromisoformat(clean["timestamps"][row])
            clean["timestamps"][row] = moment.replace(tzinfo=UTC).astimezone(zone).isoformat()
    expected, _ = warned(client, clean, "error")
    rows = [*range(ROWS), *data.draw(st.lists(st.integers(0, ROWS - 1), max_size=5))]
    rows = data.draw(st.permutations(rows))
    came, warnings = warned(client, rows_of(clean, rows), method)
    assert came == expected
    assert any("sorted" in warning for warning in warnings) == (sorted(rows) != rows)
    assert any("duplicate" in warning for warning in warnings) == (len(rows) > ROWS)
    assert any("offsets" in warning for warning in warnings) == (len(set(offsets or [0])) > 1)


@BOUNDED
@given(method=st.sampled_from(METHODS), data=st.data())
def test_gaps_and_nulls_are_told_or_named(client, series, method, data):
    clean = copy.deepcopy(series("hourly", ROWS))
    expected, _ = warned(client, clean, "error")
    nulls = data.draw(st.sets(st.tuples(st.sampled_from(list(clean["values"])), st.integers(0, ROWS - 1)), max_size=60))
    gone = data.draw(st.sets(st.integers(0, ROWS - 2), max_size=40))
    for name, row in nulls:
        clean["values"][name][row] = None
    gaps = rows_of(clean, [row for row in range(ROWS) if row not in gone])
    missing = {
        name: sum(row in gone or (name, row) in nulls for row in range(ROWS - 96, ROWS)) for name in clean["values"]
    }
    first = min(set(range(ROWS)) - gone)
    if first > ROWS - 96 or sum(missing.values()) > 72:
        assert client.faults(asked(gaps, method)).keys() == {"/series/0/values"}
        return
    came, warnings = warned(client, gaps, method)
    assert came["timestamps"] == expected["timestamps"]
    told = {warning.partition(":")[0]: warning for warning in warnings}
    assert told.keys() == {name for name, count in missing.items() if count}
    assert all(f"{name}: {missing[name]} of 96 values filled" in warning for name, warning in told.items())


def test_a_filled_table_gives_what_the_same_values_sent_give(client, clean):
    holes = copy.deepcopy(clean)
    for column, sent in zip(holes["values"].values(), clean["values"].values(), strict=True):
        column[50] = None
        sent[50] = sent[49]
    expected, _ = warned(client, clean, "error")
    came, warnings = warned(client, holes, "previous")
    assert came == expected
    assert warnings == [
        f"{name}: 1 of 96 values filled by the value before, {holes['timestamps'][50]}" for name in holes["values"]
    ]


@pytest.mark.parametrize("form", [{"start": "2018-06-22", "frequency": "h"}, {"start": 1529697600, "frequency": "h"}])
def test_nulls_after_a_start_are_filled(client, clean, form):
    del clean["timestamps"]
    clean["values"]["temp"][-1] = None
    _, (warning,) = warned(client, {**clean, **form}, "interpolate")
    assert warning.startswith("temp: 1 of 96 values filled by the value before, ")


@pytest.mark.parametrize("day", [datetime(2018, 3, 25), datetime(2018, 10, 28)], ids=["to summer", "to winter"])
def test_a_clock_change_that_offsets_tell_is_no_gap_and_no_duplicate(client, clean, day):
    berlin = ZoneInfo("Europe/Berlin")
    instants = [(day.replace(tzinfo=UTC) + (row - 60) * HOUR).astimezone(berlin) for row in range(ROWS)]
    clean["timestamps"] = [instant.isoformat() for instant in instants]
    expected, _ = warned(client, clean, "error")
    came, warnings = warned(client, rows_of(clean, [*reversed(range(ROWS))]), "interpolate")
    assert came == expected
    clock = timezone(instants[-1].utcoffset())
    assert warnings == [
        f"timestamps with 2 offsets from UTC: all put on the clock of the latest, {clock}",
        "rows not in the order of time: sorted",
    ]


def test_an_hour_twice_on_a_naive_clock_is_a_contradiction(client, clean):
    clean["timestamps"][51:] = clean["timestamps"][50:-1]
    (pointer, message) = next(iter(client.faults(asked(clean, "previous")).items()))
    assert pointer == "/series/0/timestamps/51"
    assert message.startswith(f"expected rows of {clean['timestamps'][50]} to be the same, came load ")


@pytest.mark.parametrize("method", METHODS)
def test_a_timestamp_off_the_grid_is_a_fault_in_every_mode(client, clean, method):
    due = clean["timestamps"][3]
    clean["timestamps"][3] = due.replace(":00:00", ":07:00")
    message = f"expected every row a whole number of h from the others, such as {due}, came {clean['timestamps'][3]}"
    assert client.faults(asked(clean, method)) == {"/series/0/timestamps/3": message}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "1.5", True, 10**400, [1.5]])
def test_what_is_no_number_and_no_null_is_not_filled(client, clean, wrong):
    clean["values"]["load"][3] = wrong
    clean["values"]["load"][4] = None
    (pointer, message), *more = client.faults(asked(clean, "previous")).items()
    assert (pointer, more) == ("/series/0/values/load/3", [])
    assert message.startswith("expected a finite number or null, came ")


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_rows_are_a_fault(client, clean, count):
    message = client.faults(asked(rows_of(clean, range(count)), "previous"))["/series/0/values"]
    assert message.startswith("expected at least 96 rows")


def test_a_column_of_nulls_is_a_fault(client, clean):
    clean["values"]["temp"] = [None] * ROWS
    faults = client.faults(asked(clean, "seasonal"))
    assert faults["/series/0/values/temp"] == "expected a value in the latest 96 rows, came none"


def test_how_much_may_be_filled_is_a_setting(serving, bundles, clean):
    folder = bundles("hourly")
    clean["values"]["temp"][10:12] = [None, None]
    assert warned(serving(folder, max_fill_share=2 / 288), clean, "interpolate")[1]
    assert serving(folder, max_fill_share=1 / 288).faults(asked(clean, "interpolate")) == {
        "/series/0/values": "expected at most 1 of the 288 values that the model sees to be missing, came 2: temp 2"
    }


@pytest.mark.parametrize("method", ["linear", "", None, 1])
def test_an_unknown_method_is_a_fault(client, clean, method):
    assert client.faults(asked(clean, method))["/fill"].startswith('Input should be "error", "interpolate", ')


@pytest.mark.parametrize("method", METHODS)
def test_a_timeline_of_a_thousand_years_is_not_laid_out(client, clean, method):
    clean["timestamps"] = [-(10**7) * 3600, *[3600 * row for row in range(ROWS - 1)]]
    _, warnings = warned(client, clean, method)
    assert warnings == []
