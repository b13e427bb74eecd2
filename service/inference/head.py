"""The JSON in front of a request's binary tensors, with the numbers in it left as text."""

import re
import secrets
from typing import Any

import orjson

from contract.errors import Fault, FaultyRequest
from contract.quoting import shown
from service.inference.schemas import MOST_TENSORS
from service.turns import Turns

HEADER = "Inference-Header-Content-Length"

_SLICE = 2**15
_MOST = 2**20
"""Bytes of JSON read in one go: more would hold up other requests, and only numbers are many."""
_DATA = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_NO_NUMBER = re.compile(rb"[^][0-9eE+\-., \t\r\na-z]")


async def read_head(body: bytes, length: str | None) -> tuple[Any, memoryview]:
    """The JSON, in which each input's `data` is the bytes of a JSON list, and what is behind it.

    `length` is the header's. Raises FaultyRequest.
    """
    head, rest = body, memoryview(b"")
    if length is not None:
        if not (length.isascii() and length.isdecimal() and len(length) < 20 and int(length) <= len(body)):
            message = f"expected the JSON's bytes, at most the body's {len(body)}, came {shown(length)}"
            raise FaultyRequest([Fault("", f"header {HEADER}: {message}")])
        head, rest = body[: int(length)], memoryview(body)[int(length) :]
    try:
        return await _read(head), rest
    except ValueError as error:
        raise FaultyRequest([Fault("", f"expected JSON: {error}")]) from None


async def _read(text: bytes) -> Any:
    """With lists of numbers cut out, or as a whole where the text is not as clients write it."""
    lists, rest = await _cut_out(text)
    size = sum(map(len, rest))
    if size > _MOST:
        raise ValueError(f"at most {_MOST} bytes of it beside the lists of numbers in data, came {size}")
    token = secrets.token_hex()
    pieces = [part for index, part in enumerate(rest[:-1]) for part in (part, b'"%s %d"' % (token.encode(), index))]
    places = {f"{token} {index}": index for index in range(len(lists))}
    try:
        data = orjson.loads(b"".join([*pieces, rest[-1]]))
    except ValueError:
        data = None
    inputs = _inputs(data)
    if data is None or sum(_place(each) in places for each in inputs) < len(lists):
        if len(text) > _MOST:
            raise ValueError(f"of more than {_MOST} bytes, long lists in the data of inputs alone")
        data, places = orjson.loads(text), {}  # a list was cut out where no input's data is
        inputs = _inputs(data)
    for each in inputs:
        if (place := _place(each)) in places:
            each["data"] = lists[places[place]]
        elif isinstance(each["data"], list):
            each["data"] = orjson.dumps(each["data"])
    return data


def _place(given: dict[str, Any]) -> str:
    return given["data"] if isinstance(given["data"], str) else ""


def _inputs(data: Any) -> list[dict[str, Any]]:
    inputs = data.get("inputs") if isinstance(data, dict) else None
    return (
        [each for each in inputs or () if isinstance(each, dict) and "data" in each] if isinstance(inputs, list) else []
    )


async def _cut_out(text: bytes) -> tuple[list[bytes], list[bytes]]:
    """Texts that may be lists of numbers, each behind a key data, and the texts around them, one more."""
    lists, rest, start, turns = [], [], 0, Turns()
    for _ in range(MOST_TENSORS):
        key = _DATA.search(text, start)
        if key is None:
            break
        end = key.end()
        while (stop := _NO_NUMBER.search(text, end, end + _SLICE)) is None and end < len(text):
            end += _SLICE
            await turns.pause()
        end = text.rfind(b"]", key.end(), stop.start() if stop else len(text)) + 1
        if end <= key.end():
            break
        lists.append(text[key.end() : end])
        rest.append(text[start : key.end()])
        start = end
    return lists, [*rest, text[start:]]
