//! The envelope of every answer of the Jaeger API: `data`, three numbers that nobody uses, `errors`.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::error::Error;
use crate::http::parameter::Parameters;
use crate::http::reply::body;

/// What a handler answers.
pub(crate) type Answer = Result<Response, Refusal>;

/// A refusal in Jaeger's form.
#[derive(Debug)]
pub(crate) struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// An error within an answer.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
    pub(crate) msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Fault>>,
}

/// Data with status 200; indented where `prettyPrint` asks for it. Takes a moment where the data are many.
pub(crate) fn answer<T: Serialize>(data: T, total: usize, faults: Vec<Fault>, is_pretty: bool) -> Answer {
    let errors = (!faults.is_empty()).then_some(faults);
    let envelope = Envelope { data, total, limit: 0, offset: 0, errors };
    let text = if is_pretty { serde_json::to_vec_pretty(&envelope) } else { serde_json::to_vec(&envelope) };
    let text = text.map_err(|fault| Error::Engine(datafusion::common::DataFusionError::External(Box::new(fault))))?;
    Ok(body(StatusCode::OK, "application/json", text))
}

/// Whether a request asks for indented JSON.
pub(crate) fn is_pretty(parameters: &Parameters) -> bool {
    parameters.all("prettyPrint").first().is_some_and(|value| matches!(*value, "" | "true" | "1" | "t"))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let msg = match &self.0 {
            Error::NotFound(_) => "trace not found".to_owned(),
            Error::Engine(_) => "the query engine failed; the server's log has the detail".to_owned(),
            told => told.to_string(),
        };
        // Its status, its headers, and what tells that a part may be damaged are those of every refusal of ours.
        let (mut head, _) = self.0.into_response().into_parts();
        let fault = Fault { code: Some(head.status.as_u16()), msg, trace_id: None };
        let envelope: Envelope<Option<()>> =
            Envelope { data: None, total: 0, limit: 0, offset: 0, errors: Some(vec![fault]) };
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Two numbers and a text, which serialise without fail.
        Response::from_parts(head, serde_json::to_vec(&envelope).unwrap_or_default().into())
    }
}
