//! One request of each of OpenTelemetry's Zipkin and Jaeger exporters for Python, recorded by `recorded/record.py`: three
//! spans whose fields are known.

use tracelake_model::{Batch, ContentType, DecodeLimits, Signal};

use crate::decode::Decoded;
use crate::foreign::draft::Translator;
use crate::foreign::{jaeger, zipkin};
use crate::test::bench::{cell, check_cells, decoded};

pub(crate) const ZIPKIN_JSON: &[u8] = include_bytes!("recorded/zipkin.json");
pub(crate) const ZIPKIN_PROTOBUF: &[u8] = include_bytes!("recorded/zipkin.binpb");
pub(crate) const JAEGER_THRIFT: &[u8] = include_bytes!("recorded/jaeger.thrift");
pub(crate) const JAEGER_PROTOBUF: &[u8] = include_bytes!("recorded/jaeger.binpb");

/// Every translator with a request that it reads.
pub(crate) const ALL: [(&str, Translator, &[u8]); 4] = [
    ("Zipkin JSON", zipkin::json::translate, ZIPKIN_JSON),
    ("Zipkin protobuf", zipkin::protobuf::translate, ZIPKIN_PROTOBUF),
    ("Jaeger Thrift", jaeger::batch::translate, JAEGER_THRIFT),
    ("Jaeger protobuf", jaeger::protobuf::translate, JAEGER_PROTOBUF),
];

/// Translates and decodes as the doors do.
pub(crate) fn taken(translator: Translator, plain: &[u8]) -> Decoded {
    let translated = translator(&DecodeLimits::default(), plain).expect("translates");
    let mut found = decoded(Signal::Traces, ContentType::Protobuf, &translated.otlp).expect("is OTLP");
    found.refused.merge(translated.refused);
    found
}

/// The one batch of a request that is taken whole.
pub(crate) fn rows(translator: Translator, plain: &[u8]) -> Batch {
    let mut found = taken(translator, plain);
    assert_eq!((found.refused.message(Signal::Traces).as_str(), found.batches.len()), ("", 1));
    found.batches.remove(0)
}

const TRACE: &str = "5b8efff798038103d269b633813fc60c";
const SCOPE: [(&str, &str); 4] =
    [("service_name", "checkout"), ("trace_id", TRACE), ("scope_name", "shop.checkout"), ("scope_version", "0.1")];

/// What every exporter sends alike; rows are the inner span, the client and the server.
fn check_all(batch: &Batch, times: &[[&str; 2]; 3]) {
    for (row, [start, duration]) in times.iter().enumerate() {
        check_cells(batch, row, &SCOPE);
        check_cells(batch, row, &[("start_unix_nano", start), ("duration_ns", duration)]);
    }
    check_cells(
        batch,
        0,
        &[
            ("span_id", "eee19b7ec3c1b103"),
            ("parent_span_id", "eee19b7ec3c1b101"),
            ("name", "count"),
            ("kind", "1"),
            ("status_code", "0"),
        ],
    );
    check_cells(
        batch,
        1,
        &[
            ("span_id", "eee19b7ec3c1b102"),
            ("parent_span_id", "eee19b7ec3c1b101"),
            ("name", "SELECT stock"),
            ("kind", "3"),
            ("status_code", "1"),
            ("status_message", "NULL"),
            ("db_system_name", "postgresql"),
            ("server_address", "db-1"),
            ("server_port", "5432"),
            ("events", "NULL"),
            ("links", "NULL"),
        ],
    );
    check_cells(
        batch,
        2,
        &[
            ("span_id", "eee19b7ec3c1b101"),
            ("parent_span_id", "NULL"),
            ("name", "POST /cart/{id}"),
            ("kind", "2"),
            ("status_code", "2"),
            ("status_message", "no stock"),
            ("http_response_status_code", "503"),
            ("http_route", "/cart/{id}"),
            ("flags", "1"),
            ("dropped_attributes_count", "0"),
            ("dropped_events_count", "0"),
            ("dropped_links_count", "0"),
        ],
    );
}

/// Microseconds, which the format has.
const MICROS: [[&str; 2]; 3] =
    [["1700000000000600000", "100000"], ["1700000000000500000", "1000000"], ["1700000000000000000", "3000000"]];

#[test]
fn zipkin_in_json_and_in_protobuf_arrives_field_by_field() {
    let json = rows(zipkin::json::translate, ZIPKIN_JSON);
    check_all(&json, &MICROS);
    let resource = r#"{"service.name":"checkout","service.version":"1.2.3","host.name":"node-7"}"#;
    check_cells(
        &json,
        2,
        &[
            ("resource_attributes", resource),
            ("service_version", "1.2.3"),
            ("host_name", "node-7"),
            (
                "attributes_rest",
                r#"{"ratio":"0.5","cached":"false","list":"[\"a\",\"b\"]","grüße":"Zürich","network.local.address":"10.0.0.7","network.local.port":8080}"#,
            ),
            (
                "events",
                "[{time: 1700000000001000000, name: retry, attributes: {\"attempt\":2}, dropped: 0}, \
                 {time: 1700000000002000000, name: exception, attributes: \
                 {\"exception.message\":\"no stock\",\"exception.stacktrace\":\"at shop:1\",\
                 \"exception.type\":\"ShopError\"}, dropped: 0}]",
            ),
        ],
    );
    let protobuf = rows(zipkin::protobuf::translate, ZIPKIN_PROTOBUF);
    check_all(&protobuf, &MICROS);
    // The exporter writes no flags in protobuf, and else the very same.
    for field in json.table().schema().fields().iter().filter(|field| field.name() != "flags") {
        for row in 0..3 {
            let cells = [&json, &protobuf].map(|batch| cell(batch, field.name(), row));
            assert_eq!(cells[0], cells[1], "{} row {row}", field.name());
        }
    }
}

/// The exporter writes an event's name as `message`, and resource attributes on spans too.
const JAEGER_TAGS: &str = r#"{"ratio":0.5,"cached":false,"list":"('a', 'b')","grüße":"Zürich","service.name":"checkout","service.version":"1.2.3","host.name":"node-7"}"#;
const JAEGER_LINKS: &str = "[{trace_id: 1234567890abcdef1234567890abcdef, span_id: 1234567890abcdef, trace_state: , \
     attributes: {\"opentracing.ref_type\":\"follows_from\"}, flags: 0, dropped: 0}]";

fn jaeger_events(times: [&str; 2]) -> String {
    format!(
        "[{{time: {}, name: log, attributes: {{\"attempt\":2,\"message\":\"retry\"}}, dropped: 0}}, \
         {{time: {}, name: exception, attributes: {{\"exception.type\":\"ShopError\",\
         \"exception.message\":\"no stock\",\"exception.stacktrace\":\"at shop:1\",\"message\":\"exception\"}}, \
         dropped: 0}}]",
        times[0], times[1]
    )
}

#[test]
fn jaeger_in_thrift_arrives_field_by_field() {
    let batch = rows(jaeger::batch::translate, JAEGER_THRIFT);
    check_all(&batch, &MICROS);
    let events = jaeger_events(["1700000000001000000", "1700000000002000000"]);
    check_cells(
        &batch,
        2,
        &[
            ("resource_attributes", r#"{"service.name":"checkout"}"#),
            ("attributes_rest", JAEGER_TAGS),
            ("events", &events),
            ("links", JAEGER_LINKS),
        ],
    );
}

#[test]
fn jaeger_in_protobuf_arrives_field_by_field() {
    let batch = rows(jaeger::protobuf::translate, JAEGER_PROTOBUF);
    // The exporter computes times and durations with doubles.
    check_all(
        &batch,
        &[["1700000000000600099", "99897"], ["1700000000000499963", "999928"], ["1700000000000000000", "3000020"]],
    );
    let events = jaeger_events(["1700000000000999927", "1700000000001999855"]);
    check_cells(
        &batch,
        2,
        &[
            ("resource_attributes", r#"{"service.name":"checkout","service.version":"1.2.3","host.name":"node-7"}"#),
            ("service_version", "1.2.3"),
            ("host_name", "node-7"),
            ("attributes_rest", JAEGER_TAGS),
            ("events", &events),
            ("links", JAEGER_LINKS),
        ],
    );
}
