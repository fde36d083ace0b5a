//! What `POST /api/v1/sql` promises: forms, statuses, problems.

use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use axum::Extension;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracelake_model::{Caller, Permission, TenantId};

use crate::config::Config;
use crate::fixture::House;
use crate::http::router;

async fn post(house: &House, accept: &str, body: &str, caller: Caller) -> (StatusCode, HeaderMap, Bytes) {
    let request = Request::post("/api/v1/sql").header(header::ACCEPT, accept).body(Body::from(body.to_owned()));
    let routes = router(Arc::clone(&house.engine)).layer(Extension(caller));
    let response = routes.oneshot(request.expect("a request")).await.expect("an answer");
    let (parts, body) = response.into_parts();
    (parts.status, parts.headers, to_bytes(body, 64 << 20).await.expect("a whole body"))
}

fn anyone() -> Caller {
    Caller::anonymous(TenantId::default())
}

async fn ask(house: &House, accept: &str, query: &str) -> (StatusCode, HeaderMap, Bytes) {
    post(house, accept, &json!({ "query": query }).to_string(), anyone()).await
}

const AWKWARD: &str = "SELECT * FROM (VALUES (1, 'a,\"b\"', 0.5, true, CAST(NULL AS TEXT)), (2, '', 'NaN'::double, false, 'x')) \
                       AS t(n, s, d, b, o) ORDER BY n";

#[tokio::test]
async fn json_holds_columns_with_types_and_rows() {
    let house = House::new();
    let (status, headers, body) = ask(&house, "*/*", AWKWARD).await;
    assert_eq!((status, &headers[header::CONTENT_TYPE]), (StatusCode::OK, &"application/json".parse().unwrap()));
    let answer: Value = serde_json::from_slice(&body).expect("json");
    let columns = json!([{"name": "n", "type": "int64"}, {"name": "s", "type": "string"}, {"name": "d", "type": "double"},
        {"name": "b", "type": "boolean"}, {"name": "o", "type": "string"}]);
    let rows = json!([["1", "a,\"b\"", 0.5, true, null], ["2", "", "NaN", false, "x"]]);
    assert_eq!(answer, json!({"columns": columns, "rows": rows}));
    let (_, _, empty) = ask(&house, "*/*", "SELECT trace_id FROM spans").await;
    assert_eq!(empty, r#"{"columns":[{"name":"trace_id","type":"string"}],"rows":[]}"#);
}

#[tokio::test]
async fn ndjson_csv_and_arrow_hold_the_same_rows() {
    let house = House::new();
    let (_, _, lines) = ask(&house, "application/x-ndjson", AWKWARD).await;
    assert_eq!(
        lines,
        "{\"n\":\"1\",\"s\":\"a,\\\"b\\\"\",\"d\":0.5,\"b\":true,\"o\":null}\n\
         {\"n\":\"2\",\"s\":\"\",\"d\":\"NaN\",\"b\":false,\"o\":\"x\"}\n"
    );
    let (_, headers, csv) = ask(&house, "text/csv", AWKWARD).await;
    assert_eq!(csv, "n,s,d,b,o\r\n1,\"a,\"\"b\"\"\",0.5,true,\r\n2,\"\",NaN,false,x\r\n");
    assert_eq!(headers[header::CONTENT_TYPE], "text/csv; charset=utf-8");
    let (_, _, stream) = ask(&house, "application/vnd.apache.arrow.stream", AWKWARD).await;
    let batches = StreamReader::try_new(stream.as_ref(), None).expect("a stream");
    let batches = batches.collect::<Result<Vec<_>, _>>().expect("batches");
    assert_eq!(crate::fixture::cells(&batches), "1|a,\"b\"|0.5|true|; 2||NaN|false|x");
}

#[tokio::test]
async fn a_long_answer_streams_whole() {
    let house = House::new();
    let query = "SELECT value, 'some text to make it long' AS t FROM generate_series(1, 100000)";
    let (status, _, body) = ask(&house, "application/json", query).await;
    let answer: Value = serde_json::from_slice(&body).expect("json");
    assert_eq!((status, answer["rows"].as_array().map(Vec::len)), (StatusCode::OK, Some(100_000)));
    let mut numbers: Vec<i64> =
        answer["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().parse().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=100_000));
}

#[tokio::test]
async fn a_cut_answer_says_so() {
    let house = House::with(Config { sql_rows: 2, ..Config::default() });
    let query = "SELECT * FROM generate_series(1, 3)";
    let (_, headers, body) = ask(&house, "application/json", query).await;
    let answer: Value = serde_json::from_slice(&body).expect("json");
    assert_eq!((&answer["truncated"], answer["rows"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    assert_eq!(headers["tracelake-truncated"], "true");
    let (_, headers, _) = ask(&house, "text/csv", query).await;
    assert_eq!(headers["tracelake-truncated"], "true");
    let (_, headers, _) = ask(&house, "text/csv", "SELECT 1").await;
    assert!(!headers.contains_key("tracelake-truncated"));
}

#[tokio::test]
async fn what_is_wrong_is_told_as_a_problem() {
    let house = House::with(Config { sql_request_bytes: 200, ..Config::default() });
    let check = async |accept: &str, body: &str, caller: Caller, status: u16, told: &str| {
        let (got, headers, problem) = post(&house, accept, body, caller).await;
        let problem: Value = serde_json::from_slice(&problem).expect("a problem");
        assert_eq!(got.as_u16(), status, "{body}: {problem}");
        assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{body}");
        assert_eq!(problem["status"], status, "{body}");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains(told)), "{body}: {problem}");
    };
    check("*/*", r#"{"query": "SELECT servce FROM spans"}"#, anyone(), 400, "service_name").await;
    check("*/*", r#"{"query": "DROP TABLE spans"}"#, anyone(), 400, "only reads").await;
    check("*/*", r#"{"sql": "SELECT 1"}"#, anyone(), 400, "sql").await;
    check("*/*", "SELECT 1", anyone(), 400, "query").await;
    check("text/html", r#"{"query": "SELECT 1"}"#, anyone(), 406, "text/csv").await;
    check("*/*", &format!(r#"{{"query": "SELECT '{}'"}}"#, "x".repeat(300)), anyone(), 413, "200 bytes").await;
    let sender = Caller { permissions: Arc::from([Permission::Ingest]), ..anyone() };
    check("*/*", r#"{"query": "SELECT 1"}"#, sender, 403, "read").await;
}
