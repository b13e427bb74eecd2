"""ASGI middleware around every request, from its head to its answer's end."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from service.metrics import Metrics
from service.tally import open_tally

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Watch:
    """Opens a request's tally, and counts it when it is over."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tally = open_tally()
        tally.started = time.perf_counter()

        async def received() -> Message:
            message = await receive()
            tally.received += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                tally.status, tally.answered = message["status"], time.perf_counter()
            else:
                tally.sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, received, sent)
        finally:
            tally.ended = time.perf_counter()
            tally.answered = tally.answered or tally.ended
            tally.route = getattr(scope.get("route"), "path", tally.route)
            self._metrics.count(tally)
