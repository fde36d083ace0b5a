//! Annotations that OpenTelemetry's exporters made of events: the event's name and its attributes as JSON
//! (OpenTelemetry specification, "OpenTelemetry to Zipkin Transformation", "Events"), read back.
//!
//! Exporters write `"name": {"key": "value"}` or the same in braces. Anything else is an annotation like any other.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use serde_json::{Map, Value as Json};

use crate::foreign::draft::{Parts, Room};
use crate::foreign::tag::any;

/// The name and attributes of the event that a text was made of; `None` where it was none.
pub(crate) fn restore(text: &str, room: &mut Room) -> Option<(String, Parts<KeyValue>)> {
    let text = text.trim();
    let fields = match (text.as_bytes().first(), text.as_bytes().last()) {
        (Some(b'{'), Some(b'}')) => serde_json::from_str(text),
        (Some(b'"'), Some(b'}')) => serde_json::from_str(&format!("{{{text}}}")),
        _ => return None,
    };
    let fields: Map<String, Json> = fields.ok()?;
    let mut fields = fields.into_iter();
    let (Some((name, Json::Object(attributes))), None) = (fields.next(), fields.next()) else { return None };
    let mut parts = Parts::default();
    for (key, json) in attributes {
        parts.push(room, any(&key, value(json)?));
    }
    Some((name, parts))
}

/// An attribute is a scalar or a list of scalars.
fn value(json: Json) -> Option<Value> {
    match json {
        Json::Array(values) => {
            let values: Option<Vec<_>> =
                values.into_iter().map(|json| Some(AnyValue { value: Some(scalar(json)?) })).collect();
            Some(Value::ArrayValue(ArrayValue { values: values? }))
        }
        json => scalar(json),
    }
}

fn scalar(json: Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::StringValue(text)),
        Json::Bool(flag) => Some(Value::BoolValue(flag)),
        Json::Number(number) => {
            number.as_i64().map(Value::IntValue).or_else(|| number.as_f64().map(Value::DoubleValue))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::tag::text;

    fn check(annotation: &str, expected: Option<(&str, Vec<KeyValue>)>) {
        let found = restore(annotation, &mut Room::new()).map(|(name, parts)| (name, parts.kept));
        assert_eq!(found, expected.map(|(name, attributes)| (name.to_owned(), attributes)), "{annotation}");
    }

    #[test]
    fn an_event_comes_back_with_its_attributes() {
        let attributes = vec![text("exception.type", "E"), any("n", Value::IntValue(3))];
        check(r#""exception": {"exception.type": "E", "n": 3}"#, Some(("exception", attributes.clone())));
        check(r#"{"exception": {"exception.type": "E", "n": 3}}"#, Some(("exception", attributes)));
        check(r#"{"empty": {}}"#, Some(("empty", Vec::new())));
    }

    #[test]
    fn other_text_stays_what_it_is() {
        for text in ["", "ws", "{", "\"}", "{}", r#"{"a": 1}"#, r#"{"a": {}, "b": {}}"#, r#"{"a": {"b": {}}}"#, "[1]"] {
            check(text, None);
        }
        check(&format!("{{\"a\": {{\"b\": {}}}}}", "[".repeat(100_000)), None);
    }
}
