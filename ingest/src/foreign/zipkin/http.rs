//! `POST /api/v2/spans`: JSON and protobuf lists of Zipkin v2 spans. Pages may send from anywhere, as to Zipkin.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use tracelake_model::Caller;

use crate::error::Error;
use crate::export::Export;
use crate::foreign::door;
use crate::foreign::draft::Translator;
use crate::foreign::zipkin::{json, protobuf};
use crate::intake::{allow_any_origin, essence, preflight};
use crate::stats::Protocol;

const SPOKEN: &str = "application/json or application/x-protobuf, with spans of Zipkin v2";

/// Zipkin's routes.
pub(crate) fn router(export: &Arc<Export>) -> Router {
    Router::new()
        .route("/api/v2/spans", post(take).options(preflight))
        .route("/api/v1/spans", any(refuse_old))
        .with_state(Arc::clone(export))
}

async fn take(State(export): State<Arc<Export>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let spoken = translator(request.headers());
    allow_any_origin(door::take(&export, caller, request, Protocol::Zipkin, spoken).await)
}

/// Beacons of browsers send JSON as plain text, and Zipkin takes what names no type for JSON.
fn translator(headers: &HeaderMap) -> Result<Translator, Error> {
    let found = essence(headers);
    match found.as_str() {
        "application/json" | "text/plain" | "" => Ok(json::translate),
        "application/x-protobuf" | "application/protobuf" => Ok(protobuf::translate),
        _ => Err(Error::ContentType { found, spoken: SPOKEN }),
    }
}

async fn refuse_old() -> Response {
    (StatusCode::NOT_FOUND, "Zipkin v1 is not spoken here; have the client send v2 to /api/v2/spans\n").into_response()
}
