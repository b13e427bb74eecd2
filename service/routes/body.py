"""Request bodies: bounded, and parsed straight from their bytes."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import BaseModel

from contract.errors import BodyTooLarge, Fault, FaultyRequest
from service.gate import declared
from service.routes.bounds import Bounds, check_bounds
from service.routes.coding import decoded
from service.routes.duplicates import read_unique
from service.schemas import read
from service.tally import tally

T = TypeVar("T", bound=BaseModel)


async def read_body(request: Request, limit: int) -> bytes:
    """Without its Content-Encoding, if it has one.

    Raises BodyTooLarge as soon as the body is known to be over `limit` bytes, UnknownMediaType and FaultyRequest.
    """
    length = declared(request.headers.get("content-length", ""))
    if length is not None and length > limit:
        raise BodyTooLarge(f"expected a body of at most {limit} bytes, came {length}")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"expected a body of at most {limit} bytes, came more")
        chunks.append(chunk)
    tally().read = time.perf_counter()
    return await decoded(b"".join(chunks), request, limit)


async def parse(
    schema: type[T],
    body: bytes,
    bounds: Bounds,
    examine: Callable[[T], Awaitable[list[Fault]]],
    before: Sequence[Fault] = (),
) -> T:
    """Four times faster than the json module that FastAPI would use first; as `checked`.

    Raises FaultyRequest.
    """
    await check_bounds(body, bounds)
    data, faults = await read_unique(body)
    return await checked(schema, data, examine, [*before, *faults])


async def checked(
    schema: type[T], data: Any, examine: Callable[[T], Awaitable[list[Fault]]], before: Sequence[Fault] = ()
) -> T:
    """`data` as the schema has it.

    Raises FaultyRequest with the faults found `before`, those against the schema, and those that `examine` finds in
    the rest, so that a client need not mend one kind to hear of the other.
    """
    request, found = read(schema, data)
    faults = [*before, *found]
    if request is not None and not faults:
        return request
    told = {fault.pointer for fault in faults}
    more = await examine(request) if request is not None else []
    raise FaultyRequest([*faults, *(fault for fault in more if fault.pointer not in told)])


def json_response(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
