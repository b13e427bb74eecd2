"""OpenTelemetry traces: what a request's tally tells, in the span that FastAPI opens for it.

FastAPI reads the OTEL_... variables, takes up the trace that a request is part of, and exports.
"""

import logging
import os
import time
from collections.abc import Iterator, MutableMapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from service.logs import PROBES
from service.tally import Tally

log = logging.getLogger(__name__)


def telemetry() -> TelemetryConfig:
    """FastAPI's settings: spans of requests alone."""
    wanted = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{each}ENDPOINT") for each in ("", "TRACES_"))
    there = find_spec("opentelemetry.sdk") is not None
    if wanted and not there:
        log.warning("no traces are exported, though OTEL_EXPORTER_OTLP_ENDPOINT is set: install seqcast[otel]")
    if wanted:
        # the SDK's own defaults are "unknown_service", and 10 s that an end waits for, twice, where nobody collects
        if "service.name=" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            os.environ.setdefault("OTEL_SERVICE_NAME", "seqcast")
        os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "2")
    return {
        "auto_configure": there,
        "metrics": False,  # GET /metrics has them
        "logs": False,  # of exceptions, with what they quote
        "operation_spans": False,
        "exclude": lambda scope: scope.get("path") in PROBES,
    }


def trace_id() -> str:
    """Of the trace that the request in hand is part of; empty if none is kept."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""


def tell(tally: Tally, scope: MutableMapping[str, Any]) -> None:
    """In the request's span, which is over with the answer's last byte."""
    span = trace.get_current_span()
    if not span.is_recording():
        return
    attributes: dict[str, str | int] = {
        "seqcast.request_id": tally.id,
        "seqcast.model": tally.model,
        "seqcast.version": tally.version,
        "seqcast.rows": sum(tally.jobs),
        "seqcast.rejection": tally.rejection,
        "http.request.body.size": tally.received,
        # in place of what the client sent: names, and in a query the text to translate, or its API key
        "url.path": tally.route,
        "url.query": "REDACTED" if scope["query_string"] else "",
    }
    span.set_attributes({name: value for name, value in attributes.items() if value})
    if "route" in scope:  # the gate's too, of which FastAPI knows nothing
        span.update_name(f"{tally.method} {tally.route}")
        span.set_attribute("http.route", tally.route)
    tracer = trace.get_tracer("seqcast", version("seqcast"))
    epoch = time.time() - time.perf_counter()
    for name, began, ended, rows in _parts(tally):
        part = tracer.start_span(name, start_time=round((epoch + began) * 1e9))
        if rows:
            part.set_attribute("seqcast.rows", rows)
        part.end(round((epoch + ended) * 1e9))


def _parts(tally: Tally) -> Iterator[tuple[str, float, float, int]]:
    """What the request did, from when to when, by time.perf_counter()."""
    if not tally.passages:
        return
    yield "preprocess", tally.read or tally.started, tally.handed, 0
    for handed, began, ended, rows in tally.passages:
        yield "queue", handed, began, 0
        yield "compute", began, ended, rows
    yield "postprocess", tally.computed, tally.answered, 0
