"""Before the requests that compute something: who is let in, and when one ends unanswered."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from contract.errors import BodyTooSlow, Fault, FaultyRequest, SeqcastError, TooLate
from contract.quoting import shown
from service.engine.repository import Served
from service.errors import answer_to, no_such_path
from service.schemas import LONGEST_MS
from service.state import PASSAGE, State
from service.tally import tally
from service.watch import App, Message, Receive, Send

Endpoint = Callable[[Request], Awaitable[Response]]

TASKS = {"/forecast": "forecast", "/backtest": "forecast", "/translate": "translate", "/generate": "generate"}
TIMEOUT = "X-Timeout-Ms"
"""A header of theirs: as `timeout_ms`, of which the shorter counts."""
_INFER = re.compile(r"/v2/models/([^/]+)(/versions/[^/]+)?/infer")
_KEY = b'"model"'
_NAMED = re.compile(rb'"model"[ \t\n\r]*:[ \t\n\r]*"([^"\\]{1,200})"')
SHORT = 2**16
"""Bytes of a body that comes in one piece, mostly."""
_LEFT = 499
"""nginx's status for a client that closed its connection; nobody reads it but logs and metrics."""


@dataclass(frozen=True, slots=True)
class Door:
    """What computes: `path` is a template; of a `task`, or by a path with a model's name."""

    path: str
    task: str | None = None
    named: str = ""

    def model(self, query: bytes, start: bytes, served: Served) -> str:
        """The model's name, as far as a query and the start of a body tell without being parsed; "" if they do not.

        A hint for whom to turn away: who comes in enters the line of the model that is chosen then.
        """
        named = self.named
        if b"model=" in query:
            named = dict(parse_qsl(query.decode("latin-1"))).get("model", "")
        elif (at := start.find(_KEY)) >= 0 and (said := _NAMED.match(start, at)):
            named = said[1].decode(errors="replace")
        name = named.partition("@")[0].partition(":")[0]
        if name in served.loaded:
            return name
        fitting = [each for each, (newest, *_) in served.loaded.items() if newest.manifest.task == self.task]
        return fitting[0] if len(fitting) == 1 else ""


def door_of(method: str, path: str) -> Door | None:
    """None where nothing is computed."""
    if method != "POST":
        return None
    if path in TASKS:
        return Door(path, TASKS[path])
    if infer := _INFER.fullmatch(path):
        return Door(f"/v2/models/{{name}}{'/versions/{version}' if infer[2] else ''}/infer", named=infer[1])
    return None


def declared(length: str) -> int | None:
    """Bytes that a Content-Length declares. Python does not read thousands of digits; 20 are beyond any limit."""
    return int(length.lstrip("0")[:20] or 0) if re.fullmatch("[0-9]+", length, re.ASCII) else None


class Gate:
    """ASGI middleware: lets a request in while there is room, and ends it once its caller has left or its time is up.

    Whoever is turned away is so before the body is parsed, and a long one before it is read. Requests to `endpoints`,
    by path, are answered from here: FastAPI describes these routes, and would do much for them that they do not need.
    """

    def __init__(self, app: App, endpoints: Mapping[str, Endpoint]) -> None:
        self._app, self._endpoints = app, endpoints

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        door = door_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if door is None and scope["type"] == "http" and scope["path"].endswith("\n"):
            # behind which the `$` of starlette's routes would find what has not passed here
            await no_such_path(scope["path"])(scope, receive, send)
        elif door is None:
            await self._app(scope, receive, send)
        else:
            await _Visit(door, scope, receive, send).answer(self._endpoints.get(door.path), self._app)


class _Visit:
    """One request's."""

    def __init__(self, door: Door, scope: Message, receive: Receive, send: Send) -> None:
        self._door, self._scope, self._receive, self._send = door, scope, receive, send
        self._state: State = scope["app"].state.seqcast
        self._passage = scope[PASSAGE] = self._state.lines.passage()
        scope["route"] = door
        self._headers: dict[bytes, bytes] = dict(scope["headers"])
        self._model: str | None = None
        self._first: Message | None = None
        self._listener: asyncio.Task[None] | None = None
        self._task = asyncio.current_task()
        self._left = False

    async def answer(self, endpoint: Endpoint | None, app: App) -> None:
        try:
            async with self._passage.limited(self._state.settings.timeout_s) as self._limit:
                self._passage.within(self._allowed_ms())
                if self._short():
                    self._first = await self._read()
                if endpoint is not None:
                    app = await endpoint(Request(self._scope, self._received, self._sent))
                await app(self._scope, self._received, self._sent)
        except SeqcastError as error:
            await self._refuse(error)
        except ClientDisconnect:
            await Response(status_code=_LEFT)(self._scope, self._receive, self._send)
        except TimeoutError:
            if not self._limit.expired():
                raise
            await self._refuse(self._late())
        except asyncio.CancelledError:
            if not self._left or self._task is None:
                raise
            self._task.uncancel()
            tally().status, tally().rejection = _LEFT, ClientDisconnect.__name__
        finally:
            self._end()

    def _allowed_ms(self) -> int | None:
        """What the header says, if it is there. Raises FaultyRequest."""
        came = self._headers.get(TIMEOUT.lower().encode())
        if came is None:
            return None
        if came.isdigit() and len(came) <= len(str(LONGEST_MS)) and 1 <= int(came) <= LONGEST_MS:
            return int(came)
        message = f"expected {TIMEOUT} of 1 to {LONGEST_MS} milliseconds, came {shown(came.decode('latin-1'))}"
        raise FaultyRequest([Fault("", message)])

    def _short(self) -> bool:
        """Whether its body comes at once, so that it can be turned away before any route knows of it."""
        length = declared(self._headers.get(b"content-length", b"").decode("latin-1"))
        return length is not None and length <= min(SHORT, self._state.settings.max_body_bytes)

    async def _received(self) -> Message:
        first, self._first = self._first, None
        return first or await self._read()

    async def _read(self) -> Message:
        """A message of the body. Raises QueueFull."""
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        body, more = message.get("body", b""), message.get("more_body", False)
        self._passage.hold(len(body))
        if self._model is None:
            self._model = self._door.model(self._scope["query_string"], body, self._state.served)
        self._passage.enter(self._model, 1)
        if more:
            # a body that is long in coming keeps no place meanwhile
            self._state.lines.leave(self._passage)
        else:
            self._listener = asyncio.create_task(self._listen())
        return message

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        if self._task is not None:
            self._task.cancel()

    async def _sent(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._end()
            self._limit.reschedule(None)
        await self._send(message)

    def _end(self) -> None:
        """Of all but the answer's way to the client, however slowly that reads."""
        self._passage.leave()
        if self._listener is not None:
            self._listener.cancel()

    def _late(self) -> SeqcastError:
        seconds = self._passage.allowed_s
        within = f"within {f'{seconds:g} s' if seconds >= 1 else f'{1000 * seconds:g} ms'} of the request's arrival"
        if self._listener is None:
            return BodyTooSlow(f"expected the body {within}, came a part of it")
        return TooLate(f"not answered {within}")

    async def _refuse(self, error: SeqcastError) -> None:
        self._end()
        tally().model = tally().model or self._model or ""
        await answer_to(self._scope["path"], error)(self._scope, self._receive, self._send)
