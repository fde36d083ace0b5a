//! A trace as OTLP/JSON: ids as lower-case hex, 64-bit integers as text, enums as numbers, doubles that JSON cannot say
//! as `"NaN"`, `"Infinity"` and `"-Infinity"`. Fields that hold their default are left out, as protobuf's JSON does.
//!
//! Own writer: the generated types' serde writes `null` for NaN. Source: OTLP specification, "JSON Protobuf Encoding".

use std::fmt::Write as _;

use base64::Engine as _;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use tracelake_model::{push_json_string, to_hex};

/// What stands before the elements of [`elements_json`], and after them.
pub(crate) const TRACES_JSON: [&str; 2] = [r#"{"resourceSpans":["#, "]}"];

/// The elements of a trace's `resourceSpans`, comma-separated.
pub(crate) fn elements_json(data: &TracesData) -> String {
    let mut json = Json::default();
    for (at, one) in data.resource_spans.iter().enumerate() {
        if at > 0 {
            json.text.push(',');
        }
        resource_spans(&mut json, one);
    }
    json.text
}

fn resource_spans(json: &mut Json, one: &ResourceSpans) {
    json.open('{');
    json.key("resource");
    json.open('{');
    if let Some(resource) = &one.resource {
        json.attributes(&resource.attributes);
        json.number("droppedAttributesCount", resource.dropped_attributes_count);
    }
    json.close('}');
    json.list("scopeSpans", &one.scope_spans, scope_spans);
    json.string("schemaUrl", &one.schema_url);
    json.close('}');
}

fn scope_spans(json: &mut Json, one: &ScopeSpans) {
    json.open('{');
    json.key("scope");
    json.open('{');
    if let Some(scope) = &one.scope {
        json.string("name", &scope.name);
        json.string("version", &scope.version);
        if !scope.attributes.is_empty() {
            json.attributes(&scope.attributes);
        }
        json.number("droppedAttributesCount", scope.dropped_attributes_count);
    }
    json.close('}');
    json.list("spans", &one.spans, span);
    json.string("schemaUrl", &one.schema_url);
    json.close('}');
}

fn span(json: &mut Json, span: &Span) {
    json.open('{');
    json.string("traceId", &to_hex(&span.trace_id));
    json.string("spanId", &to_hex(&span.span_id));
    json.string("traceState", &span.trace_state);
    json.string("parentSpanId", &to_hex(&span.parent_span_id));
    json.number("flags", span.flags);
    json.key("name");
    push_json_string(&mut json.text, &span.name);
    json.key("kind");
    let _ = write!(json.text, "{}", span.kind);
    json.time("startTimeUnixNano", span.start_time_unix_nano);
    json.time("endTimeUnixNano", span.end_time_unix_nano);
    json.attributes(&span.attributes);
    json.number("droppedAttributesCount", span.dropped_attributes_count);
    if !span.events.is_empty() {
        json.list("events", &span.events, event);
    }
    json.number("droppedEventsCount", span.dropped_events_count);
    if !span.links.is_empty() {
        json.list("links", &span.links, link);
    }
    json.number("droppedLinksCount", span.dropped_links_count);
    json.key("status");
    json.open('{');
    if let Some(status) = &span.status {
        json.string("message", &status.message);
        json.number("code", status.code);
    }
    json.close('}');
    json.close('}');
}

fn event(json: &mut Json, event: &Event) {
    json.open('{');
    json.time("timeUnixNano", event.time_unix_nano);
    json.string("name", &event.name);
    json.attributes(&event.attributes);
    json.number("droppedAttributesCount", event.dropped_attributes_count);
    json.close('}');
}

fn link(json: &mut Json, link: &Link) {
    json.open('{');
    json.string("traceId", &to_hex(&link.trace_id));
    json.string("spanId", &to_hex(&link.span_id));
    json.string("traceState", &link.trace_state);
    json.attributes(&link.attributes);
    json.number("droppedAttributesCount", link.dropped_attributes_count);
    json.number("flags", link.flags);
    json.close('}');
}

fn key_value(json: &mut Json, pair: &KeyValue) {
    json.open('{');
    json.key("key");
    push_json_string(&mut json.text, &pair.key);
    json.key("value");
    any_value(json, pair.value.as_ref().unwrap_or(&AnyValue { value: None }));
    json.close('}');
}

fn any_value(json: &mut Json, any: &AnyValue) {
    use any_value::Value;
    json.open('{');
    match &any.value {
        None | Some(Value::StringValueStrindex(_)) => {}
        Some(Value::StringValue(text)) => {
            json.key("stringValue");
            push_json_string(&mut json.text, text);
        }
        Some(Value::BoolValue(value)) => {
            json.key("boolValue");
            let _ = write!(json.text, "{value}");
        }
        Some(Value::IntValue(value)) => {
            json.key("intValue");
            let _ = write!(json.text, "\"{value}\"");
        }
        Some(Value::DoubleValue(value)) => {
            json.key("doubleValue");
            json.double(*value);
        }
        Some(Value::BytesValue(bytes)) => {
            json.key("bytesValue");
            push_json_string(&mut json.text, &base64::prelude::BASE64_STANDARD.encode(bytes));
        }
        Some(Value::ArrayValue(array)) => {
            json.key("arrayValue");
            json.open('{');
            json.list("values", &array.values, any_value);
            json.close('}');
        }
        Some(Value::KvlistValue(entries)) => {
            json.key("kvlistValue");
            json.open('{');
            json.list("values", &entries.values, key_value);
            json.close('}');
        }
    }
    json.close('}');
}

/// JSON text under construction; commas come by themselves.
#[derive(Default)]
struct Json {
    text: String,
}

impl Json {
    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
    }

    fn close(&mut self, bracket: char) {
        self.text.push(bracket);
    }

    fn key(&mut self, name: &str) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
        push_json_string(&mut self.text, name);
        self.text.push(':');
    }

    fn string(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.key(name);
            push_json_string(&mut self.text, value);
        }
    }

    fn number<N: Into<i64>>(&mut self, name: &str, value: N) {
        let value = value.into();
        if value != 0 {
            self.key(name);
            let _ = write!(self.text, "{value}");
        }
    }

    fn time(&mut self, name: &str, nanos: u64) {
        self.key(name);
        let _ = write!(self.text, "\"{nanos}\"");
    }

    fn double(&mut self, value: f64) {
        if value.is_finite() {
            let _ = write!(self.text, "{value:?}");
        } else {
            let name = if value.is_nan() { "NaN" } else { ["-Infinity", "Infinity"][usize::from(value > 0.0)] };
            push_json_string(&mut self.text, name);
        }
    }

    fn attributes(&mut self, attributes: &[KeyValue]) {
        self.list("attributes", attributes, key_value);
    }

    fn list<T>(&mut self, name: &str, items: &[T], write: impl Fn(&mut Json, &T)) {
        self.key(name);
        self.open('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            write(self, item);
        }
        self.close(']');
    }
}
