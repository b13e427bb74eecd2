"""What came, quoted in a message."""

import json
import math
from collections.abc import Iterator, Mapping

_LONGEST = 60
_LONGEST_INTEGER = 14_000
"""Bits; Python neither reads nor writes decimals of over 4,300 digits."""


def shown(value: object) -> str:
    """`value` as JSON, on one line of at most 60 characters. Of a huge one no more is looked at than is shown.

    What JSON has no form for is as JavaScript writes it (NaN, Infinity), or as Python's `str` does.
    """
    text = ""
    for part in _parts(value):
        text += part
        if len(text) > _LONGEST:
            return f"{text[: _LONGEST - 3]}..."
    return text


def _parts(value: object) -> Iterator[str]:
    """Never an empty one before what is nested, so that no deeper is gone than is shown."""
    if isinstance(value, str):
        yield f'"{_line(value[:_LONGEST])}"'
    elif isinstance(value, Mapping):
        yield "{"
        for place, (name, each) in enumerate(value.items()):
            yield f'{", " * bool(place)}"{_line(str(name)[:_LONGEST])}": '
            yield from _parts(each)
        yield "}"
    elif isinstance(value, list | tuple):
        yield "["
        for place, each in enumerate(value):
            yield ", " * bool(place)
            yield from _parts(each)
        yield "]"
    else:
        yield _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > _LONGEST_INTEGER:
        return hex(value)  # which TOML does read
    return _line(str(value))


def _line(text: str) -> str:
    """With JSON's escapes, for signs that cannot be seen too."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(each if each.isprintable() and each not in '"\\' else json.dumps(each)[1:-1] for each in text)
