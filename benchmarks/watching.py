"""What metrics, request ids and log lines cost a request: the same application with and without, in one process.

    .venv/bin/python -m benchmarks.watching [--bundles DIR --model NAME] 2>/dev/null

No network: the application is called as uvicorn would call it. The variants take turns, and ratios are of each turn's
own pair; medians over the turns are printed, with their quartiles. CPU is that of the event loop's thread, which does
all of a request but run its graph. Log lines go to stderr.
"""

import argparse
import asyncio
import json
import logging
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from service.app import create_app
from service.forecaster import sample_request
from service.logs import configure_logs
from service.settings import Settings

App = Callable[[Any, Any, Any], Awaitable[None]]
VARIANTS = {"neither": None, "metrics": logging.WARNING, "metrics and JSON lines": logging.INFO}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--model", default="etth1-informer")
    parser.add_argument("--requests", type=int, default=50, help="of each measurement")
    parser.add_argument("--turns", type=int, default=40)
    arguments = parser.parse_args()
    configure_logs("json", "info")
    asyncio.run(_compare(arguments))


async def _compare(arguments: argparse.Namespace) -> None:
    settings = Settings(bundles=arguments.bundles)
    watched, plain = create_app(settings), create_app(settings)
    plain.user_middleware.clear()
    async with watched.router.lifespan_context(watched), plain.router.lifespan_context(plain):
        loaded = watched.state.seqcast.served.get(arguments.model)
        body = json.dumps(sample_request(loaded)).encode()
        came: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for turn in range(arguments.turns + 1):
            for name in _in_turn(turn):
                level = VARIANTS[name]
                logging.getLogger("seqcast.requests").setLevel(level or logging.WARNING)
                seconds = await _measured(plain if level is None else watched, body, arguments.requests)
                if turn:  # the first one warms
                    came[name].append(seconds)
    print(f"neither: {1e6 * statistics.median(came['neither']):.0f} us of the event loop's thread a request")
    for name in list(VARIANTS)[1:]:
        ratios = [each / other for each, other in zip(came[name], came["neither"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name}: {middle:.3f} of that ({low:.3f} to {high:.3f})")


def _in_turn(turn: int) -> Iterator[str]:
    names = list(VARIANTS)
    return (names[(turn + place) % len(names)] for place in range(len(names)))


async def _measured(app: App, body: bytes, requests: int) -> float:
    """Seconds of this thread's CPU a request."""
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(body)).encode()))
    scope = {"type": "http", "method": "POST", "path": "/forecast", "raw_path": b"/forecast", "query_string": b""}
    scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "root_path": ""}
    scope |= {"server": ("localhost", 80), "client": ("localhost", 1)}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise SystemExit(f"expected 200, came {message['status']}")

    began = time.thread_time()
    for _ in range(requests):
        await app(dict(scope), receive, send)
    return (time.thread_time() - began) / requests


if __name__ == "__main__":
    main()
