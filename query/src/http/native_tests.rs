//! What our own API promises, over a real store: the same answers from memory and from files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use futures::StreamExt;
use http::{Request, StatusCode, header};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracelake_model::{Caller, Permission, Table, TenantId, UnixNano};

use crate::fixture::{House, NOW};
use crate::http::router;

const SECOND: i64 = 1_000_000_000;
/// Start of the made-up records: ten minutes ago.
const BEGIN: i64 = NOW.0 - 600 * SECOND;

fn anyone() -> Caller {
    Caller::anonymous(TenantId::default())
}

async fn fetch(house: &House, path: &str, accept: &str, caller: Caller) -> (StatusCode, Vec<u8>) {
    let request = Request::get(path).header(header::ACCEPT, accept).body(Body::empty()).expect("a request");
    let routes = router(Arc::clone(&house.engine)).layer(Extension(caller));
    let response = routes.oneshot(request).await.expect("an answer");
    let status = response.status();
    (status, to_bytes(response.into_body(), 64 << 20).await.expect("a whole body").to_vec())
}

async fn get(house: &House, path: &str) -> Value {
    let (status, body) = fetch(house, path, "application/json", anyone()).await;
    assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).expect("JSON")
}

async fn problem(house: &House, path: &str) -> (u16, String) {
    let (status, body) = fetch(house, path, "*/*", anyone()).await;
    let body: Value = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{path}: no problem body"));
    assert_eq!(body["status"].as_u64(), Some(u64::from(status.as_u16())), "{path}");
    (status.as_u16(), body["detail"].as_str().expect("a detail").to_owned())
}

fn trace_id(number: u64) -> String {
    format!("{number:032x}")
}

/// Spans of a shop: per request `frontend` calls `cart`, which asks a database; every fourth request fails in `cart`.
fn shop(requests: u64) -> Vec<Value> {
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
async fn in_memory_and_in_files(house: &House, check: impl AsyncFn(&House)) {
    check(house).await;
    house.flush().await;
    check(house).await;
}

async fn found(house: &House, query: &str) -> Vec<u64> {
    let answer = get(house, &format!("/api/v1/traces?limit=1000&{query}")).await;
    assert_eq!(answer["next_cursor"], Value::Null, "{query}");
    let number = |one: &Value| u64::from_str_radix(one["trace_id"].as_str().expect("an id"), 16).expect("hex");
    answer["traces"].as_array().expect("traces").iter().map(number).collect()
}

#[tokio::test]
async fn a_search_is_exact_and_newest_first() {
    let house = House::new();
    house.append(Table::Spans, &shop(8)).await;
    in_memory_and_in_files(&house, async |house| {
        let check = async |query: &str, expected: &[u64]| assert_eq!(found(house, query).await, expected, "{query}");
        let all = [8, 7, 6, 5, 4, 3, 2, 1];
        check("", &all).await;
        check("service=cart", &all).await;
        check("service=nobody", &[]).await;
        check("service=cart&status=error", &[8, 4]).await;
        check("service=frontend&status=error", &[]).await;
        check("operation=GetCart&min_duration=16ms", &[8, 7, 6]).await;
        check("operation=GetCart&min_duration=12ms&max_duration=14ms", &[4, 3, 2]).await;
        check("kind=client&min_duration=57ms", &[8, 7]).await;
        check("attr=http.response.status_code%3E%3D500", &[8, 4]).await;
        check("attr=http.response.status_code=200&attr=http.response.status_code%3C9", &[]).await;
        check("attr=retry=0", &[6, 3]).await;
        check("attr=retry!=0", &[8, 7, 5, 4, 2, 1]).await;
        check("attr=error=true", &[8, 4]).await;
        check("attr=k8s.pod.name~^cart-&kind=SERVER&min_duration=17ms", &[8, 7]).await;
        check("attr=db.system.name=postgresql&service=cart", &all).await;
        // One span must fulfil everything: the database's span is not the frontend's.
        check("attr=db.system.name=postgresql&service=frontend", &[]).await;
        check("attr=db.namespace~HOP", &[]).await;
        check("q=%C3%A9MILE&min_duration=58ms", &[8]).await;
        check("q=select&operation=GetCart", &[]).await;
        // The matching span starts in [start, end).
        let at = |n: i64| BEGIN + n * SECOND;
        check(&format!("start={}&end={}", at(3), at(5)), &[4, 3]).await;
        check(&format!("operation=GET%20/&start={}&end={}", at(3) + 1, at(5) + 1), &[4, 3]).await;
    })
    .await;
}

#[tokio::test]
async fn a_found_trace_tells_its_root_counts_and_matching_spans() {
    let house = House::new();
    house.append(Table::Spans, &shop(4)).await;
    let answer = get(&house, "/api/v1/traces?service=cart&limit=1").await;
    let trace = &answer["traces"][0];
    assert_eq!(trace["trace_id"], trace_id(4));
    assert_eq!(trace["root"], json!({"service": "frontend", "name": "GET /", "span_id": "0000000000000041"}));
    assert_eq!((&trace["span_count"], &trace["error_count"]), (&json!(4), &json!(1)));
    assert_eq!((&trace["duration_ns"], &trace["duration_ms"]), (&json!(104_000_000), &json!(104.0)));
    assert_eq!(
        trace["services"],
        json!([{"name": "cart", "spans": 2, "errors": 1}, {"name": "frontend", "spans": 2, "errors": 0}])
    );
    assert_eq!((&trace["matched_count"], &trace["matched"][1]["status"]), (&json!(2), &json!("ERROR")));
    assert_eq!(
        (&trace["matched"][0]["name"], &trace["matched"][0]["kind"]),
        (&json!("SELECT carts"), &json!("CLIENT"))
    );
}

/// All pages of a list, item by item.
async fn pages(house: &House, path: &str, list: &str) -> Vec<Value> {
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

#[tokio::test]
async fn pages_of_traces_neither_repeat_nor_skip_while_spans_arrive_and_move() {
    let house = House::new();
    let mut spans = shop(30);
    // Traces that share their instant, and one whose matching spans lie far apart.
    for span in spans.iter_mut().filter(|span| span["service_name"] == "cart").take(20) {
        span["start_unix_nano"] = json!(BEGIN + 5 * SECOND);
    }
    spans[0]["start_unix_nano"] = json!(BEGIN + 29 * SECOND);
    house.append(Table::Spans, &spans[..60]).await;
    house.flush().await;
    house.append(Table::Spans, &spans[60..]).await;
    for query in ["", "&service=cart", "&kind=SERVER"] {
        let whole = get(&house, &format!("/api/v1/traces?limit=1000{query}")).await;
        let whole: Vec<Value> = whole["traces"].as_array().expect("traces").clone();
        assert_eq!(whole.len(), 30, "{query}");
        for limit in [1, 7, 30] {
            let paged = pages(&house, &format!("/api/v1/traces?limit={limit}{query}"), "traces").await;
            assert_eq!(paged, whole, "{query} by {limit}");
        }
    }
    let first = get(&house, "/api/v1/traces?limit=10").await;
    let mut late = shop(1);
    late.iter_mut().for_each(|span| span["trace_id"] = json!(trace_id(999)));
    late[0]["start_unix_nano"] = json!(NOW.0);
    house.append(Table::Spans, &late).await;
    house.flush().await;
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let rest = get(&house, &format!("/api/v1/traces?limit=1000&cursor={cursor}")).await;
    let ids = |answer: &Value| -> Vec<String> {
        answer["traces"].as_array().expect("traces").iter().map(|one| one["trace_id"].to_string()).collect()
    };
    let all: BTreeSet<String> = ids(&first).into_iter().chain(ids(&rest)).collect();
    assert_eq!((all.len(), ids(&first).len() + ids(&rest).len()), (30, 30));
}

#[tokio::test]
async fn a_span_stored_twice_is_seen_once_everywhere() {
    let house = House::new();
    house.append(Table::Spans, &shop(3)).await;
    house.flush().await;
    house.append(Table::Spans, &shop(3)).await;
    in_memory_and_in_files(&house, async |house| {
        let answer = get(house, "/api/v1/traces").await;
        assert_eq!(answer["traces"].as_array().expect("traces").len(), 3);
        assert_eq!(answer["traces"][0]["span_count"], 4);
        let summary = get(house, &format!("/api/v1/traces/{}?view=summary", trace_id(2))).await;
        assert_eq!((&summary["span_count"], &summary["complete"]), (&json!(4), &json!(true)));
        let map = get(house, "/api/v1/service-map").await;
        assert_eq!((&map["edges"][1]["source"], &map["edges"][1]["calls"]), (&json!("service:frontend"), &json!(3)));
        let services = get(house, "/api/v1/services").await;
        assert_eq!((&services["services"][0]["requests"], &services["services"][0]["spans"]), (&json!(3), &json!(6)));
    })
    .await;
}

#[tokio::test]
async fn map_services_and_operations_agree() {
    let house = House::new();
    house.append(Table::Spans, &shop(8)).await;
    in_memory_and_in_files(&house, async |house| {
        let map = get(house, "/api/v1/service-map").await;
        let services = get(house, "/api/v1/services").await;
        let operations = get(house, "/api/v1/services/cart/operations").await;
        let names: Vec<&str> =
            map["nodes"].as_array().expect("nodes").iter().filter_map(|n| n["id"].as_str()).collect();
        assert_eq!(names, ["service:cart", "service:frontend", "database:postgresql/shop"]);
        let (node, service) = (&map["nodes"][0], &services["services"][0]);
        let (edge, operation) = (&map["edges"][1], &operations["operations"][0]);
        for key in ["requests", "errors", "error_rate", "rate", "p50_ms", "p95_ms", "p99_ms"] {
            assert_eq!((&node[key], &service[key]), (&service[key], &operation[key]), "{key}");
            assert_eq!(edge[if key == "requests" { "calls" } else { key }], node[key], "{key}");
        }
        assert_eq!((&node["requests"], &node["errors"], &node["p50_ms"]), (&json!(8), &json!(2), &json!(14.5)));
        assert_eq!((&operation["name"], &operation["kind"]), (&json!("GetCart"), &json!("SERVER")));
        assert_eq!(edge["examples"], json!([trace_id(8), trace_id(4), trace_id(7)]));
        assert_eq!(map["edges"][0]["kind"], "database");
        // A range that cuts a trace: the call starts inside, its parent before.
        let cut = BEGIN + 3 * SECOND + 3;
        let map = get(house, &format!("/api/v1/service-map?start={cut}&end={}", cut + 1)).await;
        assert_eq!((&map["edges"][0]["calls"], map["edges"].as_array().expect("edges").len()), (&json!(1), 1));
        let one = get(house, "/api/v1/service-map?service=frontend").await;
        assert_eq!(one["nodes"].as_array().expect("nodes").len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_parent_long_before_the_range_is_found() {
    let house = House::new();
    let mut spans = shop(1);
    spans[1]["start_unix_nano"] = json!(BEGIN - 7200 * SECOND);
    house.append(Table::Spans, &spans).await;
    in_memory_and_in_files(&house, async |house| {
        let map = get(house, &format!("/api/v1/service-map?start={BEGIN}")).await;
        assert_eq!((&map["edges"][1]["source"], &map["edges"][1]["calls"]), (&json!("service:frontend"), &json!(1)));
    })
    .await;
}

/// A span with something in every field.
fn full() -> Value {
    json!({
        "trace_id": trace_id(7), "span_id": "00000000000000aa", "parent_span_id": "00000000000000bb",
        "trace_state": "a=b", "flags": 257, "service_name": "full", "name": "everything", "kind": 4,
        "start_unix_nano": BEGIN, "end_unix_nano": BEGIN + 5, "duration_ns": 5, "status_code": 2, "status_message": "no",
        "http_route": "/x", "http_response_status_code": 503,
        "attributes_rest": "{\"d\":1.0,\"n\":{\"$double\":\"NaN\"},\"i\":9007199254740993,\"b\":{\"$bytes\":\"AP8=\"},\"l\":[true,\"x\",null],\"m\":{\"k\":-1}}",
        "resource_attributes": "{\"service.name\":\"full\"}", "resource_schema_url": "https://r",
        "scope_name": "lib", "scope_version": "1", "scope_attributes": "{\"s\":\"t\"}", "schema_url": "https://s",
        "events": [{"time": BEGIN + 1, "name": "ev", "attributes": "{\"e\":1}", "dropped": 2}],
        "links": [{"trace_id": trace_id(9), "span_id": "00000000000000cc", "trace_state": "l=1", "attributes": "{\"k\":\"v\"}", "flags": 1, "dropped": 3}],
        "dropped_attributes_count": 4, "dropped_events_count": 5, "dropped_links_count": 6,
    })
}

#[tokio::test]
async fn every_field_of_a_span_comes_out_as_otlp() {
    let house = House::new();
    house.append(Table::Spans, &[full()]).await;
    let expected = json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "full"}}]},
        "scopeSpans": [{
            "scope": {"name": "lib", "version": "1", "attributes": [{"key": "s", "value": {"stringValue": "t"}}]},
            "spans": [{
                "traceId": trace_id(7), "spanId": "00000000000000aa", "traceState": "a=b", "parentSpanId": "00000000000000bb",
                "flags": 257, "name": "everything", "kind": 4,
                "startTimeUnixNano": BEGIN.to_string(), "endTimeUnixNano": (BEGIN + 5).to_string(),
                "attributes": [
                    {"key": "http.response.status_code", "value": {"intValue": "503"}},
                    {"key": "http.route", "value": {"stringValue": "/x"}},
                    {"key": "d", "value": {"doubleValue": 1.0}},
                    {"key": "n", "value": {"doubleValue": "NaN"}},
                    {"key": "i", "value": {"intValue": "9007199254740993"}},
                    {"key": "b", "value": {"bytesValue": "AP8="}},
                    {"key": "l", "value": {"arrayValue": {"values": [{"boolValue": true}, {"stringValue": "x"}, {}]}}},
                    {"key": "m", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "-1"}}]}}},
                ],
                "droppedAttributesCount": 4,
                "events": [{"timeUnixNano": (BEGIN + 1).to_string(), "name": "ev",
                    "attributes": [{"key": "e", "value": {"intValue": "1"}}], "droppedAttributesCount": 2}],
                "droppedEventsCount": 5,
                "links": [{"traceId": trace_id(9), "spanId": "00000000000000cc", "traceState": "l=1",
                    "attributes": [{"key": "k", "value": {"stringValue": "v"}}], "droppedAttributesCount": 3, "flags": 1}],
                "droppedLinksCount": 6,
                "status": {"message": "no", "code": 2},
            }],
            "schemaUrl": "https://s",
        }],
        "schemaUrl": "https://r",
    }]});
    in_memory_and_in_files(&house, async |house| {
        let path = format!("/api/v1/traces/{}", trace_id(7));
        assert_eq!(get(house, &path).await, expected);
        // Other readers of OTLP/JSON and of protobuf understand the same; NaN is never equal, so its text is compared.
        let (_, bytes) = fetch(house, &path, "application/x-protobuf", anyone()).await;
        let data = TracesData::decode(&bytes[..]).expect("protobuf");
        let mut readable = expected.clone();
        readable["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][3]["value"] =
            json!({"doubleValue": 7.0});
        let foreign: TracesData = serde_json::from_value(readable).expect("OTLP/JSON");
        let as_text = |data: &TracesData| format!("{data:?}").replace("DoubleValue(7.0)", "DoubleValue(NaN)");
        assert_eq!(as_text(&data), as_text(&foreign));
    })
    .await;
}

#[tokio::test]
async fn a_trace_that_is_not_there_is_not_found() {
    let house = House::new();
    house.append(Table::Spans, &shop(1)).await;
    assert_eq!(problem(&house, &format!("/api/v1/traces/{}", trace_id(77))).await.0, 404);
    assert_eq!(problem(&house, "/api/v1/traces/xyz").await.0, 400);
}

/// Log records, one a second; every third has its trace, every fifth is an error.
fn logs(count: i64) -> Vec<Value> {
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

#[tokio::test]
async fn what_cannot_be_understood_is_refused_by_name() {
    let house = House::new();
    for (path, names) in [
        ("/api/v1/traces?servce=a", "servce"),
        ("/api/v1/traces?limit=0", "10000"),
        ("/api/v1/traces?limit=10001", "10000"),
        ("/api/v1/traces?min_duration=5", "min_duration"),
        ("/api/v1/traces?kind=x", "kind"),
        ("/api/v1/traces?status=bad", "status"),
        ("/api/v1/traces?attr=x", "attr"),
        ("/api/v1/traces?attr=x~(", "attr"),
        ("/api/v1/traces?start=yesterday", "start"),
        ("/api/v1/traces?start=5&end=5", "start"),
        ("/api/v1/traces?cursor=x", "cursor"),
        ("/api/v1/services?limit=5", "limit"),
        ("/api/v1/service-map?compare_start=now", "compare_start"),
        ("/api/v1/logs?severity=loud", "severity"),
        ("/api/v1/logs?q=%22open", "q"),
        ("/api/v1/logs?trace_id=12", "trace_id"),
        ("/api/v1/logs?limit=0", "10000"),
        ("/api/v1/logs/tail?start=now", "start"),
        ("/api/v1/issues?limit=0", "10000"),
    ] {
        let (status, detail) = problem(&house, path).await;
        assert!(status == 400 && detail.contains(names), "{path}: {status} {detail}");
    }
}

#[tokio::test]
async fn only_readers_read_and_only_their_own_tenant() {
    let house = House::new();
    house.append(Table::Spans, &shop(1)).await;
    house.append(Table::Logs, &logs(3)).await;
    let sender = Caller { permissions: Arc::from([Permission::Ingest]), ..anyone() };
    let other = Caller::anonymous(TenantId::new("other").expect("a tenant"));
    let one = format!("/api/v1/traces/{}", trace_id(1));
    let lists =
        ["services", "service-map", "traces", "logs", "issues", "metrics"].map(|name| format!("/api/v1/{name}"));
    for path in lists.iter().chain([&one, &"/api/v1/logs/tail".to_owned()]) {
        assert_eq!(fetch(&house, path, "*/*", sender.clone()).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(fetch(&house, &one, "*/*", other.clone()).await.0, StatusCode::NOT_FOUND);
    for path in &lists {
        let (_, body) = fetch(&house, path, "*/*", other.clone()).await;
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let lists: Vec<&Value> = body.as_object().expect("an object").values().filter(|v| v.is_array()).collect();
        assert!(!lists.is_empty() && lists.iter().all(|list| **list == json!([])), "{path}: {body}");
    }
}
