import json
import math
from datetime import date

import numpy as np
import pytest

from contract.quoting import shown


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -3, 1.5, 1e300, 10**20, "off", "", "it's", 'a "b" \\', "é 😀", "\t\n\r\0\x1f"),
        *([], {}, [1, [None]], {"a": [{}]}, {"b": "c", "d": True}),
    ],
)
def test_json_is_shown_as_it_is_written(value):
    assert shown(value) == json.dumps(value, ensure_ascii=False)
    assert shown([value, {"of": value}]) == json.dumps([value, {"of": value}], ensure_ascii=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        ([-math.inf, np.float64("nan")], "[-Infinity, NaN]"),
        (np.float64(1.5), "1.5"),
        (np.int64(7), "7"),
        ((1, "a"), '[1, "a"]'),
        (date(2018, 7, 1), "2018-07-01"),
        (b"\x00\n", r"b'\\x00\\n'"),
    ],
)
def test_what_json_has_no_form_for(value, expected):
    assert shown(value) == expected


@pytest.mark.parametrize("text", ["\x7f", "\x85", "\u2028", "\u202e", "\ud800", "\u00a0", "\U000e0001", "\r\n"])
def test_what_cannot_be_seen_is_escaped(text):
    for value in (text, [text], {text: 1}):
        line = shown(value)
        assert line.isprintable()
        assert line.encode()
        assert json.loads(line) == value


def test_an_integer_too_long_for_decimals_is_hexadecimal():
    assert shown(10**4000) == f"{10**56}..."
    assert shown(2**16_000) == f"0x{16**54:x}..."


def test_60_characters_are_shown_whole():
    assert shown("x" * 58) == f'"{"x" * 58}"'
    assert shown("x" * 59) == f'"{"x" * 56}...'
    assert shown(["x" * 56]) == f'["{"x" * 56}"]'
    assert shown(["x" * 56, 1]) == f'["{"x" * 55}...'
    assert shown({"x" * 99: 1}) == f'{{"{"x" * 55}...'


class Endless(list):
    def __iter__(self):
        while True:
            yield "x"


def test_no_more_is_looked_at_than_is_shown():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "[" * 57 + "..."
    assert shown(Endless()) == "[" + '"x", ' * 11 + '"...'
    assert len(shown("\0" * 60_000_000)) == 60
