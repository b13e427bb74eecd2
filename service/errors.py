"""Errors -> RFC 9457 problem+json, or the form of LibreTranslate's or Triton's clients, here and nowhere else."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from contract.errors import (
    BodyTooLarge,
    BodyTooSlow,
    Fault,
    FaultyInput,
    FaultyRequest,
    HeadTooLarge,
    MissingKey,
    NotHttp,
    NotReady,
    QueueFull,
    SeqcastError,
    TooLate,
    UnknownKey,
    UnknownMediaType,
    UnknownModel,
    UnusableBundle,
)
from service.schemas import faults_of
from service.tally import tally

log = logging.getLogger(__name__)

SHOWN_FAULTS = 1000
LIBRETRANSLATE = ("/translate", "/languages")
INFERENCE = "/v2"
_CLIENTS_OWN = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND)
_ERRORS_TOLD = 10
_INFERENCE_ERRORS_TOLD = 100

_STATUS: dict[type[SeqcastError], HTTPStatus] = {
    FaultyRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    UnknownModel: HTTPStatus.NOT_FOUND,
    NotHttp: HTTPStatus.BAD_REQUEST,
    HeadTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    UnknownMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    MissingKey: HTTPStatus.UNAUTHORIZED,
    UnknownKey: HTTPStatus.FORBIDDEN,
    UnusableBundle: HTTPStatus.BAD_REQUEST,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    TooLate: HTTPStatus.GATEWAY_TIMEOUT,
}


def add_error_handlers(app: FastAPI) -> None:
    """Let every error of a request leave as a problem."""
    app.add_exception_handler(SeqcastError, lambda request, error: answer_to(request.url.path, error))
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


def _answer(
    path: str, status: int, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
) -> Response:
    """A problem; to clients of LibreTranslate and of the Open Inference Protocol, in their forms.

    Both are JSON with `error`, and 400 for what a client can mend; an unknown model is 404 to the latter.
    """
    if path == INFERENCE or path.startswith(f"{INFERENCE}/"):
        told = [*map(_told, faults[:_INFERENCE_ERRORS_TOLD])]
        if len(faults) > len(told):
            told.append(f"and {len(faults) - len(told)} more")
        status = HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status
        content = {"error": "; ".join(told) or detail}
        return Response(orjson.dumps(content), status, headers, media_type="application/json")
    if path not in LIBRETRANSLATE:
        return problem(status, detail, faults, headers)
    status = HTTPStatus.BAD_REQUEST if status in _CLIENTS_OWN else status
    content = orjson.loads(problem(status, detail, faults).body)
    error = "; ".join(map(_told, faults[:_ERRORS_TOLD])) or detail
    return Response(orjson.dumps({"error": error, **content}), status, headers, media_type="application/json")


def _told(fault: Fault) -> str:
    return f"{fault.pointer[1:]}: {fault.message}" if fault.pointer else fault.message


def answer_to(path: str, error: Exception) -> Response:
    """That of a SeqcastError, in the form that the clients of this path expect."""
    kind = next((kind for kind in type(error).__mro__ if kind in _STATUS), None)
    if kind is None:
        return _bug(path, error)
    status = _STATUS[kind]
    tally().rejection = kind.__name__
    if isinstance(error, FaultyInput):
        return _faulty(path, error.faults)
    fault = [Fault("/model", str(error))] if isinstance(error, UnknownModel) else []
    headers = {}
    if isinstance(error, MissingKey):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, QueueFull):
        headers["Retry-After"] = str(error.retry_after_s)
    return _answer(path, status, str(error), fault, headers)


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 what the handler is registered for
    tally().rejection = FaultyRequest.__name__
    # each is within "query" or "path", where a pointer of ours begins
    within: list[Any] = [{**each, "loc": each["loc"][1:]} for each in error.errors()]
    return _faulty(request.url.path, faults_of(within))


def _faulty(path: str, faults: Sequence[Fault]) -> Response:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    shown = f", the first {SHOWN_FAULTS} of them below" if len(faults) > SHOWN_FAULTS else ""
    return _answer(path, HTTPStatus.UNPROCESSABLE_ENTITY, f"The request has {count}{shown}.", faults)


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code == HTTPStatus.NOT_FOUND:
        return no_such_path(request.url.path)
    # such as Allow of a 405
    return _answer(request.url.path, error.status_code, str(error.detail), headers=error.headers)


def no_such_path(path: str) -> Response:
    return _answer(path, HTTPStatus.NOT_FOUND, "No such path; /docs lists those there are.")


def _on_bug(request: Request, error: Exception) -> Response:
    """The one outermost handler: the log gets the traceback, the client gets none of it."""
    return _bug(request.url.path, error)


def _bug(path: str, error: Exception) -> Response:
    log.error("unexpected error at %s", path, exc_info=error)
    detail = f"An unexpected error; the service's log tells more of request {tally().id}."
    return _answer(path, HTTPStatus.INTERNAL_SERVER_ERROR, detail, headers={"X-Request-ID": tally().id})
