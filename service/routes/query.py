"""Query parameters, or a form's fields, in place of a JSON request's."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json
from starlette.datastructures import QueryParams

from contract.errors import Fault
from contract.pointers import escape


def integer(text: str) -> int | str:
    """What is no integer goes on as it came, for the schema to refuse."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def integers(text: str) -> list[int | str]:
    return [integer(part.strip()) for part in text.split(",")] if text else []


def boolean(text: str) -> bool | str:
    """As `integer`."""
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def number(text: str) -> float | str:
    """As `integer`."""
    return float(text) if re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{0,18})?", text) else text


def json(text: str) -> Any:
    """As `integer`."""
    try:
        return from_json(text)
    except ValueError:
        return text


@dataclass(frozen=True, slots=True)
class Query:
    """A route's parameters: `fields` of its request, each with how its text is read, and names of `columns`.

    Those in `lists` may come more than once, and are a list then.
    """

    fields: Mapping[str, Callable[[str], Any]]
    columns: tuple[str, ...]
    descriptions: Mapping[str, str]
    lists: tuple[str, ...] = ()

    def documented(self) -> list[dict[str, Any]]:
        """The parameters, in OpenAPI's form."""
        return [
            {"name": name, "in": "query", "required": False, "schema": {"type": "string"}, "description": description}
            for name, description in self.descriptions.items()
        ]


FORECAST = Query(
    {
        "model": str,
        "horizon": integer,
        "fill": str,
        "levels": integers,
        "history": boolean,
        "attention": json,
        "timeout_ms": integer,
    },
    ("id_column", "time_column"),
    {
        "model": "Of a table in CSV or Arrow, as the other parameters: name, or name:version",
        "horizon": "Steps to forecast",
        "fill": "What to do with missing, duplicate and unsorted rows: error, interpolate, previous or seasonal",
        "levels": "Intervals wanted, in percent, such as 80,95",
        "history": "Whether the rows that the model saw are wanted too; for an answer in JSON",
        "attention": "Attention maps wanted, as in a JSON request; for an answer in JSON",
        "timeout_ms": "Milliseconds in which an answer is wanted",
        "id_column": "Column whose rows of one value are one series",
        "time_column": "Column of timestamps; by default the one that looks so, by its name or its first cells",
    },
)


def beside_json(given: QueryParams, known: Collection[str]) -> list[Fault]:
    """What is wrong with parameters where the body is JSON, with fields that are `known`: that there are any."""
    return [
        Fault(
            f"/{escape(name)}",
            "expected as a field of the JSON body, came as a query parameter"
            if name in known
            else f"unknown parameter; expected none beside a JSON body, whose fields are {', '.join(known)}",
        )
        for name in given
    ]


def read_query(given: QueryParams, query: Query) -> tuple[dict[str, Any], dict[str, str | None], list[Fault]]:
    """The fields of the request, the names of the columns, and what is wrong with the parameters."""
    known, values = (*query.fields, *query.columns), dict(given.multi_items())
    faults = [
        Fault(f"/{escape(name)}", f"unknown parameter; expected one of {', '.join(known)}")
        for name in values
        if name not in known
    ]
    faults += [
        Fault(f"/{name}", f"expected once, came {len(given.getlist(name))} times")
        for name in known
        if len(given.getlist(name)) > 1 and name not in query.lists
    ]
    fields = {name: read(values[name]) for name, read in query.fields.items() if name in values}
    for name in query.lists:
        if len(given.getlist(name)) > 1:
            fields[name] = [query.fields[name](text) for text in given.getlist(name)]
    return fields, {name: values.get(name) for name in query.columns}, faults
