//! What our own API promises of traces and the map, over a real store: the same answers from memory and from files.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::{Value, json};
use tracelake_model::{Caller, Permission, Table, TenantId};

use crate::fixture::{House, NOW};
use crate::http::asking::{
    BEGIN, SECOND, anyone, fetch, get, in_memory_and_in_files, logs, pages, problem, shop, trace_id,
};

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
    let all = get(&house, "/api/v1/traces?service=cart").await;
    assert_eq!((&all["total"], &all["more"]), (&json!(4), &json!(false)));
    let answer = get(&house, "/api/v1/traces?service=cart&limit=1").await;
    assert_eq!((&answer["total"], &answer["more"]), (&Value::Null, &json!(true)));
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
        assert_eq!((&map["edges"][2]["source"], &map["edges"][2]["calls"]), (&json!("service:frontend"), &json!(3)));
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
        assert_eq!(names, ["service:cart", "service:frontend", "database:postgresql/shop", "client:user"]);
        let (node, service) = (&map["nodes"][0], &services["services"][0]);
        let (edge, operation) = (&map["edges"][2], &operations["operations"][0]);
        for key in ["requests", "errors", "error_rate", "rate", "p50_ms", "p95_ms", "p99_ms"] {
            assert_eq!((&node[key], &service[key]), (&service[key], &operation[key]), "{key}");
            assert_eq!(edge[if key == "requests" { "calls" } else { key }], node[key], "{key}");
        }
        assert_eq!((&node["requests"], &node["errors"], &node["p50_ms"]), (&json!(8), &json!(2), &json!(14.5)));
        assert_eq!((&operation["name"], &operation["kind"]), (&json!("GetCart"), &json!("SERVER")));
        assert_eq!(edge["examples"], json!([trace_id(8), trace_id(4), trace_id(7)]));
        assert_eq!(
            (&map["edges"][0]["source"], &map["edges"][0]["target"]),
            (&json!("client:user"), &json!("service:frontend"))
        );
        assert_eq!(map["edges"][1]["kind"], "database");
        // A range that cuts a trace: the call starts inside, its parent before.
        let cut = BEGIN + 3 * SECOND + 3;
        let map = get(house, &format!("/api/v1/service-map?start={cut}&end={}", cut + 1)).await;
        assert_eq!((&map["edges"][0]["calls"], map["edges"].as_array().expect("edges").len()), (&json!(1), 1));
        let one = get(house, "/api/v1/service-map?service=frontend").await;
        assert_eq!(one["nodes"].as_array().expect("nodes").len(), 3);
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
        assert_eq!((&map["edges"][2]["source"], &map["edges"][2]["calls"]), (&json!("service:frontend"), &json!(1)));
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
        ("/api/v1/service-map?compare_start=5&compare_end=5", "compare_start"),
        ("/api/v1/service-map?compare_end=soon", "compare_end"),
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
