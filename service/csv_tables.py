"""CSV -> a table, and forecasts -> CSV. pandas is imported when the first table comes."""

import csv
import io
import re
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.errors import BodyTooLarge, Fault, FaultyInput, FaultyRequest
from contract.tables import COMMAS, MISSING, TIME_NAMES, CsvForm, find_times
from service.tables import MOST_COLUMNS, Table, TableOptions, bound_columns, check_names, divide, kept_columns
from service.turns import Turns

_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?")
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+")
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


def read_table(content: bytes, options: TableOptions) -> Table:
    """A row of names, then rows of cells, as contract.tables has them; in a column of ids only empty cells are missing.

    Timestamps are in the column `options.time_name`, or in the one that looks so. With `options.id_name`, rows of one
    id are one series. Raises BodyTooLarge and FaultyRequest; pointers are /rows/<from 0, below the names>/<name>.
    """
    import pandas as pd

    try:
        form = CsvForm.of(content)
        _check_widths(content, form.separator)
        options, frame = _read(content, form, options)
    except FaultyInput as error:
        raise FaultyRequest(error.faults) from None
    except ValueError as error:  # no text, no CSV, or no columns
        raise FaultyRequest([_unreadable(str(error))]) from None
    id_name, time_name = options.id_name, options.time_name
    if frame.empty:
        raise FaultyRequest([Fault("/rows", "expected rows below the header, came none")])
    if frame.size > options.most_cells:
        raise BodyTooLarge(f"expected a table of at most {options.most_cells} cells, came more")
    if time_name is None:
        message = f"expected a column of timestamps, came only numbers; name it {', '.join(TIME_NAMES)} or time_column"
        raise FaultyRequest([Fault("/columns", message)])
    kept, notes = kept_columns([name for name in frame.columns if name not in (id_name, time_name)], options)
    columns = {name: _cells(pd, frame[name], form) for name in kept}
    ids = None if id_name is None else frame[id_name].to_numpy(dtype=object)
    table = divide(options, ids, _times(frame[time_name], form), columns)
    return replace(table, form=form, notes=(*notes, *table.notes))


def _read(content: bytes, form: CsvForm, options: TableOptions) -> tuple[TableOptions, Any]:
    """The table, as far as it may go, and the options with the name of its column of timestamps, if there is one.

    Raises FaultyRequest, and ValueError for what pandas cannot read.
    """
    import pandas as pd

    names, *rows = form.first(content)
    check_names(names, {"id_column": options.id_name, "time_column": options.time_name})
    if options.time_name is None:
        columns = [*zip_longest(*rows, fillvalue="")] or [()] * len(names)
        first = {name: cells for name, cells in zip(names, columns, strict=False) if name != options.id_name}
        options = replace(options, time_name=find_times(first))
    texts = {name: object for name in (options.id_name, options.time_name) if name is not None}
    most = options.most_cells // len(names)
    if options.id_name is None and options.most_rows is not None:
        most = min(most, options.most_rows)
    missing: Any = list(MISSING)
    if options.id_name is not None:  # by column it takes pandas longer
        missing = {name: [""] if name == options.id_name else missing for name in names}
    how = {"header": 0, "names": names, "dtype": texts, "nrows": most + 1, "na_values": missing}
    return options, pd.read_csv(io.BytesIO(content), **how, **form.options)


def _check_widths(content: bytes, separator: str) -> None:
    """Raises FaultyRequest if the header is too long, or the first row longer: pandas would take for ages.

    Of later rows it counts the cells itself.
    """
    mark = separator.encode()
    # as pandas cuts cells; possessive, so that no cell, however long, is gone over twice or held on a stack
    cell = re.compile(rb' *+(?:"(?:[^"]++|"")*+"?)?[^%b\r\n]*+(%b?)' % (mark, mark))
    width, end = _row(content, cell, _skip(content, 0), MOST_COLUMNS)
    if width > MOST_COLUMNS:
        raise FaultyRequest([Fault("/columns", f"expected at most {MOST_COLUMNS} columns, came more")])
    if _row(content, cell, _skip(content, end), width)[0] > width:
        raise FaultyRequest([Fault("/rows/0", f"expected {width} cells as in the header, came more")])


def _skip(content: bytes, place: int) -> int:
    blank = _BLANK.match(content, place)
    return place if blank is None else blank.end()


def _row(content: bytes, cell: re.Pattern[bytes], place: int, most: int) -> tuple[int, int]:
    """How many cells the row that begins at `place` has, `most` and one at most, and where it ends.

    There may be line breaks within its quotes.
    """
    for count in range(1, most + 2):
        match = cell.match(content, place)
        if match is None or not match[1]:
            return count, place if match is None else match.end()
        place = match.end()
    return count, place


def _unreadable(message: str) -> Fault:
    ragged = _RAGGED.search(message)
    if ragged:
        return Fault(f"/rows/{int(ragged[2]) - 2}", f"expected {ragged[1]} cells as in the header, came {ragged[3]}")
    return Fault("", f"expected CSV in UTF-8: {message.strip()}")


def _cells(pd: Any, column: Any, form: CsvForm) -> NDArray[Any]:
    """Numbers where pandas saw nothing else; else numbers, texts as they came, and None for missing cells."""
    if column.dtype.kind in "iuf" and not column.isna().any():
        numbers: NDArray[Any] = column.to_numpy()
        return numbers
    cells: NDArray[Any] = column.to_numpy(dtype=object, copy=True)
    if column.dtype.kind not in "iufb":
        read = pd.to_numeric(form.readable(column), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        cells[~np.isnan(read)] = read[~np.isnan(read)].tolist()
    cells[column.isna().to_numpy()] = None
    return cells


def _times(column: Any, form: CsvForm) -> NDArray[Any]:
    """Texts as they came, or epoch numbers if they look like it, and None for empty cells."""
    cells: NDArray[Any] = column.to_numpy(dtype=object, copy=True)
    cells[column.isna().to_numpy()] = None
    if _epoch(cells[0], form) is not None:  # read from text, since a double does not hold nanoseconds
        for row, cell in enumerate(cells):
            number = _epoch(cell, form)
            cells[row] = cell if number is None else number
    return cells


def _epoch(cell: Any, form: CsvForm) -> int | float | None:
    match = _NUMBER.fullmatch(str(cell).replace(form.decimal, "."))
    return None if match is None else float(match[0]) if match[1] else int(match[0])


async def write_table(
    answer: dict[str, Any],
    id_name: str | None = None,
    time_name: str = "timestamp",
    form: CsvForm = COMMAS,
) -> bytes:
    """A row for each step of each forecast; behind a model's columns the bounds, such as OT_lower_80, OT_upper_80."""
    forecasts, turns = answer["forecasts"], Turns()
    if id_name is None and any(forecast["id"] is not None for forecast in forecasts):
        id_name = "id"
    text = io.StringIO()
    writer = csv.writer(text, delimiter=form.separator, lineterminator="\n")
    bounds = bound_columns(forecasts[0])
    writer.writerow([*([id_name] if id_name is not None else []), time_name, *forecasts[0]["values"], *bounds])
    for forecast in forecasts:
        columns = [forecast["timestamps"], *forecast["values"].values(), *bound_columns(forecast).values()]
        if form.decimal != ".":
            columns[1:] = [[str(number).replace(".", form.decimal) for number in column] for column in columns[1:]]
        if id_name is not None:
            columns.insert(0, [forecast["id"]] * len(forecast["timestamps"]))
        writer.writerows(zip(*columns, strict=True))
        await turns.pause()
    return text.getvalue().encode()
