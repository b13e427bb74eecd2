"""Tensors as the Open Inference Protocol writes them: JSON numbers, flat or nested, or little-endian bytes."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from contract.quoting import shown
from service.turns import Turns

DATATYPES = {
    "bool": "BOOL",
    "int64": "INT64",
    "float32": "FP32",
    "float64": "FP64",
}
"""The protocol's name for each of a graph's."""
OTHER_DATATYPES = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "FP16", "BF16", "BYTES")
"""Of the protocol, but of no graph."""

_SLICE = 2**15
_WRITTEN = 2**12
_LONG = 2**20
_BLANK_BRACKETS = bytes.maketrans(b"[]", b"  ")
_BUT_BRACKETS = bytes(set(range(256)) - set(b"[],"))
_TYPES: dict[str, tuple[set[type], str]] = {
    "bool": ({bool}, "true or false"),
    "int64": ({int}, "integers of 64 bits"),
    "float32": ({int, float}, "numbers within FP32"),
    "float64": ({int, float}, "numbers within FP64"),
}


async def read_numbers(text: bytes, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
    """A JSON list of numbers, flat or nested as `shape`. Raises ValueError, which says what was expected.

    Nothing is allocated by the shape alone: it may claim more than came.
    """
    turns, count = Turns(), math.prod(shape)
    if not count:
        return _read_none(text, dtype, shape)
    parts, skeleton = [], []
    for part in _cut(text):
        skeleton.append(part.translate(None, _BUT_BRACKETS))
        parts.append(_read_slice(part.translate(_BLANK_BRACKETS), dtype))
        if not len(parts[-1]):
            raise ValueError(f"expected {_TYPES[dtype][1]}, came none between two commas, or none at all")
        await turns.pause()
    came = sum(map(len, parts))
    if came != count:
        raise ValueError(f"expected {count} values for shape {list(shape)}, came {came}")
    if b",".join(skeleton) not in (_nested((count,)), _nested(shape)):
        raise ValueError(f"expected a flat list, or one nested as shape {list(shape)}")
    return np.concatenate(parts).reshape(shape)


def _read_none(text: bytes, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
    """As `read_numbers`, where the shape has a length of 0."""
    empty = b"".join(text.split())
    lists = math.prod(shape[: shape.index(0)])
    if empty != b"[]" and (lists > len(empty) or empty != _nested(shape)):
        raise ValueError(f"expected no values for shape {list(shape)}, came {_start(text)}")
    return np.empty(shape, dtype)


def _cut(text: bytes) -> Iterator[bytes]:
    """At commas; the parts, joined by commas, are the text. Raises ValueError if it cannot be cut into short ones."""
    start = 0
    while start <= len(text):
        end = text.find(b",", start + _SLICE, start + 2 * _SLICE)
        if end < 0 and len(text) - start > 2 * _SLICE:
            raise ValueError(f"expected numbers, came {_SLICE} bytes without a comma")
        end = end if end >= 0 else len(text)
        yield text[start:end]
        start = end + 1


def _read_slice(text: bytes, dtype: str) -> NDArray[Any]:
    types, expected = _TYPES[dtype]
    try:
        numbers = orjson.loads(b"[%b]" % text)
    except ValueError:
        raise ValueError(f"expected {expected}, came {_start(text)}") from None
    if set(map(type, numbers)) - types:
        wrong = next(each for each in numbers if type(each) not in types)
        raise ValueError(f"expected {expected}, came {shown(wrong)}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(numbers, dtype)
    except OverflowError:
        raise ValueError(f"expected {expected}, came {shown(max(numbers, key=abs))}") from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"expected {expected}, came {shown(numbers[int(np.argmin(np.isfinite(array)))])}")
    return array


def _start(text: bytes) -> str:
    return shown(text.strip()[:60].decode(errors="replace"))


def _nested(shape: Sequence[int]) -> bytes:
    """The brackets and commas of a list nested so."""
    skeleton = b""
    for length in reversed(shape):
        inside = (skeleton + b",") * length  # which a join of as many parts takes a hundred times as long for
        skeleton = b"[%b]" % inside[:-1]
    return skeleton


async def read_bytes(raw: memoryview, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
    """Row-major, without padding. Raises ValueError, which says what was expected."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if len(raw) != size:
        raise ValueError(f"expected {size} bytes for shape {list(shape)} of {DATATYPES[dtype]}, came {len(raw)}")
    if dtype == "bool":
        numbers = np.frombuffer(raw, np.uint8)
        if numbers.max(initial=0) > 1:
            raise ValueError(f"expected bytes 0 and 1, came {int(numbers.max())}")
        return numbers.view(bool).reshape(shape)
    array = np.frombuffer(raw, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(shape)
    # ONNX Runtime reads as from an address that the type may have, and a JSON head can be of any length
    return array if array.flags.aligned else await apart(array.nbytes, array.copy)


async def apart(size: int, work: Any, *given: Any) -> Any:
    """numpy on so many bytes, in a thread if they are many."""
    return await asyncio.to_thread(work, *given) if size > _LONG else work(*given)


async def write_numbers(array: NDArray[Any]) -> bytes:
    """A flat JSON list, row-major. Raises ValueError if a number is none that JSON has."""
    flat, turns, written = np.ascontiguousarray(array).reshape(-1), Turns(), []
    if flat.dtype.kind == "f" and not await apart(flat.nbytes, lambda: bool(np.isfinite(flat).all())):
        raise ValueError("it has values that are not finite, which JSON cannot tell: ask for it with binary_data")
    for start in range(0, len(flat), _WRITTEN):
        written.append(orjson.dumps(flat[start : start + _WRITTEN], option=orjson.OPT_SERIALIZE_NUMPY)[1:-1])
        await turns.pause()
    return b"[%b]" % b",".join(written)


def write_bytes(array: NDArray[Any]) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
