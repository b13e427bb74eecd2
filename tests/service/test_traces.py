"""Traces as a collector gets them from a service that the OTEL_ variables alone tell of it."""

import socket
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from service import app
from tests.service.collector import collecting, values
from tests.service.test_server import address
from tests.service.test_server import serving as serving_process

BUNDLES = Path(__file__).parents[1] / "bundles"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER = 2


class Told:
    """What the collector was told: spans with their resources, and a request's own and its parts."""

    def __init__(self, spans, other):
        self.spans, self.other = spans, other

    def of(self, answer):
        """The span of a request, and its children by name, in the order that they began."""
        own = [
            span
            for span, _ in self.spans
            if values(span.attributes).get("seqcast.request_id") == answer.headers["x-request-id"]
        ]
        assert len(own) == 1
        parts = [span for span, _ in self.spans if span.parent_span_id == own[0].span_id]
        return own[0], sorted(parts, key=lambda span: span.start_time_unix_nano)


@pytest.fixture(scope="module")
def traced():
    """Answers by what was asked, and what the collector was told by the time that the service had ended."""
    traceparent = f"00-{TRACE}-{PARENT}-"
    with (
        collecting() as collector,
        serving_process(BUNDLES, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as (process, lines),
    ):
        with httpx.Client(base_url=address(lines), timeout=60) as client:
            sample = client.get("/models/daily/sample").json()
            rolled = {**sample, "series": sample["series"] * 3, "horizon": 21}

            def ask(body, query="", **headers):
                return client.post(f"/forecast{query}", headers=headers, **body)

            answers = {
                "sampled": ask({"json": sample}, traceparent=f"{traceparent}01"),
                "unsampled": ask({"json": sample}, traceparent=f"{traceparent}00"),
                "rolled": ask({"json": rolled}),
                "named": ask({"json": sample}, **{"X-Request-ID": "mine"}),
                "refused": ask({"content": b'{"secret": 3}'}, "?secret=secret"),
                "no model": client.get("/models/secret"),
                "no path": client.get("/secret"),
                "probe": client.get("/readyz"),
            }
        process.terminate()
        assert process.wait(60) == 0
        told = Told(list(collector.spans()), list(collector.other))
    return answers, told


def test_a_request_is_a_span_of_its_callers_trace(traced):
    answers, told = traced
    span, _ = told.of(answers["sampled"])
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert (span.name, span.kind, span.status.code) == ("POST /forecast", SERVER, StatusCode.UNSET.value)
    attributes = values(span.attributes)
    expected = {
        "http.request.method": "POST",
        "http.route": "/forecast",
        "http.response.status_code": 200,
        "seqcast.model": "daily",
        "seqcast.version": 1,
        "seqcast.rows": 1,
        "seqcast.request_id": TRACE,
        "http.request.body.size": len(answers["sampled"].request.content),
        "url.path": "/forecast",
    }
    assert {name: attributes.get(name) for name in expected} == expected


def test_in_it_are_its_stages_one_after_the_other(traced):
    answers, told = traced
    span, parts = told.of(answers["rolled"])
    stages = ["preprocess", *["queue", "compute"] * 3, "postprocess"]
    assert [part.name for part in parts] == stages
    times = [time for part in parts for time in (part.start_time_unix_nano, part.end_time_unix_nano)]
    within = [span.start_time_unix_nano, *times, span.end_time_unix_nano]
    # two clocks are compared, the wall's and the tally's
    assert all(later > earlier - 1_000_000 for earlier, later in pairwise(within))
    assert [values(part.attributes).get("seqcast.rows") for part in parts if part.name == "compute"] == [3, 3, 3]
    assert values(span.attributes)["seqcast.rows"] == 9


def test_a_request_without_a_trace_begins_one_whose_id_is_its_own(traced):
    answers, told = traced
    span, _ = told.of(answers["rolled"])
    assert span.parent_span_id == b""
    assert span.trace_id.hex() == answers["rolled"].headers["x-request-id"]
    span, _ = told.of(answers["named"])
    assert span.trace_id.hex() != "mine"


def test_a_refusal_is_no_error_of_the_services_and_has_no_stages(traced):
    answers, told = traced
    span, parts = told.of(answers["refused"])
    attributes = values(span.attributes)
    assert (attributes["http.response.status_code"], attributes["seqcast.rejection"]) == (422, "FaultyRequest")
    assert (span.status.code, parts) == (StatusCode.UNSET.value, [])


def test_neither_paths_nor_queries_nor_bodies_are_told(traced):
    answers, told = traced
    assert values(told.of(answers["no model"])[0].attributes)["url.path"] == "/models/{name}"
    assert values(told.of(answers["no path"])[0].attributes)["url.path"] == "none"
    assert "secret" not in str([span for span, _ in told.spans])
    queries = [values(span.attributes).get("url.query") for span, _ in told.spans]
    assert [query for query in queries if query is not None] == ["REDACTED"]


def test_neither_probes_nor_what_its_caller_does_not_sample_are_told(traced):
    answers, told = traced
    assert answers["unsampled"].headers["x-request-id"] == TRACE
    assert len([span for span, _ in told.spans if span.trace_id.hex() == TRACE and span.kind == SERVER]) == 1
    assert "/readyz" not in {values(span.attributes).get("http.route") for span, _ in told.spans}


def test_the_service_has_a_name_and_exports_nothing_but_traces(traced):
    _, told = traced
    assert {resource["service.name"] for _, resource in told.spans} == {"seqcast"}
    assert told.other == []


@pytest.mark.parametrize(
    ("variable", "value", "name"),
    [
        ("OTEL_SERVICE_NAME", "forecasts", "forecasts"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=forecasts,room=7", "forecasts"),
        ("OTEL_TRACES_EXPORTER", "none", None),
    ],
)
def test_the_standards_variables_hold(variable, value, name):
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{collector.url}/v1/traces", variable: value}
        with serving_process(BUNDLES, **variables) as (process, lines):
            assert httpx.get(f"{address(lines)}/models").status_code == 200
            process.terminate()
            assert process.wait(60) == 0
        assert {resource["service.name"] for _, resource in collector.spans()} == ({name} if name else set())


def test_where_nobody_collects_requests_are_answered_and_the_end_is_one():
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with serving_process(BUNDLES, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as (process, lines):
            assert httpx.get(f"{address(lines)}/models").status_code == 200
            process.terminate()
            assert process.wait(30) == 0


def test_without_the_extra_it_is_told_and_all_else_goes_on(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib.machinery import PathFinder\n"
        "find, extra = PathFinder.find_spec, ('opentelemetry.sdk', 'opentelemetry.exporter')\n"
        "PathFinder.find_spec = lambda name, *how: None if name.startswith(extra) else find(name, *how)\n"
    )
    paths = ":".join([str(tmp_path), *filter(None, sys.path)])
    with (
        (tmp_path / "log").open("w+") as file,
        serving_process(BUNDLES, file, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9", PYTHONPATH=paths) as (
            process,
            lines,
        ),
    ):
        answer = httpx.get(f"{address(lines)}/models", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        assert (answer.status_code, answer.headers["x-request-id"]) == (200, TRACE)
        process.terminate()
        process.wait(30)
        log = (tmp_path / "log").read_text()
    assert "no traces are exported, though OTEL_EXPORTER_OTLP_ENDPOINT is set: install seqcast[otel]" in log
    assert "Traceback" not in log


def test_a_bug_is_an_error_of_the_span(serving, bundles, monkeypatch, series):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    config = app.telemetry()
    monkeypatch.setattr(app, "telemetry", lambda: {**config, "tracer_provider": provider})
    client = serving(bundles("daily"))

    def fail(*_):
        raise Fail("CUDA failure 700")

    monkeypatch.setattr(client.app.state.seqcast.served.get("daily").sessions["forecast"], "run", fail)
    assert client.post("/forecast", json={"series": [series("daily")]}).status_code == 500
    (span,) = [span for span in exporter.get_finished_spans() if span.kind.name == "SERVER"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes["http.response.status_code"], span.attributes["seqcast.model"]) == (500, "daily")
