//! From an HTTP request to its body, the same for every HTTP door: who may send, how it is compressed, how much it may
//! be; and what answers have in common: the time to come back, a browser's preflight.
//!
//! Deliberately knows no payload: content types are the doors' own.

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tracelake_model::{Caller, Encoding};

use crate::body;
use crate::error::Error;
use crate::export::{Export, Received};

/// Says what is missing, where a protocol's answer has no place for it. The query routes use it likewise.
const WARNING: HeaderName = HeaderName::from_static("tracelake-warning");
/// Headers that browser SDKs send, allowed when a preflight does not name its own.
const HEADERS: &str = "content-type, content-encoding, authorization, x-scope-orgid, traceparent, tracestate, baggage";
/// A preflight's answer holds for two hours, the longest that browsers keep it.
const PREFLIGHT_SECONDS: &str = "7200";
/// Characters of a header that a refusal repeats.
const REPEATED_MAX: usize = 100;

/// Everything that a request must satisfy before its bytes are worked on; `spoken` is what the door makes of its content
/// type, and comes back with the body. What is refused unread is drained, so that senders which write before they read
/// still see the answer.
pub(crate) async fn receive<T>(
    export: &Export,
    caller: &Caller,
    request: Request,
    spoken: Result<T, Error>,
) -> Result<(T, Received), Error> {
    let (head, body) = request.into_parts();
    let limit = export.request_bytes();
    let allowed = Export::authorize(caller).and(spoken).and_then(|spoken| {
        let encoding = encoding(&head.headers)?;
        let announced = announced(&head.headers, limit)?;
        Ok((spoken, encoding, export.permit(&caller.tenant, announced)?))
    });
    let (spoken, encoding, mut permit) = match allowed {
        Ok(allowed) => allowed,
        Err(error) => {
            body::drain(body).await;
            return Err(error);
        }
    };
    let payload = body::read(body, limit, |_| None, &mut permit).await?;
    Ok((spoken, Received { encoding, payload, permit }))
}

/// The content type without its parameters, in lower case; empty when there is none.
pub(crate) fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.chars().take(REPEATED_MAX).collect::<String>().to_ascii_lowercase()
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Error> {
    let value = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = String::from_utf8_lossy(value).trim().to_ascii_lowercase();
    match value.as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        "deflate" => Ok(Encoding::Deflate),
        other => Err(Error::Encoding(other.chars().take(REPEATED_MAX).collect())),
    }
}

/// The bytes that a body announces, if it does. More than the limit is refused before it is read.
fn announced(headers: &HeaderMap, limit: u64) -> Result<Option<u64>, Error> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(Error::TooLarge { what: "the request", limit, setting: "limits.request_bytes" });
    }
    Ok(length)
}

/// Puts the status of a refusal on its answer, and when to come back where that makes sense.
pub(crate) fn refuse(mut response: Response, error: &Error) -> Response {
    let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.status_mut() = status;
    if let Some(after) = error.retry_after() {
        // Whole seconds, rounded up: coming back early would be in vain.
        let seconds = after.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
    }
    response
}

/// Says in a header which records were refused while the rest was kept; nothing when `message` is empty.
pub(crate) fn warn_of(response: &mut Response, message: &str) {
    if let Ok(value) = HeaderValue::from_str(message)
        && !value.is_empty()
    {
        response.headers_mut().insert(WARNING, value);
    }
}

/// Lets pages from anywhere read an answer; they send no cookies.
pub(crate) fn allow_any_origin(mut response: Response) -> Response {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The answer to a browser that asks whether it may send (Fetch standard, "CORS-preflight request").
pub(crate) async fn preflight(headers: HeaderMap) -> Response {
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let allowed = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(HeaderValue::from_static(HEADERS))),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS)),
        (VARY, HeaderValue::from_static("access-control-request-headers")),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}
