"""Prometheus metrics. Label values come from the service alone: a client cannot grow them."""

import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from contract.manifest import Manifest

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """One application's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("seqcast_requests", "Requests answered", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "seqcast_request_seconds",
            "From a request's head to its answer's end",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.rows = Counter("seqcast_rows", "Rows computed", ["model"], registry=self.registry)
        self.texts = Counter("seqcast_texts", "Texts translated", ["model"], registry=self.registry)
        self.tokens = Counter("seqcast_tokens", "Tokens of translations made", ["model"], registry=self.registry)
        self.bundles = Gauge(
            "seqcast_bundle_info", "1 for each version served", ["model", "version", "task"], registry=self.registry
        )

    def show_bundles(self, manifests: Iterable[Manifest]) -> None:
        """Set the info gauge to exactly these."""
        self.bundles.clear()
        for manifest in manifests:
            self.bundles.labels(manifest.name, manifest.version, manifest.task).set(1)

    def watch(self, app: App) -> App:
        """ASGI middleware that counts and times every request by its route's template."""

        async def watched(scope: Message, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            started = time.perf_counter()
            status = 500  # of an error on its way out, which answers further up

            async def noted(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noted)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                self.requests.labels(route, status).inc()
                self.seconds.labels(route).observe(time.perf_counter() - started)

        return watched
