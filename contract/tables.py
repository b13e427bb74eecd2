"""Tables in CSV, as training and serving read them alike: separators, decimal signs, missing cells, timestamps.

pandas reads the cells on both sides, as `CsvForm.options` says; nothing here imports it.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from contract.errors import Fault, FaultyInput
from contract.pointers import escape
from contract.timestamps import readable

TIME_NAMES = ("timestamp", "time", "datetime", "date", "ds", "epoch")
"""What a column of timestamps is usually called, in any case."""

MISSING = (
    *("", "-", "NA", "N/A", "n/a", "#N/A", "<NA>"),
    *("NaN", "nan", "NAN", "-nan", "NULL", "Null", "null", "None", "none", "NONE"),
)
"""Cells of a number column that have no value, as spreadsheets, R, databases and numpy write them."""

SMALLEST_EPOCH = 1e8
"""March 1973 in seconds: below are years, row numbers, dates such as 20160701."""

FIRST = 10
"""Rows from which the column of timestamps is told."""

_ENCODING = "utf-8-sig"
_SEPARATORS = (",", ";", "\t")
_HEADER = 2**20
"""Bytes that have the names of a table's columns."""
_QUOTED = re.compile(rb'"[^"]*"')
_COMMA_NUMBER = re.compile(rb'[;\t\r\n"] *[+-]?[0-9]+,[0-9]+ *(?:[;\t\r\n"]|$)')
_NONE = 4
_DIGITS = 308  # a number of more is beyond the largest double


@dataclass(frozen=True, slots=True)
class CsvForm:
    """How a table is written. A comma is a decimal sign only where something else is between the cells."""

    separator: str = ","
    decimal: str = "."

    @classmethod
    def of(cls, content: bytes) -> "CsvForm":
        """Told from the header, in which the separator is the commonest of comma, semicolon and tab.

        Raises FaultyInput for what a reader would make something else of than is there: NUL bytes, and cells that go on
        behind their closing quote.
        """
        if (place := content.find(b"\0")) >= 0:
            raise FaultyInput([Fault("", f"expected CSV in UTF-8, came a NUL as byte {place}, as UTF-16 has")])
        header = _QUOTED.sub(b"", content[:_HEADER].lstrip(b"\xef\xbb\xbf\r\n \t")).splitlines()[:1]
        separator = max(_SEPARATORS, key=lambda each: b"".join(header).count(each.encode()))
        _check_quotes(content, separator)
        comma = separator != "," and _COMMA_NUMBER.search(content) is not None
        return cls(separator, "," if comma else ".")

    @property
    def options(self) -> dict[str, Any]:
        """Of pandas' `read_csv`; with `na_values` for the columns that may have numbers."""
        how = {"encoding": _ENCODING, "skipinitialspace": True, "keep_default_na": False, "low_memory": False}
        return {**how, "sep": self.separator, "decimal": self.decimal}

    def first(self, content: bytes) -> list[list[str]]:
        """The names, and the cells of the first rows below.

        Raises ValueError, also if there are no names, and FaultyInput if a row is longer: pandas takes what the first
        rows have more than names for an index, and the other cells for their neighbours.
        """
        rows = csv.reader(_text(content), delimiter=self.separator, skipinitialspace=True)
        try:
            first = list(islice((row for row in rows if len(row) > 1 or "".join(row).strip()), 1 + FIRST))
        except csv.Error as error:
            raise ValueError(str(error)) from None
        if not first:
            raise ValueError("there is nothing in it")
        expected = f"expected {len(first[0])} cells as in the header"
        longer = [(row, len(cells)) for row, cells in enumerate(first[1:]) if len(cells) > len(first[0])]
        if longer:
            raise FaultyInput([Fault(f"/rows/{row}", f"{expected}, came {count}") for row, count in longer])
        return first

    def readable(self, column: Any) -> Any:
        """A column in which pandas saw texts too, as its `to_numeric` may read it: the decimal sign is a point."""
        texts = column.astype(str)
        kept = texts.str.len() <= _DIGITS  # of more digits pandas fails on
        if self.decimal == ",":
            kept &= ~texts.str.contains(".", regex=False)  # which may be between thousands
            texts = texts.str.replace(",", ".", regex=False)
        return texts.where(kept)


COMMAS = CsvForm()


def find_times(first: Mapping[str, Sequence[str]]) -> str | None:
    """The column of timestamps, from the first cells of each; None if all others have numbers.

    The first called so with timestamps or epoch numbers in it, else the first of timestamps, else the first called so,
    else the first of texts.
    """
    ranked = ((_rank(name, [cell for cell in cells if cell not in MISSING]), name) for name, cells in first.items())
    rank, found = min(ranked, key=lambda each: each[0], default=(_NONE, ""))
    return found if rank < _NONE else None


def _rank(name: str, cells: Sequence[str]) -> int:
    """How unlikely they are to be timestamps."""
    named, numbers = name.lower() in TIME_NAMES, [number for number in map(_number, cells) if number is not None]
    stamps = bool(cells) and not numbers and all(map(readable, cells))
    epochs = bool(cells) and len(numbers) == len(cells) and min(numbers) >= SMALLEST_EPOCH
    if named:
        return 0 if stamps or epochs else 2
    return 1 if stamps else 3 if cells and not numbers else _NONE


def _number(cell: str) -> float | None:
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return None


def repeated(names: Sequence[str], pointer: str) -> list[Fault]:
    """A fault for each name that comes more than once, under `pointer`."""
    return [
        Fault(f"{pointer}/{escape(name)}", f"expected each column once, came {count} of this name")
        for name, count in Counter(names).items()
        if count > 1
    ]


def _text(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content), _ENCODING, newline="")


def _check_quotes(content: bytes, separator: str) -> None:
    """Raises FaultyInput, as csv does where pandas reads "6"7 as 67. Few tables have a quote that touches a cell."""
    outer = re.escape(separator.encode()) + rb"\r\n"
    if not re.search(rb'"(?<=[^%b]")[^%b]' % (outer, outer), content):
        return
    rows = csv.reader(_text(content), delimiter=separator, skipinitialspace=True, strict=True)
    row = -1  # the header's
    try:
        for cells in rows:
            row += any(cells) or len(cells) > 1
    except csv.Error as error:
        raise FaultyInput([Fault("" if row < 0 else f"/rows/{row}", f"expected CSV: {error}")]) from None
    except UnicodeDecodeError as error:
        raise FaultyInput([Fault("", f"expected CSV in UTF-8: {error}")]) from None
