//! Tags as OTLP attributes, and tags that carry what OTLP has a place of its own for.
//!
//! Names: OpenTelemetry specification, "OpenTelemetry Transformation to non-OTLP Formats" (scope, status, dropped
//! counts); OpenTracing's `span.kind` and `error`; `w3c.tracestate` as OpenTelemetry's own exporters write it. A tag
//! that is understood goes; one that is not stays an attribute.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

/// W3C's sampled flag, in the lowest byte of OTLP's flags.
pub(crate) const SAMPLED: u32 = 1;

/// Any attribute.
pub(crate) fn any(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A text attribute.
pub(crate) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    any(key, Value::StringValue(value.into()))
}

/// What an attribute holds.
pub(crate) fn value_of(tag: &KeyValue) -> Option<&Value> {
    tag.value.as_ref()?.value.as_ref()
}

fn text_of(tag: &KeyValue) -> Option<&str> {
    if let Some(Value::StringValue(text)) = value_of(tag) { Some(text) } else { None }
}

/// Whether a text says the name of a flag that is on.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::BoolValue(flag) => *flag,
        Value::StringValue(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// What tags said about their span.
#[derive(Debug, Default)]
pub(crate) struct Lifted {
    /// The instrumentation.
    pub(crate) scope: InstrumentationScope,
    kind: Option<SpanKind>,
    trace_state: String,
    code: Option<StatusCode>,
    description: Option<String>,
    failure: Option<String>,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
}

impl Lifted {
    /// Takes out of `tags` what has a place elsewhere. `failure` reads the tag `error`: what it says about the failure,
    /// or nothing where it tells of none.
    pub(crate) fn take(tags: &mut Vec<KeyValue>, failure: fn(&Value) -> Option<String>) -> Self {
        let mut lifted = Self::default();
        tags.retain(|tag| !lifted.read(tag, failure));
        lifted
    }

    /// Whether the tag was understood.
    fn read(&mut self, tag: &KeyValue, failure: fn(&Value) -> Option<String>) -> bool {
        match tag.key.as_str() {
            // The older names hold what the newer ones hold.
            "otel.scope.name" | "otel.library.name" => fill(&mut self.scope.name, tag),
            "otel.scope.version" | "otel.library.version" => fill(&mut self.scope.version, tag),
            "w3c.tracestate" => fill(&mut self.trace_state, tag),
            "span.kind" => keep(&mut self.kind, text_of(tag).and_then(kind)),
            "otel.status_code" => keep(&mut self.code, text_of(tag).and_then(status_code)),
            "otel.status_description" => keep(&mut self.description, text_of(tag).map(str::to_owned)),
            "error" => keep(&mut self.failure, value_of(tag).and_then(failure)),
            "otel.dropped_attributes_count" => count(&mut self.dropped_attributes, tag),
            "otel.dropped_events_count" => count(&mut self.dropped_events, tag),
            "otel.dropped_links_count" => count(&mut self.dropped_links, tag),
            _ => false,
        }
    }

    /// Puts all of it on the span, whose kind and dropped counts are added to. A failure tells more than a status code:
    /// the peers that these formats come from go by the tag `error` alone.
    pub(crate) fn put(self, span: &mut Span) -> InstrumentationScope {
        if span.kind == SpanKind::Unspecified as i32 {
            span.kind = self.kind.unwrap_or(SpanKind::Internal) as i32;
        }
        span.trace_state = self.trace_state;
        let failed = self.failure.is_some() || self.code == Some(StatusCode::Error);
        let code = if failed { Some(StatusCode::Error) } else { self.code };
        span.status = code.map(|code| {
            let message = self.description.or(self.failure).filter(|_| failed);
            Status { code: code as i32, message: message.unwrap_or_default() }
        });
        span.dropped_attributes_count = span.dropped_attributes_count.saturating_add(self.dropped_attributes);
        span.dropped_events_count = span.dropped_events_count.saturating_add(self.dropped_events);
        span.dropped_links_count = span.dropped_links_count.saturating_add(self.dropped_links);
        self.scope
    }
}

fn fill(place: &mut String, tag: &KeyValue) -> bool {
    let Some(text) = text_of(tag) else { return false };
    text.clone_into(place);
    true
}

fn keep<T>(place: &mut Option<T>, found: Option<T>) -> bool {
    let understood = found.is_some();
    if understood {
        *place = found;
    }
    understood
}

fn count(place: &mut u32, tag: &KeyValue) -> bool {
    let found = match value_of(tag) {
        Some(Value::IntValue(count)) => u32::try_from(*count).ok(),
        Some(Value::StringValue(text)) => text.parse().ok(),
        _ => None,
    };
    found.map(|found| *place = found).is_some()
}

fn kind(text: &str) -> Option<SpanKind> {
    let kinds = [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ];
    kinds.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, kind)| kind)
}

/// `OK` and `ERROR` in any case, with the prefix of the protobuf enum or without.
fn status_code(text: &str) -> Option<StatusCode> {
    let text = text.to_ascii_uppercase();
    match text.strip_prefix("STATUS_CODE_").unwrap_or(&text) {
        "OK" => Some(StatusCode::Ok),
        "ERROR" => Some(StatusCode::Error),
        "UNSET" => Some(StatusCode::Unset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tags: &[(&str, &str)], rest: usize) -> (Span, InstrumentationScope) {
        let mut tags: Vec<_> = tags.iter().map(|(key, value)| text(key, *value)).collect();
        let lifted = Lifted::take(&mut tags, |value| is_true(value).then(String::new));
        assert_eq!(tags.len(), rest, "{tags:?}");
        let mut span = Span::default();
        let scope = lifted.put(&mut span);
        (span, scope)
    }

    fn status(tags: &[(&str, &str)], rest: usize) -> (i32, String) {
        check(tags, rest).0.status.map_or((0, String::new()), |status| (status.code, status.message))
    }

    #[test]
    fn tags_with_a_place_of_their_own_go_there() {
        let (span, scope) = check(
            &[
                ("otel.scope.name", "lib"),
                ("otel.library.version", "0.1"),
                ("w3c.tracestate", "a=b"),
                ("span.kind", "Client"),
                ("otel.dropped_events_count", "7"),
                ("otel.dropped_links_count", "many"),
                ("http.method", "GET"),
            ],
            2,
        );
        assert_eq!((scope.name.as_str(), scope.version.as_str()), ("lib", "0.1"));
        assert_eq!((span.kind, span.trace_state.as_str(), span.dropped_events_count), (3, "a=b", 7));
    }

    #[test]
    fn a_span_without_kind_is_internal() {
        assert_eq!(check(&[], 0).0.kind, SpanKind::Internal as i32);
        assert_eq!(check(&[("span.kind", "odd")], 1).0.kind, SpanKind::Internal as i32);
    }

    #[test]
    fn the_error_tag_and_the_status_code_make_one_status() {
        let none = String::new;
        assert_eq!(status(&[], 0), (0, none()));
        assert_eq!(status(&[("error", "true")], 0), (2, none()));
        assert_eq!(status(&[("error", "false")], 1), (0, none()));
        assert_eq!(status(&[("otel.status_code", "OK"), ("otel.status_description", "fine")], 0), (1, none()));
        assert_eq!(status(&[("otel.status_code", "Error"), ("otel.status_description", "x")], 0), (2, "x".to_owned()));
        assert_eq!(status(&[("otel.status_code", "STATUS_CODE_OK"), ("error", "true")], 0), (2, none()));
        assert_eq!(status(&[("otel.status_code", "7")], 1), (0, none()));
    }
}
