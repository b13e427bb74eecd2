"""A collector of OpenTelemetry traces, on a port of its own."""

import threading
from collections import deque
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.server.took.append(ExportTraceServiceRequest.FromString(body))
        else:
            self.server.other.append(self.path)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


class Collector(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.took, self.other = deque(), deque()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def spans(self):
        """Every span that came, and its resource's attributes."""
        for request in list(self.took):
            for each in request.resource_spans:
                resource = values(each.resource.attributes)
                for scope in each.scope_spans:
                    for span in scope.spans:
                        yield span, resource


def values(attributes):
    """As a dictionary."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@contextmanager
def collecting():
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
