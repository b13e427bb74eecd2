"""Requests as bytes on a connection, and what is wrong with an answer whatever was asked."""

import http.client
import json
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

JSON = "application/json"
REFUSED, LATE = (400, 404, 413, 415, 422), 504
TIMEOUT_S = 60
"""A request that takes longer hangs."""


@dataclass(frozen=True, slots=True, repr=False)
class Hostile:
    """A request. `length` is what Content-Length says of the body if that is a lie, -1 for chunks in its place."""

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None

    def __repr__(self) -> str:
        """Cut short: some are megabytes."""
        told = f"{self.path[:200]} {self.headers} Content-Length {self.length}"
        return f"{told}, {len(self.body)} bytes: {self.body[:500]!r}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of status 0 there was none: the connection was closed."""

    status: int
    media: str
    body: bytes
    seconds: float


class Sender:
    """One connection to a service after the other, each kept as long as it holds."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def close(self) -> None:
        self._connection.close()

    def send(self, request: Hostile) -> Answer:
        """Raises TimeoutError if no answer comes."""
        kept = self._connection.sock is not None
        began = time.perf_counter()
        try:
            answer = self._exchange(request)
        except TimeoutError:
            self._connection.close()
            raise
        except (OSError, http.client.HTTPException):
            self._connection.close()
            if kept:  # it was closed after the answer before, as of a request that lied
                return self.send(request)
            answer = 0, "", b""
        if request.length is not None and request.length >= 0:
            self._connection.close()
        return Answer(*answer, time.perf_counter() - began)

    def _exchange(self, request: Hostile) -> tuple[int, str, bytes]:
        connection = self._connection
        connection.putrequest("POST", request.path, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value.encode("latin-1"))
        if request.length == -1:
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders(_chunks(request.body), encode_chunked=True)
        else:
            connection.putheader("Content-Length", str(len(request.body) if request.length is None else request.length))
            connection.endheaders(request.body)
            if request.length is not None and request.length > len(request.body):
                connection.sock.shutdown(1)
        answer = connection.getresponse()
        body, coding = answer.read(), answer.headers.get("content-encoding")
        body = zlib.decompress(body, zlib.MAX_WBITS | 32) if coding is not None else body  # gzip's or zlib's
        return answer.status, answer.headers.get_content_type(), body


def _chunks(body: bytes) -> Iterator[bytes]:
    size = max(1, len(body) // 5)
    return (body[start : start + size] for start in range(0, len(body), size))


def wrong(request: Hostile, answer: Answer) -> str | None:
    """What is wrong with an answer, whatever the request was."""
    lied = request.length is not None and request.length >= 0 and request.length != len(request.body)
    if answer.status == 0 or lied:
        return None if lied and answer.status in (0, 200, *REFUSED) else f"{answer.status}: {answer.body[:300]!r}"
    if answer.status == 200:
        return _not_json(answer.body) if answer.media == JSON else None
    hurried = b"timeout_ms" in request.body or "timeout_ms" in request.path
    if answer.status not in REFUSED and not (answer.status == LATE and hurried):
        return f"status {answer.status}: {answer.body[:300]!r}"
    try:
        told = json.loads(answer.body)
    except ValueError:
        return f"{answer.status} without JSON: {answer.body[:300]!r}"
    if request.path.startswith(("/v2", "/translate")):
        return None if isinstance(told.get("error"), str) and told["error"] else f"no error: {answer.body[:300]!r}"
    if answer.media != "application/problem+json" or not told["detail"]:
        return f"no problem: {answer.body[:300]!r}"
    if not all(fault["message"] and fault["pointer"][:1] in ("", "/") for fault in told["errors"]):
        return f"a fault that says nothing: {answer.body[:300]!r}"
    return None


def _not_json(body: bytes) -> str | None:
    found: list[str] = []
    json.loads(body, parse_constant=found.append)
    return f"{found[0]} is no JSON" if found else None
