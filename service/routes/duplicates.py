"""Names that an object of a request has twice, of which every JSON parser here keeps the last and says nothing."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from contract.errors import Fault
from contract.pointers import escape
from service.schemas import SHOWN_FAULTS

MOST = 2**20
"""Bytes of a body that is looked at: what is longer was written by a program, from objects of its own."""

_ENDS = (b'":', b'" :')
"""Of a name, as they are written; inside a text they stand behind a backslash, and are counted all the same."""


async def duplicates(body: bytes, data: Any) -> list[Fault]:
    """What is wrong so with `body`, which was read as `data`.

    A second, slow parser tells, and only where there are more ends of names than names.
    """
    if len(body) > MOST or sum(map(body.count, _ENDS)) <= _names(data):
        return []
    return await asyncio.to_thread(_told, body)


def _names(value: Any) -> int:
    """How many names the objects have, but for those in lists that begin with something else."""
    if isinstance(value, dict):
        return len(value) + sum(map(_names, value.values()))
    return sum(map(_names, value)) if isinstance(value, list) and value and isinstance(value[0], dict) else 0


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
