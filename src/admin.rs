//! `/api/v1/admin/...`: what operators do to a running server. Needs the role admin.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde_json::json;
use tracelake_model::{Caller, Fault, Permission};
use tracelake_storage::Store;

use crate::auth::guard::{Door, refuse};

/// The operators' routes.
pub(crate) fn router(store: Arc<Store>) -> Router {
    Router::new().route("/api/v1/admin/flush", post(flush)).with_state(store)
}

async fn flush(State(store): State<Arc<Store>>, Extension(caller): Extension<Caller>) -> Response {
    let refuse = |fault, detail: &str| refuse(Door::Api, &HeaderMap::new(), fault, detail);
    if !caller.may(Permission::Admin) {
        return refuse(Fault::Forbidden, "flushing needs a token with the role admin");
    }
    match store.flush().await {
        Ok(report) => {
            let body = json!({ "rows": report.rows, "parts": report.parts, "bytes": report.bytes });
            (StatusCode::OK, Json(body)).into_response()
        }
        Err(error) => refuse(error.kind(), &error.to_string()),
    }
}
