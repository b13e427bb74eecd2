"""Tables as a request's series, whatever they came in. pandas is imported when the first one comes."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyInput, FaultyRequest
from contract.pointers import escape
from contract.quoting import shown
from contract.tables import COMMAS, CsvForm, repeated
from contract.timestamps import day_or_month_first, parse_timestamps
from service.schemas import SHOWN_FAULTS

MOST_COLUMNS, MOST_SERIES = 2000, 100_000
"""A table of more is hostile or not a table: a few bytes of it each would take a thousand in memory."""

BYTES_A_CELL = 8
"""So many of a body's limit a cell may take: what has more is hostile, such as commas alone."""

_LONGEST_HEADER = 4000
_SHOWN_NAMES, _SHOWN_CHARS = 20, 60

Columns = Callable[[Collection[str]], Collection[str] | None]


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What is known of a table before it is read. A body has at most `limit` bytes, a series `most_rows` rows.

    `columns` says, of the names that may be columns of numbers, which ones the model has; None if that cannot be told.
    """

    limit: int
    id_name: str | None = None
    time_name: str | None = None
    most_rows: int | None = None
    columns: Columns = lambda _: None

    @property
    def most_cells(self) -> int:
        return self.limit // BYTES_A_CELL


@dataclass(frozen=True, slots=True)
class Table:
    """A table's rows as `series` of a request; row k of series i is row `rows[i][k]` of the table."""

    id_name: str | None
    time_name: str
    series: list[Any]
    rows: list[NDArray[np.int64]]
    id_type: Any = None
    """pyarrow's, of a table that has types; as `time_type`."""
    time_type: Any = None
    form: CsvForm = COMMAS
    """Of a table in CSV, and of the answer."""
    notes: tuple[str, ...] = ()
    """What every series of it is to be told."""

    @contextmanager
    def pointing(self) -> Iterator[None]:
        """Let the faults of the series that are found within point into the table."""
        try:
            yield
        except FaultyRequest as error:
            # a column's fault is that of every series
            raise FaultyRequest(list(dict.fromkeys(map(self._located, error.faults)))) from None

    def _located(self, fault: Fault) -> Fault:
        match fault.pointer.split("/")[1:]:
            case ["series", index, "values", name, row]:
                return Fault(f"/rows/{self.rows[int(index)][int(row)]}/{name}", fault.message)
            case ["series", index, "timestamps", row]:
                return Fault(f"/rows/{self.rows[int(index)][int(row)]}/{escape(self.time_name)}", fault.message)
            case ["series", _, "values", name]:
                return Fault(f"/columns/{name}", fault.message)
            case ["series", index, *_] if self.id_name is not None:
                first, name = self.rows[int(index)][0], self.series[int(index)]["id"]
                return Fault(f"/rows/{first}", f"{self.id_name} {name}: {fault.message}")
            case ["series", *_]:
                return Fault("/rows", fault.message)
        return fault


def kept_columns(names: Sequence[str], options: TableOptions) -> tuple[list[str], tuple[str, ...]]:
    """Those of the model, where it is known, and in words which are left out."""
    known = options.columns(names)
    if known is None or not set(known) <= set(names):  # what is there in place of a column is a fault of its own
        return list(names), ()
    left = [name for name in names if name not in known]
    if not left:
        return list(names), ()
    told = ", ".join(name[:_SHOWN_CHARS] for name in left[:_SHOWN_NAMES])
    told += f" and {len(left) - _SHOWN_NAMES} more" * (len(left) > _SHOWN_NAMES)
    return [name for name in names if name not in set(left)], (f"left out, for the model has no such column: {told}",)


def divide(
    options: TableOptions, ids: NDArray[Any] | None, times: NDArray[Any], columns: Mapping[str, Any], **types: Any
) -> Table:
    """Rows of one id are one series, all of them without `ids`; what is no array of a column goes on as it is.

    `options` have the names. Raises FaultyRequest.
    """
    import pandas as pd

    id_name, time_name = options.id_name, options.time_name or ""
    notes: tuple[str, ...] = ()
    if ids is None or id_name is None:
        found: list[Any] = [None]
        groups = [np.arange(len(times))]
    else:
        codes, unique = pd.factorize(ids)
        if (codes < 0).any():
            message = "expected an id, came an empty cell"
            places = (f"/rows/{row}/{escape(id_name)}" for row in np.flatnonzero(codes < 0)[:SHOWN_FAULTS])
            raise FaultyRequest([Fault(place, message) for place in places])
        if len(unique) > MOST_SERIES:
            raise FaultyRequest([Fault("/id_column", f"expected at most {MOST_SERIES} ids, came {len(unique)}")])
        found = list(unique)
        groups = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        times, notes = _in_one_order(times)
    if (most := options.most_rows) is not None:
        message = f"expected at most {most} rows of a series, of which the last are enough; came more"
        long = [(rows[0], name) for name, rows in zip(found, groups, strict=True) if len(rows) > most]
        if long:
            raise FaultyRequest([_of_series(id_name, name, row, message) for row, name in long])
    series = [
        {
            "id": name,
            "timestamps": times[rows].tolist(),
            "values": {
                column: cells[rows].tolist() if isinstance(cells, np.ndarray) else cells
                for column, cells in columns.items()
            },
        }
        for name, rows in zip(found, groups, strict=True)
    ]
    return Table(id_name, time_name, series, groups, notes=notes, **types)


def _of_series(id_name: str | None, name: Any, row: int, message: str) -> Fault:
    return Fault("/rows", message) if id_name is None else Fault(f"/rows/{row}", f"{id_name} {name}: {message}")


def _in_one_order(times: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Dates in which day and month may come first, as the column as a whole tells: a series might not."""
    texts = [cell for cell in times.tolist() if isinstance(cell, str)]
    if not texts or not day_or_month_first(texts[0]):
        return times, ()
    unique = list(dict.fromkeys(texts))
    try:
        parsed = parse_timestamps(unique, "")
    except FaultyInput:
        return times, ()  # each series tells its own
    written = dict(zip(unique, parsed.write(parsed.times), strict=True))
    return np.array([written.get(cell, cell) for cell in times.tolist()], object), (parsed.note,) if parsed.note else ()


def check_names(names: list[str], wanted: dict[str, str | None]) -> None:
    """Raises FaultyRequest unless every name is there once, those asked for among them."""
    faults = repeated(names, "/columns")
    known = ", ".join(names[:20])
    faults += [
        Fault(f"/{parameter}", f"expected a column of the table ({known}), came {shown(name)}")
        for parameter, name in wanted.items()
        if name is not None and name not in names
    ]
    if None is not wanted["id_column"] == wanted["time_column"]:
        faults.append(Fault("/time_column", "expected another column than id_column, came the same"))
    if faults:
        raise FaultyRequest(faults)


def bound_columns(forecast: dict[str, Any]) -> dict[str, list[float]]:
    """The bounds of its intervals by the names that their columns have."""
    return {
        f"{name}_{side}_{level}": bounds
        for level, columns in forecast["intervals"].items()
        for name, sides in columns.items()
        for side, bounds in sides.items()
    }


def warnings_header(answer: dict[str, Any]) -> dict[str, str]:
    """`X-Seqcast-Warnings`, a JSON list in ASCII, which a table has no place for; the first ones, if they are many."""
    told: list[str] = []
    for forecast in answer["forecasts"]:
        for warning in forecast["warnings"]:
            told.append(warning if forecast["id"] is None else f"{forecast['id']}: {warning}")
            if len(json.dumps(told)) > _LONGEST_HEADER:
                return {"X-Seqcast-Warnings": json.dumps([*told[:-1], "and more"])}
    return {"X-Seqcast-Warnings": json.dumps(told)} if told else {}
