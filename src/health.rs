//! `/livez /readyz /healthz /metrics`: open to everybody, as probes carry no credentials.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::house::House;
use crate::telemetry::{process_samples, render};

/// The health routes.
pub(crate) fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(answer_ready))
        .route("/healthz", get(answer_health))
        .route("/metrics", get(answer_metrics))
        .with_state(house)
}

async fn answer_ready(State(house): State<Arc<House>>) -> Response {
    match house.readiness() {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn answer_health(State(house): State<Arc<House>>) -> Response {
    let readiness = house.readiness();
    let status = if readiness.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if readiness.is_ok() { "ok" } else { "failing" },
        "reason": readiness.err(),
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("BUILD_COMMIT"),
        "started": house.started().to_rfc3339(),
        "uptime_seconds": house.uptime().as_secs(),
        "tenants": house.tenant_count(),
        "warnings": house.store.warnings(),
        "damage": house.store.damage(),
    });
    (status, Json(body)).into_response()
}

async fn answer_metrics(State(house): State<Arc<House>>) -> Response {
    #[expect(clippy::cast_precision_loss, reason = "seconds as a double")]
    let started = house.started().0 as f64 / 1e9;
    let mut samples = process_samples(started);
    samples.extend(house.samples());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render(&samples)).into_response()
}
