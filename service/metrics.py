"""Prometheus metrics, in seconds and bytes. Label values come from the service alone: a client cannot grow them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from contract.errors import QueueFull
from contract.manifest import Manifest
from service.engine.admission import Lines
from service.engine.repository import Failure
from service.tally import Tally

M = TypeVar("M", bound=MetricWrapperBase)

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STAGE_BUCKETS = (0.0001, 0.00025, 0.0005, *_BUCKETS)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class _Queue(Collector):
    """Asked for, not counted up and down: who has left is in no line, whatever went wrong meanwhile."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def collect(self) -> Iterator[Metric]:
        rows = GaugeMetricFamily("seqcast_queue_rows", "Rows that have not begun", labels=["model"])
        requests = GaugeMetricFamily("seqcast_queue_requests", "Requests that were taken", labels=["model"])
        for name, count in self._lines.rows().items():
            rows.add_metric([name], count)
        for name, count in self._lines.requests().items():
            requests.add_metric([name], count)
        yield rows
        yield requests
        yield GaugeMetricFamily("seqcast_queue_bytes", "Bytes of their bodies", self._lines.size())


class Metrics:
    """One application's metrics, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        # what every program that Prometheus watches tells of itself: memory, CPU time, open files
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "seqcast_requests", "Requests answered", ["route", "model", "status"], registry=registry
        )
        self._seconds = Histogram(
            "seqcast_request_seconds",
            "From a request's head to its answer's end, but for those turned away with 429",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stages = Histogram(
            "seqcast_stage_seconds",
            "From a request's body to its answer's head, by stage: preprocess, queue, compute, postprocess",
            ["model", "stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self._received = Counter("seqcast_received_bytes", "Bytes of request bodies", ["route"], registry=registry)
        self._sent = Counter("seqcast_sent_bytes", "Bytes of answers' bodies", ["route"], registry=registry)
        self._rejections = Counter(
            "seqcast_rejections", "Requests refused, by the kind of error", ["reason"], registry=registry
        )
        self._batches = Histogram(
            "seqcast_batch_rows",
            "Rows that went through a model together",
            ["model"],
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self._values = Counter(
            "seqcast_input_values", "Numbers that a model was shown to forecast from", ["model"], registry=registry
        )
        self._outlying = Counter(
            "seqcast_input_outlying_values",
            "Those more than 4 standard deviations of the training rows from their mean",
            ["model"],
            registry=registry,
        )
        self._missing = Counter(
            "seqcast_input_missing_values", "Those that were missing and filled", ["model"], registry=registry
        )
        self.rows = Counter("seqcast_rows", "Rows computed", ["model"], registry=registry)
        self.texts = Counter("seqcast_texts", "Texts translated", ["model"], registry=registry)
        self.tokens = Counter("seqcast_tokens", "Tokens of translations made", ["model"], registry=registry)
        self._bundles = Gauge(
            "seqcast_bundle_info", "1 for each version served", ["model", "version", "task"], registry=registry
        )
        self._unsound = Gauge(
            "seqcast_bundle_unsound",
            "1 for each version in the folder that cannot be served as it is there",
            ["model", "version"],
            registry=registry,
        )
        self._ready = Gauge(
            "seqcast_ready", "1 if every bundle that was there at the start is served", registry=registry
        )
        self._loading = Gauge(
            "seqcast_loader_busy_seconds",
            "For how long one look for versions, or the load of one, has lasted; 0 between them",
            registry=registry,
        )
        self._children: dict[tuple[MetricWrapperBase, tuple[str | int, ...]], Any] = {}
        self._turned_away: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._build = Gauge("seqcast_build_info", "1 for this seqcast", ["version", "device"], registry=registry)

    def show_engine(self, device: str, lines: Lines, loading_s: Callable[[], float]) -> None:
        """What it computes on, who waits for it, and for how long the loader has been at one thing."""
        self._build.labels(version("seqcast"), device).set(1)
        self._loading.set_function(loading_s)
        self.registry.register(_Queue(lines))

    def show_bundles(self, served: Iterable[Manifest], failures: Iterable[Failure], *, ready: bool) -> None:
        """Exactly these."""
        self._ready.set(ready)
        self._bundles.clear()
        for manifest in served:
            self._bundles.labels(manifest.name, manifest.version, manifest.task).set(1)
        self._unsound.clear()
        for failure in failures:
            self._unsound.labels(failure.name, failure.version).set(1)

    def batch(self, model: str, rows: int) -> None:
        """Rows that went through a model together; from any thread."""
        self._of(self._batches, model).observe(rows)

    def turned_away(self, route: str, model: str, received: int, sent: int) -> None:
        """A request, before it was one. Thousands a second may be: they are counted by `settle`."""
        counts = self._turned_away[route, model]
        counts[0] += 1
        counts[1] += received
        counts[2] += sent

    def settle(self) -> None:
        """Count those, before anybody looks."""
        for (route, model), (requests, received, sent) in self._turned_away.items():
            self._requests.labels(route, model, HTTPStatus.TOO_MANY_REQUESTS.value).inc(requests)
            self._rejections.labels(QueueFull.__name__).inc(requests)
            self._received.labels(route).inc(received)
            self._sent.labels(route).inc(sent)
        self._turned_away.clear()

    def count(self, tally: Tally) -> None:
        """A request that is over."""
        route, model = tally.route, tally.model
        self._of(self._requests, route, model, tally.status).inc()
        if tally.status != HTTPStatus.TOO_MANY_REQUESTS:
            self._of(self._seconds, route).observe(tally.ended - tally.started)
        self._of(self._received, route).inc(tally.received)
        self._of(self._sent, route).inc(tally.sent)
        if tally.rejection:
            self._of(self._rejections, tally.rejection).inc()
        for stage, seconds in tally.stages().items():
            self._of(self._stages, model, stage).observe(seconds)
        if tally.values:
            self._of(self._values, model).inc(tally.values)
            self._of(self._outlying, model).inc(tally.outlying)
            self._of(self._missing, model).inc(tally.missing)

    def _of(self, metric: M, *labels: str | int) -> M:
        """`metric.labels`, remembered: to look it up took half of what it takes to count a request."""
        key = metric, labels
        if key not in self._children:
            self._children[key] = metric.labels(*labels)
        child: M = self._children[key]
        return child
