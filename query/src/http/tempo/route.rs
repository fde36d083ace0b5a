//! The table of Tempo's routes.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::http::tempo::{metric, search, tag, trace};

/// All of them.
pub(crate) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/tempo/api/echo", get(echo))
        .route("/tempo/ready", get(ready))
        .route("/tempo/api/status/buildinfo", get(build))
        .route("/tempo/status/version", get(build))
        .route("/tempo/api/traces/{trace_id}", get(trace::one))
        .route("/tempo/api/v2/traces/{trace_id}", get(trace::one_v2))
        .route("/tempo/api/search", get(search::search))
        .route("/tempo/api/search/tags", get(tag::names))
        .route("/tempo/api/v2/search/tags", get(tag::names_v2))
        .route("/tempo/api/search/tag/{tag}/values", get(tag::values))
        .route("/tempo/api/v2/search/tag/{tag}/values", get(tag::values_v2))
        .route("/tempo/api/metrics/query_range", get(metric::range))
        .route("/tempo/api/metrics/query", get(metric::instant))
}

/// What Grafana asks to test a data source.
async fn echo() -> &'static str {
    "echo"
}

async fn ready() -> &'static str {
    "ready"
}

/// Our own version, below every one of Tempo's: Grafana then asks for nothing that only newer Tempos stream by gRPC.
async fn build() -> Json<Value> {
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "tracelake",
        "buildDate": "",
        "buildUser": "",
        "goVersion": "",
    }))
}
