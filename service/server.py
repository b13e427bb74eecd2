"""The process: uvicorn around the application, logs, and the welcome once it is ready."""

import asyncio
import errno
import gc
import logging
import os
import signal
import socket

import uvicorn
from fastapi import FastAPI

from contract.errors import NotReady
from service.app import create_app
from service.logs import configure_logs
from service.settings import Settings
from service.state import State
from service.turnstile import Turnstile

log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Until a signal ends it. Raises NotReady if it cannot start."""
    configure_logs(settings.log_format, settings.log_level)
    _check_port(settings.host, settings.port)
    app = create_app(settings)
    turnstile = Turnstile.before(app)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=turnstile,
        log_config=None,
        access_log=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_s,
    )
    server = _Server(config, app, turnstile)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn finishes what it has taken, then raises the signal again; having obeyed it, we exit with 0
        signal.signal(number, lambda *_: None)
    try:
        server.run()
    except SystemExit:
        message = f"cannot start on {settings.host}:{settings.port}; the log above says why"
        raise NotReady(message) from None


def _check_port(host: str, port: int) -> None:
    """Before all is loaded. Raises NotReady if another has it."""
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in places:
            with socket.socket(family, kind, protocol) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listener.bind(place)
    except OSError as error:  # of others uvicorn knows more
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise NotReady(f"cannot start on {host}:{port}: {os.strerror(error.errno)}") from None


_ACCEPTED = 16
"""Connections taken in one turn of the loop."""


class _Server(uvicorn.Server):
    """Says where it is and what to try, once it is ready."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, turnstile: type[Turnstile]) -> None:
        super().__init__(config)
        self._app, self._turnstile = app, turnstile

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            await self._accept_sooner()
            self._settling = asyncio.create_task(asyncio.to_thread(settle, self._app))
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            url = f"http://{authority}"
            if self._app.state.seqcast.settings.log_format == "json":
                log.info("seqcast answers at %s", url)  # what is not served, the log has told already
            else:
                print(_welcome(self._app.state.seqcast, url), flush=True)

    async def _accept_sooner(self) -> None:
        """libuv takes one connection from a socket in a turn: under load, when turns are long, new ones would wait."""
        loop = asyncio.get_running_loop()
        for listener in [each for server in self.servers for each in server.sockets]:
            for _ in range(_ACCEPTED - 1):
                another = await loop.create_server(self._connection, sock=listener.dup(), backlog=self.config.backlog)
                self.servers.append(another)

    def _connection(self) -> Turnstile:
        return self._turnstile(self.config, self.server_state, self.lifespan.state)


def settle(app: FastAPI) -> None:
    """Do once what would hold up requests later."""
    app.openapi()  # two seconds of work, by whoever asks for it first
    # what is there now stays: to look for garbage in it too stops everything for .06 s, every second or so under load
    gc.collect()
    gc.freeze()


def _welcome(state: State, url: str) -> str:
    lines = [f"seqcast answers at {url} (docs at {url}/docs)"]
    lines += [f"not served: {complaint}" for complaint in state.served.complaints()]
    if state.served.newest:
        manifest = state.served.newest[0].manifest
        lines.append("try, in another terminal:")
        lines.append(f"curl -s {url}/models/{manifest.name}/sample | curl -s {url}/{manifest.task} -d @-")
    return "\n".join(lines)
