"""What an Arrow IPC stream would take in memory, told from its messages' metadata before any of it is decoded.

The format lets few bytes stand for many: compressed buffers, buffers and texts that share their bytes, rows of a type
that has no bytes. `check_stream` bounds all of them, so that what comes after may read the stream as it is.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flatbuffers import encode, number_types, packer
from flatbuffers.table import Table
from numpy.typing import NDArray

from contract.errors import BodyTooLarge, Fault, FaultyRequest
from contract.pointers import escape
from contract.quoting import shown
from service.schemas import SHOWN_FAULTS
from service.tables import MOST_COLUMNS, TableOptions

MOST_MESSAGES, MOST_ARRAYS, MOST_METADATA = 100_000, 1_000_000, 100_000
"""Of a stream. Arrays are columns times record batches, each some 300 bytes in memory, be it empty."""

_CONTINUES = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3  # MessageHeader of Message.fbs
_V4 = 3
_TIMESTAMP = 10  # Type of Schema.fbs


@dataclass(frozen=True, slots=True)
class _Message:
    """Names and order of the fields are those of Arrow's Message.fbs; field k of a table has the slot 4 + 2 * k."""

    kind: int
    version: int
    header: Any
    message: Any
    body: memoryview


def check_stream(content: bytes, options: TableOptions) -> None:
    """Raises FaultyRequest if `content` is no stream or too much of one, BodyTooLarge if decoded it is too large."""
    limit, most_cells = options.limit, options.most_cells
    columns = batches = cells = decoded = dictionaries = metadata = texts = 0
    for index, message in enumerate(_messages(content)):
        if index == MOST_MESSAGES:
            raise _refused(f"expected at most {MOST_MESSAGES} messages, came more")
        if (message.kind == _SCHEMA) != (index == 0) or message.kind not in (_SCHEMA, _DICTIONARY, _BATCH):
            raise _refused("expected a schema, then dictionaries and record batches, came another order")
        try:
            count, length = _key_values(message.message, 12)
            if message.kind == _SCHEMA:
                columns, more, longer = _schema(message.header)
                count, length = count + more, length + longer
            else:
                rows, size = _sizes(message)
                decoded += size
                cells += rows * (max(columns, 1) if message.kind == _BATCH else 1)
                batches += message.kind == _BATCH
                dictionaries += (size or len(message.body)) if message.kind == _DICTIONARY else 0
        except (struct.error, IndexError, ValueError, TypeError) as error:  # offsets to nowhere
            raise _refused(f"expected an Arrow IPC stream, came one with wrong metadata: {error}") from None
        metadata, texts = metadata + count, texts + length
        if max(decoded, texts) > limit:
            raise BodyTooLarge(f"expected a body of at most {limit} bytes when decoded, came more")
        if cells > most_cells:
            raise BodyTooLarge(f"expected a table of at most {most_cells} cells, came more")
        if metadata > MOST_METADATA or columns * batches > MOST_ARRAYS or dictionaries * batches > 4 * limit:
            raise _refused("expected fewer and larger record batches, or less metadata")
    if columns == 0:
        raise _refused("expected a schema with columns, came none")


def _messages(content: bytes) -> Iterator[_Message]:
    """Each with its body, up to the end-of-stream marker: without one, rows might have been cut off."""
    if content.startswith(b"ARROW1"):
        raise _refused("expected an Arrow IPC stream, came an Arrow IPC file (Feather): write it as a stream")
    view, place = memoryview(content), 0
    while place + 8 <= len(view):
        marker, length = struct.unpack_from("<Ii", view, place)
        if marker != _CONTINUES or length < 0:
            came = shown(content[place : place + 8].decode("latin-1"))
            raise _refused(f"expected an Arrow IPC stream, came {came} at byte {place}")
        if length == 0:
            return
        start = place + 8 + length
        metadata = content[place + 8 : start]
        try:
            message = Table(metadata, encode.Get(packer.uoffset, metadata, 0))
            kind, version = _number(message, 6, "Uint8"), _number(message, 4, "Int16")
            header, size = _child(message, 8), _number(message, 10, "Int64")
        except (struct.error, IndexError, ValueError, TypeError) as error:
            raise _refused(f"expected an Arrow IPC stream, came wrong metadata at byte {place}: {error}") from None
        if start > len(view) or not 0 <= size <= len(view) - start or header is None:
            break
        yield _Message(kind, version, header, message, view[start : start + size])
        place = start + size
    raise _refused(f"expected an Arrow IPC stream with its end, came one cut short after {place} bytes")


def _schema(schema: Any) -> tuple[int, int, int]:
    """The number of its columns and of its pieces of metadata, and the length of all texts.

    Raises FaultyRequest if there are too many columns, or any with columns within.
    """
    place = schema.Offset(6)
    columns = schema.VectorLen(place) if place else 0
    if columns > MOST_COLUMNS:
        raise FaultyRequest([Fault("/columns", f"expected at most {MOST_COLUMNS} columns, came more")])
    count, length = _key_values(schema, 8)
    nested: list[Fault] = []
    for index in range(columns):
        field = Table(schema.Bytes, schema.Indirect(schema.Vector(place) + 4 * index))
        more, longer = _key_values(field, 16)
        count, length = count + more, length + longer + _text_length(field, 4)
        kind = _child(field, 10)
        if kind is not None and _number(field, 8, "Uint8") == _TIMESTAMP:
            length += _text_length(kind, 6)
        children = field.Offset(14)
        if children and field.VectorLen(children) and len(nested) < SHOWN_FAULTS:
            name = field.String(field.Offset(4) + field.Pos)[:1000].decode(errors="replace")
            nested.append(Fault(f"/columns/{escape(name)}", "expected a plain type, came one with columns within"))
    if nested:
        raise FaultyRequest(nested)
    return columns, count, length


def _sizes(message: _Message) -> tuple[int, int]:
    """The rows of a batch or a dictionary, and the size that its buffers say to have when decompressed."""
    batch = message.header
    if message.kind == _DICTIONARY:
        if _number(batch, 8, "Bool"):
            # each record batch would get a dictionary of its own, all deltas before it included
            raise _refused("expected dictionaries as a whole, came a delta of one")
        batch = _child(batch, 6)
        if batch is None:
            raise ValueError("a dictionary without entries")
    rows = _number(batch, 4, "Int64")
    if rows < 0:
        raise ValueError(f"{rows} rows")
    if message.version <= _V4 and message.message.Offset(12):  # where old writers say how they compressed
        raise _refused("expected metadata of version 5, came an older one with more in it")
    place = batch.Offset(8)
    if not batch.Offset(10) or not place:
        return rows, 0
    count = batch.VectorLen(place)
    buffers = np.frombuffer(batch.Bytes, "<i8", 2 * count, batch.Vector(place)).reshape(count, 2)
    return rows, _decompressed(buffers[buffers[:, 1] > 0], message.body)


def _decompressed(buffers: NDArray[np.int64], body: memoryview) -> int:
    """Of (offset, length) each: the size in front of it, or -1 for one that is not compressed after all."""
    if not len(buffers):
        return 0
    starts, lengths = buffers.T
    if (lengths < 8).any() or (starts < 0).any() or (starts > len(body) - 8).any():
        raise ValueError("a compressed buffer without its size, or outside of its message")
    prefixes = np.frombuffer(body, np.uint8)[starts[:, None] + np.arange(8)]
    sizes = np.ascontiguousarray(prefixes).view("<i8")[:, 0]
    # in floats, whose sum does not go round
    return int(np.where(sizes < 0, lengths, sizes).sum(dtype=np.float64))


def _key_values(table: Any, slot: int) -> tuple[int, int]:
    """How many pieces of metadata a table has, and the length of their texts."""
    place = table.Offset(slot)
    count = table.VectorLen(place) if place else 0
    if count > MOST_METADATA:
        raise ValueError(f"{count} pieces of it")
    pairs = (Table(table.Bytes, table.Indirect(table.Vector(place) + 4 * index)) for index in range(count))
    return count, sum(_text_length(pair, 4) + _text_length(pair, 6) for pair in pairs)


def _number(table: Any, slot: int, kind: str) -> int:
    place = table.Offset(slot)
    return int(table.Get(getattr(number_types, f"{kind}Flags"), place + table.Pos)) if place else 0


def _child(table: Any, slot: int) -> Any:
    place = table.Offset(slot)
    return Table(table.Bytes, table.Indirect(place + table.Pos)) if place else None


def _text_length(table: Any, slot: int) -> int:
    place = table.Offset(slot)
    return int(table.VectorLen(place)) if place else 0


def _refused(message: str) -> FaultyRequest:
    return FaultyRequest([Fault("", message)])
