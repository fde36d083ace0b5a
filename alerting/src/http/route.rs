//! All routes of this wing in one table.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use model::{Clock, Fault, Problem};
use tracelake_model as model;

use crate::delivery::webhook::Webhook;
use crate::http::alert::{list_alerts, list_notices, redeliver};
use crate::http::receiver::{
    create_receiver, delete_receiver, list_receivers, put_receiver, show_receiver, test_receiver,
};
use crate::http::reply::problem;
use crate::http::rule::{create_rule, delete_rule, list_rules, put_rule, show_rule};
use crate::outbox::Outbox;
use crate::rule::registry::Registry;

const BODY_BYTES_MAX: usize = 1 << 20;

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct Context {
    pub registry: Arc<Registry>,
    pub outbox: Arc<Outbox>,
    pub webhook: Arc<Webhook>,
    pub clock: Arc<dyn Clock>,
}

macro_rules! hand_out {
    ($($field:ident: $kind:ty),*) => {
        $(impl FromRef<Context> for $kind {
            fn from_ref(context: &Context) -> Self {
                Arc::clone(&context.$field)
            }
        })*
    };
}

hand_out!(registry: Arc<Registry>, outbox: Arc<Outbox>, webhook: Arc<Webhook>, clock: Arc<dyn Clock>);

/// The router; every handler needs `Extension<model::Caller>`.
pub(crate) fn router(context: Context) -> Router {
    Router::new()
        .route("/api/v1/alerting/rules", get(list_rules).post(create_rule))
        .route("/api/v1/alerting/rules/{id}", get(show_rule).put(put_rule).delete(delete_rule))
        .route("/api/v1/alerting/receivers", get(list_receivers).post(create_receiver))
        .route("/api/v1/alerting/receivers/{id}", get(show_receiver).put(put_receiver).delete(delete_receiver))
        .route("/api/v1/alerting/receivers/{id}/test", post(test_receiver))
        .route("/api/v1/alerting/alerts", get(list_alerts))
        .route("/api/v1/alerting/notices", get(list_notices))
        .route("/api/v1/alerting/notices/{id}/redeliver", post(redeliver))
        .method_not_allowed_fallback(refuse_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(context)
}

async fn refuse_method() -> impl IntoResponse {
    std::future::ready(problem(&Problem::new(Fault::Method, "this route does not know that method"))).await
}
