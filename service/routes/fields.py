"""Fields that come as JSON, as a form, or in the query: as clients of LibreTranslate send them."""

from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.datastructures import QueryParams

from contract.errors import Fault, FaultyRequest, UnknownMediaType
from service.routes.body import read_body
from service.routes.bounds import TEXTS, check_bounds
from service.routes.duplicates import read_unique
from service.routes.media import JSON, is_json
from service.routes.query import Query, read_query
from service.turns import Turns

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
MOST_FIELDS = 10_000
_CHUNK = 2**15

Pairs = list[tuple[str, str]]


async def read_fields(request: Request, parameters: Query, limit: int) -> tuple[Any, list[Fault]]:
    """A request's fields, and what is wrong with those of a form and of the query.

    Raises BodyTooLarge, UnknownMediaType, and FaultyRequest for what cannot be read at all.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    media = kind.decode("latin-1").lower()
    if media not in (FORM, MULTIPART) and not is_json(media):
        raise UnknownMediaType(f"expected {JSON}, {FORM} or {MULTIPART}, came {media[:60]}")
    body = await read_body(request, limit)
    try:
        pairs = _urlencoded(request.scope["query_string"])
        if media == MULTIPART:
            pairs += await _multipart(body, options.get(b"boundary"))
        elif media == FORM and not _is_object(body):
            pairs += _urlencoded(body)
        fields, _, faults = read_query(QueryParams(pairs), parameters)
        if media == MULTIPART or not body.strip() or (media == FORM and not _is_object(body)):
            return fields, faults
    except ValueError as error:
        raise FaultyRequest([Fault("", f"expected a form of texts in UTF-8: {error}")]) from None
    await check_bounds(body, TEXTS)
    data, more = await read_unique(body)
    faults += more
    if isinstance(data, dict):
        faults += [
            Fault(f"/{name}", "expected once, came in the body and in the query") for name in fields if name in data
        ]
        data = {**fields, **data}
    return data, faults


def _is_object(body: bytes) -> bool:
    """JSON, though it calls itself a form, as what `curl -d` sends does: no form begins so."""
    return body.lstrip()[:1] == b"{"


def _urlencoded(text: bytes) -> Pairs:
    """Raises ValueError if it is not UTF-8, or has too many fields."""
    return parse_qsl(text.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)


async def _multipart(body: bytes, boundary: bytes | None) -> Pairs:
    """Raises ValueError if that is no form of texts."""
    fields: list[Field] = []
    files: list[File] = []
    # no upload is ever put on disk: what comes as a file is refused
    config = {"MAX_FIELDS": MOST_FIELDS, "MAX_MEMORY_FILE_SIZE": len(body) + 1}
    parser = FormParser(MULTIPART, fields.append, files.append, boundary=boundary, config=config)
    turns = Turns()
    for start in range(0, len(body), _CHUNK):
        parser.write(body[start : start + _CHUNK])
        await turns.pause()
    parser.finalize()
    if files:
        raise ValueError("came a file")
    return [((field.field_name or b"").decode(), (field.value or b"").decode()) for field in fields]
