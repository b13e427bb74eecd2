"""Streams of few bytes that say to be many: refused before any of it is decoded."""

import struct

import numpy as np
import pyarrow as pa
import pytest

from contract.errors import BodyTooLarge, FaultyRequest
from service.arrow import read_stream
from service.arrow_messages import check_stream
from service.tables import TableOptions
from tests.service.routes.test_forecast_arrow import stream

LIMIT = 2**20
OPTIONS = TableOptions(LIMIT, time_name="time")
NULLS = pa.Array.from_buffers(pa.null(), 2**24, [None])


def views(length, rows):
    """Rows that all show one text."""
    buffer = pa.py_buffer(b"x" * length)
    view = struct.pack("<i4sii", length, b"xxxx", 0, 0)
    return pa.Array.from_buffers(pa.string_view(), rows, [None, pa.py_buffer(view * rows), buffer])


LARGE = {
    "rows of null": lambda: stream(pa.table({"time": NULLS})),
    "entries of null": lambda: stream(pa.table({"time": pa.DictionaryArray.from_arrays(pa.array([0]), NULLS)})),
    "zeros in zstd": lambda: stream(pa.table({"time": np.zeros(300_000)}), compression="zstd"),
    "zeros in lz4": lambda: stream(pa.table({"time": np.zeros(300_000)}), compression="lz4"),
    "a compressed dictionary": lambda: stream(
        pa.table({"time": pa.array(["x" * 900 + str(row) for row in range(3000)]).dictionary_encode()}),
        compression="zstd",
    ),
    "bools": lambda: stream(pa.table({"time": np.zeros(600_000, bool)})),
    "views of one text": lambda: stream(pa.table({"time": views(900, 3000)})),
    "a dictionary of views": lambda: stream(
        pa.table({"time": pa.DictionaryArray.from_arrays(pa.array([0]), views(900, 3000))})
    ),
}


@pytest.mark.parametrize("made", LARGE.values(), ids=LARGE)
def test_what_is_too_large_when_decoded_is_refused(made):
    content = made()
    assert len(content) < LIMIT
    before = pa.total_allocated_bytes()
    with pytest.raises(BodyTooLarge):
        read_stream(content, OPTIONS)
    assert pa.total_allocated_bytes() - before < LIMIT


def test_a_size_that_is_a_lie_is_refused():
    content = stream(pa.table({"time": np.zeros(300)}), compression="zstd")
    place = content.index(struct.pack("<q", 2400))
    for size, error in ((2**62, BodyTooLarge), (2**63 - 1, BodyTooLarge), (2399, FaultyRequest), (-2, FaultyRequest)):
        with pytest.raises(error):
            read_stream(content[:place] + struct.pack("<q", size) + content[place + 8 :], OPTIONS)


def deltas():
    sink = pa.BufferOutputStream()
    schema = pa.schema({"time": pa.dictionary(pa.int32(), pa.string())})
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)) as writer:
        for entries in (["a"], ["a", "b"]):
            column = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), entries)
            writer.write_batch(pa.record_batch([column], schema))
    return bytes(sink.getvalue())


def without_order():
    """A schema behind another."""
    content = stream(pa.table({"time": [1]}))
    length = struct.unpack_from("<i", content, 4)[0] + 8
    return content[:length] + content


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (deltas, "expected dictionaries as a whole, came a delta of one"),
        (without_order, "expected a schema, then dictionaries and record batches, came another order"),
        (lambda: stream(pa.table({})), "expected a schema with columns, came none"),
        (lambda: stream(pa.table({str(name): [1] for name in range(2001)})), "expected at most 2000 columns"),
        (lambda: stream(pa.table({"time": [[1]]})), "expected a plain type, came one with columns within"),
        (lambda: stream(pa.table({"time": [{"a": 1}]})), "expected a plain type, came one with columns within"),
        (
            lambda: stream(pa.table({"time": [1]}).replace_schema_metadata({str(key): "" for key in range(100_001)})),
            "wrong metadata",
        ),
    ],
    ids=["deltas", "order", "no columns", "columns", "lists", "structs", "metadata"],
)
def test_what_is_not_read_is_named(made, message):
    with pytest.raises(FaultyRequest, match=message):
        check_stream(made(), TableOptions(64 * LIMIT))


def test_many_batches_of_many_columns_are_refused(monkeypatch):
    table = pa.table({str(name): np.arange(30) for name in range(10)})
    check_stream(stream(table, 1), OPTIONS)
    monkeypatch.setattr("service.arrow_messages.MOST_ARRAYS", 299)
    with pytest.raises(FaultyRequest, match="expected fewer and larger record batches"):
        check_stream(stream(table, 1), OPTIONS)


def test_a_large_dictionary_with_many_batches_is_refused():
    entries = pa.array([f"{row:0900}" for row in range(1000)])
    table = pa.table({"time": pa.DictionaryArray.from_arrays(pa.array(np.arange(10)), entries)})
    check_stream(stream(table, 5), OPTIONS)
    with pytest.raises(FaultyRequest, match="expected fewer and larger record batches"):
        check_stream(stream(table, 1), OPTIONS)
