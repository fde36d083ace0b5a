//! What Jaeger's formats allow besides what OpenTelemetry's exporters send: the tags, logs and references of Jaeger's own
//! clients; and what is wrong with a span or a batch.

use prost::Message;
use tracelake_model::{Batch, DecodeLimits, Signal};

use crate::error::Error;
use crate::foreign::jaeger::{batch, protobuf};
use crate::test::bench::check_cells;
use crate::test::foreign::recorded::{rows, taken};
use crate::test::foreign::thrift::{Value, bool, bytes, double, i32, i64, list, message, structure, text};

/// Start of the spans here, microseconds.
const START: i64 = 1_700_000_000_000_000;

/// A tag of each type, by the numbers of `TagType`.
pub(crate) fn tag(key: &str, value: &Value, kind: i32, field: i16) -> Value {
    structure(&[(1, text(key)), (2, i32(kind)), (field, value.clone())])
}

pub(crate) fn text_tag(key: &str, value: &str) -> Value {
    tag(key, &text(value), 0, 3)
}

fn reference(follows: bool, high: i64, span: i64) -> Value {
    structure(&[(1, i32(i32::from(follows))), (2, i64(7)), (3, i64(high)), (4, i64(span))])
}

/// A span of trace 0/7 with fields of its own besides the usual ones.
pub(crate) fn span(id: i64, fields: &[(i16, Value)]) -> Value {
    let usual = [
        (1, i64(7)),
        (2, i64(0)),
        (3, i64(id)),
        (4, i64(0)),
        (5, text("work")),
        (7, i32(1)),
        (8, i64(START)),
        (9, i64(1500)),
    ];
    let kept = usual.into_iter().filter(|(number, _)| fields.iter().all(|(own, _)| own != number));
    structure(&kept.chain(fields.iter().cloned()).collect::<Vec<_>>())
}

fn process(tags: &[Value]) -> Value {
    structure(&[(1, text("driver")), (2, list(tags))])
}

pub(crate) fn a_batch(process: &Value, spans: &[Value]) -> Vec<u8> {
    message(&structure(&[(1, process.clone()), (2, list(spans))]))
}

fn only(spans: &[Value]) -> Batch {
    rows(batch::translate, &a_batch(&process(&[]), spans))
}

#[test]
fn a_span_of_jaegers_own_client_arrives_field_by_field() {
    let tags = list(&[
        tag("span.kind", &text("client"), 0, 3),
        tag("sampler.param", &double(0.5), 1, 4),
        tag("internal", &bool(true), 2, 5),
        tag("http.status_code", &i64(500), 3, 6),
        tag("raw", &bytes(&[255, 0]), 4, 7),
        tag("error", &bool(true), 2, 5),
        tag("unset", &text("x"), 3, 3),
    ]);
    let log = structure(&[
        (1, i64(START + 100)),
        (2, list(&[text_tag("event", "error"), text_tag("error.kind", "E"), text_tag("message", "it broke")])),
    ]);
    let full = span(
        -2,
        &[
            (4, i64(0x22)),
            (6, list(&[reference(false, 0, 0x22), reference(true, 3, 9)])),
            (10, tags),
            (11, list(&[log])),
        ],
    );
    let process = process(&[text_tag("hostname", "node-7"), text_tag("ip", "10.0.0.7"), text_tag("service.name", "x")]);
    let batch = rows(batch::translate, &a_batch(&process, &[full]));
    check_cells(
        &batch,
        0,
        &[
            ("trace_id", "00000000000000000000000000000007"),
            ("span_id", "fffffffffffffffe"),
            ("parent_span_id", "0000000000000022"),
            ("service_name", "driver"),
            ("host_name", "node-7"),
            ("resource_attributes", r#"{"service.name":"driver","host.name":"node-7","ip":"10.0.0.7"}"#),
            ("name", "work"),
            ("kind", "3"),
            ("flags", "1"),
            ("start_unix_nano", "1700000000000000000"),
            ("end_unix_nano", "1700000000001500000"),
            ("status_code", "2"),
            ("status_message", "NULL"),
            ("http_status_code", "500"),
            ("attributes_rest", r#"{"sampler.param":0.5,"internal":true,"raw":{"$bytes":"/wA="},"unset":0}"#),
            (
                "events",
                "[{time: 1700000000000100000, name: exception, attributes: \
                 {\"exception.type\":\"E\",\"exception.message\":\"it broke\"}, dropped: 0}]",
            ),
            (
                "links",
                "[{trace_id: 00000000000000030000000000000007, span_id: 0000000000000009, trace_state: , attributes: \
                 {\"opentracing.ref_type\":\"follows_from\"}, flags: 0, dropped: 0}]",
            ),
        ],
    );
}

#[test]
fn a_parent_is_told_or_referred_to_within_the_trace() {
    let check = |parent: i64, references: &[Value], expected: &str, links: usize| {
        let batch = only(&[span(1, &[(4, i64(parent)), (6, list(references))])]);
        check_cells(&batch, 0, &[("parent_span_id", expected)]);
        let found = crate::test::bench::cell(&batch, "links", 0).matches("trace_id").count();
        assert_eq!(found, links, "{expected}");
    };
    check(0, &[], "NULL", 0);
    check(5, &[], "0000000000000005", 0);
    check(0, &[reference(false, 0, 5)], "0000000000000005", 0);
    // Both are parents in OpenTracing; the first is the one here, the other stays a link.
    check(0, &[reference(true, 0, 4), reference(false, 0, 5), reference(false, 0, 6)], "0000000000000005", 2);
    check(0, &[reference(true, 0, 4)], "0000000000000004", 1);
    check(0, &[reference(false, 9, 5)], "NULL", 1);
    check(3, &[reference(false, 0, 5)], "0000000000000003", 1);
}

#[test]
fn odd_spans_are_kept_as_other_odd_spans_are() {
    let batch = only(&[
        span(1, &[(9, i64(-5))]),
        span(2, &[(8, i64(0))]),
        span(3, &[(7, i32(2)), (12, bool(true))]),
        // A field of another type counts as absent, an unknown one is passed over.
        span(4, &[(5, i64(1)), (99, list(&[text("a")])), (10, list(&[]))]),
        span(5, &[(7, i32(0)), (10, list(&[text_tag("error", "true"), text_tag("span.kind", "odd")]))]),
        span(6, &[(10, list(&[text_tag("error", "timeout"), text_tag("otel.status_code", "OK")]))]),
    ]);
    check_cells(&batch, 0, &[("duration_ns", "0"), ("attributes_rest", r#"{"tracelake.clock":"end before start"}"#)]);
    check_cells(&batch, 1, &[("end_unix_nano", "0"), ("attributes_rest", r#"{"tracelake.clock":"no time"}"#)]);
    check_cells(&batch, 2, &[("flags", "1"), ("attributes_rest", r#"{"jaeger.incomplete":true}"#)]);
    check_cells(&batch, 3, &[("name", ""), ("attributes_rest", "NULL"), ("kind", "1")]);
    check_cells(&batch, 4, &[("status_code", "2"), ("flags", "0"), ("attributes_rest", r#"{"span.kind":"odd"}"#)]);
    check_cells(&batch, 5, &[("status_code", "1"), ("attributes_rest", r#"{"error":"timeout"}"#)]);
}

#[test]
fn a_bad_span_is_refused_alone() {
    let good = span(1, &[]);
    let spans = [
        good.clone(),
        span(0, &[]),
        span(2, &[(1, i64(0))]),
        span(3, &[(5, bytes(&[0xff]))]),
        span(4, &[(10, list(&[tag("k", &bytes(&[0xc0]), 0, 3)]))]),
        span(5, &[(8, i64(i64::MAX))]),
        span(6, &[(8, i64(-1))]),
        good.clone(),
    ];
    let found = taken(batch::translate, &a_batch(&process(&[]), &spans));
    assert_eq!(found.batches[0].row_count(), 2);
    assert_eq!(
        found.refused.message(Signal::Traces),
        "6 spans refused: 2 with text that is not UTF-8, 2 with a time above 2^63-1, 1 with a trace id that is not 16 \
         bytes or is zero, 1 with a span id that is not 8 bytes or is zero"
    );
    // The process is every span's.
    let found =
        taken(batch::translate, &a_batch(&process(&[text_tag("a", "b"), tag("k", &bytes(&[0xc0]), 0, 3)]), &[good]));
    assert_eq!((found.batches.len(), found.refused.total()), (0, 1));
    // Elements that are no structs are no spans.
    let found = taken(batch::translate, &a_batch(&process(&[]), &[i64(7), i64(8)]));
    assert_eq!(found.refused.message(Signal::Traces), "2 spans refused: 2 with a field that is not of its type");
}

#[test]
fn the_process_may_stand_behind_its_spans() {
    let swapped = message(&structure(&[(2, list(&[span(1, &[])])), (3, i64(9)), (1, process(&[]))]));
    check_cells(&rows(batch::translate, &swapped), 0, &[("service_name", "driver")]);
}

#[test]
fn what_is_no_batch_is_refused_whole() {
    let whole = a_batch(&process(&[]), &[span(1, &[])]);
    for end in 0..whole.len() {
        let found = batch::translate(&DecodeLimits::default(), &whole[..end]);
        assert!(matches!(found, Err(Error::Malformed { .. })), "cut at {end}");
    }
    for bad in [vec![0], b"not thrift".to_vec(), message(&structure(&[(1, process(&[]))]))] {
        let told = batch::translate(&DecodeLimits::default(), &bad).expect_err("refused").to_string();
        assert!(told.contains("Jaeger Thrift"), "{told}");
    }
    // Bytes behind a batch are no matter to Jaeger's readers either.
    rows(batch::translate, &[&whole[..], &[1, 2, 3]].concat());
    let empty = taken(batch::translate, &a_batch(&process(&[]), &[]));
    assert_eq!((empty.batches.len(), empty.refused.total()), (0, 0));
}

#[test]
fn a_span_in_protobuf_may_have_a_process_of_its_own() {
    #[derive(Clone, PartialEq, Message)]
    struct Process {
        #[prost(bytes = "vec", tag = "1")]
        service_name: Vec<u8>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Time {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Span {
        #[prost(bytes = "vec", tag = "1")]
        trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")]
        span_id: Vec<u8>,
        #[prost(message, optional, tag = "6")]
        start_time: Option<Time>,
        #[prost(message, optional, tag = "7")]
        duration: Option<Time>,
        #[prost(message, optional, tag = "10")]
        process: Option<Process>,
        #[prost(string, repeated, tag = "12")]
        warnings: Vec<String>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Batch {
        #[prost(message, repeated, tag = "1")]
        spans: Vec<Span>,
        #[prost(message, optional, tag = "2")]
        process: Option<Process>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct PostSpansRequest {
        #[prost(message, optional, tag = "1")]
        batch: Option<Batch>,
    }
    let process = |name: &[u8]| Some(Process { service_name: name.to_vec() });
    let span = |id: u8| Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        start_time: Some(Time { seconds: 1, nanos: 5 }),
        duration: Some(Time { seconds: 0, nanos: 7 }),
        ..Span::default()
    };
    let request = |spans: Vec<Span>, name: &[u8]| {
        PostSpansRequest { batch: Some(Batch { spans, process: process(name) }) }.encode_to_vec()
    };
    let own = Span { process: process(b"own"), warnings: vec!["odd".to_owned()], ..span(2) };
    let found = rows(protobuf::translate, &request(vec![span(1), own.clone()], b"all"));
    check_cells(&found, 0, &[("service_name", "all"), ("start_unix_nano", "1000000005"), ("duration_ns", "7")]);
    check_cells(&found, 1, &[("service_name", "own"), ("attributes_rest", r#"{"jaeger.warnings":["odd"]}"#)]);
    // A batch's process that is refused takes those spans with it that have no other.
    let late = Span { start_time: Some(Time { seconds: i64::MAX, nanos: 0 }), process: process(b"own"), ..span(3) };
    let found = taken(protobuf::translate, &request(vec![span(1), own, late], &[0xff]));
    assert_eq!(found.batches[0].row_count(), 1);
    assert_eq!(
        found.refused.message(Signal::Traces),
        "2 spans refused: 1 with text that is not UTF-8, 1 with a time above 2^63-1"
    );
}
