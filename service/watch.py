"""ASGI middleware around every request, from its head to its answer's end."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders

from contract.errors import NotReady
from service.errors import answer_to
from service.logs import log_request
from service.metrics import Metrics
from service.tally import Tally, open_tally
from service.traces import tell, trace_id

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


REQUEST_ID = "X-Request-ID"
_SANE = re.compile(rb"[A-Za-z0-9._:/=+@-]{1,128}")
# W3C Trace Context: version, trace id, parent id, flags; ids of zeros alone are none
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


class Watch:
    """Opens a request's tally; counts and logs it when it is over. Its id goes along with the answer."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tally = open_tally()
        tally.started = time.perf_counter()
        tally.id, tally.method = request_id(scope["headers"]), scope["method"]
        only_head = scope["method"] == "HEAD"
        if only_head:  # what GET would answer, whose body goes no further than the server
            scope = {**scope, "method": "GET"}

        async def received() -> Message:
            message = await receive()
            tally.received += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                tally.status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = tally.id
                _answered(tally, scope)
            elif not only_head:
                tally.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, received, sent)
        except asyncio.CancelledError:
            # at the service's end alone: who leaves is the gate's affair. An answer that has begun is cut off
            if not tally.answered:
                await answer_to(scope["path"], NotReady("the service is ending: ask again"))(scope, receive, sent)
        finally:
            if not tally.answered:  # an error on its way out
                _answered(tally, scope)
            tally.ended = time.perf_counter()
            self._metrics.count(tally)
            log_request(tally)


def _answered(tally: Tally, scope: Message) -> None:
    tally.answered = time.perf_counter()
    tally.route = getattr(scope.get("route"), "path", tally.route)
    tell(tally, scope)


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """X-Request-ID if it is of few and harmless characters, or the trace that the request is part of, or a new one.

    Where traces are exported every request is part of one.
    """
    given = {name: value for name, value in headers if name in (b"x-request-id", b"traceparent")}
    if _SANE.fullmatch(given.get(b"x-request-id", b"")):
        return given[b"x-request-id"].decode()
    if traced := trace_id():
        return traced
    if trace := _TRACEPARENT.fullmatch(given.get(b"traceparent", b"")):
        return trace[1].decode()
    # not secrets, which let go of the interpreter's lock: to have it back takes milliseconds where threads compute
    return f"{random.getrandbits(128):032x}"
