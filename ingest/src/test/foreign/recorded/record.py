#!/usr/bin/env python3
"""Records what OpenTelemetry's own Zipkin and Jaeger exporters send: one request each, always the same spans.

Usage: record.py zipkin|jaeger FOLDER

`zipkin` needs opentelemetry-exporter-zipkin-json and opentelemetry-exporter-zipkin-proto-http 1.45.1; `jaeger` needs
opentelemetry-exporter-jaeger-thrift, opentelemetry-exporter-jaeger-proto-grpc and opentelemetry-sdk 1.21.0, deprecated,
setuptools below 80, and PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python. Each takes an environment of its own.
"""
import pathlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context

START = 1_700_000_000_000_000_000


class Counting(IdGenerator):
    def __init__(self):
        self.last = 0

    def generate_trace_id(self):
        return 0x5B8EFFF798038103D269B633813FC60C

    def generate_span_id(self):
        self.last += 1
        return 0xEEE19B7EC3C1B100 + self.last


def spans():
    """A server span that failed, with its client child; every kind of attribute, an exception, a link."""
    resource = Resource({"service.name": "checkout", "service.version": "1.2.3", "host.name": "node-7"})
    provider = TracerProvider(resource=resource, id_generator=Counting())
    tracer = provider.get_tracer("shop.checkout", "0.1")
    elsewhere = SpanContext(0x1234567890ABCDEF1234567890ABCDEF, 0x1234567890ABCDEF, True, TraceFlags(1))
    parent = tracer.start_span(
        "POST /cart/{id}",
        kind=SpanKind.SERVER,
        links=[Link(elsewhere, {"why": "retry"})],
        start_time=START,
        attributes={
            "http.response.status_code": 503,
            "http.route": "/cart/{id}",
            "ratio": 0.5,
            "cached": False,
            "list": ["a", "b"],
            "grüße": "Zürich",
        },
    )
    parent.add_event("retry", {"attempt": 2}, timestamp=START + 1_000_000)
    parent.add_event(
        "exception",
        {"exception.type": "ShopError", "exception.message": "no stock", "exception.stacktrace": "at shop:1"},
        timestamp=START + 2_000_000,
    )
    parent.set_status(Status(StatusCode.ERROR, "no stock"))
    child = tracer.start_span(
        "SELECT stock",
        context=set_span_in_context(parent),
        kind=SpanKind.CLIENT,
        start_time=START + 500_000,
        attributes={"db.system.name": "postgresql", "server.address": "db-1", "server.port": 5432},
    )
    child.set_status(Status(StatusCode.OK))
    inner = tracer.start_span("count", context=set_span_in_context(parent), start_time=START + 600_000)
    for span, end in [(inner, 700_000), (child, 1_500_000), (parent, 3_000_000)]:
        span.end(START + end)
    return [inner, child, parent]


def record(make, file):
    """Has an exporter send to a server of our own, and keeps the body."""

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            file.write_bytes(body)
            print(file.name, self.path, self.headers["content-type"], len(body))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Keep)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    exporter = make(f"http://127.0.0.1:{server.server_port}")
    assert exporter.export(spans()).name == "SUCCESS"
    server.shutdown()


def zipkin(folder):
    from opentelemetry.exporter.zipkin.json import ZipkinExporter as Json
    from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter as Protobuf

    local = {"local_node_ipv4": "10.0.0.7", "local_node_port": 8080}
    record(lambda url: Json(endpoint=f"{url}/api/v2/spans", **local), folder / "zipkin.json")
    record(lambda url: Protobuf(endpoint=f"{url}/api/v2/spans", **local), folder / "zipkin.binpb")


def jaeger(folder):
    from opentelemetry.exporter.jaeger.proto.grpc import JaegerExporter as Grpc
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter as Thrift

    record(lambda url: Thrift(collector_endpoint=f"{url}/api/traces?format=jaeger.thrift"), folder / "jaeger.thrift")
    keep = type("Keep", (), {"PostSpans": lambda self, request, **_: kept.append(request.SerializeToString())})()
    kept = []
    Grpc._collector_grpc_client = property(lambda self: keep)
    exporter = Grpc(collector_endpoint="127.0.0.1:1", insecure=True)
    assert exporter.export(spans()).name == "SUCCESS"
    (folder / "jaeger.binpb").write_bytes(kept[0])


if __name__ == "__main__":
    {"zipkin": zipkin, "jaeger": jaeger}[sys.argv[1]](pathlib.Path(sys.argv[2]))
