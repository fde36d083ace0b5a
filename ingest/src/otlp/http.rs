//! OTLP/HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics` and `/v1/audit` (OTLP specification, "OTLP/HTTP").
//!
//! Answers come in the request's content type; a request whose content type is unknown is answered in JSON. Browser
//! SDKs may send from any page, without cookies.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tracelake_model::{Caller, ContentType, Encoding, Fault, Signal};

use crate::body;
use crate::error::Error;
use crate::export::{Door, Export, Inbound};
use crate::otlp::partial::Refused;
use crate::otlp::status::{failure_json, failure_protobuf, success_json, success_protobuf};
use crate::stats::Protocol;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// Headers that browser SDKs send, allowed when a preflight does not name its own.
const HEADERS: &str = "content-type, content-encoding, authorization, x-scope-orgid, traceparent, tracestate, baggage";
/// A preflight's answer holds for two hours, the longest that browsers keep it.
const PREFLIGHT_SECONDS: &str = "7200";

/// Routes of the OTLP/HTTP door.
pub(crate) fn router(export: &Arc<Export>) -> Router {
    let mut router = Router::new();
    for (path, signal) in [
        ("/v1/traces", Signal::Traces),
        ("/v1/logs", Signal::Logs),
        ("/v1/metrics", Signal::Metrics),
        ("/v1/audit", Signal::Audit),
    ] {
        let receive = move |state: State<Arc<Export>>, caller: Extension<Caller>, request: Request| {
            receive(signal, state, caller, request)
        };
        router = router.route(path, post(receive).options(preflight));
    }
    router.with_state(Arc::clone(export))
}

async fn receive(
    signal: Signal,
    State(export): State<Arc<Export>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let door = Door { signal, protocol: Protocol::Http };
    let content_type = content_type(request.headers());
    let answered = match take(&export, &caller, &content_type, request).await {
        Ok(inbound) => export.export(door, inbound).await,
        Err(error) => Err(error),
    };
    let content_type = content_type.unwrap_or(ContentType::Json);
    let mut response = match answered {
        Ok(refused) => success(signal, content_type, &refused),
        Err(error) => {
            export.refused(door, &error);
            failure(content_type, &error)
        }
    };
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// Everything that a request must satisfy before its bytes are worked on. What is refused unread is drained, so that
/// senders which write before they read still see the answer.
async fn take(
    export: &Export,
    caller: &Caller,
    content_type: &Result<ContentType, Error>,
    request: Request,
) -> Result<Inbound, Error> {
    let (head, body) = request.into_parts();
    let limit = export.request_bytes();
    let checked = Export::authorize(caller).and_then(|()| {
        let content_type = content_type.as_ref().map_err(again)?;
        let encoding = encoding(&head.headers)?;
        let announced = announced(&head.headers, limit)?;
        Ok((*content_type, encoding, export.permit(&caller.tenant, announced)?))
    });
    let (content_type, encoding, mut permit) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            body::drain(body).await;
            return Err(error);
        }
    };
    let payload = body::read(body, limit, &mut permit).await?;
    Ok(Inbound { tenant: caller.tenant.clone(), content_type, encoding, payload, permit })
}

/// The content type's refusal once more: it decides both whether a body is read and in what words it is answered.
fn again(error: &Error) -> Error {
    if let Error::ContentType(name) = error {
        Error::ContentType(name.clone())
    } else {
        Error::ContentType(String::new())
    }
}

fn content_type(headers: &HeaderMap) -> Result<ContentType, Error> {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(PROTOBUF) {
        Ok(ContentType::Protobuf)
    } else if essence.eq_ignore_ascii_case(JSON) {
        Ok(ContentType::Json)
    } else {
        Err(Error::ContentType(value.chars().take(100).collect()))
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Error> {
    let value = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes).unwrap_or_default();
    let value = String::from_utf8_lossy(value).trim().to_ascii_lowercase();
    match value.as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        "deflate" => Ok(Encoding::Deflate),
        other => Err(Error::Encoding(other.chars().take(100).collect())),
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

fn success(signal: Signal, content_type: ContentType, refused: &Refused) -> Response {
    let body = match content_type {
        ContentType::Protobuf => success_protobuf(signal, refused),
        ContentType::Json => success_json(signal, refused),
    };
    answer(StatusCode::OK, content_type, body)
}

fn failure(content_type: ContentType, error: &Error) -> Response {
    // A framing fault cannot come from this door; what remains internal is ours.
    let fault = if matches!(error, Error::Frame(_)) { Fault::Invalid } else { error.kind() };
    let body = match content_type {
        ContentType::Protobuf => failure_protobuf(fault.grpc_code(), error),
        ContentType::Json => failure_json(fault.grpc_code(), error),
    };
    let status = StatusCode::from_u16(fault.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, content_type, body);
    if let Some(after) = error.retry_after() {
        // Whole seconds, rounded up: coming back early would be in vain.
        let seconds = after.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
    }
    response
}

fn answer(status: StatusCode, content_type: ContentType, body: Vec<u8>) -> Response {
    let name = match content_type {
        ContentType::Protobuf => PROTOBUF,
        ContentType::Json => JSON,
    };
    (status, [(CONTENT_TYPE, name)], Body::from(body)).into_response()
}

/// The answer to a browser that asks whether it may send (Fetch standard, "CORS-preflight request").
async fn preflight(headers: HeaderMap) -> Response {
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
