"""A connection with a turnstile in it: to turn a request away costs next to nothing.

Of ten times the requests that can be answered nine parts are refused, and what refusing takes nobody is answered in. So
it is done here, in the gate's words, without a task, a scope or a route.
"""

import re
from functools import lru_cache

from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.connection import Connection
from service.engine.admission import Refusal
from service.errors import answer_to
from service.gate import SHORT, door_of
from service.state import State
from service.watch import REQUEST_ID, request_id

# the plainest requests alone, which cannot be taken for anything else; all others go on to uvicorn and the gate
_PLAIN = re.compile(rb"POST (/[!-$&->@-~]*)(?:\?([!-~]*))? HTTP/1\.1\r\n((?:[A-Za-z0-9-]+: ?[ -~]*\r\n)+)\r\n")
_LENGTH = re.compile(rb"^content-length: ?(\d{1,9})\r\n", re.IGNORECASE | re.MULTILINE)
_NOT_PLAIN = re.compile(
    rb"^(?:transfer-encoding|upgrade|expect|connection: ?(?!keep-alive\r))", re.IGNORECASE | re.MULTILINE
)
_IDS = re.compile(rb"^(x-request-id|traceparent): ?([ -~]*)\r\n", re.IGNORECASE | re.MULTILINE)


class Turnstile(Connection):
    """Any other, but while requests are turned away it looks at those that come whole, and refuses them itself."""

    coming: list[None]
    """One for each that was let through and is not at the gate yet."""
    _refused = 0.0

    @classmethod
    def before(cls, application: FastAPI) -> type["Turnstile"]:
        """uvicorn makes one for each connection."""
        return type(cls.__name__, (cls,), {"application": application, "coming": []})

    def data_received(self, data: bytes) -> None:
        state: State = self.application.state.seqcast
        if not state.lines.turning_away:
            super().data_received(data)
        elif not self._refuses(data, state):
            super().data_received(data)
            # by when its task, which has just been made, is at the gate
            self.coming.append(None)
            self.loop.call_soon(self.coming.pop)

    def timeout_keep_alive_handler(self) -> None:
        rest = self._refused + self.timeout_keep_alive - self.loop.time()
        if rest > 0:
            self.timeout_keep_alive_task = self.loop.call_later(rest, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _refuses(self, data: bytes, state: State) -> bool:
        answering = self.cycle is not None and not self.cycle.response_complete
        plain = None if self._within or answering else _PLAIN.match(data)
        if plain is None:
            return False
        target, query, headers = plain.groups()
        path, lengths, size = target.decode(), _LENGTH.findall(headers), len(data) - plain.end()
        if len(lengths) != 1 or int(lengths[0]) != size or _NOT_PLAIN.search(headers):
            return False
        door = door_of("POST", path)
        if door is None or not 0 < size <= min(SHORT, state.settings.max_body_bytes):
            return False
        model = door.model(query or b"", data[plain.end() :], state.served)
        refusal = state.lines.full(model, len(self.coming))
        if refusal is None:
            return False
        head, body = _answer(path, refusal)
        usual = b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])
        name = request_id([(name.lower(), value) for name, value in _IDS.findall(headers)]).encode()
        self.transport.write(b"%b%b%b: %b\r\n\r\n%b" % (head, usual, REQUEST_ID.lower().encode(), name, body))
        state.metrics.turned_away(door.path, model, size, len(body))
        self._refused = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_handler()
        return True


@lru_cache(maxsize=64)
def _answer(path: str, refusal: Refusal) -> tuple[bytes, bytes]:
    """The status and the headers that follow from these, and the body."""
    response = answer_to(path, refusal.error())
    headers = [b"%b: %b\r\n" % header for header in response.raw_headers]
    return b"".join([STATUS_LINE[response.status_code], *headers]), bytes(response.body)
