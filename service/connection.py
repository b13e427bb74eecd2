"""uvicorn's protocol of a connection, with bounds on what is no body, and an end for requests whose client has left.

Neither it nor the parser below has any: every header that comes is kept.
"""

import asyncio
import logging
from typing import Any, cast

import httptools
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from contract.errors import HeadTooLarge, NotHttp, SeqcastError
from service.errors import answer_to
from service.state import State
from service.tally import Tally

log = logging.getLogger(__name__)

MOST_HEAD = 2**16
"""Bytes of a request's line and headers, trailers included; and of a line that is not whole yet."""
_LINGER_S = 2
"""What a client sends meanwhile is read past: unread, it would make the network drop the answer on its way."""


class Connection(HttpToolsProtocol):
    """uvicorn's, which answers in our form what it cannot take for a request."""

    application: FastAPI
    _head = 0
    _silent = 0
    """Bytes since the parser last told of anything: of a header, or of a chunk's extension, that has not ended."""
    _told = False
    _within = False
    """A message, that is; and behind its head."""
    _behind_head = False
    _known = False
    """Whether the head that is parsed is one again."""
    _running: RequestResponseCycle | None = None
    _ended = False

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._unset_keepalive_if_required()
        self._told = False
        error: SeqcastError | None = None
        try:
            self._feed(data)
        except httptools.HttpParserError:
            error = _too_large() if self._head > MOST_HEAD else NotHttp("expected a request of HTTP/1.1, came another")
        self._silent = 0 if self._told else self._silent + len(data)
        if error is None and self._silent > MOST_HEAD:
            error = _too_large()
        if error is not None:
            self._refuse(error)

    def _feed(self, data: bytes) -> None:
        """Who offers to upgrade, as curl's --http2 and Java's client do, is answered as if he had not.

        The parser stops there, taking the offer for accepted. Raises HttpParserError.
        """
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:
                data = data[offer.args[0] :]
                self._expect_body()

    def _expect_body(self) -> None:
        """Of the request that was just taken for one without."""
        framing = [each for each in self.headers if each[0] in (b"content-length", b"transfer-encoding")]
        if framing and self.cycle is not None:
            self.parser = httptools.HttpRequestParser(self)
            self._known = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % each for each in framing))
            self._known = False

    def on_message_begin(self) -> None:
        if self._known:
            return
        self._told = self._within = True
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._known:
            return
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._known:
            return
        self._grow(len(name) + len(value) + len(b": \r\n"))
        if not self._behind_head:  # a trailer is no header, and was never asked for (RFC 9110, section 6.5.1)
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._known:
            super().on_headers_complete()
        elif self.cycle is not None:
            self.cycle.more_body = True
            self.cycle.message_event.clear()
        self._within = self._behind_head = True

    def on_chunk_header(self) -> None:
        self._told = True

    def on_body(self, body: bytes) -> None:
        self._told = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._told = True
        self._within = self._behind_head = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn lets the last request know, which with several on a connection is not the one that runs
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if not cycle.keep_alive:
            cycle.transport = cast(asyncio.Transport, _Lingering(self))
        super()._start_asgi_task(cycle, app)

    def close(self) -> None:
        """Once what was written is there, though its request has not come whole."""
        if self._within:
            self.linger()
        else:
            self.transport.close()

    def linger(self) -> None:
        self.transport.write_eof()
        self._ended = True
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _should_upgrade(self) -> bool:
        return False

    def _grow(self, size: int) -> None:
        """Raises HeadTooLarge, which the parser makes an error of its own."""
        self._told = True
        self._head += size
        if self._head > MOST_HEAD:
            raise _too_large()

    def _refuse(self, error: SeqcastError) -> None:
        """And close, once what came before is answered."""
        cycle = self.cycle
        if not self._behind_head and cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
        elif self._behind_head and (cycle.response_started or self.pipeline):
            self.transport.close()
        else:
            path = getattr(self, "url", b"").partition(b"?")[0].decode("latin-1")
            response = answer_to(path, error)
            headers = [*self.server_state.default_headers, *response.raw_headers, (b"connection", b"close")]
            head = b"".join([STATUS_LINE[response.status_code], *(b"%b: %b\r\n" % each for each in headers), b"\r\n"])
            self.transport.write(head + bytes(response.body))
            self.linger()
            state: State = self.application.state.seqcast
            state.metrics.count(Tally(status=response.status_code, rejection=type(error).__name__))
            log.debug("%d to what is no request: %s", response.status_code, error)


class _Lingering:
    """The transport of a connection that ends with an answer."""

    def __init__(self, connection: Connection) -> None:
        self.close = connection.close
        self._transport = connection.transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(f"expected headers of at most {MOST_HEAD} bytes in all, came more")
