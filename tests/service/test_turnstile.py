"""Who is turned away before he is parsed hears what the gate would tell; and nothing else is taken for a request."""

import asyncio
import json
import socket

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.turnstile import Turnstile
from tests.service.test_gate import FORMS, TEXTS


@pytest.fixture
def crowded(listen):
    """crowded(*names, **settings) -> a Listening, its one place taken by `ahead`; somebody was just turned away."""

    def made(*names, **settings):
        serving = listen(*names, max_queue_requests=1, **settings)
        serving.ahead = serving.lines.passage()
        serving.ahead.enter(names[0], 5)
        serving.lines._clock = lambda: 1000.0  # just now lasts
        assert serving.lines.full(names[0])
        return serving

    return made


def plain(path, body, *headers):
    head = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


class Connection:
    def __init__(self, serving):
        self._socket = socket.create_connection(("127.0.0.1", serving.port), timeout=30)
        self._came = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, *parts):
        for part in parts:
            self._socket.sendall(part)

    def answer(self):
        """Status, headers and body; None once it is closed."""
        while b"\r\n\r\n" not in self._came:
            if not self._more():
                return None
        head, _, self._came = self._came.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(self._came) < int(headers["content-length"]):
            assert self._more()
        length = int(headers["content-length"])
        body, self._came = self._came[:length], self._came[length:]
        return int(status.split()[1]), headers, body

    def _more(self):
        came = self._socket.recv(65536)
        self._came += came
        return bool(came)


@pytest.mark.parametrize(("path", "model", "media"), FORMS)
def test_what_is_said_is_what_the_gate_says(crowded, path, model, media):
    serving = crowded(model)
    body = json.dumps({"model": model}).encode()
    with Connection(serving) as connection:
        connection.send(plain(path, body, "X-Request-ID: mine"))
        status, headers, said = connection.answer()
        connection.send(plain(path, body, "X-Request-ID: mine", "Connection: close"))  # not plain: the gate's
        gate_status, gate_headers, gate_said = connection.answer()
        assert connection.answer() is None
    assert (status, json.loads(said)) == (gate_status, json.loads(gate_said))
    assert status == 429
    assert gate_headers.pop("connection") == "close"
    assert {name: value for name, value in headers.items() if name != "date"} == {
        name: value for name, value in gate_headers.items() if name != "date"
    }
    assert (headers["retry-after"], headers["content-type"], headers["x-request-id"]) == ("1", media, "mine")
    metrics = serving.http.get("/metrics").text
    assert 'status="429"} 2.0' in metrics
    assert 'seqcast_rejections_total{reason="QueueFull"} 2.0' in metrics
    assert f"}} {2.0 * len(body)}" in metrics


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Connection: keep-alive", "Accept: */*", "User-Agent: python-requests/2"],
        ["content-type:application/json"],
        ["x-note: caf\xe9"],
        ["X-Weird!: 1"],
    ],
)
def test_any_request_is_turned_away_once(crowded, forecasts, headers):
    serving = crowded("hourly")
    body = json.dumps(forecasts(1)).encode()
    with Connection(serving) as connection:
        for _ in range(3):
            connection.send(plain("/forecast?fill=error", body, *headers))
            assert connection.answer()[0] == 429
        serving.ahead.leave()
        connection.send(plain("/forecast", body, *headers))
        status, _, said = connection.answer()
    assert status == 200
    assert len(json.loads(said)["forecasts"]) == 1


def test_a_request_in_parts_is_turned_away_once(crowded, forecasts):
    serving = crowded("hourly")
    whole = plain("/forecast", json.dumps(forecasts(1)).encode())
    with Connection(serving) as connection:
        for cut in (5, 60, 200, len(whole) - 1):
            connection.send(whole[:cut])
            serving.http.get("/healthz")  # by then it was read
            connection.send(whole[cut:])
            assert connection.answer()[0] == 429
        serving.ahead.leave()
        connection.send(whole)
        assert connection.answer()[0] == 200


def test_several_requests_in_one_part_are_each_answered(crowded, forecasts):
    serving = crowded("hourly")
    body = json.dumps(forecasts(1)).encode()
    with Connection(serving) as connection:
        connection.send(plain("/forecast", body) * 3 + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert [connection.answer()[0] for _ in range(4)] == [429, 429, 429, 200]


def test_a_body_is_no_request_though_it_looks_like_one(crowded):
    serving = crowded("hourly")
    inner = plain("/forecast", b'{"model": "hourly"}')
    with Connection(serving) as connection:
        connection.send(f"POST /models HTTP/1.1\r\nhost: x\r\ncontent-length: {len(inner)}\r\n\r\n".encode())
        serving.http.get("/healthz")
        connection.send(inner)
        assert connection.answer()[0] == 405
        connection.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.answer()[0] == 200


def test_what_computes_nothing_and_other_models_pass(crowded, forecasts):
    serving = crowded("hourly", "daily", "words")
    assert serving.http.get("/models").status_code == 200
    assert serving.http.post("/v2/repository/index").status_code == 200
    assert serving.http.post("/forecast", json=forecasts(1)).status_code == 429
    assert serving.http.post("/forecast", json=forecasts(1, "daily")).status_code == 200
    body = {"q": TEXTS[0], "source": "en", "target": "it"}
    assert serving.http.post("/translate", json=body).status_code == 200


class Transport:
    """What is written to it."""

    def __init__(self):
        self.written = b""

    def get_extra_info(self, name):
        return None

    def write(self, data):
        self.written += data

    def is_closing(self):
        return False

    def resume_reading(self):
        pass


def test_of_those_that_are_read_in_one_turn_as_many_are_let_in_as_there_is_room_for(serving, bundles, forecasts):
    client = serving(bundles("hourly"), max_queue_requests=3, threads=1)
    lines = client.app.state.seqcast.lines
    request = plain("/forecast", json.dumps(forecasts(1)).encode())
    ahead = [lines.passage() for _ in range(3)]
    for each in ahead:
        each.enter("hourly", 1)
    assert lines.full("hourly")
    for each in ahead[:2]:
        each.leave()
    config, transports = uvicorn.Config(client.app), [Transport() for _ in range(5)]
    turnstile = Turnstile.before(client.app)

    async def together():
        config.load()
        protocols = [turnstile(config, ServerState(), {}) for _ in transports]
        for protocol, transport in zip(protocols, transports, strict=True):
            protocol.connection_made(transport)
            protocol.data_received(request)
        at_once = [transport.written[9:12] for transport in transports]
        while not all(transport.written for transport in transports):
            await asyncio.sleep(0)
        return at_once

    assert client.run(together()) == [b"", b"", b"429", b"429", b"429"]
    assert [transport.written[9:12] for transport in transports[:2]] == [b"200", b"200"]
    assert turnstile.coming == []


def test_a_connection_that_was_turned_away_is_closed_once_it_is_idle(crowded, forecasts):
    serving = crowded("hourly", keep_alive_s=1)
    with Connection(serving) as connection:
        connection.send(plain("/forecast", json.dumps(forecasts(1)).encode()))
        assert connection.answer()[0] == 429
        assert connection.answer() is None
