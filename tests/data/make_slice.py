#!/usr/bin/env python3
"""Cuts the committed slices out of the full recorded sets and computes their truth in plain Python.

Usage: make_slice.py FULL_SET_DIRECTORY   (needs `pip install zstandard opentelemetry-proto`)

A slice keeps every k-th trace whole (ordered by id), in the frames and order of the source, exact duplicates included.
The truth is computed here from the spans themselves and shares no code with the product.
"""
import json
import os
import sys
from collections import Counter, defaultdict

import zstandard
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SETS = {
    "trainticket-2023-01-29": {"every": 9, "source": "IntelligentDDS/Nezha rca_data/2023-01-29", "licence": "MIT"},
    "nodejs_microservices": {"every": 3, "source": "Sachin-A/TraceWeaver nodejs_microservices", "licence": "Apache-2.0"},
}
KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def write_varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def frames(path):
    with open(path, "rb") as file:
        data = zstandard.ZstdDecompressor().stream_reader(file).read()
    at = 0
    while at < len(data):
        size, at = read_varint(data, at)
        request = ExportTraceServiceRequest()
        request.ParseFromString(data[at:at + size])
        at += size
        yield request


def spans_of(request):
    for resource in request.resource_spans:
        service = next((a.value.string_value for a in resource.resource.attributes if a.key == "service.name"), "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield service, span


def cut(request, keep):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            kept = [span for span in scope.spans if span.trace_id in keep]
            del scope.spans[:]
            scope.spans.extend(kept)
        kept = [scope for scope in resource.scope_spans if scope.spans]
        del resource.scope_spans[:]
        resource.scope_spans.extend(kept)
    kept = [resource for resource in request.resource_spans if resource.scope_spans]
    del request.resource_spans[:]
    request.resource_spans.extend(kept)


def truth(requests, facts):
    rows, distinct = 0, {}
    kinds, services = Counter(), Counter()
    for request in requests:
        for service, span in spans_of(request):
            rows += 1
            distinct[(span.trace_id, span.span_id, span.kind, service)] = span
    owner = defaultdict(dict)
    for (trace, span_id, kind, service), span in distinct.items():
        owner[trace][span_id] = service
        kinds[KINDS[kind]] += 1
        services[service] += 1
    calls = Counter()
    for (trace, _, _, service), span in distinct.items():
        parent = owner[trace].get(span.parent_span_id)
        if parent is not None and parent != service:
            calls[(parent, service)] += 1
    edges = [{"from": a, "to": b, "calls": n} for (a, b), n in sorted(calls.items(), key=lambda e: (-e[1], e[0]))]
    return {
        **facts,
        "trace_frames": len(requests),
        "span_rows_sent": rows,
        "distinct_spans": len(distinct),
        "distinct_traces": len(owner),
        "span_kinds": dict(kinds),
        "services": dict(sorted(services.items())),
        "service_edges": edges,
    }


def main():
    full = sys.argv[1]
    here = os.path.dirname(os.path.abspath(__file__))
    for name, how in SETS.items():
        requests = list(frames(os.path.join(full, f"{name}.traces.binpb.zst")))
        ids = sorted({span.trace_id for request in requests for _, span in spans_of(request)})
        keep = set(ids[::how["every"]])
        for request in requests:
            cut(request, keep)
        requests = [request for request in requests if request.resource_spans]
        body = b"".join(write_varint(len(r)) + r for r in (q.SerializeToString() for q in requests))
        packed = zstandard.ZstdCompressor(level=19).compress(body)
        with open(os.path.join(here, f"{name}.slice.binpb.zst"), "wb") as file:
            file.write(packed)
        facts = {"source": how["source"], "licence": how["licence"], "slice": f"every {how['every']}th trace"}
        with open(os.path.join(here, f"{name}.slice.truth.json"), "w", encoding="utf-8") as file:
            json.dump(truth(requests, facts), file, indent=1)
            file.write("\n")
        print(name, len(packed), "bytes", len(requests), "frames")


if __name__ == "__main__":
    main()
