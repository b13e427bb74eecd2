"""`seqcast serve` as a process, asked over the network."""

import gc
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.server import settle
from service.settings import Settings

BUNDLES = Path(__file__).parents[1] / "bundles"
SERVE = [sys.executable, "-m", "seqcast", "serve"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SEQCAST_")}


def run(*flags, **variables):
    """A service that is expected to end by itself -> (status, what it wrote to stderr)."""
    ended = subprocess.run(
        [*SERVE, *flags], env={**ENVIRONMENT, **variables}, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stderr


@contextmanager
def serving(folder, log=subprocess.DEVNULL, **variables):
    """A service on a free port -> its process and its welcome, line by line. It logs to a file: a pipe fills up."""
    command = [*SERVE, "--port", "0", "--bundles", str(folder)]
    environment = {**ENVIRONMENT, "PYTHONWARNINGS": "error", **variables}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            yield (
                process,
                welcome(logged(process, log) if variables.get("SEQCAST_LOG_FORMAT") == "json" else process.stdout),
            )
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture
def log(tmp_path):
    """For what a service writes to stderr."""
    with (tmp_path / "log").open("w+") as file:
        yield file


def logged(process, log):
    """The lines of its log, as they come."""
    with Path(log.name).open() as lines:
        while process.poll() is None:
            yield from lines
            time.sleep(0.05)


def welcome(stream):
    lines = []
    for line in stream:
        lines.append(line.rstrip("\n"))
        if line.startswith(("curl ", "not served: ")) or '"message":"seqcast answers at' in line:
            break
    return lines


def address(lines):
    return re.search(r"http://[\d.:]+", "\n".join(lines))[0]


@pytest.fixture(scope="module")
def lines():
    """The welcome of a service that takes bodies of up to 0.1 MiB."""
    with serving(BUNDLES, SEQCAST_MAX_BODY_MIB="0.1", SEQCAST_LOG_LEVEL="warning") as (_, lines):
        yield lines


@pytest.fixture(scope="module")
def http(lines):
    with httpx.Client(base_url=address(lines), timeout=30) as client:
        yield client


def test_the_welcome_says_where_and_what_to_try(http, lines):
    url = address(lines)
    assert lines == [
        f"seqcast answers at {url} (docs at {url}/docs)",
        "try, in another terminal:",
        f"curl -s {url}/models/daily/sample | curl -s {url}/forecast -d @-",
    ]
    assert http.get("/docs").status_code == 200


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_the_welcomes_command_works_as_pasted(lines):
    answer = subprocess.run(lines[-1], shell=True, capture_output=True, check=True)  # noqa: S602 it is pasted to a shell
    assert len(json.loads(answer.stdout)["forecasts"][0]["timestamps"]) == 7


def test_many_clients_at_once_get_what_one_gets(http, series):
    bodies = [{"model": "hourly", "series": [series("hourly", seed=seed)]} for seed in range(8)]
    alone = [http.post("/forecast", json=body).json() for body in bodies]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda body: http.post("/forecast", json=body).json(), bodies * 4))
    assert together == alone * 4


def test_ready_and_measured(http):
    assert http.get("/readyz").json() == {"status": "ready", "not_served": []}
    assert 'seqcast_bundle_info{model="hourly",task="forecast",version="1"} 1.0' in http.get("/metrics").text


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [110_000, 5_000_000])
def test_a_body_over_the_limit_is_413(http, chunked, size):
    content = iter([b" " * 10_000] * (size // 10_000)) if chunked else b" " * size
    answer = http.post("/forecast", content=content)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_service_goes_on_after_hostile_requests(http, series):
    host, port = http.base_url.host, http.base_url.port
    heads = [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /forecast HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /forecast HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /forecast HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
        b"GET /models/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\xfe?\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for head in heads:
        with socket.create_connection((host, port), timeout=10) as connection:
            connection.sendall(head)
            connection.shutdown(socket.SHUT_WR)
            assert not re.match(rb"HTTP/1.1 5", connection.recv(100))
    head = http.head("/healthz")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "18")
    assert http.post("/forecast", json={"series": [series("hourly")]}).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0(number, log):
    with serving(BUNDLES, log, SEQCAST_LOG_LEVEL="warning") as (process, _):
        process.send_signal(number)
        assert process.wait(30) == 0
    log.seek(0)
    assert log.read() == ""


def test_no_request_that_it_took_fails_when_it_is_ended_under_load(series, log):
    body = {"model": "hourly", "series": [series("hourly")] * 20}

    answered = []

    def ask(url):
        """Until nobody takes a request any more."""
        with httpx.Client(base_url=url, timeout=60) as client:
            while True:
                try:
                    answer = client.post("/forecast", json=body)
                except httpx.TransportError:
                    return
                assert len(answer.json()["forecasts"]) == 20
                answered.append(answer.status_code)

    service = serving(BUNDLES, log, SEQCAST_LOG_FORMAT="json")
    with service as (process, lines), ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(ask, address(lines)) for _ in range(8)]
        while len(answered) < 40 and not any(client.done() for client in clients):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        for client in clients:
            client.result()
        assert process.stdout.read() == ""  # what collects JSON finds nothing else
    log.seek(0)
    taken = [told["status"] for told in map(json.loads, log) if "route" in told]
    assert len(answered) >= 40
    assert taken == answered == [200] * len(taken)


def test_a_request_that_does_not_end_holds_up_the_end_for_a_while_only(log):
    with serving(BUNDLES, log, SEQCAST_SHUTDOWN_S="1") as (process, lines):
        host, port = address(lines).removeprefix("http://").split(":")
        place = (host, int(port))
        with socket.create_connection(place) as connection, socket.create_connection(place) as prometheus:
            connection.sendall(b"POST /forecast HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
            prometheus.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            time.sleep(0.5)  # until both are taken
            process.terminate()
            assert _all(prometheus).startswith(b"HTTP/1.1 200 ")
            with pytest.raises(ConnectionRefusedError):  # so that no alert can be of what follows
                socket.create_connection(place)
            head, _, said = _all(connection).partition(b"\r\n\r\n")
            assert process.wait(30) == 0
    assert head.startswith(b"HTTP/1.1 503 ")
    assert json.loads(said)["detail"] == "the service is ending: ask again"
    log.seek(0)
    told = log.read()
    assert "Cancel 1 running task(s)" in told
    assert told.count("POST /forecast 503") == 1
    assert "Traceback" not in told


def _all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_serves_though_a_bundle_is_broken_and_says_so(bundles, log):
    folder = bundles("daily", "hourly")
    (folder / "daily" / "1" / "forecast.onnx").unlink()
    complaint = "daily:1: MissingFile: forecast.onnx is missing"
    with serving(folder, log) as (_, lines):
        assert lines[1] == f"not served: {complaint}"
        assert httpx.get(f"{address(lines)}/readyz").json()["detail"] == complaint
    log.seek(0)
    assert f"bundle daily version 1 is not served: {complaint.partition(': ')[2]}" in log.read()


def test_faulty_settings_end_it_with_a_message():
    status, message = run("--port", "70000", SEQCAST_THREADS="none")
    assert status == 1
    assert set(re.findall(r"SEQCAST_\w+", message)) == {"SEQCAST_PORT", "SEQCAST_THREADS"}
    assert "Traceback" not in message


def test_what_is_there_once_it_is_ready_is_never_looked_through_for_garbage():
    app = create_app(Settings())
    try:
        settle(app)
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()
    assert app.openapi_schema is not None


def test_a_port_that_is_taken_ends_it_with_a_message():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, message = run("--port", str(port), "--bundles", str(BUNDLES), SEQCAST_LOG_LEVEL="error")
    assert status == 1
    assert message == f"seqcast serve: cannot start on 127.0.0.1:{port}: Address already in use\n"


def test_cuda_where_there_is_none_ends_it_with_a_message():
    status, message = run("--device", "cuda", "--bundles", str(BUNDLES))
    expected = (
        "seqcast serve: device cuda was asked for, but this ONNX Runtime has no CUDA: install seqcast[serve-gpu]\n"
    )
    assert (status, message) == (1, expected)


def test_a_client_that_leaves_within_its_body_leaves_no_traceback(log):
    with serving(BUNDLES, log) as (_, lines):
        host, port = address(lines).removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /forecast HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        assert httpx.get(f"{address(lines)}/healthz").status_code == 200
    log.seek(0)
    assert "Traceback" not in log.read()
