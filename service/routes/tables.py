"""Bodies that are tables: the rows come as a table, what else a request says as query parameters."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel

from contract.errors import Fault, FaultyRequest
from service.arrow import read_stream
from service.routes.body import checked, read_body
from service.routes.media import ARROW, CSV
from service.routes.query import Query, read_query
from service.schemas import read
from service.tables import Table, read_table

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
    limit: int,
    query: Query,
    examine: Callable[[T], Awaitable[list[Fault]]],
) -> tuple[Table, T]:
    """The table of this `kind`, and its series in a request of `schema`; as `body.parse` does of JSON.

    Raises BodyTooLarge beyond `limit` bytes, and FaultyRequest, whose pointers are into the table or name a query
    parameter.
    """
    body = await read_body(request, limit)
    fields, columns, faults = read_query(request.query_params, query)
    names = columns.get("id_column"), columns["time_column"]
    try:
        # in a thread: pandas and pyarrow let go of the interpreter's lock while they read
        if kind == ARROW:
            table = await asyncio.to_thread(read_stream, body, *names, limit)
        else:
            table = await asyncio.to_thread(read_table, body, *names)
    except FaultyRequest as error:
        _, found = read(schema, {**fields, "series": [None]})
        raise FaultyRequest([*faults, *found, *error.faults]) from None
    with table.pointing():
        return table, await checked(schema, {**fields, "series": table.series}, examine, faults)
