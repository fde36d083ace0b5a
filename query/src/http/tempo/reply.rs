//! Answers as Tempo writes them: errors as plain text with their status, values as protobuf's JSON has them.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use crate::error::Error;
use crate::traceql::literal::Static;

/// What a handler answers.
pub(crate) type TempoReply = Result<Response, Refusal>;

/// An error that is told as plain text.
pub(crate) struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let text = match &self.0 {
            Error::Engine(_) => "the query engine failed; the server's log has the detail".to_owned(),
            told => told.to_string(),
        };
        // Status, the time to come back and the mark of a failed engine are those of every route.
        let (mut head, _) = self.0.into_response().into_parts();
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Response::from_parts(head, text.into())
    }
}

/// A value as OTLP's `AnyValue`: 64-bit integers as text; durations, statuses and kinds as queries write them.
pub(crate) fn any_value(value: &Static) -> Value {
    match value {
        Static::Bool(value) => json!({ "boolValue": value }),
        Static::Int(value) => json!({ "intValue": value.to_string() }),
        Static::Float(value) if value.is_finite() => json!({ "doubleValue": value }),
        Static::List(values) => {
            json!({ "arrayValue": { "values": values.iter().map(any_value).collect::<Vec<_>>() } })
        }
        other => json!({ "stringValue": other.plain() }),
    }
}

/// Keys with values, as OTLP lists them.
pub(crate) fn key_values<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a Static)>) -> Vec<Value> {
    pairs.into_iter().map(|(key, value)| json!({ "key": key, "value": any_value(value) })).collect()
}
