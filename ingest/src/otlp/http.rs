//! OTLP/HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics` and `/v1/audit` (OTLP specification, "OTLP/HTTP").
//!
//! Answers come in the request's content type; a request whose content type is unknown is answered in JSON. Browser
//! SDKs may send from any page, without cookies.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tracelake_model::{Caller, ContentType, Signal};

use crate::error::Error;
use crate::export::{Door, Export, Inbound};
use crate::intake::{allow_any_origin, essence, preflight, receive, refuse};
use crate::otlp::partial::Refused;
use crate::otlp::status::{failure_json, failure_protobuf, success_json, success_protobuf};
use crate::stats::Protocol;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Routes of the OTLP/HTTP door.
pub(crate) fn router(export: &Arc<Export>) -> Router {
    let mut router = Router::new();
    for (path, signal) in [
        ("/v1/traces", Signal::Traces),
        ("/v1/logs", Signal::Logs),
        ("/v1/metrics", Signal::Metrics),
        ("/v1/audit", Signal::Audit),
    ] {
        let take = move |state: State<Arc<Export>>, caller: Extension<Caller>, request: Request| {
            take(signal, state, caller, request)
        };
        router = router.route(path, post(take).options(preflight));
    }
    router.with_state(Arc::clone(export))
}

async fn take(
    signal: Signal,
    State(export): State<Arc<Export>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let door = Door { signal, protocol: Protocol::Http };
    let spoken = content_type(request.headers());
    let content_type = spoken.unwrap_or(ContentType::Json);
    let spoken = spoken.ok_or_else(|| unspoken(request.headers()));
    let answered = match receive(&export, &caller, request, spoken).await {
        Ok((content_type, received)) => export.export(door, Inbound::otlp(caller.tenant, content_type, received)).await,
        Err(error) => Err(error),
    };
    allow_any_origin(match answered {
        Ok(refused) => success(signal, content_type, &refused),
        Err(error) => {
            export.refused(door, &error);
            failure(content_type, &error)
        }
    })
}

fn content_type(headers: &HeaderMap) -> Option<ContentType> {
    match essence(headers).as_str() {
        PROTOBUF => Some(ContentType::Protobuf),
        JSON => Some(ContentType::Json),
        _ => None,
    }
}

fn unspoken(headers: &HeaderMap) -> Error {
    Error::ContentType { found: essence(headers), spoken: "application/x-protobuf or application/json" }
}

fn success(signal: Signal, content_type: ContentType, refused: &Refused) -> Response {
    let body = match content_type {
        ContentType::Protobuf => success_protobuf(signal, refused),
        ContentType::Json => success_json(signal, refused),
    };
    answer(StatusCode::OK, content_type, body)
}

fn failure(content_type: ContentType, error: &Error) -> Response {
    let code = error.kind().grpc_code();
    let body = match content_type {
        ContentType::Protobuf => failure_protobuf(code, error),
        ContentType::Json => failure_json(code, error),
    };
    refuse(answer(StatusCode::BAD_REQUEST, content_type, body), error)
}

fn answer(status: StatusCode, content_type: ContentType, body: Vec<u8>) -> Response {
    let name = match content_type {
        ContentType::Protobuf => PROTOBUF,
        ContentType::Json => JSON,
    };
    (status, [(CONTENT_TYPE, name)], Body::from(body)).into_response()
}
