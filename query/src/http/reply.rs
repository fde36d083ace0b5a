//! JSON replies and problem bodies (RFC 9457), one shape for every route of this wing.

use std::convert::Infallible;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::Value;
use tokio_stream::wrappers::ReceiverStream;
use tracelake_model::{Caller, Fault, Permission, Problem};
use tracing::error;

use crate::error::Error;
use crate::http::heal::EngineFailed;

/// What a handler answers.
pub(crate) type Reply = Result<Response, Error>;

/// A JSON body with status 200.
pub(crate) fn json<T: Serialize>(value: &T) -> Reply {
    let text = serde_json::to_vec(value)
        .map_err(|fault| Error::Engine(datafusion::common::DataFusionError::External(Box::new(fault))))?;
    Ok(body(StatusCode::OK, "application/json", text))
}

/// A body of any type.
pub(crate) fn body(status: StatusCode, content_type: &'static str, bytes: impl Into<Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    (status, headers, bytes.into()).into_response()
}

/// A body that is written piece by piece off the async threads, a few pieces ahead of the reader. `write` hands each
/// piece to what it is given, and ends when that says that nobody reads on.
pub(crate) fn streamed(
    content_type: &'static str,
    write: impl FnOnce(&dyn Fn(Vec<u8>) -> bool) + Send + 'static,
) -> Response {
    const PIECES_AHEAD: usize = 2;
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Vec<u8>, Infallible>>(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || write(&|piece| sender.blocking_send(Ok(piece)).is_ok()));
    body(StatusCode::OK, content_type, Body::from_stream(ReceiverStream::new(receiver)))
}

/// Headers of warnings that a response carries at most.
const WARNINGS_MAX: usize = 8;
const WARNING: HeaderName = HeaderName::from_static("tracelake-warning");

/// A JSON object with status 200 that says what is missing, in `warnings` and in the headers.
pub(crate) fn json_warned(mut value: Value, warnings: &[String]) -> Reply {
    if !warnings.is_empty() {
        value["warnings"] = warnings.into();
    }
    let mut response = json(&value)?;
    warn(&mut response, warnings);
    Ok(response)
}

/// Says in the headers what is missing: not every form has room for it in the body.
pub(crate) fn warn(response: &mut Response, warnings: &[String]) {
    for warning in warnings.iter().take(WARNINGS_MAX) {
        if let Ok(warning) = HeaderValue::from_str(warning) {
            response.headers_mut().append(WARNING, warning);
        }
    }
}

/// Refuses a caller who may not ask questions.
pub(crate) fn may_read(caller: &Caller) -> Result<(), Error> {
    if caller.may(Permission::Read) {
        return Ok(());
    }
    Err(Error::Forbidden(format!("{} may not read; ask for a token with the role `read`", caller.subject)))
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let fault = self.kind();
        let mut problem = Problem::new(fault, self.to_string());
        match &self {
            Self::Engine(cause) => {
                error!(error = %cause, "query failed");
                problem.detail = "the query engine failed; the server's log has the detail".to_owned();
            }
            Self::NotAcceptable(_) => {
                problem.status = StatusCode::NOT_ACCEPTABLE.as_u16();
                problem.title = "not acceptable";
            }
            _ => {}
        }
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is a handful of strings, which serialise without fail.
        let text = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = body(status, "application/problem+json", text);
        if matches!(self, Self::Engine(_)) {
            response.extensions_mut().insert(EngineFailed);
        }
        if matches!(fault, Fault::Overloaded | Fault::Unavailable) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
