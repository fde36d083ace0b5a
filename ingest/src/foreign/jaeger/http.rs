//! `POST /api/traces`: one Thrift `Batch` in the binary protocol, as Jaeger's collector takes it on port 14268.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use tracelake_model::Caller;

use crate::error::Error;
use crate::export::Export;
use crate::foreign::door;
use crate::foreign::draft::Translator;
use crate::foreign::jaeger::batch;
use crate::intake::essence;
use crate::stats::Protocol;

const SPOKEN: &str = "application/vnd.apache.thrift.binary or application/x-thrift, with one Batch of jaeger.thrift";

/// Jaeger's route.
pub(crate) fn router(export: &Arc<Export>) -> Router {
    Router::new().route("/api/traces", post(take)).with_state(Arc::clone(export))
}

async fn take(State(export): State<Arc<Export>>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let spoken = translator(request.headers());
    door::take(&export, caller, request, Protocol::Jaeger, spoken).await
}

fn translator(headers: &HeaderMap) -> Result<Translator, Error> {
    let found = essence(headers);
    match found.as_str() {
        "application/vnd.apache.thrift.binary" | "application/x-thrift" => Ok(batch::translate),
        _ => Err(Error::ContentType { found, spoken: SPOKEN }),
    }
}
