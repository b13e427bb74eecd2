"""Names that an object has twice: JSON allows them, and parsers keep the last."""

import asyncio
import json

import pytest

from contract.errors import FaultyRequest
from service.routes import duplicates as module
from service.routes.duplicates import read_unique


def found(text):
    data, faults = asyncio.run(read_unique(text.encode()))
    assert data == json.loads(text.removeprefix("\ufeff"))
    return [fault.pointer for fault in faults]


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('{"a": 1, "a": 1}', ["/a"]),
        ('{"a":1,"b":{"a":[{"x":1,"y":2,"x":3,"y":4}]},"b":0}', ["/b"]),
        ('{"s": [{"v": {"p/q": [1], "p/q": [2]}}, {"v": {"p/q": [1]}}, {"v" :1, "v":2}]}', ["/s/0/v/p~1q", "/s/2/v"]),
        ('{"s": [1, {"a":1,"a":1}], "a": [[{"b" :1,"b" :1}]]}', ["/s/1/a", "/a/0/0/b"]),
        ('[{"a":1,"a":1}]', ["/0/a"]),
        ('\ufeff{"a":1,"\\u0061":2}', ["/a"]),
        ('{"":1,"":2}', ["/"]),
        ('{"a\\"":1,"a\\"":2}', ['/a"']),
        ('{"q": "\\":\\":\\" :", "a": 1}', []),
        ('{"a": {"a": {"a": "a"}}, "b": [{"a": 1}, {"a": 1}], "c": [0, {"a": 1}]}', []),
        ("[]", []),
        ('"a"', []),
        ("null", []),
        ('[{"a": 1}, 2, "\\":", null]', []),
    ],
)
def test_every_one_is_found_and_nothing_else(text, pointers):
    assert found(text) == pointers


def test_what_is_right_is_not_read_again(body, monkeypatch):
    monkeypatch.setattr(module, "_told", lambda body: pytest.fail("read again"))
    for text in (json.dumps(body), json.dumps(body, indent=1), json.dumps(body, separators=(" , ", " : "))):
        assert found(text) == []


def test_a_hundred_are_told_and_of_the_longest_bodies_the_first():
    many = ",".join(f'"{number}":0,"{number}":1' for number in range(200))
    assert len(found(f"{{{many}}}")) == 100
    with pytest.raises(FaultyRequest, match='expected JSON: Detected duplicate key "a" at line 1'):
        found(f'{{"a":"{"x" * module.MOST}","a":1}}')


@pytest.mark.parametrize("rest", ["[" * 100_000, "]", "01", '"\\ud800"'])
def test_what_is_no_json_behind_one_is_told_in_its_place(rest):
    with pytest.raises(FaultyRequest, match=r"expected JSON: (?!Detected)"):
        found(f'{{"a": 1, "a": 2, "b": {rest}')


def test_a_column_that_comes_twice_is_a_fault_with_all_others(client, body):
    text = json.dumps({**body, "horizon": 0}).replace('"load": [', '"load": [1], "load": [', 1)
    faults = client.faults(text.encode())
    assert faults.keys() == {"/series/0/values/load", "/horizon"}
    assert faults["/series/0/values/load"] == "expected each name of an object once, came again"


@pytest.mark.parametrize("route", ["/translate", "/generate", "/backtest"])
def test_on_every_route(client, route):
    answer = client.post(route, content=b'{"model": "x", "model": "y"}')
    assert "expected each name of an object once, came again" in answer.text
