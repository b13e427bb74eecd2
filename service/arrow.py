"""An Arrow IPC stream -> a request's series, and forecasts -> one. pyarrow is imported when the first one comes."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from contract.errors import BodyTooLarge, Fault, FaultyRequest
from contract.pointers import escape
from contract.quoting import shown
from contract.tables import TIME_NAMES
from contract.timestamps import Timestamps, parse_timestamps
from service.arrow_messages import check_stream
from service.schemas import SHOWN_FAULTS
from service.tables import Table, TableOptions, bound_columns, check_names, divide, kept_columns
from service.turns import Turns

LONGEST_TEXT = 1000
"""Bytes of an id or of a timestamp: a few bytes of a dictionary or a view could stand for millions."""

_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")
_PER_MS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 10**6)}
_FIRST, _LAST = np.array(["0002-01-01", "9998-12-31"], "M8[ms]").astype(np.int64).tolist()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_stream(content: bytes, options: TableOptions) -> Table:
    """As `csv_tables.read_table` reads CSV; nulls are missing values.

    Values are of any type of number, timestamps of timestamps, dates, texts and epoch numbers, ids of texts and
    integers. Raises FaultyRequest, BodyTooLarge if what the stream says to be is over the limit.
    """
    check_stream(content, options)
    import pyarrow as pa

    try:
        return _read(content, options)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FaultyRequest([Fault("", f"expected an Arrow IPC stream: {_first_line(error)}")]) from None


def _read(content: bytes, options: TableOptions) -> Table:
    import pyarrow as pa

    id_name, time_name = options.id_name, options.time_name
    how = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.ipc.open_stream(pa.py_buffer(content), options=how) as reader:
        names = list(reader.schema.names)
        check_names(names, {"id_column": id_name, "time_column": time_name})
        frame = reader.read_all()
    frame.validate()  # the sizes of its buffers
    kinds = {name: _decoded(frame.schema.field(name).type) for name in names}
    if time_name is None:
        time_name = _find_times(kinds, id_name)
        options = replace(options, time_name=time_name)
    kept, notes = kept_columns([name for name in names if name not in (id_name, time_name)], options)
    texts = [name for name in (id_name, time_name) if name is not None and _is_text(kinds[name])]
    for name in texts:
        _check_texts(frame[name], f"/columns/{escape(name)}", options.limit)
    # texts in columns of numbers are refused unread
    numbers = {name for name in (*kept, id_name, time_name) if name is not None and not _is_text(kinds[name])}
    frame = frame.select([name for name in names if name in numbers or name in texts])
    frame.validate(full=True)
    if not frame.num_rows:
        raise FaultyRequest([Fault("/rows", "expected rows, came none")])
    columns = {name: _numbers(frame[name]) if _is_number(kinds[name]) else kinds[name] for name in kept}
    times = _times(frame[time_name], kinds[time_name], escape(time_name))
    types = {"time_type": kinds[time_name]}
    ids = None
    if id_name is not None:
        ids = _ids(frame[id_name], kinds[id_name], f"/columns/{escape(id_name)}")
        types["id_type"] = kinds[id_name]
    table = divide(options, ids, times, columns, **types)
    return replace(table, notes=(*notes, *table.notes))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _decoded(kind: Any) -> Any:
    """The type, or that of the entries of a dictionary."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    is_a = pa.types
    return bool(is_a.is_string(kind) or is_a.is_large_string(kind) or is_a.is_string_view(kind))


def _is_number(kind: Any) -> bool:
    """Or null, which is any type without a value."""
    import pyarrow as pa

    is_a = pa.types
    return bool(is_a.is_integer(kind) or is_a.is_floating(kind) or is_a.is_decimal(kind) or is_a.is_null(kind))


def _is_temporal(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _find_times(kinds: dict[str, Any], id_name: str | None) -> str:
    """The column that is called so, else the first of timestamps or dates, else the first of texts."""
    others = [name for name in kinds if name != id_name]
    named = [name for name in others if name.lower() in TIME_NAMES]
    temporal = [name for name in others if _is_temporal(kinds[name])]
    texts = [name for name in others if _is_text(kinds[name])]
    if not (named or temporal or texts):
        message = f"expected a column of timestamps, came none; name it {', '.join(TIME_NAMES)} or time_column"
        raise FaultyRequest([Fault("/columns", message)])
    return (named or temporal or texts)[0]


def _check_texts(column: Any, pointer: str, limit: int) -> None:
    """Raises FaultyRequest or BodyTooLarge if its texts are too long, one or all; nothing of them is read."""
    import pyarrow as pa

    for chunk in column.chunks:
        entries = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        lengths = _lengths(entries)
        if not len(lengths):
            continue
        if lengths.max() > LONGEST_TEXT:
            message = f"expected texts of at most {LONGEST_TEXT} bytes, came one of {lengths.max()}"
            raise FaultyRequest([Fault(pointer, message)])
        limit -= int(np.maximum(lengths, 0).sum())
        if limit < 0:
            raise BodyTooLarge("expected texts of fewer bytes than a body may have, came more")


def _lengths(entries: Any) -> NDArray[np.int64]:
    """In bytes, from offsets or views that may be wrong."""
    import pyarrow as pa

    first, last = entries.offset, entries.offset + len(entries)
    buffer = entries.buffers()[1]
    if buffer is None or first == last:
        return np.empty(0, np.int64)
    if pa.types.is_string_view(entries.type):  # 16 bytes each, the length in the first 4
        views = np.frombuffer(buffer, np.int32, 4 * last)
        return views[4 * first :: 4].astype(np.int64)
    width = np.int64 if pa.types.is_large_string(entries.type) else np.int32
    offsets = np.frombuffer(buffer, width, last + 1)[first:].astype(np.int64)
    return np.diff(offsets)


def _plain(column: Any) -> Any:
    """Without a dictionary."""
    import pyarrow as pa

    chunks = [chunk.dictionary_decode() for chunk in column.chunks] if pa.types.is_dictionary(column.type) else None
    return column if chunks is None else pa.chunked_array(chunks, column.type.value_type)


def _numbers(column: Any) -> NDArray[Any]:
    """float64, with None for nulls; NaN is a number that went wrong."""
    import pyarrow as pa

    plain = _plain(column)
    if not plain.null_count:
        numbers: NDArray[Any] = plain.cast(pa.float64(), safe=False).to_numpy()
        return numbers
    cells: NDArray[Any] = plain.cast(pa.float64(), safe=False).to_numpy().astype(object)
    cells[plain.is_null().to_numpy()] = None
    return cells


def _texts(column: Any) -> NDArray[Any]:
    """None for nulls; of a dictionary, rows of one entry have one str."""
    import pyarrow as pa

    cells = [np.empty(0, object)]
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            cells.append(np.array(chunk.to_pylist(), object))
            continue
        used, places = np.unique(chunk.indices.cast(pa.int64()).fill_null(-1).to_numpy(), return_inverse=True)
        entries = chunk.dictionary.cast(pa.large_string()).take(pa.array(used, mask=used < 0))  # views cannot be taken
        cells.append(np.array(entries.to_pylist(), object)[places])
    return np.concatenate(cells)


def _ids(column: Any, kind: Any, pointer: str) -> NDArray[Any]:
    import pyarrow as pa

    if _is_text(kind):
        return _texts(column)
    if pa.types.is_integer(kind):
        return np.array([None if cell is None else str(cell) for cell in _plain(column).to_pylist()], object)
    raise FaultyRequest([Fault(pointer, f"expected ids of text or integers, came {kind}")])


def _times(column: Any, kind: Any, name: str) -> NDArray[Any]:
    """As JSON would have them: ISO strings, as they came or as they are written, or epoch numbers; None for nulls."""
    import pyarrow as pa

    if _is_text(kind):
        return _texts(column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return np.array(_plain(column).to_pylist(), object)
    if _is_temporal(kind):
        zone = _zone(kind.tz, name) if pa.types.is_timestamp(kind) and kind.tz is not None else None
        return _written(_plain(column), kind, zone, name)
    raise FaultyRequest([Fault(f"/columns/{name}", f"expected timestamps, dates, texts or epoch numbers, came {kind}")])


def _zone(zone: str, name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(zone)
    try:
        if offset:
            distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return timezone(-distance if offset[1] == "-" else distance)
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"expected a time zone such as UTC, +02:00 or Europe/Rome, came {shown(zone)}"
        raise FaultyRequest([Fault(f"/columns/{name}", message)]) from None


def _written(column: Any, kind: Any, zone: tzinfo | None, name: str) -> NDArray[Any]:
    """Timestamps or dates as ISO strings, with the offset that `zone` has then."""
    import pyarrow as pa

    if pa.types.is_date32(kind):
        numbers, (times, parts) = column.cast(pa.int32()), (86_400_000, 1)
    else:
        numbers, (times, parts) = column.cast(pa.int64()), _PER_MS[kind.unit if pa.types.is_timestamp(kind) else "ms"]
    missing = numbers.is_null().to_numpy()
    raw = numbers.cast(pa.int64()).fill_null(0).to_numpy()
    far = np.flatnonzero((raw < _FIRST // times * parts) | (raw > _LAST // times * parts))
    if len(far):
        message = "expected a time of the years 2 to 9998, came {} of {}"
        places = [Fault(f"/rows/{row}/{name}", message.format(raw[row], kind)) for row in far[:SHOWN_FAULTS]]
        raise FaultyRequest(places)
    # series of a table usually share their timeline
    unique, rows = np.unique(raw * times // parts, return_inverse=True)
    if zone is None:
        texts = np.datetime_as_string(unique.astype("M8[ms]"), "ms" if (unique % 1000).any() else "s").astype(object)
    else:
        instants = (_EPOCH + timedelta(milliseconds=number) for number in unique.tolist())
        texts = np.array([instant.astimezone(zone).isoformat() for instant in instants], object)
    cells: NDArray[Any] = texts[rows]
    cells[missing] = None
    return cells


async def write_stream(
    answer: dict[str, Any],
    id_name: str | None = None,
    time_name: str = "timestamp",
    id_type: Any = None,
    time_type: Any = None,
) -> bytes:
    """As `csv_tables.write_table` writes CSV. Ids and timestamps are of the types that came, if any did.

    Else timestamps are of milliseconds, with UTC or the one offset that they have; epoch numbers stay integers.
    Raises FaultyRequest if timestamps are beyond the type that came.
    """
    import pyarrow as pa

    forecasts, turns = answer["forecasts"], Turns()
    if id_name is None and any(forecast["id"] is not None for forecast in forecasts):
        id_name = "id"
    rows = [len(forecast["timestamps"]) for forecast in forecasts]
    blocks = []
    for forecast in forecasts:
        blocks.append(np.array([*forecast["values"].values(), *bound_columns(forecast).values()]))
        await turns.pause()
    stamps = []
    for forecast in forecasts:
        told = forecast["timestamps"]
        stamps.append(parse_timestamps(told, "") if type(told[0]) is str else told)
        await turns.pause()
    names = [*forecasts[0]["values"], *bound_columns(forecasts[0])]
    columns = [(name, pa.array(column)) for name, column in zip(names, np.concatenate(blocks, axis=1), strict=True)]
    try:
        times = _stamp_array(stamps, [forecast["timestamps"] for forecast in forecasts], time_type)
    except (pa.ArrowException, ValueError) as error:
        message = f"expected timestamps whose forecast's are of {time_type} too: {_first_line(error)}"
        raise FaultyRequest([Fault(f"/columns/{escape(time_name)}", message)]) from None
    columns.insert(0, (time_name, times))
    if id_name is not None:
        ids = pa.array([forecast["id"] for forecast in forecasts], pa.string())
        ids = ids.take(pa.array(np.repeat(np.arange(len(rows)), rows)))
        columns.insert(0, (id_name, ids.cast(id_type or pa.string())))
    table = pa.Table.from_arrays([column for _, column in columns], [name for name, _ in columns])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _stamp_array(stamps: Sequence[Any], told: Sequence[Any], kind: Any) -> Any:
    """Timestamps of all forecasts in one array; `told` are those that they were parsed from."""
    import pyarrow as pa

    flat = [stamp for each in told for stamp in each]
    parsed = [each for each in stamps if isinstance(each, Timestamps)]
    if not parsed:
        return pa.array(flat).cast(kind or pa.array(flat).type)
    zones = {each.zone for each in parsed}
    one_kind = len(parsed) == len(stamps) and (zones == {None} or None not in zones)
    if not one_kind or (kind is not None and _is_text(kind)):
        return pa.array(map(str, flat), pa.string()).cast(kind or pa.string())
    times = np.concatenate([each.times - np.timedelta64(_offset(each), "ms") for each in parsed])
    if kind is None:
        same = next(iter(zones)) if len(zones) == 1 else UTC
        zone = None if zones == {None} else "UTC" if same == UTC else datetime.min.replace(tzinfo=same).isoformat()[19:]
        kind = pa.timestamp("ms", zone)
    if pa.types.is_timestamp(kind):
        return pa.array(times.astype(np.int64)).cast(pa.timestamp("ms", kind.tz)).cast(kind)
    return pa.array(times).cast(kind)


def _offset(stamps: Timestamps) -> int:
    offset = stamps.zone.utcoffset(None) if stamps.zone is not None else None
    return offset // timedelta(milliseconds=1) if offset is not None else 0
