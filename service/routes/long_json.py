"""JSON of many series, read and written slice by slice."""

import re
import secrets
from functools import partial
from typing import Any

import jiter
import orjson

from service.turns import Turns

SLICE = 2**15
"""Bytes read at a time; a body that is not longer is read in one go."""
_WRITTEN = 16
_BRACKETS = 3
"""Lists that may end behind the series, theirs included: `levels` and one more."""

_SERIES = re.compile(rb'"series"[ \t\n\r]*:[ \t\n\r]*\[')
_BETWEEN = re.compile(rb"\}[ \t\n\r]*(,)[ \t\n\r]*\{")


_read = partial(jiter.from_json, catch_duplicate_keys=True)


async def read_json(body: bytes) -> Any:
    """Raises ValueError, also if an object has a name twice."""
    if len(body) > SLICE:
        data = await _read_slices(body)
        if data is not None:
            return data
    return _read(body)  # whose errors count from the beginning


async def _read_slices(body: bytes) -> Any:
    """The same, or None if the body cannot be read so, such as with a fault in it.

    It is cut at commas between two objects, of which a sound request has none but between its series. What is in
    front of the first series and behind the last is read with a placeholder for them all: if that is then the
    only item of `series`, and every slice is the inside of a list, they are what the whole body says.
    """
    opening = _SERIES.search(body)
    if opening is None:
        return None
    start, items, turns = opening.end(), [], Turns()
    try:
        while cut := _BETWEEN.search(body, start + SLICE):
            items += _read(b"[%b]" % body[start : cut.start(1)])
            start = cut.end(1)
            await turns.pause()
        end, last = len(body), None
        for _ in range(_BRACKETS):
            end = body.rindex(b"]", start, end)
            if (last := _inside(body[start:end])) is not None:
                break
        placeholder = secrets.token_hex()
        data = _read(b'%b"%b"%b' % (body[: opening.end()], placeholder.encode(), body[end:]))
    except ValueError:
        return None
    if last is None or not isinstance(data, dict) or data.get("series") != [placeholder]:
        return None
    data["series"] = items + last
    return data


def _inside(text: bytes) -> list[Any] | None:
    """What a list of this holds, or None."""
    try:
        items: list[Any] = _read(b"[%b]" % text)
    except ValueError:
        return None
    return items


async def write_json(content: dict[str, Any], field: str) -> bytes:
    """`content` whose last field is a long list, as orjson writes it."""
    items, turns = content[field], Turns()
    written = []
    for start in range(0, len(items), _WRITTEN):
        written.append(orjson.dumps(items[start : start + _WRITTEN])[1:-1])
        await turns.pause()
    head = orjson.dumps({**content, field: []})
    return b"%b%b]}" % (head[:-2], b",".join(written))
