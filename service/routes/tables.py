"""Bodies that are tables: the rows come as a table, what else a request says as query parameters."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel

from contract.errors import Fault, FaultyRequest
from service.arrow import read_stream
from service.csv_tables import read_table
from service.routes.body import checked, read_body
from service.routes.media import ARROW, CSV
from service.routes.query import Query, read_query
from service.schemas import read
from service.state import state_of
from service.tables import Table, TableOptions

T = TypeVar("T", bound=BaseModel)


TABLES = {
    CSV: {"schema": {"type": "string"}, "example": "timestamp,load,temp\n2018-06-22T20:00:00,30.5,12.1\n"},
    ARROW: {"schema": {"type": "string", "format": "binary"}},
}
"""What a table comes as, in OpenAPI's form."""


async def parse_table(
    schema: type[T],
    request: Request,
    kind: str,
    options: TableOptions,
    query: Query,
    examine: Callable[[T], Awaitable[list[Fault]]],
) -> tuple[Table, T]:
    """The table of this `kind`, and its series in a request of `schema`; as `body.parse` does of JSON.

    Raises BodyTooLarge, and FaultyRequest, whose pointers are into the table or name a query parameter.
    """
    body = await read_body(request, options.limit)
    fields, named, faults = read_query(request.query_params, query)
    options = replace(
        options,
        id_name=named.get("id_column"),
        time_name=named["time_column"],
        columns=partial(state_of(request).forecasters.columns, fields.get("model")),
    )
    try:
        # in a thread: pandas and pyarrow let go of the interpreter's lock while they read
        table = await asyncio.to_thread(read_stream if kind == ARROW else read_table, body, options)
    except FaultyRequest as error:
        _, found = read(schema, {**fields, "series": [None]})
        raise FaultyRequest([*faults, *found, *error.faults]) from None
    with table.pointing():
        return table, await checked(schema, {**fields, "series": table.series}, examine, faults)
