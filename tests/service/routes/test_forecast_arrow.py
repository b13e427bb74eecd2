"""Tables in Arrow, in and out, written and read by pyarrow and pandas."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ARROW = "application/vnd.apache.arrow.stream"
BOUNDED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
FUZZED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
WIND = "wind/gust~max"
COLUMNS = ["load", "temp", WIND]
FIRST = datetime(2018, 6, 22, 20)
TIMES = [FIRST + timedelta(hours=row) for row in range(96)]


def stream(table, rows=None, **options):
    """The bytes that a client sends, in record batches of so many rows."""
    table = table if isinstance(table, pa.Table) else pa.Table.from_pandas(table)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, rows)
    return bytes(sink.getvalue())


def post(client, table, query="model=hourly", path="/forecast", **headers):
    content = table if isinstance(table, bytes) else stream(table)
    return client.post(f"{path}?{query}", content=content, headers={"content-type": ARROW, **headers})


def answered(client, table, query="model=hourly", **headers):
    answer = post(client, table, query, **headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == ARROW
    return pa.ipc.open_stream(answer.content).read_all()


def faults(client, table, query="model=hourly", status=422):
    answer = post(client, table, query)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {fault["pointer"]: fault["message"] for fault in answer.json()["errors"]}


@pytest.fixture
def hourly(series):
    """hourly(stamps=TIMES, seed=0, **columns) -> an Arrow table of the hourly series."""

    def made_up(stamps=TIMES, seed=0, **columns):
        values = {name: pa.array(column) for name, column in series("hourly", 96, seed)["values"].items()}
        return pa.table({"time": stamps, **values, **columns})

    return made_up


@BOUNDED
@given(seed=st.integers(0, 99), data=st.data())
def test_a_table_gives_what_its_json_gives(client, series, hourly, seed, data):
    part = series("hourly", 96, seed)
    expected = client.forecast({"model": "hourly", "series": [part], "horizon": 5})
    compression = data.draw(st.sampled_from([None, "lz4", "zstd"]))
    content = stream(hourly(seed=seed), data.draw(st.integers(1, 100)), compression=compression)
    came = post(client, content, "model=hourly&horizon=5", accept="application/json")
    assert came.json() == expected
    told = answered(client, content, "model=hourly&horizon=5").to_pydict()
    assert [time.isoformat() for time in told.pop("time")] == expected["forecasts"][0]["timestamps"]
    assert told == expected["forecasts"][0]["values"]


def test_pandas_sends_and_reads_a_frame_with_its_index(client, hourly):
    frame = hourly().to_pandas().set_index("time")
    came = answered(client, frame).to_pandas().set_index("time")
    assert pd.concat([frame, came]).index.is_monotonic_increasing
    assert list(came) == COLUMNS
    assert answered(client, frame.rename_axis(None)).column_names[0] == "__index_level_0__"


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "+05:30", "America/New_York"])
def test_timestamps_go_on_in_their_type(client, hourly, unit, zone):
    kind = pa.timestamp(unit, zone)
    stamps = pa.array(np.array(TIMES, "M8[s]").astype(np.int64)).cast(pa.timestamp("s", zone)).cast(kind)
    came = answered(client, hourly(stamps))["time"]
    assert came.type == kind
    step = {"s": 3600, "ms": 3600 * 10**3, "us": 3600 * 10**6, "ns": 3600 * 10**9}[unit]
    last = stamps[-1].value
    assert came.cast(pa.int64()).to_pylist() == [last + step * row for row in range(1, 25)]
    told = post(client, hourly(stamps), accept="application/json").json()["forecasts"][0]["timestamps"]
    first = (FIRST + timedelta(hours=96)).replace(tzinfo=UTC)
    expected = {
        None: "2018-06-26T20:00:00",
        "UTC": "2018-06-26T20:00:00Z",
        "+05:30": "2018-06-27T01:30:00+05:30",
        "America/New_York": first.astimezone(ZoneInfo("America/New_York")).isoformat(),
    }
    assert told[0] == expected[zone]


def test_where_clocks_change_it_is_read_as_its_strings_are(client, series, hourly):
    rome = ZoneInfo("Europe/Rome")
    instants = [datetime(2018, 10, 25, 3, tzinfo=UTC) + timedelta(hours=row) for row in range(96)]
    part = series("hourly", timestamps=[instant.astimezone(rome).isoformat() for instant in instants])
    expected = client.forecast({"model": "hourly", "series": [part], "fill": "previous"})["forecasts"]
    stamps = pa.array(instants, pa.timestamp("ms", "Europe/Rome"))
    came = post(client, hourly(stamps), "model=hourly&fill=previous", accept="application/json")
    assert came.json()["forecasts"] == expected
    assert expected[0]["warnings"]


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()])
def test_dates_go_on_as_dates(client, series, kind):
    part = series("daily")
    days = pa.array([datetime(2020, 2, 2) + timedelta(days=row) for row in range(28)]).cast(kind)
    came = answered(client, pa.table({"ds": days, **part["values"]}), "model=daily")["ds"]
    assert came.type == kind
    assert str(came[0]) == "2020-03-01"


@pytest.mark.parametrize(
    ("stamps", "first"),
    [
        (pa.array([stamp.isoformat() for stamp in TIMES], pa.string_view()), "2018-06-26T20:00:00"),
        (pa.array([stamp.isoformat() for stamp in TIMES]).dictionary_encode(), "2018-06-26T20:00:00"),
        (pa.array([1_529_697_600 + 3600 * row for row in range(96)]), 1_529_697_600 + 3600 * 96),
        (pa.array([1_529_697_600.0 + 3600 * row for row in range(96)]), 1_529_697_600 + 3600 * 96),
        (pa.array(TIMES, pa.timestamp("s")).dictionary_encode(), FIRST + timedelta(hours=96)),
    ],
    ids=["text", "dictionary", "epoch", "epoch in floats", "dictionary of timestamps"],
)
def test_texts_and_epoch_numbers_are_timestamps(client, hourly, stamps, first):
    came = answered(client, hourly(stamps))["time"]
    assert came[0].as_py() == first
    assert not pa.types.is_dictionary(came.type)


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.decimal32(5, 1), pa.decimal128(9, 3), pa.decimal256(50, 2)],
    ids=str,
)
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_numbers_of_every_type(client, series, hourly, kind, as_dictionary):
    numbers = [float(row % 7 + 20) for row in range(96)]
    part = series("hourly")
    part["values"]["load"] = numbers
    expected = client.forecast({"model": "hourly", "series": [part]})["forecasts"][0]["values"]
    written = [Decimal(int(number)) for number in numbers] if pa.types.is_decimal(kind) else numbers
    column = pa.array(np.float16(numbers) if kind == pa.float16() else written, kind)
    if as_dictionary:
        column = pa.DictionaryArray.from_arrays(pa.array(np.arange(96), pa.int8()), column)
    came = answered(client, hourly(load=column)).to_pydict()
    assert {name: came[name] for name in COLUMNS} == expected


@pytest.mark.parametrize(
    "ids",
    [
        pa.array(["007", "b,c", "NA"]),
        pa.array(["007", "b,c", "NA"], pa.large_string()),
        pa.array(["007", "b,c", "NA"], pa.string_view()),
        pa.array(["007", "b,c", "NA"]).dictionary_encode(),
        pa.array([7, -1, 2**62]),
        pa.array([7, 8, 9], pa.uint8()).dictionary_encode(),
    ],
    ids=lambda ids: str(ids.type),
)
def test_rows_of_one_id_are_one_series(client, hourly, ids):
    # each row of the three in turn, in three record batches
    alone = [hourly(seed=seed) for seed in range(3)]
    turns = np.arange(288) // 3 + 96 * (np.arange(288) % 3)
    mixed = pa.concat_tables(alone).take(pa.array(turns))
    repeated = pa.array(ids.to_pylist() * 96, ids.type if not pa.types.is_dictionary(ids.type) else ids.type.value_type)
    repeated = repeated.dictionary_encode() if pa.types.is_dictionary(ids.type) else repeated
    came = answered(client, stream(mixed.append_column("sensor", repeated), 96), "model=hourly&id_column=sensor")
    assert came.column_names == ["sensor", "time", *COLUMNS]
    kind = ids.type.value_type if pa.types.is_dictionary(ids.type) else ids.type
    assert came["sensor"].type == kind
    assert came["sensor"].to_pylist() == [name for name in ids.to_pylist() for _ in range(24)]
    for row, one in enumerate(alone):
        expected = answered(client, one)["load"].to_pylist()
        assert came["load"][24 * row : 24 * row + 24].to_pylist() == pytest.approx(expected, rel=1e-4)


def test_nulls_are_missing_and_nan_is_a_fault(client, series, hourly):
    cells = series("hourly")["values"]["load"]
    holed = hourly(load=pa.array([None if row in (3, 40) else cell for row, cell in enumerate(cells)]))
    assert "null" in faults(client, holed)["/rows/40/load"]
    answer = post(client, holed, "model=hourly&fill=interpolate")
    assert answer.status_code == 200
    assert json.loads(answer.headers["x-seqcast-warnings"])
    broken = hourly(load=pa.array([np.nan if row == 40 else cell for row, cell in enumerate(cells)]))
    told = faults(client, broken, "model=hourly&fill=interpolate")
    assert told == {"/rows/40/load": "expected a finite number or null, came NaN"}
    empty = hourly(load=pa.nulls(96))
    assert len(faults(client, empty)) == 96


def test_json_and_csv_are_answered_in_arrow_where_it_is_accepted(client, series):
    def asked(*parts):
        content = json.dumps({"model": "hourly", "series": parts})
        answer = client.post("/forecast", content=content, headers={"accept": ARROW})
        return pa.ipc.open_stream(answer.content).read_all()

    counted = {"timestamps": None, "frequency": "h"}
    naive, offset = series("hourly", id="a"), series("hourly", start="2018-06-22T20:00+02:00", id="b", **counted)
    other, epoch = (
        series("hourly", start="2018-06-22T20:00Z", **counted),
        series("hourly", start=1_529_697_600, **counted),
    )
    assert asked(naive).schema.field("timestamp").type == pa.timestamp("ms")
    assert asked(naive)["id"].to_pylist() == ["a"] * 24
    assert asked(offset).schema.field("timestamp").type == pa.timestamp("ms", "+02:00")
    both = asked(offset, other)
    assert both["timestamp"].type == pa.timestamp("ms", "UTC")
    assert both["timestamp"][0].as_py() == datetime(2018, 6, 26, 18, tzinfo=UTC)
    assert asked(epoch)["timestamp"].type == pa.int64()
    halves = asked(epoch, series("hourly", start=1_529_697_600.5, **counted))["timestamp"]
    assert [halves[0].as_py(), halves[24].as_py()] == [1_529_697_600 + 96 * 3600, 1_529_697_600.5 + 96 * 3600]
    assert asked(naive, offset)["timestamp"].to_pylist()[::24] == ["2018-06-26T20:00:00", "2018-06-26T20:00:00+02:00"]


def test_bounds_are_columns_beside(serving, bundles, edit_manifest, series):
    folder = bundles("daily")
    widths = {"season": 7, "half_widths": {"80": np.ones((7, 2)).tolist(), "95": np.full((7, 2), 2.0).tolist()}}
    edit_manifest(folder / "daily" / "1", lambda manifest: manifest.update(intervals=widths))
    uncertain, part = serving(folder), series("daily")
    expected = uncertain.forecast({"series": [part], "levels": [80]})["forecasts"][0]["intervals"]
    came = answered(uncertain, pa.table({"ds": part["timestamps"], **part["values"]}), "levels=80")
    assert came.column_names[3:5] == ["sold_lower_80", "sold_upper_80"]
    assert came["price_upper_80"].to_pylist() == expected["80"]["price"]["upper"]


def test_a_backtest_takes_the_table_too(client, series):
    part = series("daily", 60)
    days = pa.array(np.array(part["timestamps"], "M8[ms]"))
    query = "model=daily&share=0.4&stride=1"
    came = post(client, pa.table({"ds": days, **part["values"]}), query, "/backtest")
    body = {"model": "daily", "series": [part], "share": 0.4, "stride": 1}
    expected = client.post("/backtest", content=json.dumps(body)).json()
    assert came.json()["summary"] == expected["summary"]


def test_all_faults_are_listed_and_point_into_the_table(client, hourly):
    wrong = hourly(
        temp=pa.array(["21"] * 96), extra=pa.array([True] * 96), load=pa.array([np.inf] + [1.0] * 95)
    ).drop_columns([WIND])
    found = faults(client, wrong, "model=hourly&horizon=x&attention=true")
    assert found.keys() == {
        *("/rows/0/load", "/columns/temp", "/columns/extra", "/columns/wind~1gust~0max"),
        *("/horizon", "/attention"),
    }
    assert found["/columns/temp"] == "expected a list of numbers, came string"
    assert ARROW in found["/attention"]


@pytest.mark.parametrize(
    ("columns", "query", "place"),
    [
        ({"time": [[1]], "x": [1]}, "", "/columns/time"),
        ({"x": [1]}, "", "/columns"),
        ({"time": [True], "x": [1]}, "", "/columns/time"),
        ({"time": [1], "id": [1.5]}, "id_column=id", "/columns/id"),
        ({"time": [1], "id": ["x" * 2000]}, "id_column=id", "/columns/id"),
        ({"time": [1, 2], "id": [None, "x"]}, "id_column=id", "/rows/0/id"),
        ({"time": [1]}, "id_column=no", "/id_column"),
        ({"time": pa.array([1], pa.timestamp("s", "Mars/Olympus"))}, "", "/columns/time"),
        ({"time": pa.array([1], pa.timestamp("s", "../../etc/passwd"))}, "", "/columns/time"),
        ({"time": pa.array([2**62], pa.timestamp("s"))}, "", "/rows/0/time"),
        ({"time": pa.array([], pa.timestamp("s"))}, "", "/rows"),
    ],
)
def test_what_is_no_table_is_a_fault(client, columns, query, place):
    assert place in faults(client, pa.table(columns), query)


def test_timestamps_that_their_type_cannot_go_on_with_are_a_fault(client, hourly):
    last = np.datetime64("2262-04-11T23:00", "ns") - np.arange(96)[::-1] * np.timedelta64(1, "h")
    assert faults(client, hourly(pa.array(last))).keys() == {"/columns/time"}


def test_an_arrow_file_and_other_things_are_told_from_a_stream(client, hourly):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, hourly().schema) as writer:
        writer.write_table(hourly())
    assert "write it as a stream" in faults(client, bytes(sink.getvalue()))[""]
    for content in (b"", b"{}", b"time,load\n1,2\n" * 9, stream(hourly())[:-8], stream(hourly())[:2000]):
        assert faults(client, content).keys() == {""}


@FUZZED
@given(data=st.data())
def test_a_sound_stream_with_bytes_changed(client, hourly, data):
    given = hourly().append_column("id", pa.array(["a"] * 96).dictionary_encode())
    compression = data.draw(st.sampled_from([None, "lz4", "zstd"]))
    content = bytearray(stream(given, data.draw(st.sampled_from([None, 30])), compression=compression))
    edges = st.integers(0, 2500) | st.integers(0, len(content) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        place = min(data.draw(edges), len(content) - 1)
        content[place] = data.draw(st.integers(0, 255) | st.just(content[place] ^ 1 << data.draw(st.integers(0, 7))))
    del content[data.draw(st.just(len(content)) | st.integers(0, len(content))) :]
    answer = post(client, bytes(content), "model=hourly&id_column=id")
    assert answer.status_code in (200, 404, 413, 422), answer.text
