"""Bodies that are tables: the rows come as a table, what else a request says as query parameters."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel

from contract.errors import Fault, FaultyRequest
from service.routes.body import checked
from service.routes.query import Query, read_query
from service.schemas import read
from service.tables import Table, read_table

T = TypeVar("T", bound=BaseModel)


async def parse_table(
    schema: type[T], request: Request, body: bytes, query: Query, examine: Callable[[T], Awaitable[list[Fault]]]
) -> tuple[Table, T]:
    """The table, and its series in a request of `schema`; as `body.parse` does of JSON.

    Raises FaultyRequest, whose pointers are into the table or name a query parameter.
    """
    fields, columns, faults = read_query(request.query_params, query)
    try:
        # in a thread: pandas lets go of the interpreter's lock while it reads
        table = await asyncio.to_thread(read_table, body, columns.get("id_column"), columns["time_column"])
    except FaultyRequest as error:
        _, found = read(schema, {**fields, "series": [None]})
        raise FaultyRequest([*faults, *found, *error.faults]) from None
    with table.pointing():
        return table, await checked(schema, {**fields, "series": table.series}, examine, faults)
