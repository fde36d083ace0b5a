//! The table of this wing's routes. The binary puts authentication around it and hangs it on a listener.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::post;

use crate::engine::Engine;
use crate::http::heal::heal;
use crate::http::{jaeger, native, sql, tempo};

/// All routes of the query wing. Every handler takes `Extension<model::Caller>`, which the binary's layer inserts.
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/api/v1/sql", post(sql::answer))
        .merge(native::routes())
        .merge(jaeger::routes())
        .merge(tempo::routes())
        .layer(from_fn_with_state(Arc::clone(&engine), heal))
        .with_state(engine)
}
