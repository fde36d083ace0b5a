//! What Zipkin v2 allows besides what OpenTelemetry's exporters send: Brave's shared ids, 64-bit trace ids, absent
//! fields, loose types; and what is wrong with a span.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tracelake_model::{DecodeLimits, Signal};

use crate::error::Error;
use crate::foreign::draft::Translator;
use crate::foreign::zipkin::{json, protobuf};
use crate::test::bench::{cell, check_cells};
use crate::test::foreign::recorded::{rows, taken};

/// A call as Brave reports it: both sides share one id, and the server says so. After the examples of Zipkin's own
/// documentation (openzipkin/zipkin-api `zipkin2-api.yaml`, zipkin.io "Instrumenting a library").
pub(crate) const SHARED: &str = r#"[
{"traceId":"5af7183fb1d4cf5f","parentId":"6b221d5bc9e6496c","id":"352bff9a74ca9ad2","kind":"CLIENT","name":"get /api",
 "timestamp":1556604172355737,"duration":1431,"localEndpoint":{"serviceName":"frontend","ipv4":"192.168.99.1","port":3306},
 "remoteEndpoint":{"serviceName":"backend","ipv4":"172.19.0.2","ipv6":"2001:db8::c001","port":58648},
 "tags":{"http.method":"GET","http.path":"/api"}},
{"traceId":"5af7183fb1d4cf5f","parentId":"6b221d5bc9e6496c","id":"352bff9a74ca9ad2","kind":"SERVER","name":"get /api",
 "timestamp":1556604172356000,"duration":900,"shared":true,"localEndpoint":{"serviceName":"backend","ipv4":"172.19.0.2"},
 "annotations":[{"timestamp":1556604172356100,"value":"cache miss"}],"tags":{"http.status_code":"200"}}]"#;

#[test]
fn client_and_server_that_share_an_id_keep_it() {
    let batch = rows(json::translate, SHARED.as_bytes());
    for (row, service, kind, tags) in [
        (
            0,
            "frontend",
            "3",
            r#"{"http.path":"/api","network.local.address":"192.168.99.1","network.local.port":3306,"zipkin.remote.ipv6":"2001:db8::c001"}"#,
        ),
        (1, "backend", "2", r#"{"network.local.address":"172.19.0.2","zipkin.shared":true}"#),
    ] {
        check_cells(
            &batch,
            row,
            &[
                ("trace_id", "00000000000000005af7183fb1d4cf5f"),
                ("span_id", "352bff9a74ca9ad2"),
                ("parent_span_id", "6b221d5bc9e6496c"),
                ("service_name", service),
                ("kind", kind),
                ("attributes_rest", tags),
            ],
        );
    }
    check_cells(
        &batch,
        0,
        &[
            ("peer_service", "backend"),
            ("network_peer_address", "172.19.0.2"),
            ("network_peer_port", "58648"),
            ("http_method", "GET"),
            ("start_unix_nano", "1556604172355737000"),
            ("duration_ns", "1431000"),
        ],
    );
    let event = "[{time: 1556604172356100000, name: cache miss, attributes: NULL, dropped: 0}]";
    let found = cell(&batch, "events", 1).replace("attributes: ,", "attributes: NULL,");
    assert_eq!(found, event);
    assert_eq!(cell(&batch, "http_status_code", 1), "200");
}

fn check(span: &str, expected: &[(&str, &str)]) {
    let list = format!(r#"[{{"traceId":"1","id":"2",{span}}}]"#);
    check_cells(&rows(json::translate, list.as_bytes()), 0, expected);
}

#[test]
fn absent_fields_and_loose_types_are_taken() {
    check(
        r#""timestamp":"7","duration":1.0e1"#,
        &[
            ("trace_id", "00000000000000000000000000000001"),
            ("span_id", "0000000000000002"),
            ("service_name", "unknown_service"),
            ("kind", "1"),
            ("name", ""),
            ("start_unix_nano", "7000"),
            ("duration_ns", "10000"),
        ],
    );
    check(
        r#""timestamp":1,"tags":{"a":1,"b":1.5,"c":true,"d":null,"e":[1],"f":"1","http.status_code":"0x1f4"}"#,
        &[("attributes_rest", r#"{"a":1,"b":1.5,"c":true,"e":"[1]","f":"1","http.status_code":"0x1f4"}"#)],
    );
    let nulls = r#""timestamp":1,"parentId":null,"kind":null,"name":null,"tags":null,"annotations":null,
        "localEndpoint":null,"remoteEndpoint":{"serviceName":null,"port":null},"future":{"a":[{}]}"#;
    check(nulls, &[("parent_span_id", "NULL"), ("attributes_rest", "NULL")]);
    // Zipkin takes such a span for a root.
    check(r#""timestamp":1,"parentId":"2""#, &[("parent_span_id", "NULL")]);
    check(r#""timestamp":1,"kind":"SOMETHING","tags":{"span.kind":"consumer"}"#, &[("kind", "5")]);
}

#[test]
fn a_span_without_a_time_begins_with_its_first_annotation() {
    let annotations = r#""duration":2,"annotations":[{"timestamp":9,"value":"b"},{"timestamp":5,"value":"a"}]"#;
    check(annotations, &[("start_unix_nano", "5000"), ("duration_ns", "2000")]);
    check(r#""duration":2"#, &[("start_unix_nano", "0"), ("attributes_rest", r#"{"tracelake.clock":"no time"}"#)]);
}

#[test]
fn the_error_tag_tells_of_a_failure_and_why() {
    let failed = |tags: &str, status: &str, message: &str, rest: &str| {
        let expected = [("status_code", status), ("status_message", message), ("attributes_rest", rest)];
        check(&format!(r#""timestamp":1,"tags":{{{tags}}}"#), &expected);
    };
    failed(r#""error":"timeout""#, "2", "timeout", "NULL");
    failed(r#""error":"""#, "2", "NULL", "NULL");
    failed(r#""error":true"#, "2", "NULL", "NULL");
    failed(r#""error":500"#, "2", "500", "NULL");
    failed(r#""error":"false""#, "0", "NULL", r#"{"error":"false"}"#);
    failed(r#""otel.status_code":"ERROR","error":"why""#, "2", "why", "NULL");
    failed(r#""otel.status_code":"OK""#, "1", "NULL", "NULL");
}

#[test]
fn tags_say_what_endpoints_leave_out_and_win_where_both_say_it() {
    let tags = r#""timestamp":1,"localEndpoint":{"port":70000},"remoteEndpoint":{"serviceName":"b","port":80},
        "tags":{"service.name":"a","peer.service":"c","network.peer.port":"443","k8s.pod.name":"p","telemetry.sdk.name":"s"}"#;
    let resource = r#"{"service.name":"a","k8s.pod.name":"p","telemetry.sdk.name":"s"}"#;
    check(
        tags,
        &[
            ("service_name", "a"),
            ("peer_service", "c"),
            ("network_peer_port", "443"),
            ("k8s_pod_name", "p"),
            ("resource_attributes", resource),
            ("attributes_rest", "NULL"),
        ],
    );
    let other = r#""timestamp":1,"localEndpoint":{"serviceName":"a"},"tags":{"service.name":"b"}"#;
    check(other, &[("service_name", "a"), ("attributes_rest", r#"{"service.name":"b"}"#)]);
}

fn refused(translator: Translator, plain: &[u8], kept: usize, message: &str) {
    let found = taken(translator, plain);
    let rows: usize = found.batches.iter().map(tracelake_model::Batch::row_count).sum();
    let told = found.refused.message(Signal::Traces);
    assert_eq!((rows, told.as_str()), (kept, message), "{}", String::from_utf8_lossy(plain));
}

#[test]
fn a_bad_span_is_refused_alone() {
    let beside = |bad: &str, why: &str| {
        let good = r#"{"traceId":"1","id":"2","timestamp":1}"#;
        let list = format!("[{good},{bad},{good}]");
        refused(json::translate, list.as_bytes(), 2, &format!("1 span refused: 1 {why}"));
    };
    let form = "with a field that is not of its type";
    let trace = "with a trace id that is not 16 bytes or is zero";
    beside("7", form);
    beside("null", form);
    beside(r#"{"traceId":7,"id":"2"}"#, form);
    beside(r#"{"traceId":"1","id":"2","timestamp":-1}"#, form);
    beside(r#"{"traceId":"1","id":"2","timestamp":1.5}"#, form);
    beside(r#"{"traceId":"1","id":"2","tags":["a"]}"#, form);
    beside(r#"{"traceId":"1","id":"2","annotations":{}}"#, form);
    beside(r#"{"traceId":"1","id":"2","binaryAnnotations":[]}"#, form);
    beside(r#"{"traceId":"1","id":"2","id":"3"}"#, form);
    beside(r#"{"traceId":"","id":"2"}"#, trace);
    beside(r#"{"id":"2"}"#, trace);
    beside(r#"{"traceId":"0","id":"2"}"#, trace);
    beside(r#"{"traceId":"xyz","id":"2"}"#, trace);
    beside(&format!(r#"{{"traceId":"{:033}","id":"2"}}"#, 1), trace);
    let span = "with a span id that is not 8 bytes or is zero";
    beside(r#"{"traceId":"1","id":"00000000000000001"}"#, span);
    beside(r#"{"traceId":"1"}"#, span);
    beside(r#"{"traceId":"1","id":"é"}"#, span);
    let time = "with a time above 2^63-1";
    beside(r#"{"traceId":"1","id":"2","timestamp":18446744073709551615}"#, time);
    beside(r#"{"traceId":"1","id":"2","timestamp":9223372036854775,"duration":9223372036854775}"#, time);
}

#[test]
fn what_is_no_list_of_spans_is_refused_whole() {
    for bad in ["", "{}", "7", "[", "[{}", "[{},]", "[{}] x", "\"[]\"", &"[".repeat(200_000)] {
        let found = json::translate(&DecodeLimits::default(), bad.as_bytes());
        assert!(matches!(found, Err(Error::Malformed { .. })), "{bad:.20}");
    }
    let found = json::translate(&DecodeLimits::default(), b"[{\"traceId\":\"\xff\"}]");
    assert!(matches!(found, Err(Error::Malformed { .. })));
    for bad in [&[0x0a, 0x05, 0x01][..], &[0x0a, 0x02, 0x08, 0x01], b"[]"] {
        let found = protobuf::translate(&DecodeLimits::default(), bad);
        assert!(matches!(found, Err(Error::Malformed { .. })), "{bad:?}");
    }
    for (translator, empty) in [(json::translate as Translator, " [ ] "), (protobuf::translate, "")] {
        assert_eq!(taken(translator, empty.as_bytes()).batches.len(), 0);
    }
}

#[test]
fn text_that_is_not_utf8_refuses_its_span_alone_in_protobuf() {
    // Two spans with an 8-byte trace id, an id and a name.
    let span = |name: u8| {
        let ids = [&[0x0a, 8, 0, 0, 0, 0, 0, 0, 0, 1][..], &[0x1a, 8, 0, 0, 0, 0, 0, 0, 0, 2]].concat();
        let span = [&ids[..], &[0x2a, 1, name, 0x31, 1, 0, 0, 0, 0, 0, 0, 0]].concat();
        [&[0x0a, u8::try_from(span.len()).expect("short")][..], &span].concat()
    };
    let why = "1 span refused: 1 with text that is not UTF-8";
    refused(protobuf::translate, &[span(b'a'), span(0xff)].concat(), 1, why);
    check_cells(
        &rows(protobuf::translate, &span(b'a')),
        0,
        &[("trace_id", "00000000000000000000000000000001"), ("name", "a"), ("start_unix_nano", "1000")],
    );
}

#[test]
fn parts_beyond_any_use_are_dropped_and_counted() {
    let tags: Vec<_> = (0..40_000).map(|i| format!("\"{i}\":\"\"")).collect();
    let notes: Vec<_> = (0..40_000).map(|_| r#"{"value":"a"}"#).collect();
    let (tags, notes) = (tags.join(","), notes.join(","));
    let list = format!(r#"[{{"traceId":"1","id":"2","timestamp":1,"tags":{{{tags}}},"annotations":[{notes}]}}]"#);
    let translated = json::translate(&DecodeLimits::default(), list.as_bytes()).expect("translates");
    let found = ExportTraceServiceRequest::decode(translated.otlp).expect("is OTLP");
    let span = &found.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (1 << 15, 40_000 - (1 << 15)));
    assert_eq!((span.events.len(), span.dropped_events_count), (1 << 15, 40_000 - (1 << 15)));
}

#[test]
fn a_request_keeps_to_the_limits_of_its_records_and_its_bytes() {
    let list = format!("[{}]", [r#"{"traceId":"1","id":"2","timestamp":1}"#; 3].join(","));
    let limits = |records, request_bytes| DecodeLimits { records, request_bytes, ..DecodeLimits::default() };
    assert!(json::translate(&limits(3, 1000), list.as_bytes()).is_ok());
    let found = json::translate(&limits(2, 1000), list.as_bytes());
    assert!(matches!(found, Err(Error::TooLarge { limit: 2, .. })), "{found:?}");
    let found = json::translate(&limits(3, 60), list.as_bytes());
    assert!(matches!(found, Err(Error::TooLarge { limit: 60, .. })), "{found:?}");
}
