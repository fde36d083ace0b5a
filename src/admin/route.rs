//! The table of operators' routes, and flushing.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::{delete, post};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use tracelake_model::Caller;

use crate::admin::refuse::{Refused, need_admin};
use crate::admin::{erase, hold, maintain};
use crate::house::House;

/// The operators' routes.
pub(crate) fn router(house: Arc<House>) -> Router {
    Router::new()
        .route("/api/v1/admin/flush", post(flush))
        .route("/api/v1/admin/check", post(maintain::check))
        .route("/api/v1/admin/backup", post(maintain::backup))
        .route("/api/v1/admin/erase", post(erase::erase))
        .route("/api/v1/admin/holds", post(hold::create).get(hold::list))
        .route("/api/v1/admin/holds/{id}", delete(hold::release).get(hold::show))
        .with_state(house)
}

async fn flush(State(house): State<Arc<House>>, Extension(caller): Extension<Caller>) -> Result<Json<Value>, Refused> {
    need_admin(&caller, "flushing")?;
    let report = house.store.flush().await?;
    Ok(Json(json!({ "rows": report.rows, "parts": report.parts, "bytes": report.bytes })))
}
