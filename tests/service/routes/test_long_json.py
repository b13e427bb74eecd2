"""Read slice by slice or in one go: the same, whatever the body."""

import asyncio
import json
from functools import partial

import jiter
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.routes import long_json

VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | st.sampled_from(["},{", "]", '"series": [', "a", "\\", "é"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["series", "a", "},{"]), inner),
    max_leaves=12,
)
BODIES = st.dictionaries(
    st.sampled_from(["series", "model", "levels"]), VALUES | st.lists(st.dictionaries(st.text(), VALUES))
)


@pytest.fixture(autouse=True)
def _short_slices(monkeypatch):
    monkeypatch.setattr(long_json, "SLICE", 8)


def outcome(read):
    try:
        return read()
    except ValueError as error:
        return str(error)


def both(body):
    """What came slice by slice, and in one go."""
    whole = partial(jiter.from_json, body, catch_duplicate_keys=True)
    return outcome(lambda: asyncio.run(long_json.read_json(body))), outcome(whole)


@given(content=BODIES, space=st.sampled_from([None, 1]))
def test_any_body(content, space):
    came, expected = both(json.dumps(content, indent=space).encode())
    assert came == expected


@given(content=BODIES, data=st.data())
def test_any_body_with_bytes_changed(content, data):
    text = bytearray(json.dumps(content).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from(b'{}[],:" \\1'))
    came, expected = both(bytes(text))
    assert came == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"series": [{"id": "a},{b"}, {"id": "c"}], "levels": [80, 95], "horizon": 3}',
        '{"series": [{"id": "a"}, {"id": "c"}], "series": [{"id": "other"}, {"id": "d"}]}',
        '{"x": {"series": [{"id": "a"}, {"id": "c"}]}, "series": [1]}',
        '{"series": [{"id": [{}, {}]}, {"id": "c"}]}',
        '{"series": [{"id": "a"},\x0c{"id": "c"}]}',
        '{"series": [,{"id": "a"}, {"id": "c"}]}',
        '{"series": [{"id": "a"}, {"id": "c"},]}',
        '{"series": [{"id": "a"}, {"id": "c"}]',
    ],
)
def test_bodies_that_look_otherwise_than_they_are(text):
    came, expected = both(text.encode())
    assert came == expected


def test_a_sound_request_is_read_in_slices():
    series = [{"id": str(row), "values": {"a": [1, None]}} for row in range(9)]
    body = {"model": "m", "series": series, "levels": [80]}
    assert asyncio.run(long_json._read_slices(json.dumps(body).encode())) == body


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_what_is_written_is_what_orjson_writes(count):
    content = {"model": "m", "forecasts": [{"id": f"é{row}", "values": [row / 3]} for row in range(count)]}
    assert asyncio.run(long_json.write_json(content, "forecasts")) == orjson.dumps(content)
