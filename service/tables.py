"""CSV -> a request's series, and forecasts -> CSV. pandas is imported when the first table comes."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import Fault, FaultyRequest
from contract.pointers import escape
from service.schemas import SHOWN_FAULTS
from service.turns import Turns

TIME_NAMES = ("timestamp", "time", "datetime", "date", "ds")
"""What a column of timestamps is usually called, in any case."""

MOST_COLUMNS, MOST_SERIES = 10_000, 100_000
"""A table of more is hostile or not a table: a few bytes of it each would take a thousand in memory."""

_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?")
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+")
# as pandas cuts cells; possessive, so that no cell, however long, is gone over twice or held on a stack
_CELL = re.compile(rb' *+(?:"(?:[^"]++|"")*+"?)?[^,\r\n]*+(,?)')
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_LONGEST_HEADER = 4000
_OTHERS = {";": "semicolons", "\t": "tabs"}


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


def read_table(content: bytes, id_name: str | None, time_name: str | None) -> Table:
    """A row of names, then rows of cells; empty cells are missing values.

    Timestamps are in the column `time_name`, or in one that is called so, or in the first without a number. With
    `id_name`, rows of one id are one series. Raises FaultyRequest; pointers are /rows/<from 0, below the names>/<name>.
    """
    import pandas as pd

    # every other spelling of a missing value might be a name or a mistake
    how: dict[str, Any] = {"encoding": "utf-8-sig", "keep_default_na": False, "na_values": [""]}
    how |= {"skipinitialspace": True, "low_memory": False}
    try:
        _check_widths(content)
        header = pd.read_csv(io.BytesIO(content), header=None, nrows=1, dtype=object, **how)
        names = ["" if cell != cell else str(cell) for cell in header.iloc[0]]
        _check_commas(names)
        check_names(names, {"id_column": id_name, "time_column": time_name})
        time_name = time_name or next((name for name in names if name.lower() in TIME_NAMES and name != id_name), None)
        texts = {name: object for name in (id_name, time_name) if name is not None}
        frame = pd.read_csv(io.BytesIO(content), header=0, names=names, dtype=texts, **how)
    except ValueError as error:  # no text, no CSV, or no columns
        raise FaultyRequest([_unreadable(str(error))]) from None
    if frame.empty:
        raise FaultyRequest([Fault("/rows", "expected rows below the header, came none")])
    columns = {name: _cells(pd, frame[name]) for name in names if name not in texts}
    time_name = time_name if time_name is not None else next(filter(lambda name: _wordy(columns[name]), columns), None)
    if time_name is None:
        message = f"expected a column of timestamps, came only numbers; name it {', '.join(TIME_NAMES)} or time_column"
        raise FaultyRequest([Fault("/columns", message)])
    columns.pop(time_name, None)
    ids = None if id_name is None else frame[id_name].to_numpy(dtype=object)
    return divide(id_name, time_name, ids, _times(frame[time_name]), columns)


def divide(
    id_name: str | None,
    time_name: str,
    ids: NDArray[Any] | None,
    times: NDArray[Any],
    columns: Mapping[str, Any],
    **types: Any,
) -> Table:
    """Rows of one id are one series, all of them without `ids`; what is no array of a column goes on as it is.

    Raises FaultyRequest.
    """
    import pandas as pd

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
    return Table(id_name, time_name, series, groups, **types)


def _check_widths(content: bytes) -> None:
    """Raises FaultyRequest if the header is too long, or the first row longer: pandas would take for ages.

    Of later rows it counts the cells itself.
    """
    width, end = _row(content, _skip(content, 0), MOST_COLUMNS)
    if width > MOST_COLUMNS:
        raise FaultyRequest([Fault("/columns", f"expected at most {MOST_COLUMNS} columns, came more")])
    if _row(content, _skip(content, end), width)[0] > width:
        raise FaultyRequest([Fault("/rows/0", f"expected {width} cells as in the header, came more")])


def _check_commas(names: list[str]) -> None:
    """Raises FaultyRequest if the header is one cell that another separator divides."""
    for separator, plural in _OTHERS.items():
        if len(names) == 1 and separator in names[0]:
            raise FaultyRequest([Fault("", f"expected commas between cells, came {plural}")])


def _skip(content: bytes, place: int) -> int:
    blank = _BLANK.match(content, place)
    return place if blank is None else blank.end()


def _row(content: bytes, place: int, most: int) -> tuple[int, int]:
    """How many cells the row that begins at `place` has, `most` and one at most, and where it ends.

    There may be line breaks within its quotes.
    """
    for count in range(1, most + 2):
        cell = _CELL.match(content, place)
        if cell is None or not cell[1]:
            return count, place if cell is None else cell.end()
        place = cell.end()
    return count, place


def check_names(names: list[str], wanted: dict[str, str | None]) -> None:
    """Raises FaultyRequest unless every name is there once, those asked for among them."""
    faults = [
        Fault(f"/columns/{escape(name)}", f"expected each column once, came {count} of this name")
        for name, count in Counter(names).items()
        if count > 1
    ]
    shown = ", ".join(names[:20])
    faults += [
        Fault(f"/{parameter}", f"expected a column of the table ({shown}), came {name}")
        for parameter, name in wanted.items()
        if name is not None and name not in names
    ]
    if None is not wanted["id_column"] == wanted["time_column"]:
        faults.append(Fault("/time_column", "expected another column than id_column, came the same"))
    if faults:
        raise FaultyRequest(faults)


def _unreadable(message: str) -> Fault:
    ragged = _RAGGED.search(message)
    if ragged:
        return Fault(f"/rows/{int(ragged[2]) - 2}", f"expected {ragged[1]} cells as in the header, came {ragged[3]}")
    return Fault("", f"expected CSV in UTF-8: {message.strip()}")


def _cells(pd: Any, column: Any) -> NDArray[Any]:
    """Numbers where pandas saw nothing else; else numbers, texts as they came, and None for empty cells."""
    if column.dtype.kind in "iuf" and not column.isna().any():
        numbers: NDArray[Any] = column.to_numpy()
        return numbers
    cells: NDArray[Any] = column.to_numpy(dtype=object, copy=True)
    if column.dtype.kind not in "iufb":
        read = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        cells[~np.isnan(read)] = read[~np.isnan(read)].tolist()
    cells[column.isna().to_numpy()] = None
    return cells


def _wordy(cells: NDArray[Any]) -> bool:
    """Whether there is text in the column and no number."""
    return cells.dtype == object and {str} <= {type(cell) for cell in cells} <= {str, type(None)}


def _times(column: Any) -> NDArray[Any]:
    """Texts as they came, or epoch numbers if they look like it, and None for empty cells."""
    cells: NDArray[Any] = column.to_numpy(dtype=object, copy=True)
    cells[column.isna().to_numpy()] = None
    if _NUMBER.fullmatch(str(cells[0])):  # read from text, since a double does not hold nanoseconds
        for row, cell in enumerate(cells):
            match = _NUMBER.fullmatch(str(cell))
            if match:
                cells[row] = float(cell) if match[1] else int(cell)
    return cells


async def write_table(answer: dict[str, Any], id_name: str | None = None, time_name: str = "timestamp") -> bytes:
    """A row for each step of each forecast; behind a model's columns the bounds, such as OT_lower_80, OT_upper_80."""
    forecasts, turns = answer["forecasts"], Turns()
    if id_name is None and any(forecast["id"] is not None for forecast in forecasts):
        id_name = "id"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds = bound_columns(forecasts[0])
    writer.writerow([*([id_name] if id_name is not None else []), time_name, *forecasts[0]["values"], *bounds])
    for forecast in forecasts:
        columns = [forecast["timestamps"], *forecast["values"].values(), *bound_columns(forecast).values()]
        if id_name is not None:
            columns.insert(0, [forecast["id"]] * len(forecast["timestamps"]))
        writer.writerows(zip(*columns, strict=True))
        await turns.pause()
    return text.getvalue().encode()


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
