//! What our own API promises of logs, issues and metric names, over a real store.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use futures::StreamExt;
use http::{Request, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracelake_model::{Table, TenantId, UnixNano};

use crate::fixture::House;
use crate::http::asking::{BEGIN, SECOND, anyone, get, in_memory_and_in_files, logs, pages, trace_id};
use crate::http::router;

#[tokio::test]
async fn a_log_search_finds_words_phrases_and_fields() {
    let house = House::new();
    house.append(Table::Logs, &logs(12)).await;
    in_memory_and_in_files(&house, async |house| {
        let check = async |query: &str, expected: &[i64]| {
            let answer = get(house, &format!("/api/v1/logs?{query}")).await;
            let number = |log: &Value| log["attributes"]["try"].as_i64().expect("a number");
            let found: Vec<i64> = answer["logs"].as_array().expect("logs").iter().map(number).collect();
            assert_eq!(found, expected, "{query}");
        };
        check("q=payment&limit=3", &[12, 11, 10]).await;
        check("q=order-3+TIMED", &[11, 7, 3]).await;
        check("q=%22order-3+timed%22", &[11, 7, 3]).await;
        check("q=%22timed+order-3%22", &[]).await;
        check("q=order-3+-%22payment+7%22", &[11, 3]).await;
        check("q=%EA%B2%B0%EC%A0%9C&severity=error", &[10, 5]).await;
        check("service=pay&severity=WARN", &[5]).await;
        check("q=service:pay+severity:error", &[5]).await;
        check("q=-service:pay+severity:17", &[10]).await;
        check("q=try:7+http.route:/pay+k8s.pod.name:p-1", &[7]).await;
        check("q=-http.route:/pay", &[]).await;
        check(&format!("trace_id={}", trace_id(5)), &[12, 9, 6, 3]).await;
        check(&format!("q=trace_id:{}&span_id=00000000000000dd&severity=INFO", trace_id(5)), &[12, 9, 6, 3]).await;
        check(&format!("start={}&end={}", BEGIN + 2 * SECOND, BEGIN + 4 * SECOND), &[3, 2]).await;
    })
    .await;
    let log = &get(&house, "/api/v1/logs?limit=1").await["logs"][0];
    assert_eq!((&log["trace_id"], &log["observed_time"]), (&json!(trace_id(5)), &Value::Null));
    assert_eq!(
        (&log["attributes"], &log["resource"]),
        (&json!({"http.route": "/pay", "try": 12}), &json!({"k8s.pod.name": "p-1"}))
    );
    assert_eq!(log["time"], UnixNano(BEGIN + 12 * SECOND).to_rfc3339());
}

#[tokio::test]
async fn equal_log_records_are_all_told_and_paged() {
    let house = House::new();
    let mut rows = logs(3);
    rows.extend((0..10).map(|_| rows[1].clone()).collect::<Vec<_>>());
    rows.extend(logs(9).into_iter().map(|mut log| {
        log["time_unix_nano"] = json!(BEGIN + 2 * SECOND);
        log
    }));
    house.append(Table::Logs, &rows[..8]).await;
    house.flush().await;
    house.append(Table::Logs, &rows[8..]).await;
    in_memory_and_in_files(&house, async |house| {
        let whole = get(house, "/api/v1/logs?limit=100").await;
        let whole: Vec<Value> = whole["logs"].as_array().expect("logs").clone();
        assert_eq!(whole.len(), 22);
        for limit in [1, 4, 21, 22] {
            assert_eq!(pages(house, &format!("/api/v1/logs?limit={limit}"), "logs").await, whole, "by {limit}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_live_tail_tells_matching_records_of_its_own_tenant() {
    let house = House::new();
    let request = Request::get("/api/v1/logs/tail?q=timed&severity=ERROR").body(Body::empty()).expect("a request");
    let routes = router(Arc::clone(&house.engine)).layer(Extension(anyone()));
    let response = routes.oneshot(request).await.expect("an answer");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    let other = TenantId::new("other").expect("a tenant");
    house.append_to(&other, Table::Logs, &logs(5)).await;
    house.append(Table::Logs, &logs(9)).await;
    let first = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an event in time");
    let text = String::from_utf8(first.expect("an event").expect("bytes").to_vec()).expect("text");
    let log: Value = serde_json::from_str(text.strip_prefix("data: ").expect("a data line")).expect("JSON");
    assert_eq!((&log["attributes"]["try"], &log["severity_text"]), (&json!(5), &json!("ERROR")));
    let none = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
    assert!(none.is_err(), "neither another tenant's nor another level's");
}

#[tokio::test]
async fn exceptions_are_grouped_into_issues() {
    let house = House::new();
    let exception = |n: i64, fingerprint: &str, service: &str, version: &str| {
        json!({"time_unix_nano": BEGIN + n, "service_name": service, "type": "Timeout", "message": format!("after {n} s"),
            "fingerprint": fingerprint, "source": "span", "service_version": version})
    };
    let rows = [exception(1, "f1", "pay", "1"), exception(9, "f1", "cart", "2"), exception(5, "f2", "pay", "1")];
    house.append(Table::Exceptions, &rows).await;
    in_memory_and_in_files(&house, async |house| {
        let answer = get(house, "/api/v1/issues").await;
        let expected = json!({"id": "f1", "type": "Timeout", "message": "after 9 s", "services": ["cart", "pay"],
            "first_seen": UnixNano(BEGIN + 1).to_rfc3339(), "last_seen": UnixNano(BEGIN + 9).to_rfc3339(),
            "count": 2, "versions": ["1", "2"]});
        assert_eq!(answer["issues"][0], expected);
        let paged = pages(house, "/api/v1/issues?limit=1", "issues").await;
        assert_eq!((paged.len(), &paged[1]["id"]), (2, &json!("f2")));
        assert_eq!(get(house, "/api/v1/issues?service=cart").await["issues"][0]["count"], 1);
    })
    .await;
}

#[tokio::test]
async fn metric_names_are_listed() {
    let house = House::new();
    let point = |name: &str, service: &str| json!({"time_unix_nano": BEGIN, "name": name, "type": "gauge", "unit": "By", "service_name": service});
    house.append(Table::Metrics, &[point("memory", "a"), point("cpu", "a"), point("memory", "b")]).await;
    let answer = get(&house, "/api/v1/metrics").await;
    assert_eq!((&answer["metrics"][0]["name"], &answer["metrics"][1]["points"]), (&json!("cpu"), &json!(2)));
    assert_eq!(answer["metrics"][1]["services"], json!(["a", "b"]));
}
