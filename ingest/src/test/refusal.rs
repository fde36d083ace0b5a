//! Bad records are refused alone, counted and named; bad requests are refused whole; odd times are kept and marked.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, metric,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use prost::Message;
use tracelake_model::{ContentType, DecodeLimits, Fault, Signal};

use crate::decode::Decoded;
use crate::test::bench::{cell, check_cells, decoded, decoded_within, rows};
use crate::test::sample::{self, START, plain_span};

/// Two good spans around a bad one: the good ones are kept.
fn beside(bad: Span) -> Vec<u8> {
    sample::traces(vec![plain_span(1), bad, plain_span(2)]).encode_to_vec()
}

fn check_refused(found: &Decoded, kept: usize, message: &str) {
    assert_eq!(found.batches.iter().map(tracelake_model::Batch::row_count).sum::<usize>(), kept, "{message}");
    let signal = if message.contains("span") { Signal::Traces } else { Signal::Metrics };
    assert_eq!(found.refused.message(signal), message);
}

#[test]
fn a_span_with_a_bad_id_is_refused_alone() {
    let check = |bad: Span, message: &str| {
        let found = decoded(Signal::Traces, ContentType::Protobuf, &beside(bad)).expect("decodes");
        check_refused(&found, 2, message);
    };
    let trace = "1 span refused: 1 with a trace id that is not 16 bytes or is zero";
    let span = "1 span refused: 1 with a span id that is not 8 bytes or is zero";
    check(Span { trace_id: vec![1; 15], ..plain_span(9) }, trace);
    check(Span { trace_id: vec![0; 16], ..plain_span(9) }, trace);
    check(Span { trace_id: Vec::new(), ..plain_span(9) }, trace);
    check(Span { span_id: vec![1; 9], ..plain_span(9) }, span);
    check(Span { span_id: vec![0; 8], ..plain_span(9) }, span);
}

#[test]
fn a_bad_parent_id_makes_a_root() {
    for parent in [vec![], vec![0; 8], vec![1; 7]] {
        let span = Span { parent_span_id: parent, ..plain_span(1) };
        assert_eq!(
            cell(&rows(Signal::Traces, &sample::traces(vec![span]).encode_to_vec()), "parent_span_id", 0),
            "NULL"
        );
    }
}

#[test]
fn a_log_record_with_bad_ids_is_kept_without_them() {
    let record = LogRecord { trace_id: vec![1; 3], span_id: vec![0; 8], ..sample::full_log() };
    let batch = rows(Signal::Logs, &sample::logs(vec![record]).encode_to_vec());
    check_cells(&batch, 0, &[("trace_id", "NULL"), ("span_id", "NULL"), ("body", "payment failed")]);
}

#[test]
fn text_that_is_not_utf8_refuses_its_record_alone() {
    let bad = Span { name: "WRONG".to_owned(), ..plain_span(9) };
    let event = Event { name: "WRONG".to_owned(), ..Event::default() };
    let key = Span { attributes: vec![sample::key("WRONG", sample::text("v"))], ..plain_span(9) };
    let value = Span { attributes: vec![sample::key("k", sample::text("WRONG"))], ..plain_span(9) };
    for bad in [bad, key, value, Span { events: vec![event], ..plain_span(9) }] {
        let mut plain = beside(bad);
        let at = plain.windows(5).position(|window| window == b"WRONG").expect("is there");
        plain[at] = 0xff;
        let found = decoded(Signal::Traces, ContentType::Protobuf, &plain).expect("decodes");
        check_refused(&found, 2, "1 span refused: 1 with text that is not UTF-8");
    }
    // A resource is every record's own.
    let mut plain = beside(plain_span(3));
    let at = plain.windows(4).position(|window| window == b"cart").expect("is there");
    plain[at] = 0xff;
    let found = decoded(Signal::Traces, ContentType::Protobuf, &plain).expect("decodes");
    check_refused(&found, 0, "3 spans refused: 3 with text that is not UTF-8");
}

#[test]
fn json_text_that_is_not_unicode_refuses_its_record_alone() {
    let check = |name: &[u8]| {
        let span = |name: &[u8]| {
            let head = br#"{"traceId":"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b","spanId":"eeeeeeeeeeeeeeee","name":""#;
            [head, name, b"\"}"].concat()
        };
        let json = [br#"{"resourceSpans":[{"scopeSpans":[{"spans":["#, &span(b"ok")[..], b",", &span(name), b"]}]}]}"];
        let found = decoded(Signal::Traces, ContentType::Json, &json.concat()).expect("decodes");
        check_refused(&found, 1, "1 span refused: 1 with text that is not UTF-8");
    };
    check(b"half \\ud83d of a pair");
    check(b"raw \xff byte");
}

#[test]
fn an_id_in_json_that_is_not_hex_refuses_its_span_alone() {
    let json = sample::TRACES_JSON.replace("EEEEeeeeeeeeeeee", "7u7u7u7u7u7u7u7u");
    let found = decoded(Signal::Traces, ContentType::Json, json.as_bytes()).expect("decodes");
    check_refused(&found, 0, "1 span refused: 1 with a span id that is not 8 bytes or is zero");
}

fn nested(levels: u32, map: bool) -> AnyValue {
    (1..levels).fold(sample::any(Value::IntValue(1)), |inner, _| {
        let value = if map {
            let entry = sample::key("k", Value::IntValue(0));
            let entry = opentelemetry_proto::tonic::common::v1::KeyValue { value: Some(inner), ..entry };
            Value::KvlistValue(KeyValueList { values: vec![entry] })
        } else {
            Value::ArrayValue(ArrayValue { values: vec![inner] })
        };
        sample::any(value)
    })
}

fn nested_json(levels: u32, map: bool) -> String {
    let (open, close) = if map {
        (r#"{"kvlistValue":{"values":[{"key":"k","value":"#, "}]}}")
    } else {
        (r#"{"arrayValue":{"values":["#, "]}}")
    };
    let depth = levels as usize - 1;
    format!("{}{{\"intValue\":1}}{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn values_nest_to_the_very_limit_in_both_encodings() {
    let check = |levels: u32, map: bool, kept: usize| {
        let message = match kept {
            2 => "1 span refused: 1 with values nested deeper than the limit",
            _ => "",
        };
        let attribute = opentelemetry_proto::tonic::common::v1::KeyValue {
            key: "deep".to_owned(),
            value: Some(nested(levels, map)),
            ..Default::default()
        };
        let plain = beside(Span { attributes: vec![attribute], ..plain_span(9) });
        let found = decoded(Signal::Traces, ContentType::Protobuf, &plain).expect("decodes");
        check_refused(&found, kept, message);
        let deep = format!(r#""attributes":[{{"key":"deep","value":{}}}],"#, nested_json(levels, map));
        let json = sample::TRACES_JSON.replacen(r#""traceState""#, &format!(r#"{deep}"traceState""#), 1);
        let found = decoded(Signal::Traces, ContentType::Json, json.as_bytes()).expect("decodes");
        check_refused(&found, kept.saturating_sub(2), message);
    };
    for map in [false, true] {
        for levels in [1, 15, 16, 17, 33, 64] {
            check(levels, map, 3);
        }
        for levels in [65, 66, 200] {
            check(levels, map, 2);
        }
    }
}

#[test]
fn endless_nesting_overflows_no_stack() {
    // `AnyValue` field 5 holding `ArrayValue` field 1 holding the next value, built from the inside.
    let field = |number, content: &[u8]| {
        let mut message = Vec::new();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut message);
        prost::encoding::encode_varint(content.len() as u64, &mut message);
        message.extend_from_slice(content);
        message
    };
    let deep = (0..5_000).fold(Vec::new(), |inner, _| field(5, &field(1, &inner)));
    let request = field(1, &field(2, &field(2, &field(5, &deep))));
    let found = decoded(Signal::Logs, ContentType::Protobuf, &request).expect("decodes");
    assert_eq!(found.refused.total(), 1);

    let deep = nested_json(100_000, false);
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{deep}}}]}}]}}]}}"#);
    let found = decoded(Signal::Logs, ContentType::Json, json.as_bytes()).expect("decodes");
    assert_eq!(found.refused.total(), 1);
    let unknown = format!(r#"{{"resourceLogs":[],"unknown":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(decoded(Signal::Logs, ContentType::Json, unknown.as_bytes()).is_ok());
}

#[test]
fn a_time_past_the_signed_range_refuses_its_record_alone() {
    let late = 1_u64 << 63;
    let event = Event { time_unix_nano: late, ..Event::default() };
    for bad in [
        Span { start_time_unix_nano: late, ..plain_span(9) },
        Span { end_time_unix_nano: u64::MAX, ..plain_span(9) },
        Span { events: vec![event], ..plain_span(9) },
    ] {
        let found = decoded(Signal::Traces, ContentType::Protobuf, &beside(bad)).expect("decodes");
        check_refused(&found, 2, "1 span refused: 1 with a time above 2^63-1");
    }
    let last = Span { end_time_unix_nano: late - 1, ..plain_span(9) };
    let found = decoded(Signal::Traces, ContentType::Protobuf, &beside(last)).expect("decodes");
    check_refused(&found, 3, "");
}

#[test]
fn empty_exemplars_of_many_points_cannot_take_twenty_times_their_bytes() {
    let point =
        |exemplars| NumberDataPoint { exemplars: vec![Exemplar::default(); exemplars], ..NumberDataPoint::default() };
    let data_points = vec![point(500_000), point(500_000), point(100_000), point(0)];
    let metric = Metric { data: Some(metric::Data::Gauge(Gauge { data_points })), ..Metric::default() };
    let plain = sample::metrics(vec![metric]).encode_to_vec();
    let found = decoded(Signal::Metrics, ContentType::Protobuf, &plain).expect("decodes");
    let message = "1 data point refused: 1 with more values, events, links or exemplars than one request may hold";
    check_refused(&found, 3, message);
    let bytes = found.batches[0].rows().get_array_memory_size();
    assert!(bytes < 64 << 20, "{bytes} bytes for {} of payload", plain.len());
}

#[test]
fn a_time_that_a_later_one_replaces_refuses_nothing() {
    let late = Span { start_time_unix_nano: 1 << 63, ..plain_span(9) };
    // The field a second time: the last one counts.
    let replaced = [late.encode_to_vec(), vec![7 << 3 | 1], START.to_le_bytes().to_vec()].concat();
    let found = decoded(Signal::Traces, ContentType::Protobuf, &wrapped(&replaced)).expect("decodes");
    check_refused(&found, 1, "");
    check_cells(&found.batches[0], 0, &[("start_unix_nano", &START.to_string())]);
}

#[test]
fn a_group_under_the_number_of_a_known_field_refuses_the_request() {
    let good = plain_span(1).encode_to_vec();
    for number in [5_u8, 9, 14, 15] {
        let group = [good.clone(), vec![number << 3 | 3, number << 3 | 4]].concat();
        let found = decoded(Signal::Traces, ContentType::Protobuf, &wrapped(&group));
        assert_eq!(found.map_err(|error| error.kind()).err(), Some(Fault::Invalid), "{number}");
    }
    let unknown = [good, vec![0x93, 0x03, 0x94, 0x03]].concat();
    let found = decoded(Signal::Traces, ContentType::Protobuf, &wrapped(&unknown)).expect("decodes");
    check_refused(&found, 1, "");
}

/// A request whose only span is these bytes.
fn wrapped(span: &[u8]) -> Vec<u8> {
    let message = |number: u32, content: &[u8]| {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        [bytes, content.to_vec()].concat()
    };
    message(1, &message(2, &message(2, span)))
}

#[test]
fn a_count_past_the_signed_range_refuses_its_point_alone() {
    let point = |count| HistogramDataPoint { time_unix_nano: START, count, ..HistogramDataPoint::default() };
    let data_points = vec![point(1), point(u64::MAX), point(2)];
    let histogram = Histogram { data_points, aggregation_temporality: 2 };
    let metric = Metric { data: Some(metric::Data::Histogram(histogram)), ..Metric::default() };
    let plain = sample::metrics(vec![metric]).encode_to_vec();
    let found = decoded(Signal::Metrics, ContentType::Protobuf, &plain).expect("decodes");
    check_refused(&found, 2, "1 data point refused: 1 with a count above 2^63-1");
}

#[test]
fn odd_times_of_spans_are_kept_and_marked() {
    let check = |start, end, duration: &str, rest: &str| {
        let span = Span { start_time_unix_nano: start, end_time_unix_nano: end, ..plain_span(1) };
        let batch = rows(Signal::Traces, &sample::traces(vec![span]).encode_to_vec());
        check_cells(&batch, 0, &[("duration_ns", duration), ("attributes_rest", rest)]);
    };
    check(START, START, "0", "NULL");
    check(START, START - 1, "0", r#"{"tracelake.clock":"end before start"}"#);
    check(START, 0, "0", r#"{"tracelake.clock":"end before start"}"#);
    check(0, START, "0", r#"{"tracelake.clock":"no time"}"#);
}

#[test]
fn too_many_records_refuse_the_request() {
    let limits = DecodeLimits { records: 2, ..DecodeLimits::default() };
    let check = |signal, plain: Vec<u8>, fits: bool| {
        let found = decoded_within(limits, signal, ContentType::Protobuf, &plain);
        assert_eq!(found.map_err(|error| error.kind()).err(), (!fits).then_some(Fault::TooLarge), "{signal:?}");
    };
    check(Signal::Traces, sample::traces(vec![plain_span(1); 2]).encode_to_vec(), true);
    check(Signal::Traces, sample::traces(vec![plain_span(1); 3]).encode_to_vec(), false);
    check(Signal::Logs, sample::logs(vec![sample::full_log(); 3]).encode_to_vec(), false);
    check(Signal::Metrics, sample::metrics(sample::full_metrics()).encode_to_vec(), false);
}

#[test]
fn what_is_not_the_encoding_it_claims_refuses_the_request() {
    let good = sample::traces(vec![plain_span(1)]).encode_to_vec();
    let check = |content_type, plain: &[u8]| {
        let fault = decoded(Signal::Traces, content_type, plain).map_err(|error| error.kind()).err();
        assert_eq!(fault, Some(Fault::Invalid), "{}", String::from_utf8_lossy(plain));
    };
    check(ContentType::Protobuf, &good[..good.len() - 1]);
    check(ContentType::Protobuf, b"{\"resourceSpans\":[]}");
    check(ContentType::Json, &good);
    for json in [
        "{",
        "[]",
        "{}x",
        "7",
        r#"{"resourceSpans":{}}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":7}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"x"}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_NONE"}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":{"intValue":"9223372036854775808"}}]}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":{"intValue":1.5}}]}]}]}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":{"bytesValue":"!"}}]}]}]}]}"#,
    ] {
        check(ContentType::Json, json.as_bytes());
    }
}

#[test]
fn a_request_without_any_time_has_no_identity() {
    let check = |plain: Vec<u8>, timed: bool| {
        let found = decoded(Signal::Logs, ContentType::Protobuf, &plain).expect("decodes");
        assert_eq!(found.timed, timed);
    };
    check(sample::logs(vec![LogRecord::default(); 2]).encode_to_vec(), false);
    check(sample::logs(vec![LogRecord::default(), sample::full_log()]).encode_to_vec(), true);
}
