"""Nothing that a client can send gives a 5xx, and every refusal points into what was sent."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.service.hostile.texts import SCALARS

FIELDS = st.sampled_from(["model", "series", "horizon", "id", "timestamps", "start", "frequency", "values", "load"])
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(FIELDS | st.text(max_size=5), inner, max_size=5),
    max_leaves=15,
)
SERIES = st.fixed_dictionaries(
    {"values": st.dictionaries(st.sampled_from(["load", "temp", "wind/gust~max"]), st.lists(SCALARS, max_size=4))},
    optional={"timestamps": st.lists(SCALARS, max_size=4), "start": SCALARS, "frequency": SCALARS, "id": SCALARS},
)
FILLS = st.sampled_from(["error", "interpolate", "previous", "seasonal"])
REQUESTS = st.fixed_dictionaries(
    {"series": st.lists(SERIES, max_size=2)}, optional={"model": SCALARS, "horizon": SCALARS, "fill": FILLS | SCALARS}
)
BOUNDED = settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])


def answered(client, content, path="/forecast"):
    """The answer to bytes, or to what JSON makes of anything else; a surrogate is escaped, as a client might."""
    answer = client.post(path, content=content if isinstance(content, bytes) else json.dumps(content))
    assert answer.status_code in (200, 404, 422), answer.text
    if answer.status_code != 200:
        problem = answer.json()
        assert problem["errors"]
        assert all(fault["message"] for fault in problem["errors"])
    return answer


@BOUNDED
@given(content=st.binary())
def test_any_bytes(client, content):
    answered(client, content)


@BOUNDED
@given(content=JSON)
def test_any_json(client, content):
    answered(client, content)


@BOUNDED
@given(content=REQUESTS)
def test_any_request_of_the_right_shape(client, content):
    answer = answered(client, content)
    if answer.status_code == 422:
        for fault in answer.json()["errors"]:
            assert points_into(content, fault["pointer"]), fault


@BOUNDED
@given(data=st.data())
def test_a_sound_request_with_anything_in_any_place(client, series, data):
    sound = {"model": "hourly", "series": [series("hourly", id="one"), series("hourly")], "fill": data.draw(FILLS)}
    body = json.loads(json.dumps(sound))
    for _ in range(data.draw(st.integers(1, 3))):
        owner, key = data.draw(st.sampled_from(list(places(body))))
        owner[key] = data.draw(JSON)
    answered(client, body)


@BOUNDED
@given(content=st.data())
def test_a_sound_request_with_bytes_changed(client, body, content):
    text = bytearray(json.dumps(body).encode())
    for _ in range(content.draw(st.integers(1, 4))):
        text[content.draw(st.integers(0, len(text) - 1))] = content.draw(st.integers(0, 255))
    answered(client, bytes(text))


@BOUNDED
@given(stamps=st.lists(st.one_of(st.integers(), st.floats(), st.datetimes().map(str)), min_size=1), data=st.data())
def test_any_timestamps(client, body, stamps, data):
    """Each kind by itself too, and at the length that the values have."""
    if data.draw(st.booleans()):
        stamps = [stamp for stamp in stamps if type(stamp) is type(stamps[0])]
    body["series"][0]["timestamps"] = (stamps * 96)[:96]
    answered(client, {**body, "fill": data.draw(FILLS)})


@BOUNDED
@given(data=st.data())
def test_a_sound_backtest_with_anything_in_any_place(client, series, data):
    sound = {"model": "daily", "series": [series("daily", 60)], "fill": data.draw(FILLS), "share": 0.4, "stride": 1}
    body = json.loads(json.dumps(sound))
    for _ in range(data.draw(st.integers(1, 3))):
        owner, key = data.draw(st.sampled_from(list(places(body))))
        owner[key] = data.draw(JSON)
    answered(client, body, "/backtest")


@BOUNDED
@given(data=st.data())
def test_a_backtest_of_any_numbers_at_any_times(client, series, data):
    """NaN and infinity would be no JSON: what cannot be measured is null."""
    table = series("daily", 40)
    cells = st.none() | st.floats(-1e100, 1e100) | st.sampled_from([0.0, 5e-324, 1e-300, 1e99, -1e99])
    for column in table["values"].values():
        column[:] = data.draw(st.lists(cells, min_size=1, max_size=40)) * 40
        del column[40:]
    stamps = st.lists(st.datetimes().map(str) | st.sampled_from(table["timestamps"]), max_size=3)
    for stamp in data.draw(stamps):
        table["timestamps"][data.draw(st.integers(0, 39))] = stamp
    answer = answered(client, {"model": "daily", "series": [table], "fill": data.draw(FILLS)}, "/backtest")
    json.loads(answer.text, parse_constant=lambda constant: pytest.fail(f"{constant} in the answer"))


def places(value):
    """Every (owner, key) of a JSON value, but of long lists only the ends."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys if len(keys) < 10 else (0, len(keys) - 1):
        yield value, key
        yield from places(value[key])


def points_into(value, pointer):
    """Whether the pointer's owner is there: the field itself may be what is missing."""
    for part in pointer.split("/")[1:-1]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return False
    return isinstance(value, dict | list)
