"""Query parameters in place of a JSON request's fields, for bodies that hold the series alone."""

import re
from collections.abc import Callable
from typing import Any

from starlette.datastructures import QueryParams

from contract.errors import Fault
from contract.pointers import escape


def _integer(text: str) -> int | str:
    """What is no integer goes on as it came, for the schema to refuse."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def _integers(text: str) -> list[int | str]:
    return [_integer(part.strip()) for part in text.split(",")] if text else []


FIELDS: dict[str, Callable[[str], Any]] = {"model": str, "horizon": _integer, "fill": str, "levels": _integers}
"""Fields of a ForecastRequest, each with how its text is read."""
COLUMNS = ("id_column", "time_column")

DOCUMENTED = [
    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": description}
    for name, description in {
        "model": "Of a table in CSV, as the other parameters: name, or name:version",
        "horizon": "Steps to forecast",
        "fill": "What to do with missing, duplicate and unsorted rows: error, interpolate, previous or seasonal",
        "levels": "Intervals wanted, in percent, such as 80,95",
        "id_column": "Column whose rows of one value are one series",
        "time_column": "Column of timestamps; by default one of that name, or the first without a number",
    }.items()
]


def read_query(query: QueryParams) -> tuple[dict[str, Any], dict[str, str | None], list[Fault]]:
    """The fields of the request, the names of the columns, and what is wrong with the parameters."""
    known, items = (*FIELDS, *COLUMNS), query.multi_items()
    given = dict(items)
    faults = [
        Fault(f"/{escape(name)}", f"unknown parameter; expected one of {', '.join(known)}")
        for name in given
        if name not in known
    ]
    faults += [
        Fault(f"/{name}", f"expected once, came {len(query.getlist(name))} times")
        for name in known
        if len(query.getlist(name)) > 1
    ]
    fields = {name: read(given[name]) for name, read in FIELDS.items() if name in given}
    return fields, {name: given.get(name) for name in COLUMNS}, faults
