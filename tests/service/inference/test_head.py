"""The JSON of a request, its lists of numbers cut out."""

import asyncio

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract.errors import FaultyRequest
from service.inference.head import read_head

NUMBERS = st.recursive(st.integers(-9, 9) | st.floats(-1, 1) | st.booleans(), st.lists, max_leaves=5)
JSON = st.recursive(
    NUMBERS | st.none() | st.text() | st.sampled_from(['"data": [1]', '\\"data": [1]', "data"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "name", 'x"data', "inputs"]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=12,
)
INPUTS = st.fixed_dictionaries({"inputs": st.lists(st.fixed_dictionaries({"data": st.lists(NUMBERS)}) | JSON)})


def read(body, length=None):
    return asyncio.run(read_head(body, length))


def whole(data):
    """The same by the plain way."""
    inputs = data.get("inputs") if isinstance(data, dict) else None
    for each in inputs if isinstance(inputs, list) else ():
        if isinstance(each, dict) and isinstance(each.get("data"), list):
            each["data"] = orjson.dumps(each["data"])
    return data


def listed(data):
    """With lists in place of their texts."""
    if isinstance(data, bytes):
        return orjson.loads(data)
    if isinstance(data, dict):
        return {key: listed(value) for key, value in data.items()}
    return [*map(listed, data)] if isinstance(data, list) else data


@given(data=INPUTS | JSON, options=st.sampled_from([0, orjson.OPT_INDENT_2]))
@example(data={"inputs": [{"data": [1], "x": {"data": [2]}}, {"data": "x"}], "data": [3]}, options=0)
def test_it_reads_what_the_body_says(data, options):
    head, rest = read(orjson.dumps(data, option=options))
    assert listed(head) == listed(whole(orjson.loads(orjson.dumps(data))))
    assert not rest


def test_of_a_key_that_comes_twice_the_last_one_counts():
    head, _ = read(b'{"inputs": [{"data": [1], "data": [2]}]}')
    assert listed(head) == {"inputs": [{"data": [2]}]}


def test_an_escaped_key_is_a_key_too():
    head, _ = read(rb'{"inputs": [{"d\u0061ta": [1, 2]}]}')
    assert listed(head) == {"inputs": [{"data": [1, 2]}]}


def test_lists_stay_text():
    text = b'{"inputs": [{"data": [[1, 2],\n [3]], "name": "x"}]}'
    head, rest = read(text + b"tail", str(len(text)))
    assert head == {"inputs": [{"data": b"[[1, 2],\n [3]]", "name": "x"}]}
    assert rest == b"tail"


@pytest.mark.parametrize("length", ["-1", "x", "", "1e3", "²", "51", "9" * 5000, " 5", "+5"])
def test_a_length_that_the_body_does_not_have_is_refused(length):
    with pytest.raises(FaultyRequest, match="expected the JSON's bytes, at most the body's 50"):
        read(b" " * 50, length)


@pytest.mark.parametrize("field", ["x", "data"])
def test_long_json_beside_the_data_is_refused_before_it_is_read(field):
    body = orjson.dumps({"inputs": [{"data": [1]}], field: [[0.5, "x"[:0]]] * 200_000})
    with pytest.raises(FaultyRequest, match="expected JSON: at most 1048576 bytes of it beside the lists of numbers"):
        read(body)
    body = orjson.dumps({"inputs": [{"data": [1]}], field: {"data": [0.5] * 400_000}})
    with pytest.raises(FaultyRequest, match="expected JSON: of more than 1048576 bytes, long lists in the data"):
        read(body)


@pytest.mark.parametrize("body", [b"", b"{", b'{"inputs": [{"data": [1, 2}]}', b"\xff", b"[" * 100_000, b'{"data": ['])
def test_what_is_no_json_is_refused(body):
    with pytest.raises(FaultyRequest, match="expected JSON: "):
        read(body)
    with pytest.raises(FaultyRequest, match="expected JSON: "):
        read(body + b"tail", str(len(body)))
