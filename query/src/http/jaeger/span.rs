//! Traces as Jaeger's JSON: processes `p1`, `p2` ..., typed tags, references, logs, warnings; times in microseconds.
//!
//! What Jaeger has no field for becomes the tags that OpenTelemetry's transformation names (`span.kind`,
//! `otel.status_code`, `otel.scope.name`, `w3c.tracestate` ...). Warnings tell what the completeness of the trace says.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use serde::Serialize;
use serde_json::{Value, json};
use tracelake_model::{TraceId, to_hex};

use crate::map::parent::span_text;
use crate::view::skew::offsets;
use crate::view::trace::Trace;
use crate::view::tree::Tree;

/// One trace.
#[derive(Debug, Serialize)]
pub(crate) struct JaegerTrace {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<JaegerSpan>,
    processes: BTreeMap<String, Process>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    flags: u32,
    operation_name: String,
    references: Vec<Reference>,
    /// Microseconds since 1970.
    start_time: i64,
    /// Microseconds.
    duration: i64,
    tags: Vec<Tag>,
    logs: Vec<Log>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Reference {
    #[serde(rename = "refType")]
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

/// A key and its value, with the type that the value has.
#[derive(Debug, PartialEq, Serialize)]
struct Tag {
    key: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Value,
}

#[derive(Debug, Serialize)]
struct Log {
    timestamp: u64,
    fields: Vec<Tag>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
    tags: Vec<Tag>,
}

/// A trace in Jaeger's form, the earliest spans first.
pub(crate) fn jaeger_trace(id: TraceId, trace: &Trace) -> JaegerTrace {
    let outline = &trace.outline;
    let mut warnings = warnings(trace);
    let mut places: HashMap<(u32, u32), usize> = HashMap::new();
    let mut processes = BTreeMap::new();
    let mut spans = Vec::with_capacity(outline.spans.len());
    for at in trace.by_start() {
        let one = &outline.spans[at];
        let next = places.len() + 1;
        let place = *places.entry((one.link.service, trace.resource_place(at))).or_insert(next);
        let process_id = format!("p{place}");
        if place == next {
            let attributes = trace.resource(at).attributes;
            let others = attributes.iter().filter(|pair| pair.key != "service.name");
            let service_name = outline.services.get(one.link.service).to_string();
            processes.insert(process_id.clone(), Process { service_name, tags: others.map(tag).collect() });
        }
        let told = warnings.remove(&at);
        let span = trace.span(at);
        spans.push(JaegerSpan {
            trace_id: id.to_string(),
            span_id: span_text(one.link.span),
            flags: span.flags & 0xff,
            operation_name: span.name.clone(),
            references: references(id, &span),
            start_time: one.start / 1_000,
            duration: (one.end - one.start) / 1_000,
            tags: tags(trace, at, &span),
            logs: span.events.iter().map(log).collect(),
            process_id,
            warnings: told,
        });
    }
    let repeated = outline.repeated;
    let notes = (repeated > 0).then(|| vec![format!("{repeated} rows repeat others of this trace and are left out")]);
    JaegerTrace { trace_id: id.to_string(), spans, processes, warnings: notes }
}

/// What is odd about single spans.
fn warnings(trace: &Trace) -> HashMap<usize, Vec<String>> {
    let outline = &trace.outline;
    let tree = Tree::new(&outline.spans);
    let mut found: HashMap<usize, Vec<String>> = HashMap::new();
    let mut tell = |at: usize, text: String| found.entry(at).or_default().push(text);
    for &at in &tree.orphans {
        tell(at, format!("parent span {} is not stored", span_text(outline.spans[at].link.parent)));
    }
    for (at, span) in outline.spans.iter().enumerate() {
        if span.ends_before_start {
            tell(at, "it was sent with an end before its start; its duration is shown as 0".to_owned());
        }
    }
    for (at, by) in offsets(&tree).into_iter().enumerate().filter(|(_, by)| *by != 0) {
        tell(
            at,
            format!("clocks disagree: {} µs more would put it inside its parent; times are shown as sent", by / 1_000),
        );
    }
    for conflict in &outline.conflicts {
        let is_it = |link: &crate::map::parent::Link| {
            (link.span, link.kind, link.service) == (conflict.link.span, conflict.link.kind, conflict.link.service)
        };
        if let Some(at) = outline.spans.iter().position(|span| is_it(&span.link)) {
            tell(at, format!("it was stored with {} different contents; the last one is shown", conflict.versions));
        }
    }
    found
}

fn references(id: TraceId, span: &Span) -> Vec<Reference> {
    let parent = (!span.parent_span_id.is_empty()).then(|| Reference {
        ref_type: "CHILD_OF",
        trace_id: id.to_string(),
        span_id: to_hex(&span.parent_span_id),
    });
    let is_child = |link: &Link| {
        let kind = link.attributes.iter().find(|pair| pair.key == "opentracing.ref_type");
        kind.is_some_and(|pair| tag(pair).value == "child_of")
    };
    let link = |link: &Link| Reference {
        ref_type: if is_child(link) { "CHILD_OF" } else { "FOLLOWS_FROM" },
        trace_id: to_hex(&link.trace_id),
        span_id: to_hex(&link.span_id),
    };
    parent.into_iter().chain(span.links.iter().map(link)).collect()
}

fn tags(trace: &Trace, at: usize, span: &Span) -> Vec<Tag> {
    const KINDS: [&str; 6] = ["", "internal", "server", "client", "producer", "consumer"];
    let mut tags: Vec<Tag> = span.attributes.iter().map(tag).collect();
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            tags.push(text(key, value));
        }
    };
    let scope = trace.scope(at).unwrap_or_default();
    add("otel.scope.name", &scope.name);
    add("otel.scope.version", &scope.version);
    add("span.kind", usize::try_from(span.kind).ok().and_then(|kind| KINDS.get(kind)).copied().unwrap_or_default());
    add("w3c.tracestate", &span.trace_state);
    let status = span.status.clone().unwrap_or_default();
    add(
        "otel.status_code",
        ["", "OK", "ERROR"].get(usize::try_from(status.code).unwrap_or(0)).copied().unwrap_or_default(),
    );
    add("otel.status_description", &status.message);
    if status.code == 2 {
        // Jaeger's own mark; an attribute of that name would stand twice.
        tags.retain(|tag| tag.key != "error");
        tags.push(Tag { key: "error".to_owned(), kind: "bool", value: json!(true) });
    }
    for (key, count) in [
        ("otel.dropped_attributes_count", span.dropped_attributes_count),
        ("otel.dropped_events_count", span.dropped_events_count),
        ("otel.dropped_links_count", span.dropped_links_count),
    ] {
        if count > 0 {
            tags.push(Tag { key: key.to_owned(), kind: "int64", value: json!(count) });
        }
    }
    tags
}

fn log(event: &Event) -> Log {
    let name = (!event.name.is_empty()).then(|| text("event", &event.name));
    let others = event.attributes.iter().filter(|pair| pair.key != "event").map(tag);
    Log { timestamp: event.time_unix_nano / 1_000, fields: name.into_iter().chain(others).collect() }
}

fn text(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), kind: "string", value: json!(value) }
}

fn tag(pair: &KeyValue) -> Tag {
    let (kind, value) = pair.value.as_ref().map_or(("string", json!("")), typed);
    Tag { key: pair.key.clone(), kind, value }
}

/// A value with Jaeger's name of its type; lists and maps are JSON text.
fn typed(any: &AnyValue) -> (&'static str, Value) {
    use any_value::Value as Proto;
    match &any.value {
        Some(Proto::StringValue(value)) => ("string", json!(value)),
        Some(Proto::BoolValue(value)) => ("bool", json!(value)),
        Some(Proto::IntValue(value)) => ("int64", json!(value)),
        // JSON has no NaN.
        Some(Proto::DoubleValue(value)) if !value.is_finite() => ("string", json!(value.to_string())),
        Some(Proto::DoubleValue(value)) => ("float64", json!(value)),
        Some(Proto::BytesValue(bytes)) => ("binary", json!(base64::prelude::BASE64_STANDARD.encode(bytes))),
        Some(Proto::ArrayValue(_) | Proto::KvlistValue(_)) => ("string", json!(plain(any).to_string())),
        None | Some(Proto::StringValueStrindex(_)) => ("string", json!("")),
    }
}

fn plain(any: &AnyValue) -> Value {
    use any_value::Value as Proto;
    match &any.value {
        Some(Proto::ArrayValue(list)) => list.values.iter().map(plain).collect(),
        Some(Proto::KvlistValue(map)) => {
            let pair = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Value::Null, plain));
            Value::Object(map.values.iter().map(pair).collect())
        }
        None => Value::Null,
        _ => typed(any).1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::attribute::key_values;
    use tracelake_model::Value as Attribute;

    #[test]
    fn values_keep_their_types_and_what_jaeger_has_none_for_is_text() {
        let check = |value: Attribute, kind: &str, expected: Value| {
            let pair = key_values(vec![("k".to_owned(), value)]).remove(0);
            let found = tag(&pair);
            assert_eq!((found.kind, found.value), (kind, expected));
        };
        check(Attribute::String("a".to_owned()), "string", json!("a"));
        check(Attribute::Bool(true), "bool", json!(true));
        check(Attribute::Int(i64::MAX), "int64", json!(i64::MAX));
        check(Attribute::Double(0.5), "float64", json!(0.5));
        check(Attribute::Double(f64::NAN), "string", json!("NaN"));
        check(Attribute::Bytes(vec![0, 255]), "binary", json!("AP8="));
        check(Attribute::Empty, "string", json!(""));
        let list = Attribute::Array(vec![Attribute::Int(1), Attribute::String("b".to_owned()), Attribute::Empty]);
        check(list.clone(), "string", json!("[1,\"b\",null]"));
        check(Attribute::Map(vec![("l".to_owned(), list)]), "string", json!("{\"l\":[1,\"b\",null]}"));
    }
}
