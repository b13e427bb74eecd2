"""Names that an object of a request has twice, of which most JSON parsers keep the last and say nothing."""

import asyncio
import codecs
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jiter

from contract.errors import Fault, FaultyRequest
from contract.pointers import escape
from service.routes.long_json import read_json
from service.schemas import SHOWN_FAULTS

MOST = 2**20
"""Bytes of a body in which all of them are looked for; of those in a longer one the first is told."""


async def read_unique(body: bytes) -> tuple[Any, list[Fault]]:
    """What `body` says in JSON, and the faults that it has such names. Raises FaultyRequest if it is no JSON."""
    body = body.removeprefix(codecs.BOM_UTF8)  # which RFC 8259, section 8.1, lets a reader skip
    try:
        try:
            return await read_json(body), []
        except ValueError as error:
            if "duplicate key" not in str(error) or len(body) > MOST:
                raise
        data = jiter.from_json(body)
        # a second, slow parser tells where
        return data, await asyncio.to_thread(_told, body)
    except ValueError as error:
        raise FaultyRequest([Fault("", f"expected JSON: {error}")]) from None


class _Twice(dict[str, Any]):
    """An object with some `names` more than once."""

    names: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) == len(pairs):
        return plain
    twice = _Twice(plain)
    twice.names = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    return twice


def _told(body: bytes) -> list[Fault]:
    faults = []
    for pointer in _found(json.loads(body, object_pairs_hook=_object), ""):
        faults.append(Fault(pointer, "expected each name of an object once, came again"))
        if len(faults) == SHOWN_FAULTS:
            break
    return faults


def _found(value: Any, pointer: str) -> Iterator[str]:
    if isinstance(value, _Twice):
        yield from (f"{pointer}/{escape(name)}" for name in value.names)
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _found(each, f"{pointer}/{escape(name)}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _found(each, f"{pointer}/{index}")
