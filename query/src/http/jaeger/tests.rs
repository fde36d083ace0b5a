//! Requests as Grafana's Jaeger data source and Jaeger UI make them, and the shapes that they read.

use http::StatusCode;
use serde_json::{Value, json};
use tracelake_model::{Caller, Permission, Table};

use crate::fixture::{House, NOW};
use crate::http::asking::{BEGIN, SECOND, anyone, fetch, get, in_memory_and_in_files, shop, trace_id};

async fn refused(house: &House, path: &str) -> (u16, String) {
    let (status, body) = fetch(house, path, "*/*", anyone()).await;
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((&body["data"], &body["total"], &body["offset"]), (&Value::Null, &json!(0), &json!(0)), "{path}");
    assert_eq!(body["errors"][0]["code"], json!(status.as_u16()), "{path}");
    (status.as_u16(), body["errors"][0]["msg"].as_str().expect("a message").to_owned())
}

fn ids(answer: &Value) -> Vec<u64> {
    let number = |one: &Value| u64::from_str_radix(one["traceID"].as_str().expect("an id"), 16).expect("hex");
    answer["data"].as_array().expect("traces").iter().map(number).collect()
}

async fn house() -> House {
    let house = House::new();
    house.append(Table::Spans, &shop(8)).await;
    house
}

#[tokio::test]
async fn services_and_operations_are_named() {
    in_memory_and_in_files(&house().await, async |house| {
        let services = get(house, "/jaeger/api/services").await;
        assert_eq!(
            services,
            json!({"data": ["cart", "frontend"], "total": 2, "limit": 0, "offset": 0, "errors": null})
        );
        let names = get(house, "/jaeger/api/services/cart/operations").await;
        assert_eq!(names["data"], json!(["GetCart", "SELECT carts"]));
        assert_eq!(get(house, "/jaeger/api/services/no%2Fsuch%20one/operations").await["data"], json!([]));
        let operations = get(house, "/jaeger/api/operations?service=cart&spanKind=server").await;
        assert_eq!(operations["data"], json!([{"name": "GetCart", "spanKind": "server"}]));
        let operations = get(house, "/jaeger/api/operations?service=frontend").await;
        assert_eq!(operations["total"], 2);
        assert_eq!(refused(house, "/jaeger/api/operations").await.0, 400);
    })
    .await;
}

#[tokio::test]
async fn searches_of_jaeger_ui_and_grafana_find_traces_newest_first() {
    in_memory_and_in_files(&house().await, async |house| {
        let micros = |nanos: i64| nanos / 1_000;
        let (start, end) = (micros(BEGIN), micros(NOW.0));
        let all = [8, 7, 6, 5, 4, 3, 2, 1];
        let check = async |query: String, expected: &[u64]| {
            let answer = get(house, &format!("/jaeger/api/traces?{query}")).await;
            assert_eq!(ids(&answer), expected, "{query}");
            assert_eq!(answer["errors"], Value::Null, "{query}");
        };
        // Jaeger UI.
        check(format!("end={end}&limit=20&lookback=1h&maxDuration&minDuration&service=cart&start={start}"), &all).await;
        check(format!("end={end}&limit=2&lookback=custom&maxDuration=14ms&minDuration=12ms&operation=GetCart&service=cart&start={start}"), &[4, 3]).await;
        check(format!("end={end}&limit=20&lookback=1h&service=cart&start={start}&tags=%7B%22error%22%3A%22true%22%7D"), &[8, 4]).await;
        // Grafana, whose tags are logfmt turned into JSON; and what it stores as logfmt.
        check("limit=20&service=frontend&tags=%7B%22http.response.status_code%22%3A%22500%22%7D".to_owned(), &[8, 4]).await;
        check("service=frontend&tags=http.response.status_code%3D500%20span.kind%3Dserver".to_owned(), &[8, 4]).await;
        check("service=frontend&tags=%7B%22span.kind%22%3A%22client%22%2C%22retry%22%3A%220%22%7D".to_owned(), &[6, 3]).await;
        check("service=frontend&tag=k8s.pod.name:frontend-1&limit=1".to_owned(), &[8]).await;
        check("service=cart&tags=%7B%22otel.status_code%22%3A%22ERROR%22%7D".to_owned(), &[8, 4]).await;
        check("service=cart&tags=%7B%22otel.scope.name%22%3A%22x%22%7D".to_owned(), &[]).await;
        check("tags=%7B%22db.system.name%22%3A%22postgresql%22%7D&limit=3".to_owned(), &[8, 7, 6]).await;
        // The end lies inside, and the lookback counts from it.
        check(format!("service=cart&end={}&lookback=1s", micros(BEGIN + 3 * SECOND)), &[3, 2]).await;
        // By id.
        check(format!("traceID={}&traceID=2", trace_id(5)), &[5, 2]).await;
        let answer = get(house, "/jaeger/api/traces?traceID=5&traceID=abc").await;
        assert_eq!(ids(&answer), [5]);
        assert_eq!(answer["errors"], json!([{"code": 404, "msg": "trace not found", "traceID": format!("{:0>32}", "abc")}]));
        assert_eq!(ids(&get(house, "/api/traces?service=cart&limit=1").await), [8]);
    })
    .await;
}

#[tokio::test]
async fn a_trace_has_the_shape_that_jaeger_ui_reads() {
    let house = house().await;
    let mut late = shop(1).remove(2);
    (late["span_id"], late["name"]) = (json!("00000000000000ee"), json!("odd"));
    late["parent_span_id"] = json!("00000000000000aa");
    late["attributes_rest"] = json!(
        "{\"n\":{\"$double\":\"NaN\"},\"deep\":{\"k\":[1]},\"half\":0.5,\"tracelake.clock\":\"end before start\"}"
    );
    (late["status_code"], late["status_message"], late["trace_state"]) = (json!(2), json!("no"), json!("a=b"));
    (late["scope_name"], late["scope_version"]) = (json!("lib"), json!("2"));
    late["events"] = json!([{"time": BEGIN + 1_500, "name": "ev", "attributes": "{\"e\":1}", "dropped": 0}]);
    late["links"] =
        json!([{"trace_id": trace_id(9), "span_id": "00000000000000cc", "trace_state": "", "flags": 0, "dropped": 0}]);
    house.append(Table::Spans, &[late]).await;
    in_memory_and_in_files(&house, async |house| {
        let answer = get(house, "/jaeger/api/traces/1?prettyPrint=true").await;
        assert_eq!((&answer["total"], &answer["errors"]), (&json!(0), &Value::Null));
        let trace = &answer["data"][0];
        assert_eq!((&trace["traceID"], &trace["warnings"]), (&json!(trace_id(1)), &Value::Null));
        assert_eq!(
            trace["processes"],
            json!({
                "p1": {"serviceName": "frontend", "tags": [{"key": "k8s.pod.name", "type": "string", "value": "frontend-1"}]},
                "p2": {"serviceName": "cart", "tags": [{"key": "k8s.pod.name", "type": "string", "value": "cart-1"}]},
            })
        );
        let spans = trace["spans"].as_array().expect("spans");
        let start = (BEGIN + SECOND) / 1_000;
        assert_eq!(
            spans[0],
            json!({
                "traceID": trace_id(1), "spanID": "0000000000000011", "flags": 0, "operationName": "GET /",
                "references": [], "startTime": start, "duration": 101_000,
                "tags": [{"key": "http.response.status_code", "type": "int64", "value": 200}, {"key": "span.kind", "type": "string", "value": "server"}],
                "logs": [], "processID": "p1", "warnings": null,
            })
        );
        assert_eq!(spans[1]["references"], json!([{"refType": "CHILD_OF", "traceID": trace_id(1), "spanID": "0000000000000011"}]));
        let odd = spans.iter().find(|span| span["operationName"] == "odd").expect("the odd one");
        let string = |key: &str, value: &str| json!({"key": key, "type": "string", "value": value});
        assert_eq!(
            odd["tags"],
            json!([
                string("n", "NaN"), string("deep", "{\"k\":[1]}"), {"key": "half", "type": "float64", "value": 0.5},
                string("tracelake.clock", "end before start"), string("otel.scope.name", "lib"),
                string("otel.scope.version", "2"), string("span.kind", "server"), string("w3c.tracestate", "a=b"),
                string("otel.status_code", "ERROR"), string("otel.status_description", "no"),
                {"key": "error", "type": "bool", "value": true},
            ])
        );
        assert_eq!(odd["references"][1], json!({"refType": "FOLLOWS_FROM", "traceID": trace_id(9), "spanID": "00000000000000cc"}));
        assert_eq!(odd["logs"], json!([{"timestamp": BEGIN / 1_000 + 1, "fields": [string("event", "ev"), {"key": "e", "type": "int64", "value": 1}]}]));
        let warnings = odd["warnings"].as_array().expect("warnings");
        assert!(warnings[0].as_str().expect("text").contains("00000000000000aa") && warnings.len() == 2, "{warnings:?}");
    })
    .await;
}

#[tokio::test]
async fn dependencies_are_the_calls_between_services_of_the_map() {
    in_memory_and_in_files(&house().await, async |house| {
        let ms = NOW.0 / 1_000_000;
        let answer = get(house, &format!("/jaeger/api/dependencies?endTs={ms}&lookback=86400000")).await;
        assert_eq!(answer["data"], json!([{"parent": "frontend", "child": "cart", "callCount": 8}]));
        let end = (BEGIN + 4 * SECOND) / 1_000_000 + 1;
        let answer = get(house, &format!("/jaeger/api/dependencies?endTs={end}&lookback=86400000")).await;
        assert_eq!(answer["data"][0]["callCount"], 4);
    })
    .await;
}

#[tokio::test]
async fn refusals_have_jaegers_form() {
    let house = house().await;
    assert_eq!(refused(&house, "/jaeger/api/traces/77").await, (404, "trace not found".to_owned()));
    for (path, named) in [
        ("/jaeger/api/traces/xyz", "trace id"),
        ("/jaeger/api/traces?limit=0", "limit"),
        ("/jaeger/api/traces?limit=1000000", "1500"),
        ("/jaeger/api/traces?service=a&minDuration=5", "minDuration"),
        ("/jaeger/api/traces?service=a&tags=%7B", "tags"),
        ("/jaeger/api/dependencies?endTs=now", "endTs"),
    ] {
        let (status, message) = refused(&house, path).await;
        assert!(status == 400 && message.contains(named), "{path}: {status} {message}");
    }
    let sender = Caller { permissions: std::sync::Arc::from([Permission::Ingest]), ..anyone() };
    for path in
        ["services", "traces?service=a", "traces/1", "dependencies", "services/a/operations", "operations?service=a"]
    {
        let (status, _) = fetch(&house, &format!("/jaeger/api/{path}"), "*/*", sender.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
    }
}
