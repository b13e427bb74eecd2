"""Errors -> RFC 9457 problem+json, here and nowhere else."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from contract.errors import (
    BodyTooLarge,
    Fault,
    FaultyInput,
    FaultyRequest,
    NotReady,
    SeqcastError,
    UnknownMediaType,
    UnknownModel,
)
from service.schemas import faults_of

log = logging.getLogger(__name__)

SHOWN_FAULTS = 1000

_STATUS: dict[type[SeqcastError], HTTPStatus] = {
    FaultyRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownModel: HTTPStatus.NOT_FOUND,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnknownMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
}


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of a request leave as a problem."""
    app.add_exception_handler(SeqcastError, _on_seqcast_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    # nobody reads the answer: the client went while it sent its body
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=499))
    app.add_exception_handler(Exception, _on_bug)


def problem(
    status: int, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """`detail` in a sentence; `faults` with their pointers into the request."""
    phrase = HTTPStatus(status).phrase
    content = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": detail,
        "errors": [{"pointer": fault.pointer, "message": fault.message} for fault in faults[:SHOWN_FAULTS]],
    }
    return Response(orjson.dumps(content), status, headers, media_type="application/problem+json")


def _on_seqcast_error(_: Request, error: Exception) -> Response:
    status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), None)
    if status is None:
        return _on_bug(_, error)
    if isinstance(error, FaultyInput):
        return _faulty(error.faults)
    fault = [Fault("/model", str(error))] if isinstance(error, UnknownModel) else []
    return problem(status, str(error), fault)


def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 what the handler is registered for
    return _faulty(faults_of(error.errors()))


def _faulty(faults: Sequence[Fault]) -> Response:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    shown = f", the first {SHOWN_FAULTS} of them below" if len(faults) > SHOWN_FAULTS else ""
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"The request has {count}{shown}.", faults)


def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return problem(error.status_code, str(error.detail), headers=error.headers)  # such as Allow of a 405


def _on_bug(request: Request, error: Exception) -> Response:
    """The one outermost handler: the log gets the traceback, the client gets none of it."""
    log.error("unexpected error at %s", request.url.path, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "An unexpected error; the service's log tells more.")
