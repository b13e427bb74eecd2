"""A service that listens, in this process, and graphs that can be held: what happens meanwhile is no matter of time."""

import asyncio
import json
import socket
import threading
import time
from contextlib import contextmanager

import httpx
import uvicorn

from service.app import create_app
from service.engine.session import Session
from service.settings import Settings
from service.turnstile import Turnstile


class Listening:
    """Over real sockets. `http` is a client; `state` what the application keeps."""

    def __init__(self, app, port):
        self.app, self.port = app, port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    @property
    def lines(self):
        return self.app.state.seqcast.lines

    def leaving(self, path, content, **headers):
        """A connection that has sent a request, to be closed by the caller."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        head = {"host": "x", "content-length": len(content), **headers}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode() + content)
        return connection

    def until(self, condition):
        """Wait until it is true; what never comes true is a failure."""
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, (self.lines.requests(), self.lines.rows())
            time.sleep(0.002)

    def gauges(self, name="seqcast_queue_rows"):
        """Model -> value, as /metrics has it."""
        told = [line for line in self.http.get("/metrics").text.splitlines() if line.startswith(f"{name}{{")]
        return {line.partition('model="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in told}


@contextmanager
def listening(folder, **settings):
    settings = Settings(bundles=folder, **settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        port=0,
        http=Turnstile.before(app),
        log_config=None,
        access_log=False,
        timeout_keep_alive=settings.keep_alive_s,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    service = Listening(app, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield service
    finally:
        service.http.close()
        server.should_exit = True
        thread.join()


class Hold:
    """Stands in for Session.run: notes how many rows each run has, and lets none go on until it is `released`."""

    def __init__(self, monkeypatch):
        self.rows = []
        self._free = threading.Event()
        run = Session.run

        def held(session, inputs, names=None):
            self.rows.append(len(next(iter(inputs.values()))))
            assert self._free.wait(60)
            return run(session, inputs, names)

        monkeypatch.setattr(Session, "run", held)

    def release(self):
        self._free.set()
