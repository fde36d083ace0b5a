//! Every field arrives in its column, from protobuf and from JSON alike.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tracelake_model::{ContentType, DecodeLimits, Encoding, Header, Signal, Table};

use crate::decode::decoder;
use crate::test::bench::{batch_of, cell, check_cells, decoded, decoded_within, gzip, header, rows};
use crate::test::sample;

const RESOURCE_JSON: &str = r#"{"service.name":"cart","service.version":"1.2.3","host.cpus":4}"#;

#[test]
fn a_full_span_fills_every_column() {
    let batch = rows(Signal::Traces, &sample::traces(vec![sample::full_span()]).encode_to_vec());
    check_cells(
        &batch,
        0,
        &[
            ("trace_id", "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b"),
            ("span_id", "eeeeeeeeeeeeeeee"),
            ("parent_span_id", "dddddddddddddddd"),
            ("trace_state", "a=b"),
            ("flags", "257"),
            ("service_name", "cart"),
            ("name", "GET /cart"),
            ("kind", "2"),
            ("start_unix_nano", "1699999999000000000"),
            ("end_unix_nano", "1699999999000001500"),
            ("duration_ns", "1500"),
            ("status_code", "2"),
            ("status_message", "it broke"),
            ("http_request_method", "GET"),
            ("http_response_status_code", "200"),
            ("http_route", "NULL"),
            ("url_full", "NULL"),
            (
                "attributes_rest",
                r#"{"http.route":7,"ratio":1.0,"raw":{"$bytes":"/wA+"},"list":["a",1],"map":{"k":false},"none":null}"#,
            ),
            ("resource_attributes", RESOURCE_JSON),
            ("service_version", "1.2.3"),
            ("host_name", "NULL"),
            ("resource_schema_url", "resource-url"),
            ("scope_name", "lib"),
            ("scope_version", "0.1"),
            ("scope_attributes", r#"{"scoped":true}"#),
            ("schema_url", "scope-url"),
            (
                "events",
                r#"[{time: 1699999999000000007, name: exception, attributes: {"exception.type":"E"}, dropped: 2}]"#,
            ),
            (
                "links",
                "[{trace_id: 11111111111111111111111111111111, span_id: 2222222222222222, trace_state: l=1, \
                 attributes: {\"why\":\"retry\"}, flags: 1, dropped: 4}]",
            ),
            ("dropped_attributes_count", "1"),
            ("dropped_events_count", "3"),
            ("dropped_links_count", "5"),
        ],
    );
}

#[test]
fn absent_fields_are_null_and_absent_services_have_a_name() {
    let mut request = sample::traces(vec![sample::plain_span(1)]);
    request.resource_spans[0].resource = None;
    request.resource_spans[0].scope_spans[0].scope = None;
    let batch = rows(Signal::Traces, &request.encode_to_vec());
    check_cells(
        &batch,
        0,
        &[
            ("service_name", "unknown_service"),
            ("resource_attributes", "{}"),
            ("parent_span_id", "NULL"),
            ("trace_state", "NULL"),
            ("status_message", "NULL"),
            ("attributes_rest", "NULL"),
            ("scope_name", "NULL"),
            ("scope_attributes", "NULL"),
            ("events", "NULL"),
            ("links", "NULL"),
        ],
    );
    let nameless = Resource { attributes: vec![sample::key("service.name", sample::text(""))], ..Resource::default() };
    request.resource_spans[0].resource = Some(nameless);
    assert_eq!(cell(&rows(Signal::Traces, &request.encode_to_vec()), "service_name", 0), "unknown_service");
}

#[test]
fn a_full_log_record_fills_every_column() {
    let batch = rows(Signal::Logs, &sample::logs(vec![sample::full_log()]).encode_to_vec());
    check_cells(
        &batch,
        0,
        &[
            ("time_unix_nano", "1699999999000000000"),
            ("observed_unix_nano", "1699999999000000009"),
            ("service_name", "cart"),
            ("severity_number", "17"),
            ("severity_text", "Error"),
            ("body", "payment failed"),
            ("body_type", "string"),
            ("event_name", "pay"),
            ("trace_id", "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b"),
            ("span_id", "eeeeeeeeeeeeeeee"),
            ("flags", "1"),
            ("exception_type", "E"),
            ("attributes_rest", r#"{"user":"ann"}"#),
            ("resource_attributes", RESOURCE_JSON),
            ("scope_name", "lib"),
            ("dropped_attributes_count", "1"),
        ],
    );
}

#[test]
fn bodies_keep_their_type() {
    let check = |body: Value, text: &str, body_type: &str| {
        let record = LogRecord { body: Some(sample::any(body)), ..sample::full_log() };
        let batch = rows(Signal::Logs, &sample::logs(vec![record]).encode_to_vec());
        check_cells(&batch, 0, &[("body", text), ("body_type", body_type)]);
    };
    check(Value::IntValue(-3), "-3", "int");
    check(Value::DoubleValue(2.0), "2.0", "double");
    check(Value::BoolValue(true), "true", "bool");
    check(Value::BytesValue(vec![1]), r#"{"$bytes":"AQ=="}"#, "bytes");
    check(Value::ArrayValue(ArrayValue::default()), "[]", "array");
    let map = KeyValueList { values: vec![sample::key("$k", sample::text("v")), sample::key("$k", sample::text("w"))] };
    check(Value::KvlistValue(map), r#"{"$$k":"w"}"#, "kvlist");
    let record = LogRecord { body: None, ..sample::full_log() };
    let batch = rows(Signal::Logs, &sample::logs(vec![record]).encode_to_vec());
    check_cells(&batch, 0, &[("body", "NULL"), ("body_type", "NULL")]);
}

#[test]
fn a_log_record_without_a_time_shows_the_observed_or_receive_time_and_says_so() {
    let mut observed = LogRecord { time_unix_nano: 0, attributes: Vec::new(), ..sample::full_log() };
    let batch = rows(Signal::Logs, &sample::logs(vec![observed.clone()]).encode_to_vec());
    let mark = r#"{"tracelake.clock":"no time"}"#;
    check_cells(&batch, 0, &[("time_unix_nano", "1699999999000000009"), ("attributes_rest", mark)]);
    observed.observed_time_unix_nano = 0;
    let batch = rows(Signal::Logs, &sample::logs(vec![observed]).encode_to_vec());
    check_cells(
        &batch,
        0,
        &[("time_unix_nano", "1700000000000000000"), ("observed_unix_nano", "0"), ("attributes_rest", mark)],
    );
}

#[test]
fn all_five_kinds_of_points_fill_their_columns() {
    let batch = rows(Signal::Metrics, &sample::metrics(sample::full_metrics()).encode_to_vec());
    let check = |row, expected: &[(&str, &str)]| check_cells(&batch, row, expected);
    check(
        0,
        &[
            ("name", "requests"),
            ("description", "all requests"),
            ("unit", "1"),
            ("type", "sum"),
            ("temporality", "cumulative"),
            ("monotonic", "true"),
            ("value", "-7.0"),
            ("value_int", "-7"),
            ("start_unix_nano", "1699999998999999000"),
            ("time_unix_nano", "1699999999000000000"),
            ("count", "NULL"),
            ("bucket_counts", "NULL"),
            ("attributes", r#"{"a":"x","b":2}"#),
            ("metadata", r#"{"m":"n"}"#),
            ("service_name", "cart"),
            (
                "exemplars",
                "[{time: 1699999999000000003, value: 5.0, value_int: 5, trace_id: 5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b, \
                 span_id: eeeeeeeeeeeeeeee, attributes: {\"f\":\"g\"}}]",
            ),
        ],
    );
    check(1, &[("type", "gauge"), ("value", "NaN"), ("value_int", "NULL"), ("temporality", "NULL"), ("flags", "0")]);
    check(2, &[("type", "gauge"), ("value", "NULL"), ("flags", "1"), ("monotonic", "NULL")]);
    check(
        3,
        &[
            ("type", "histogram"),
            ("temporality", "delta"),
            ("count", "3"),
            ("sum", "6.5"),
            ("min", "0.1"),
            ("max", "NULL"),
            ("bucket_counts", "[1, 2, 0]"),
            ("explicit_bounds", "[0.5, inf]"),
            ("scale", "NULL"),
        ],
    );
    check(
        4,
        &[
            ("type", "exponential_histogram"),
            ("temporality", "unspecified"),
            ("count", "9"),
            ("sum", "NULL"),
            ("scale", "-2"),
            ("zero_count", "1"),
            ("zero_threshold", "0.25"),
            ("positive_offset", "-3"),
            ("positive_counts", "[4, 0, 4]"),
            ("negative_offset", "NULL"),
            ("negative_counts", "NULL"),
        ],
    );
    check(5, &[("type", "summary"), ("sum", "3.0"), ("count", "2"), ("quantiles", "[{quantile: 0.5, value: 1.5}]")]);
}

#[test]
fn json_and_protobuf_mean_the_same() {
    let check = |signal, json: &str, protobuf: Vec<u8>| {
        let from_json = decoded(signal, ContentType::Json, json.as_bytes()).expect("JSON decodes");
        let from_protobuf = decoded(signal, ContentType::Protobuf, &protobuf).expect("protobuf decodes");
        // Debug text, because NaN is not equal to itself.
        assert_eq!(format!("{:?}", from_json.batches), format!("{:?}", from_protobuf.batches));
        assert_eq!(from_json.refused, from_protobuf.refused);
    };
    check(Signal::Traces, sample::TRACES_JSON, sample::traces(vec![sample::full_span()]).encode_to_vec());
    check(Signal::Metrics, sample::METRICS_JSON, sample::metrics(sample::full_metrics()).encode_to_vec());
    let logs = sample::logs(vec![sample::full_log()]);
    check(Signal::Logs, &serde_json::to_string(&logs).expect("encodes"), logs.encode_to_vec());
}

#[test]
fn attributes_are_bounded_and_what_was_done_is_told() {
    let limits = DecodeLimits { attributes: 2, value_bytes: 5, ..DecodeLimits::default() };
    let span = Span {
        attributes: vec![
            sample::key("http.route", sample::text("/first")),
            sample::key("http.route", sample::text("/länge")),
            sample::key("b", Value::ArrayValue(ArrayValue { values: vec![sample::any(sample::text("123456"))] })),
            sample::key("c", Value::IntValue(1)),
            sample::key("d", Value::IntValue(1)),
        ],
        ..sample::full_span()
    };
    let plain = sample::traces(vec![span]).encode_to_vec();
    let found = decoded_within(limits, Signal::Traces, ContentType::Protobuf, &plain).expect("decodes");
    check_cells(
        &found.batches[0],
        0,
        &[
            ("http_route", "/län"),
            ("attributes_rest", r#"{"b":["12345"],"tracelake.cut":"http.route,b"}"#),
            ("dropped_attributes_count", "3"),
        ],
    );
    let long = LogRecord { body: Some(sample::any(sample::text("payment"))), ..sample::full_log() };
    let plain = sample::logs(vec![long]).encode_to_vec();
    let found = decoded_within(limits, Signal::Logs, ContentType::Protobuf, &plain).expect("decodes");
    let rest = r#"{"user":"ann","tracelake.cut":"body"}"#;
    check_cells(&found.batches[0], 0, &[("body", "payme"), ("attributes_rest", rest)]);
}

#[test]
fn attributes_are_bounded_wherever_they_stand_and_the_dropped_ones_are_counted() {
    let limits = DecodeLimits { attributes: 2, ..DecodeLimits::default() };
    let keys = |keys: &str| keys.split(' ').map(|key| sample::key(key, Value::IntValue(1))).collect::<Vec<_>>();
    let resource = Resource {
        attributes: [keys("a b c"), vec![sample::key("service.name", sample::text("cart"))]].concat(),
        dropped_attributes_count: 5,
        ..Resource::default()
    };
    let mut traces = sample::traces(vec![sample::plain_span(1)]);
    traces.resource_spans[0].resource = Some(resource);
    let scope = traces.resource_spans[0].scope_spans[0].scope.as_mut().expect("a scope");
    (scope.attributes, scope.dropped_attributes_count) = (Vec::new(), 3);
    let found = decoded_within(limits, Signal::Traces, ContentType::Protobuf, &traces.encode_to_vec());
    check_cells(
        &found.expect("decodes").batches[0],
        0,
        &[
            ("service_name", "cart"),
            ("resource_attributes", r#"{"service.name":"cart","a":1,"tracelake.dropped":7}"#),
            ("scope_attributes", r#"{"tracelake.dropped":3}"#),
        ],
    );

    let mut metrics = sample::full_metrics();
    metrics.truncate(1);
    let Some(Data::Sum(sum)) = &mut metrics[0].data else { panic!("a sum") };
    sum.data_points[0].attributes = keys("d c a");
    sum.data_points[0].exemplars[0].filtered_attributes = keys("x y z");
    sum.data_points.push(sum.data_points[0].clone());
    sum.data_points[1].attributes = keys("a c e");
    sum.data_points.push(sum.data_points[0].clone());
    sum.data_points[2].attributes = keys("c d a");
    let plain = sample::metrics(metrics).encode_to_vec();
    let found = decoded_within(limits, Signal::Metrics, ContentType::Protobuf, &plain).expect("decodes");
    let batch = &found.batches[0];
    let series: Vec<_> = (0..3).map(|row| cell(batch, "attributes", row)).collect();
    let start = r#"{"a":1,"c":1,"tracelake.dropped_hash":""#;
    assert!(series[0].starts_with(start) && series[0].ends_with(r#"","tracelake.dropped":1}"#), "{}", series[0]);
    assert_eq!(series[0], series[2], "the order in which attributes were sent makes no other series");
    assert_ne!(series[0], series[1], "series that differ in a dropped attribute stay two");
    assert!(cell(batch, "exemplars", 0).contains(r#"{"x":1,"y":1,"tracelake.dropped":1}"#));

    let attributes = [keys("a b"), vec![sample::key("user.id", sample::text("ann"))]].concat();
    let record = LogRecord { attributes, dropped_attributes_count: 4, ..sample::full_log() };
    let plain = sample::logs(vec![record]).encode_to_vec();
    let found = decoded_within(limits, Signal::Audit, ContentType::Protobuf, &plain).expect("decodes");
    let batch = &found.batches[0];
    assert_eq!(cell(batch, "actor_id", 0), "ann");
    let text = cell(batch, "attributes", 0);
    assert!(text.starts_with(r#"{"user.id":"ann","a":1,"#) && text.ends_with(r#""tracelake.dropped":5}"#), "{text}");
}

#[test]
fn a_payload_of_the_first_decoder_is_replayed_as_it_was_acknowledged() {
    let limits = DecodeLimits { attributes: 2, ..DecodeLimits::default() };
    let attributes: Vec<_> = (0..4).map(|i| sample::key(&format!("k{i}"), Value::IntValue(i))).collect();
    let resource = Resource { attributes, dropped_attributes_count: 9, ..Resource::default() };
    let mut logs = sample::logs(vec![LogRecord { dropped_attributes_count: 4, ..sample::full_log() }]);
    logs.resource_logs[0].resource = Some(resource);
    let all = r#"{"k0":0,"k1":1,"k2":2,"k3":3}"#;
    let bounded = r#"{"k0":0,"k1":1,"tracelake.dropped":11}"#;
    for (version, signal, text) in [(1, Signal::Logs, all), (1, Signal::Audit, all), (2, Signal::Logs, bounded)] {
        let header = Header { decoder: version, limits, ..header(signal, ContentType::Protobuf, Encoding::Identity) };
        let batches = decoder().decode(&header, &bytes::Bytes::from(logs.encode_to_vec())).expect("decodes");
        assert_eq!(cell(&batches[0], "resource_attributes", 0), text, "{version} {signal:?}");
        if signal == Signal::Audit {
            assert!(!cell(&batches[0], "attributes", 0).contains("dropped"));
        }
    }
}

#[test]
fn the_last_of_many_equal_keys_wins() {
    let attributes = (0..60).map(|i| sample::key(&format!("k{}", i % 30), Value::IntValue(i))).collect();
    let batch = rows(Signal::Traces, &sample::traces(vec![Span { attributes, ..sample::full_span() }]).encode_to_vec());
    let expected: Vec<String> = (0..30).map(|i| format!("\"k{i}\":{}", i + 30)).collect();
    assert_eq!(cell(&batch, "attributes_rest", 0), format!("{{{}}}", expected.join(",")));
    assert_eq!(cell(&batch, "dropped_attributes_count", 0), "1");
}

#[test]
fn marked_log_records_go_to_audit_and_nowhere_else() {
    let audit = LogRecord {
        attributes: vec![
            sample::key("audit.actor.id", sample::text("ann")),
            sample::key("audit.action", sample::text("delete")),
            sample::key("audit.target.id", sample::text("order/7")),
            sample::key("audit.target.type", sample::text("order")),
            sample::key("audit.outcome", sample::text("success")),
        ],
        ..sample::full_log()
    };
    let plain = sample::logs(vec![sample::full_log(), audit.clone()]).encode_to_vec();
    let batches = decoded(Signal::Logs, ContentType::Protobuf, &plain).expect("decodes").batches;
    assert_eq!(
        batches.iter().map(|batch| (batch.table(), batch.row_count())).collect::<Vec<_>>(),
        [(Table::Logs, 1), (Table::Audit, 1)]
    );
    let batch = batch_of(&batches, Table::Audit);
    check_cells(
        batch,
        0,
        &[
            ("seq", "0"),
            ("time_unix_nano", "1699999999000000000"),
            ("event_name", "pay"),
            ("actor_id", "ann"),
            ("actor_type", "NULL"),
            ("action", "delete"),
            ("outcome", "success"),
            ("target_id", "order/7"),
            ("target_type", "order"),
            ("body", "payment failed"),
            ("service_name", "cart"),
            ("resource_attributes", RESOURCE_JSON),
        ],
    );
    let hash = cell(batch, "record_hash", 0);
    assert_eq!((hash.len(), cell(batch, "record_id", 0)), (64, hash[..32].to_owned()));
    assert!(cell(batch, "attributes", 0).contains(r#""trace_id":"5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b""#));
    // The same record at the audit door is the same row; another content has another hash.
    let alone = rows(Signal::Audit, &sample::logs(vec![audit.clone()]).encode_to_vec());
    assert_eq!(cell(&alone, "record_hash", 0), hash);
    let other = LogRecord { time_unix_nano: sample::START + 1, ..audit };
    assert_ne!(cell(&rows(Signal::Audit, &sample::logs(vec![other]).encode_to_vec()), "record_hash", 0), hash);
}

#[test]
fn an_audit_hash_can_be_rebuilt_from_the_stored_row() {
    let record =
        LogRecord { attributes: vec![sample::key("audit.record.id", sample::text("r-1"))], ..sample::full_log() };
    let batch = rows(Signal::Audit, &sample::logs(vec![record]).encode_to_vec());
    assert_eq!(cell(&batch, "record_id", 0), "r-1");
    let sha256 = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        tracelake_model::to_hex(digest.as_ref())
    };
    let columns = "time_unix_nano observed_unix_nano event_name actor_id actor_type action outcome target_id target_type \
                   source_id body service_name attributes resource_attributes";
    let mut form = "tracelake.audit.v1\n".to_owned();
    for column in columns.split_whitespace() {
        let value = match (column, cell(&batch, column, 0)) {
            ("resource_attributes", text) => sha256(&text),
            (_, text) => text,
        };
        let line = if value == "NULL" { "-".to_owned() } else { format!("{}:{value}", value.len()) };
        form.push_str(&format!("{column}:{line}\n"));
    }
    assert_eq!(cell(&batch, "record_hash", 0), sha256(&form));
}

#[test]
fn a_replay_yields_what_was_acknowledged() {
    for (signal, plain) in [
        (Signal::Traces, sample::traces(vec![sample::full_span(), sample::plain_span(0)]).encode_to_vec()),
        (Signal::Logs, sample::logs(vec![sample::full_log(), LogRecord::default()]).encode_to_vec()),
        (Signal::Audit, sample::logs(vec![sample::full_log()]).encode_to_vec()),
        (Signal::Metrics, sample::metrics(sample::full_metrics()).encode_to_vec()),
    ] {
        let first = decoded(signal, ContentType::Protobuf, &plain).expect("decodes").batches;
        for _ in 0..2 {
            let header = header(signal, ContentType::Protobuf, Encoding::Gzip);
            let again = decoder().decode(&header, &gzip(&plain)).expect("decodes");
            assert_eq!(format!("{first:?}"), format!("{again:?}"), "{signal:?}");
        }
    }
}

#[test]
fn a_payload_of_a_later_decoder_is_not_guessed_at() {
    let mut header = header(Signal::Traces, ContentType::Protobuf, Encoding::Identity);
    header.decoder += 1;
    assert!(decoder().decode(&header, &bytes::Bytes::new()).is_err());
}
