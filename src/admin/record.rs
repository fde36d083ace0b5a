//! What operators did that cannot be undone, as records of the tenant's audit table.
//!
//! They go through the door that everybody's audit records take, inside this process.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracelake_model::{Caller, Permission};

use crate::house::House;

/// What was done.
pub(crate) struct Deed {
    /// `erase`, `hold`, `release`.
    pub(crate) action: &'static str,
    /// To what.
    pub(crate) target: String,
    /// What that is.
    pub(crate) target_type: &'static str,
    /// How it ended.
    pub(crate) succeeded: bool,
    /// What else there is to know.
    pub(crate) detail: Value,
}

/// Writes a deed down. What is done is done: a record that cannot be written is told in the log.
pub(crate) async fn record(house: &House, caller: &Caller, deed: Deed) {
    let request = Request::post("/v1/audit").header(CONTENT_TYPE, "application/json");
    // Whoever may administrate need not hold a token that sends.
    let sender = Caller { permissions: Arc::from([Permission::Ingest]), ..caller.clone() };
    let body = body(house.engine.clock().now().0, caller, &deed);
    let Ok(request) = request.extension(sender).body(Body::from(body.to_string())) else { return };
    let Ok(answer) = house.ingest.http_router().oneshot(request).await;
    if !answer.status().is_success() {
        let status = answer.status().as_u16();
        tracing::error!(status, action = deed.action, target = deed.target, "an operator's deed has no audit record");
    }
}

fn body(now: i64, caller: &Caller, deed: &Deed) -> Value {
    let attribute = |key: &str, text: &str| json!({ "key": key, "value": { "stringValue": text } });
    let attributes = [
        ("audit.action", deed.action),
        ("audit.actor.id", &caller.subject),
        ("audit.actor.type", "operator"),
        ("audit.outcome", if deed.succeeded { "success" } else { "failure" }),
        ("audit.target.id", &deed.target),
        ("audit.target.type", deed.target_type),
    ];
    let attributes: Vec<Value> = attributes.into_iter().map(|(key, text)| attribute(key, text)).collect();
    let record = json!({
        "timeUnixNano": now.to_string(),
        "eventName": format!("audit.tracelake.{}", deed.action),
        "body": { "stringValue": deed.detail.to_string() },
        "attributes": attributes,
    });
    json!({ "resourceLogs": [{
        "resource": { "attributes": [attribute("service.name", "tracelake")] },
        "scopeLogs": [{ "scope": { "name": "tracelake.admin" }, "logRecords": [record] }],
    }] })
}
