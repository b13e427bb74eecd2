"""What is no request, or one whose client has left, keeps nothing and nobody busy."""

import json
import socket
import time

import pytest

from service.connection import MOST_HEAD
from tests.service.sockets import Hold
from tests.service.test_server import BUNDLES, address, serving
from tests.service.test_turnstile import Connection, plain

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"POST /forecast HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


ENDLESS = [
    (GET, b"x: a\r\n"),
    (GET + b"x: ", b"a"),
    (GET, b"a"),
    (b"GET /", b"a"),
    (b"GET /?", b"a=1&"),
    (CHUNKED + b"5;", b"a"),
    (CHUNKED + b"5;a=", b"a"),
    (CHUNKED + b"1\r\n{\r\n0\r\n", b"x: a\r\n"),
    (CHUNKED + b"1\r\n{\r\n0\r\nx: ", b"a"),
    (b"", b"\r\n"),
]


def test_headers_without_an_end_are_refused(listen):
    """And who sends them hears why, though he goes on sending."""
    serving = listen("hourly")
    for start, endless in ENDLESS:
        with Connection(serving) as connection:
            connection.send(start, endless * (2**20 // len(endless)))
            status, headers, said = connection.answer()
            assert connection.answer() is None
        assert (status, headers["content-type"], headers["connection"]) == (431, "application/problem+json", "close")
        assert json.loads(said)["detail"] == "expected headers of at most 65536 bytes in all, came more"
    serving.until(lambda: not any(serving.lines.requests().values()))
    told = f'seqcast_rejections_total{{reason="HeadTooLarge"}} {len(ENDLESS)}.0'
    assert told in serving.http.get("/metrics").text
    for path in ("/v2/models/hourly/infer", "/translate"):  # whose clients read other forms
        with Connection(serving) as connection:
            connection.send(f"POST {path} HTTP/1.1\r\nhost: x\r\n".encode(), b"x: a\r\n" * 20_000)
            status, _, said = connection.answer()
        assert status == 431
        assert "at most 65536 bytes" in json.loads(said)["error"]


def test_headers_below_the_limit_and_bodies_of_any_length_are_read(listen, forecasts):
    serving = listen("hourly")
    body = json.dumps(forecasts(50)).encode()
    assert len(body) > 2 * MOST_HEAD
    with Connection(serving) as connection:
        connection.send(GET, b"x: a\r\n" * 10_000, b"\r\n")
        assert connection.answer()[0] == 200
        for size in (1, 1000, 100_000):
            part = body[:20_000] if size == 1 else body
            connection.send(CHUNKED)
            connection.send(b"".join(b"%x;a=b\r\n%b\r\n" % (len(each), each) for each in _cut(part, size)))
            connection.send(b"0\r\nx-trailer: a\r\n\r\n")
            assert connection.answer()[0] == (422 if size == 1 else 200)
        connection.send(plain("/forecast", body))
        assert connection.answer()[0] == 200


def _cut(body, size):
    return (body[start : start + size] for start in range(0, len(body), size))


def test_a_trailer_is_no_header(listen, forecasts, tmp_path):
    (tmp_path / "keys").touch()
    serving = listen("hourly", api_keys=tmp_path / "keys")
    with Connection(serving) as connection:
        connection.send(CHUNKED, b"2\r\n{}\r\n0\r\nx-api-key: a\r\n\r\n")
        assert connection.answer()[0] == 401  # as without one; 403 is of a key that is not known


def test_what_is_no_request_is_answered_after_those_before_it(listen, forecasts):
    serving = listen("hourly")
    with Connection(serving) as connection:
        connection.send(b"GET / HTTP/9.9\r\n\r\n")
        status, headers, said = connection.answer()
        assert connection.answer() is None
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(said)["detail"] == "expected a request of HTTP/1.1, came another"
    with Connection(serving) as connection:
        connection.send(plain("/forecast", json.dumps(forecasts(1)).encode()) * 2 + b"no request\r\n\r\n")
        assert [connection.answer()[0] for _ in range(2)] == [200, 200]
        assert connection.answer() is None


def test_an_upgrade_is_not_taken(listen):
    serving = listen("hourly")
    with Connection(serving) as connection:
        connection.send(GET, b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: a\r\n\r\n")
        assert connection.answer()[0] == 200


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("behind", [b"", b"GET /models HTTP/1.1\r\nhost: x\r\n\r\n"])
def test_a_body_with_an_offer_to_upgrade_is_read_as_one(listen, forecasts, apart, chunked, behind):
    """As `curl --http2` sends it. It was dropped, or taken for another request."""
    serving = listen("hourly")
    body = json.dumps(forecasts(1)).encode()
    hidden = b"GET /models/hourly/sample HTTP/1.1\r\nhost: x\r\n\r\n"
    for content, status in ((body, 200), (hidden, 422)):
        framing = b"content-length: %d" % len(content)
        if chunked:
            framing, content = b"transfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        head = b"POST /forecast HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n"
        with Connection(serving) as connection:
            connection.send(head, framing, b"\r\n\r\n", *([] if apart else [content + behind]))
            if apart:
                time.sleep(0.05)
                connection.send(content, behind)
            assert connection.answer()[0] == status
            if behind:
                assert connection.answer()[0] == 200
            connection.send(plain("/forecast", body))
            assert connection.answer()[0] == 200


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_answer_before_the_body_is_read_arrives_though_the_connection_ends_with_it(listen, version):
    """Unread bytes would make the network drop it."""
    serving, size = listen("hourly"), 2**23
    for _ in range(5):
        with Connection(serving) as connection:
            connection.send(b"POST /forecast HTTP/%b\r\nhost: x\r\nconnection: close\r\n" % version)
            connection.send(b"content-type: image/png\r\ncontent-length: %d\r\n\r\n" % size, bytes(size))
            assert connection.answer()[0] == 415
            assert connection.answer() is None
    serving.until(lambda: serving.lines.size() == 0)


@pytest.mark.parametrize("length", ["0" * 5000, "0" * 4400 + "2"])
def test_zeros_before_a_length_are_none(listen, length):
    with Connection(listen("hourly")) as connection:
        connection.send(f"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode(), b"{}")
        assert connection.answer()[0] in (422, 503)


@pytest.mark.parametrize("path", ["/forecast", "/translate", "/generate", "/backtest", "/v2/models/hourly/infer"])
def test_a_newline_behind_a_path_makes_it_another(listen, forecasts, path):
    answer = listen("hourly").http.post(f"{path}%0a", json=forecasts(1))
    assert (answer.status_code, "/docs" in answer.text) == (404, True)


def test_who_ends_the_connection_is_answered_no_more(listen, forecasts, monkeypatch):
    """Nor are those behind: half a connection cannot be told from none."""
    serving, hold = listen("hourly"), Hold(monkeypatch)
    with Connection(serving) as connection:
        connection.send(plain("/forecast", json.dumps(forecasts(1)).encode()) * 5)
        serving.until(lambda: hold.rows)
        connection._socket.shutdown(socket.SHUT_WR)
        assert connection.answer() is None
        serving.until(lambda: not any(serving.lines.requests().values()))
    hold.release()
    metrics = serving.http.get("/metrics").text
    assert 'route="/forecast",status="499"} 1.0' in metrics
    assert 'status="200"' not in metrics


def test_nobody_who_leaves_leaves_a_traceback(forecasts, tmp_path):
    whole = plain("/forecast", json.dumps(forecasts(20)).encode())
    with (tmp_path / "log").open("w+") as log:
        with serving(BUNDLES, log) as (_, lines):
            host, port = address(lines).removeprefix("http://").split(":")
            for count in (1, 2, 5):
                for parts in (1, 2):
                    with socket.create_connection((host, int(port)), timeout=30) as connection:
                        for part in _cut(whole * count, -(-len(whole) * count // parts)):
                            connection.sendall(part)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65536):
                            pass
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall(b"no request\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        log.seek(0)
        told = log.read()
    assert "Traceback" not in told
    assert "WARNING" not in told
    assert "ERROR" not in told
