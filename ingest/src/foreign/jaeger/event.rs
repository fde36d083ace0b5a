//! A log of a span as an event (OpenTelemetry specification, "OpenTelemetry to Jaeger Transformation", "Events", and
//! "OpenTracing Compatibility", "Log").
//!
//! The field `event` names it. The error logs of OpenTracing become exceptions as OpenTelemetry writes them, so that
//! they are found, grouped and alerted on like any other; so do those whose fields are an exception's and whose name an
//! exporter wrote elsewhere.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::Event;

use crate::foreign::draft::Parts;
use crate::foreign::tag::value_of;

/// The name of a log that says none.
const UNNAMED: &str = "log";
const EXCEPTION_NAME: &str = "exception";
/// What OpenTracing calls the parts of an error, and what OpenTelemetry does.
const EXCEPTION: [(&str, &str); 3] =
    [("error.kind", "exception.type"), ("message", "exception.message"), ("stack", "exception.stacktrace")];

/// A log's time and fields as an event.
pub(crate) fn event(time_unix_nano: u64, fields: Parts<KeyValue>) -> Event {
    let Parts { kept: mut attributes, dropped } = fields;
    let mut name = None;
    attributes.retain(|field| match (field.key.as_str(), value_of(field)) {
        ("event", Some(Value::StringValue(text))) if name.is_none() => {
            name = Some(text.clone());
            false
        }
        _ => true,
    });
    let is_exception = |field: &KeyValue| EXCEPTION.iter().any(|(_, new)| *new == field.key);
    let mut name = name.unwrap_or_else(|| {
        let exception = attributes.iter().any(is_exception);
        if exception { EXCEPTION_NAME.to_owned() } else { UNNAMED.to_owned() }
    });
    if name == "error" && attributes.iter().any(|field| renamed(&field.key).is_some()) {
        EXCEPTION_NAME.clone_into(&mut name);
        for field in &mut attributes {
            if let Some(key) = renamed(&field.key) {
                key.clone_into(&mut field.key);
            }
        }
    }
    Event { time_unix_nano, name, attributes, dropped_attributes_count: dropped }
}

fn renamed(key: &str) -> Option<&'static str> {
    EXCEPTION.into_iter().find(|(old, _)| *old == key).map(|(_, new)| new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foreign::tag::text;

    fn check(fields: &[(&str, &str)], name: &str, keys: &[&str]) {
        let kept = fields.iter().map(|(key, value)| text(key, *value)).collect();
        let found = event(7, Parts { kept, dropped: 2 });
        let found_keys: Vec<_> = found.attributes.iter().map(|field| field.key.as_str()).collect();
        assert_eq!((found.name.as_str(), found_keys.as_slice()), (name, keys), "{fields:?}");
        assert_eq!((found.time_unix_nano, found.dropped_attributes_count), (7, 2));
    }

    #[test]
    fn the_field_event_names_it_and_errors_become_exceptions() {
        check(&[("event", "retry"), ("attempt", "2")], "retry", &["attempt"]);
        check(&[("message", "hello")], "log", &["message"]);
        check(
            &[("event", "error"), ("error.kind", "E"), ("message", "it broke"), ("stack", "at f"), ("more", "x")],
            "exception",
            &["exception.type", "exception.message", "exception.stacktrace", "more"],
        );
        check(&[("event", "error"), ("error.object", "E")], "error", &["error.object"]);
        check(&[("exception.type", "E"), ("message", "m")], "exception", &["exception.type", "message"]);
    }
}
