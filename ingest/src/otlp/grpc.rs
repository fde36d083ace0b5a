//! OTLP/gRPC: the three unary `Export` methods as plain HTTP/2 routes, and `grpc.health.v1`. Unary methods of other
//! protocols that take spans stand beside them.
//!
//! Written on HTTP/2 itself, so that the bytes reach the WAL as they were sent (compressed if they were), decompression
//! is ours and bounded, and every refusal has the code that OTLP asks for. Success is one framed message and trailers;
//! a refusal is headers alone ("Trailers-Only", grpc/grpc `doc/PROTOCOL-HTTP2.md`).

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tracelake_model::{Caller, ContentType, Encoding, Signal};

use crate::body;
use crate::error::Error;
use crate::export::{Door, Export, Inbound, Received};
use crate::foreign::draft::Translator;
use crate::intake::warn_of;
use crate::otlp::frame;
use crate::otlp::partial::Refused;
use crate::otlp::status::{failure_protobuf, success_protobuf};
use crate::stats::Protocol;

const GRPC: &str = "application/grpc";
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");
/// gRPC code of a method or encoding that is not there.
const UNIMPLEMENTED: i32 = 12;

/// One unary method.
#[derive(Clone, Copy)]
pub(crate) struct Unary {
    /// The service's full name.
    pub(crate) service: &'static str,
    /// The method's name.
    pub(crate) name: &'static str,
    /// What it sends, and as what it counts.
    pub(crate) door: Door,
    /// What turns its message into OTLP; its answer is then an empty message.
    pub(crate) translator: Option<Translator>,
}

const fn otlp(service: &'static str, signal: Signal) -> Unary {
    Unary { service, name: "Export", door: Door { signal, protocol: Protocol::Grpc }, translator: None }
}

const UNARIES: [Unary; 3] = [
    otlp("opentelemetry.proto.collector.trace.v1.TraceService", Signal::Traces),
    otlp("opentelemetry.proto.collector.logs.v1.LogsService", Signal::Logs),
    otlp("opentelemetry.proto.collector.metrics.v1.MetricsService", Signal::Metrics),
];

/// Routes of the OTLP/gRPC door, and of `others` beside it.
pub(crate) fn router(export: &Arc<Export>, others: &[Unary]) -> Router {
    let mut router = Router::new();
    for unary in UNARIES.iter().chain(others).copied() {
        let take = move |state: State<Arc<Export>>, caller: Extension<Caller>, request: Request| {
            take(unary, state, caller, request)
        };
        router = router.route(&format!("/{}/{}", unary.service, unary.name), post(take));
    }
    let router = router.with_state(Arc::clone(export));
    router.route_service("/grpc.health.v1.Health/{method}", health(others)).fallback(unknown)
}

/// Health of the whole server (the empty name) and of each service; all serve for as long as the process listens.
fn health(others: &[Unary]) -> HealthServer<HealthService> {
    let reporter = HealthReporter::new();
    for unary in UNARIES.iter().chain(others) {
        // Nobody else holds the reporter's lock, so this is done at once.
        let set = reporter.set_service_status(unary.service, ServingStatus::Serving).now_or_never();
        debug_assert!(set.is_some(), "the reporter's lock is free");
    }
    HealthServer::new(HealthService::from_health_reporter(reporter))
}

async fn unknown(request: Request) -> Response {
    let mut path = request.uri().path().to_owned();
    path.truncate(path.floor_char_boundary(200));
    if request.method() != Method::POST {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    refusal(
        UNIMPLEMENTED,
        &format!("no method {path}; this door speaks OTLP (traces, logs, metrics) and Jaeger's PostSpans"),
        None,
    )
}

async fn take(
    unary: Unary,
    State(export): State<Arc<Export>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let inbound = receive(&export, &caller, request).await.map(|received| match unary.translator {
        Some(translator) => Inbound::foreign(caller.tenant, translator, received),
        None => Inbound::otlp(caller.tenant, ContentType::Protobuf, received),
    });
    let answered = match inbound {
        Ok(inbound) => export.export(unary.door, inbound).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(refused) => success(unary, &refused),
        Err(error) => {
            export.refused(unary.door, &error);
            let code = code(&error);
            refusal(code, &error.to_string(), error.retry_after().map(|_| failure_protobuf(code, &error)))
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == GRPC || essence == "application/grpc+proto"
}

async fn receive(export: &Export, caller: &Caller, request: Request) -> Result<Received, Error> {
    let (head, body) = request.into_parts();
    let checked = Export::authorize(caller).and_then(|()| declared(&head.headers));
    let declared = match checked {
        Ok(declared) => declared,
        Err(error) => {
            body::drain(body).await;
            return Err(error);
        }
    };
    let mut permit = match export.permit(&caller.tenant, None) {
        Ok(permit) => permit,
        Err(error) => {
            body::drain(body).await;
            return Err(error);
        }
    };
    let limit = export.request_bytes();
    let framed = body::read(body, limit + frame::PREFIX as u64, frame::size, &mut permit).await;
    let framed = framed.map_err(|error| match error {
        // The prefix of the frame is not part of the limit that the sender is told.
        Error::TooLarge { what, setting, .. } => Error::TooLarge { what, limit, setting },
        other => other,
    })?;
    let (encoding, payload) = frame::read(framed, declared)?;
    Ok(Received { encoding, payload, permit })
}

fn declared(headers: &HeaderMap) -> Result<Option<Encoding>, Error> {
    let Some(value) = headers.get(ENCODING) else { return Ok(None) };
    match value.as_bytes() {
        b"identity" => Ok(Some(Encoding::Identity)),
        b"gzip" => Ok(Some(Encoding::Gzip)),
        b"zstd" => Ok(Some(Encoding::Zstd)),
        b"deflate" => Ok(Some(Encoding::Deflate)),
        other => Err(Error::Encoding(String::from_utf8_lossy(other).chars().take(100).collect())),
    }
}

/// gRPC has a code of its own for an encoding that the server does not know.
fn code(error: &Error) -> i32 {
    if matches!(error, Error::Encoding(_)) { UNIMPLEMENTED } else { error.kind().grpc_code() }
}

fn success(unary: Unary, refused: &Refused) -> Response {
    let signal = unary.door.signal;
    let message = match unary.translator {
        Some(_) => frame::write(&[]),
        None => frame::write(&success_protobuf(signal, refused)),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::<Bytes>::new(message).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED);
    if unary.translator.is_some() {
        warn_of(&mut response, &refused.message(signal));
    }
    response
}

fn refusal(code: i32, message: &str, details: Option<Vec<u8>>) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert(ACCEPT_ENCODING, ACCEPTED);
    headers.insert(STATUS, HeaderValue::from(code));
    let mut put = |name, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    put(MESSAGE, &percent_encoded(message));
    if let Some(details) = details {
        put(DETAILS, &STANDARD_NO_PAD.encode(details));
    }
    response
}

/// Status messages are printable ASCII, everything else and `%` as hex of its UTF-8 bytes.
fn percent_encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        if (b' '..=b'~').contains(&byte) && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_messages_are_printable_ascii() {
        assert_eq!(percent_encoded("plain text"), "plain text");
        assert_eq!(percent_encoded("100% é\n"), "100%25 %C3%A9%0A");
    }
}
