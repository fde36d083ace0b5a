#!/usr/bin/env python3
"""Sends telemetry with the real Python SDK over gRPC and over HTTP, asks for it again, and compares field by field.

Usage: round_trip.py GRPC_ADDRESS HTTP_ADDRESS API_ADDRESS

What was sent is taken from the very data the exporters were given, encoded by the SDK's own encoder; the answers come
through the trace API (protobuf) and SQL. Exits 1 and names each difference.
"""
import base64
import json
import math
import sys
import time
import urllib.request

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from grpc import Compression as GrpcCompression
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression as HttpCompression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

DIFFERENCES = []


def differs(what, sent, found):
    if sent != found and not (isinstance(sent, float) and isinstance(found, float) and math.isnan(sent) and math.isnan(found)):
        DIFFERENCES.append(f"{what}: sent {sent!r}, found {found!r}")


def recorded(exporter, log):
    """The exporter itself, keeping every batch that it was given; a failed export is a difference."""
    inner = exporter.export

    def export(batch, *args, **kwargs):
        log.append(batch)
        result = inner(batch, *args, **kwargs)
        if result.name != "SUCCESS":
            DIFFERENCES.append(f"{type(exporter).__module__} answered {result}")
        return result

    exporter.export = export
    return exporter


def send_spans(resource, exporter):
    sent = []
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(recorded(exporter, sent)))
    tracer = provider.get_tracer("shop.checkout", "1.2.3", "https://opentelemetry.io/schemas/1.37.0", {"scope.key": "scope value"})
    elsewhere = SpanContext(0x1234567890ABCDEF1234567890ABCDEF, 0x1234567890ABCDEF, True, TraceFlags(1))
    with tracer.start_as_current_span(
        "POST /checkout",
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": "POST", "http.response.status_code": 502, "http.route": "/checkout/{id}",
            "url.full": "https://shop.example/checkout/7?x=1&y=%20", "a.bool": True, "an.int": -(2**63), "a.double": 0.1,
            "a.whole.double": 2.0, "texts": ["a", "", "한국어 \"quoted\" \\ \n"], "ints": [1, 2, 2**62], "doubles": [1.0, -0.5],
            "bools": [True, False], "empty.text": "", "http.status_code": "not an integer",
        },
        links=[Link(elsewhere, {"why": "retry", "n": 3})],
    ) as parent:
        with tracer.start_as_current_span("INSERT orders", kind=SpanKind.CLIENT, attributes={"db.system.name": "postgresql", "db.query.text": "INSERT INTO orders VALUES ($1)"}) as child:
            child.add_event("row written", {"rows": 1})
            try:
                raise ValueError("no stock for 41 pieces")
            except ValueError as error:
                child.record_exception(error)
                child.set_status(Status(StatusCode.ERROR, "no stock"))
        with tracer.start_as_current_span("publish", kind=SpanKind.PRODUCER):
            pass
        parent.set_status(Status(StatusCode.OK))
    provider.shutdown()
    return encode_spans([span for batch in sent for span in batch]), parent.get_span_context()


def send_logs(resource, exporter, span_context):
    sent = []
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(SimpleLogRecordProcessor(recorded(exporter, sent)))
    logger = provider.get_logger("shop.log", "2.0", attributes={"scope.n": 1})
    context = trace.set_span_in_context(trace.NonRecordingSpan(span_context), otel_context.Context())
    now = time.time_ns()
    logger.emit(timestamp=now, observed_timestamp=now + 5, context=context, severity_number=SeverityNumber.ERROR, severity_text="ERROR",
                body="결제 실패: payment failed", attributes={"order.id": 7, "ratio": 0.25, "tags": ["x", "y"], "nested": {"k": {"deep": [1, "two"]}}})
    logger.emit(timestamp=now + 1, severity_number=SeverityNumber.INFO, severity_text="INFO", body={"structured": True, "n": 1, "list": [1.5, None]})
    logger.emit(timestamp=now + 2, severity_number=SeverityNumber.WARN2, body="with event", event_name="device.app.lifecycle", attributes={"blob": b"\x00\xff"})
    logger.emit(observed_timestamp=now + 3, body="without a time of its own")
    provider.shutdown()
    return encode_logs([record for batch in sent for record in batch])


def send_metrics(resource, exporter, span_context):
    sent = []
    views = [View(instrument_name="latency.exponential", aggregation=ExponentialBucketHistogramAggregation())]
    reader = PeriodicExportingMetricReader(recorded(exporter, sent), export_interval_millis=3_600_000)
    provider = MeterProvider([reader], resource=resource, views=views)
    meter = provider.get_meter("shop.meter", "3.0", "https://opentelemetry.io/schemas/1.37.0")
    context = trace.set_span_in_context(trace.NonRecordingSpan(span_context))
    meter.create_counter("orders", "1", "orders taken").add(41, {"region": "eu"}, context)
    meter.create_up_down_counter("in.flight").add(-3, {"pool": 1})
    meter.create_gauge("temperature", "Cel").set(21.5, {"room": "a"})
    for name in ("latency", "latency.exponential"):
        histogram = meter.create_histogram(name, "ms", "how long it took")
        for value in (0.0, 0.7, 3, 12.5, 400, 99_999.0):
            histogram.record(value, {"route": "/checkout"}, context)
    provider.shutdown()
    requests = [encode_metrics(batch) for batch in sent]
    merged = requests[0]
    for more in requests[1:]:
        merged.resource_metrics.extend(more.resource_metrics)
    return merged


def ask(api, path, body=None, accept="application/json"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{api}{path}", data, {"Accept": accept, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def sql(api, query):
    answer = json.loads(ask(api, "/api/v1/sql", {"query": query}))
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, row)) for row in answer["rows"]]


def plain(value):
    """An AnyValue as a Python value that tells all types apart."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return ["array", [plain(item) for item in value.array_value.values]]
    if kind == "kvlist_value":
        return ["map", attributes(value.kvlist_value.values)]
    return [kind, None if kind is None else getattr(value, kind)]


def attributes(entries):
    return {entry.key: plain(entry.value) for entry in entries}


def json_form(value):
    """An AnyValue in the JSON text form of the columns."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [json_form(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return json_attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return {"$bytes": base64.b64encode(value.bytes_value).decode()}
    return getattr(value, kind)


def json_attributes(entries):
    return {entry.key: json_form(entry.value) for entry in entries}


def typed(value):
    """JSON values with their types, so that 2 and 2.0 and True differ."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value).__name__, value)


def spans_of(data):
    for resource in data.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield resource, scope, span


def span_facts(resource, scope, span):
    facts = {field: getattr(span, field) for field in (
        "trace_id", "span_id", "trace_state", "parent_span_id", "flags", "name", "kind", "start_time_unix_nano", "end_time_unix_nano",
        "dropped_attributes_count", "dropped_events_count", "dropped_links_count")}
    facts["status"] = (span.status.code, span.status.message)
    facts["attributes"] = attributes(span.attributes)
    facts["events"] = [(e.time_unix_nano, e.name, attributes(e.attributes), e.dropped_attributes_count) for e in span.events]
    facts["links"] = [(x.trace_id, x.span_id, x.trace_state, attributes(x.attributes), x.dropped_attributes_count, x.flags) for x in span.links]
    facts["resource"] = attributes(resource.resource.attributes)
    facts["scope"] = (scope.scope.name, scope.scope.version, attributes(scope.scope.attributes), scope.schema_url, resource.schema_url)
    return facts


def compare_spans(api, sent, label):
    by_trace = {}
    for resource, scope, span in spans_of(sent):
        by_trace.setdefault(span.trace_id, {})[span.span_id] = span_facts(resource, scope, span)
    for trace_id, spans in by_trace.items():
        answer = TracesData()
        answer.ParseFromString(ask(api, f"/api/v1/traces/{trace_id.hex()}", accept="application/x-protobuf"))
        found = {span.span_id: span_facts(resource, scope, span) for resource, scope, span in spans_of(answer)}
        differs(f"{label} span ids", sorted(spans), sorted(found))
        for span_id, facts in spans.items():
            for field, value in facts.items():
                differs(f"{label} span {facts['name']} {field}", value, found.get(span_id, {}).get(field))
        as_json = json.loads(ask(api, f"/api/v1/traces/{trace_id.hex()}"))
        ids = [span["spanId"] for r in as_json["resourceSpans"] for s in r["scopeSpans"] for span in s["spans"]]
        differs(f"{label} OTLP/JSON span ids", sorted(span_id.hex() for span_id in spans), sorted(ids))


def compare_logs(api, sent, label, service):
    rows = {row["observed"]: row for row in sql(api, f"""
        SELECT CAST(observed_time AS BIGINT) AS observed, CAST(time AS BIGINT) AS time, severity_number, severity_text, body, body_type, event_name,
               trace_id, span_id, flags, attributes, resource_attributes, scope_name, scope_version, scope_attributes
        FROM logs WHERE service_name = '{service}'""")}
    count = 0
    for resource in sent.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                count += 1
                found = rows.get(str(record.observed_time_unix_nano), {})
                attrs = json_attributes(record.attributes)
                if record.time_unix_nano == 0:
                    attrs["tracelake.clock"] = "no time"
                body_kind = record.body.WhichOneof("value")
                what = f"{label} log {record.body.string_value!r}"
                differs(f"{what} time", str(record.time_unix_nano or record.observed_time_unix_nano), found.get("time"))
                differs(f"{what} severity", (record.severity_number, record.severity_text or None), (found.get("severity_number"), found.get("severity_text")))
                if body_kind == "string_value":
                    differs(f"{what} body", record.body.string_value, found.get("body"))
                else:
                    differs(f"{what} body", typed(json_form(record.body)), typed(json.loads(found.get("body") or "null")))
                differs(f"{what} event", record.event_name or None, found.get("event_name"))
                differs(f"{what} ids", (record.trace_id.hex() or None, record.span_id.hex() or None), (found.get("trace_id"), found.get("span_id")))
                differs(f"{what} flags", str(record.flags), str(found.get("flags")))
                differs(f"{what} attributes", typed(attrs), typed(json.loads(found.get("attributes") or "{}")))
                differs(f"{what} resource", typed(json_attributes(resource.resource.attributes)), typed(json.loads(found.get("resource_attributes") or "{}")))
                differs(f"{what} scope", (scope.scope.name, scope.scope.version, typed(json_attributes(scope.scope.attributes))),
                        (found.get("scope_name"), found.get("scope_version"), typed(json.loads(found.get("scope_attributes") or "{}"))))
    differs(f"{label} log count", count, len(rows))


def number(value):
    """A figure of a SQL answer: 64-bit integers and doubles that JSON cannot hold come as text."""
    return None if value is None else float(value)


def point_facts(metric):
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    for point in data.data_points:
        facts = {"type": kind, "time": str(point.time_unix_nano), "start_time": str(point.start_time_unix_nano) if point.start_time_unix_nano else None, "flags": str(point.flags),
                 "description": metric.description or None, "unit": metric.unit or None, "attributes": typed(json_attributes(point.attributes))}
        if kind in ("sum", "histogram", "exponential_histogram"):
            facts["temporality"] = {0: "unspecified", 1: "delta", 2: "cumulative"}[data.aggregation_temporality]
        if kind == "sum":
            facts["monotonic"] = data.is_monotonic
        if kind in ("sum", "gauge"):
            whole = point.WhichOneof("value") == "as_int"
            facts["value"] = float(point.as_int if whole else point.as_double)
            facts["value_int"] = float(point.as_int) if whole else None
        else:
            facts.update(count=float(point.count), sum=point.sum, min=point.min, max=point.max)
        if kind == "histogram":
            facts["bucket_counts"] = [float(n) for n in point.bucket_counts]
            facts["explicit_bounds"] = list(point.explicit_bounds)
        if kind == "exponential_histogram":
            facts.update(scale=float(point.scale), zero_count=float(point.zero_count),
                         positive_offset=float(point.positive.offset), positive_counts=[float(n) for n in point.positive.bucket_counts])
        facts["exemplars"] = sorted((str(e.time_unix_nano), float(e.as_int if e.WhichOneof("value") == "as_int" else e.as_double), e.trace_id.hex(), e.span_id.hex())
                                    for e in point.exemplars)
        yield facts


def found_facts(row):
    facts = dict(row)
    facts["attributes"] = typed(json.loads(row["attributes"]))
    facts["flags"] = str(row["flags"])
    for name in ("value", "value_int", "count", "sum", "min", "max", "scale", "zero_count", "positive_offset"):
        facts[name] = number(row[name])
    for name in ("bucket_counts", "explicit_bounds", "positive_counts"):
        facts[name] = None if row[name] is None else [number(item) for item in row[name]]
    facts["exemplars"] = sorted((nanos(e["time"]), number(e["value"]), e["trace_id"], e["span_id"]) for e in row["exemplars"] or [])
    return facts


def nanos(text):
    """RFC 3339 with nine digits, or an integer as text, as Unix nanoseconds in text."""
    text = str(text)
    if "T" not in text:
        return text
    whole, _, fraction = text.rstrip("Z").partition(".")
    from calendar import timegm
    return str(timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0")))


def compare_metrics(api, sent, label, service):
    rows = sql(api, f"""
        SELECT name, type, CAST(time AS BIGINT) AS time, CAST(start_time AS BIGINT) AS start_time, flags, description, unit, attributes, temporality, monotonic,
               value, value_int, "count", "sum", "min", "max", bucket_counts, explicit_bounds, scale, zero_count, positive_offset, positive_counts, exemplars
        FROM metrics WHERE service_name = '{service}'""")
    found = {row["name"]: found_facts(row) for row in rows}
    count = 0
    for resource in sent.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for facts in point_facts(metric):
                    count += 1
                    for field, value in facts.items():
                        differs(f"{label} metric {metric.name} {field}", value, found.get(metric.name, {}).get(field))
    differs(f"{label} point count", count, len(rows))


def main():
    grpc, http, api = sys.argv[1:4]
    doors = {
        "gRPC": lambda kind: {"spans": GrpcSpans, "logs": GrpcLogs, "metrics": GrpcMetrics}[kind](endpoint=grpc, insecure=True, timeout=10),
        "gRPC gzip": lambda kind: {"spans": GrpcSpans, "logs": GrpcLogs, "metrics": GrpcMetrics}[kind](
            endpoint=grpc, insecure=True, timeout=10, compression=GrpcCompression.Gzip),
        "HTTP": lambda kind: {"spans": HttpSpans, "logs": HttpLogs, "metrics": HttpMetrics}[kind](
            endpoint=f"http://{http}/v1/{'traces' if kind == 'spans' else kind}", timeout=10),
        "HTTP gzip": lambda kind: {"spans": HttpSpans, "logs": HttpLogs, "metrics": HttpMetrics}[kind](
            endpoint=f"http://{http}/v1/{'traces' if kind == 'spans' else kind}", timeout=10, compression=HttpCompression.Gzip),
    }
    for label, exporter in doors.items():
        service = "python-" + label.lower().replace(" ", "-")
        resource = Resource.create({"service.name": service, "service.version": "7.1", "deployment.environment.name": "test", "k8s.namespace.name": "shop", "host.cpus": 2})
        spans, span_context = send_spans(resource, exporter("spans"))
        logs = send_logs(resource, exporter("logs"), span_context)
        metrics = send_metrics(resource, exporter("metrics"), span_context)
        compare_spans(api, spans, label)
        compare_logs(api, logs, label, service)
        compare_metrics(api, metrics, label, service)
    for line in DIFFERENCES:
        print(line)
    print(f"{len(doors)} doors, {len(DIFFERENCES)} differences")
    sys.exit(1 if DIFFERENCES else 0)


if __name__ == "__main__":
    main()
