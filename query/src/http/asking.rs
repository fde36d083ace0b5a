//! What tests of our own API share: made-up records, and questions asked through the routes.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, to_bytes};
use http::{Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracelake_model::{Caller, TenantId};

use crate::fixture::{House, NOW};
use crate::http::router;

pub(crate) const SECOND: i64 = 1_000_000_000;
/// Start of the made-up records: ten minutes ago.
pub(crate) const BEGIN: i64 = NOW.0 - 600 * SECOND;

pub(crate) fn anyone() -> Caller {
    Caller::anonymous(TenantId::default())
}

pub(crate) async fn fetch(house: &House, path: &str, accept: &str, caller: Caller) -> (StatusCode, Vec<u8>) {
    let request = Request::get(path).header(header::ACCEPT, accept).body(Body::empty()).expect("a request");
    let routes = router(Arc::clone(&house.engine)).layer(Extension(caller));
    let response = routes.oneshot(request).await.expect("an answer");
    let status = response.status();
    (status, to_bytes(response.into_body(), 64 << 20).await.expect("a whole body").to_vec())
}

pub(crate) async fn get(house: &House, path: &str) -> Value {
    let (status, body) = fetch(house, path, "application/json", anyone()).await;
    assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("JSON")
}

pub(crate) async fn problem(house: &House, path: &str) -> (u16, String) {
    let (status, body) = fetch(house, path, "*/*", anyone()).await;
    let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: no problem body"));
    assert_eq!(body["status"].as_u64(), Some(u64::from(status.as_u16())), "{path}");
    (status.as_u16(), body["detail"].as_str().expect("a detail").to_owned())
}

pub(crate) fn trace_id(number: u64) -> String {
    format!("{number:032x}")
}

/// Spans of a shop: per request `frontend` calls `cart`, which asks a database; every fourth request fails in `cart`.
pub(crate) fn shop(requests: u64) -> Vec<Value> {
    let mut spans = Vec::new();
    for n in 1..=requests {
        let start = BEGIN + i64::try_from(n).expect("few") * SECOND;
        let failed = n % 4 == 0;
        let span = |id: u64, parent: Option<u64>, service: &str, name: &str, kind: i8, ms: i64| {
            let duration = ms * 1_000_000;
            json!({
                "trace_id": trace_id(n), "span_id": format!("{:016x}", n * 16 + id),
                "parent_span_id": parent.map(|parent| format!("{:016x}", n * 16 + parent)),
                "service_name": service, "name": name, "kind": kind,
                "start_unix_nano": start + i64::try_from(id).expect("few"), "duration_ns": duration,
                "end_unix_nano": start + i64::try_from(id).expect("few") + duration,
                "resource_attributes": json!({"service.name": service, "k8s.pod.name": format!("{service}-1")}).to_string(),
            })
        };
        let n_ms = i64::try_from(n).expect("few");
        let mut front = span(1, None, "frontend", "GET /", 2, 100 + n_ms);
        front["http_response_status_code"] = json!(if failed { 500 } else { 200 });
        let mut call = span(2, Some(1), "frontend", "call cart", 3, 50 + n_ms);
        call["attributes_rest"] = json!(format!("{{\"retry\":{},\"ratio\":0.5,\"who\":\"Émile\"}}", n % 3));
        let mut cart = span(3, Some(2), "cart", "GetCart", 2, 10 + n_ms);
        cart["status_code"] = json!(if failed { 2 } else { 0 });
        let mut select = span(4, Some(3), "cart", "SELECT carts", 3, 5);
        (select["db_system_name"], select["db_namespace"]) = (json!("postgresql"), json!("shop"));
        spans.extend([front, call, cart, select]);
    }
    spans
}

/// Answers must not change when rows move from memory to files: `check` runs on both.
pub(crate) async fn in_memory_and_in_files(house: &House, check: impl AsyncFn(&House)) {
    check(house).await;
    house.flush().await;
    check(house).await;
}

/// All pages of a list, item by item.
pub(crate) async fn pages(house: &House, path: &str, list: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    for _ in 0..200 {
        let answer = get(house, &format!("{path}{cursor}")).await;
        let page = answer[list].as_array().expect("a list");
        assert!(!page.is_empty(), "a cursor leads somewhere");
        items.extend(page.iter().cloned());
        match answer["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
    panic!("{path} does not end")
}

/// Log records, one a second; every third has its trace, every fifth is an error.
pub(crate) fn logs(count: i64) -> Vec<Value> {
    (1..=count)
        .map(|n| {
            let mut log = json!({
                "time_unix_nano": BEGIN + n * SECOND, "service_name": if n % 2 == 0 { "cart" } else { "pay" },
                "severity_number": if n % 5 == 0 { 17 } else { 9 }, "severity_text": if n % 5 == 0 { "ERROR" } else { "INFO" },
                "body": format!("Payment {n} of Order-{} timed out 결제 실패", n % 4), "body_type": "string",
                "resource_attributes": "{\"k8s.pod.name\":\"p-1\"}", "http_route": "/pay",
                "attributes_rest": format!("{{\"try\":{n}}}"),
            });
            if n % 3 == 0 {
                (log["trace_id"], log["span_id"]) = (json!(trace_id(5)), json!("00000000000000dd"));
            }
            log
        })
        .collect()
}
