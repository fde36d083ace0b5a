//! Answers of the HTTP door.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use prost::Message;
use tower::ServiceExt;
use tracelake_model::{Caller, ContentType, DecodeLimits, Encoding, Fault, Refusal, Table};

use crate::config::{Config, Rate};
use crate::test::bench::{Recorder, caller, gzip, reader_only, wing};
use crate::test::sample;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

struct Send<'s> {
    path: &'s str,
    headers: &'s [(&'s str, &'s str)],
    body: Bytes,
}

async fn send_as(caller: Caller, config: Config, request: Send<'_>) -> (Answer, std::sync::Arc<Recorder>) {
    let (ingest, sink) = wing(config);
    (through(&ingest.http_router().layer(Extension(caller)), request).await, sink)
}

async fn send(request: Send<'_>) -> (Answer, std::sync::Arc<Recorder>) {
    send_as(caller(), Config::default(), request).await
}

async fn through(router: &axum::Router, request: Send<'_>) -> Answer {
    let mut builder = Request::builder().method(Method::POST).uri(request.path);
    for (name, value) in request.headers {
        builder = builder.header(*name, *value);
    }
    let request = builder.body(Body::from(request.body)).expect("a request");
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.expect("a body").to_bytes() }
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

fn traces() -> Bytes {
    Bytes::from(sample::traces(vec![sample::full_span()]).encode_to_vec())
}

#[tokio::test]
async fn a_request_is_stored_as_sent_and_answered_in_its_own_content_type() {
    let (answer, sink) = send(Send { path: "/v1/traces", headers: &[PROTOBUF], body: traces() }).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/x-protobuf"));
    assert!(answer.body.is_empty(), "full success says nothing");
    let stored = &sink.requests()[0];
    assert_eq!(stored.payload, traces());
    assert_eq!(stored.header.accepted, [(Table::Spans, 1)]);
    assert_eq!((stored.header.content_type, stored.header.encoding), (ContentType::Protobuf, Encoding::Identity));
    assert!(stored.header.hash.is_some());

    let body = Bytes::from(sample::TRACES_JSON);
    let (answer, sink) = send(Send { path: "/v1/traces", headers: &[JSON], body }).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(answer.json(), serde_json::json!({}));
    assert_eq!(sink.requests()[0].header.content_type, ContentType::Json);
}

#[tokio::test]
async fn every_encoding_is_kept_as_it_came_and_the_identity_is_that_of_the_plain_bytes() {
    let mut hashes = Vec::new();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zlib, &traces()).expect("writes to memory");
    let deflate = Bytes::from(zlib.finish().expect("writes to memory"));
    let zstd = Bytes::from(zstd::encode_all(traces().as_ref(), 3).expect("writes to memory"));
    for (name, encoding, body) in [
        ("identity", Encoding::Identity, traces()),
        ("GZIP", Encoding::Gzip, gzip(&traces())),
        ("deflate", Encoding::Deflate, deflate),
        ("zstd", Encoding::Zstd, zstd),
    ] {
        let headers = [PROTOBUF, ("content-encoding", name)];
        let (answer, sink) = send(Send { path: "/v1/traces", headers: &headers, body: body.clone() }).await;
        assert_eq!(answer.status, StatusCode::OK, "{name}");
        let stored = &sink.requests()[0];
        assert_eq!((stored.header.encoding, &stored.payload), (encoding, &body), "{name}");
        hashes.push(stored.header.hash);
    }
    assert!(hashes.iter().all(|hash| hash.is_some() && *hash == hashes[0]));
}

#[tokio::test]
async fn partial_success_counts_and_names_what_was_refused() {
    let mut bad = sample::plain_span(2);
    bad.span_id.clear();
    let body = Bytes::from(sample::traces(vec![sample::plain_span(1), bad]).encode_to_vec());
    let (answer, sink) = send(Send { path: "/v1/traces", headers: &[PROTOBUF], body }).await;
    let response =
        opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse::decode(answer.body.clone());
    let partial = response.expect("decodes").partial_success.expect("partial");
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("span id"), "{}", partial.error_message);
    assert_eq!(sink.requests()[0].header.refused, 1);

    let body = Bytes::from(sample::TRACES_JSON.replace("EEEEeeeeeeeeeeee", ""));
    let (answer, sink) = send(Send { path: "/v1/traces", headers: &[JSON], body }).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "1");
    assert!(sink.requests().is_empty(), "nothing was left to store");
}

#[tokio::test]
async fn an_empty_request_succeeds_without_being_stored() {
    for (headers, body) in [(PROTOBUF, ""), (JSON, "{}"), (JSON, ""), (JSON, r#"{"resourceLogs":[]}"#)] {
        let body = Bytes::from(body);
        let (answer, sink) = send(Send { path: "/v1/logs", headers: &[headers], body }).await;
        assert_eq!((answer.status, sink.requests().len()), (StatusCode::OK, 0));
    }
}

#[tokio::test]
async fn the_audit_door_stores_audit_records_only() {
    let body = Bytes::from(sample::logs(vec![sample::full_log()]).encode_to_vec());
    let (answer, sink) = send(Send { path: "/v1/audit", headers: &[PROTOBUF], body }).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(sink.requests()[0].header.accepted, [(Table::Audit, 1)]);
}

#[tokio::test]
async fn what_the_door_does_not_speak_is_415_with_a_status_body() {
    let json_type = ("content-type", "application/json");
    for (headers, content_type) in [
        (vec![("content-type", "text/plain")], "application/json"),
        (vec![], "application/json"),
        (vec![PROTOBUF, ("content-encoding", "br")], "application/x-protobuf"),
        (vec![json_type, ("content-encoding", "br")], "application/json"),
    ] {
        let (answer, _) = send(Send { path: "/v1/traces", headers: &headers, body: traces() }).await;
        let found = (answer.status, answer.header("content-type"));
        assert_eq!(found, (StatusCode::UNSUPPORTED_MEDIA_TYPE, content_type), "{headers:?}");
        if content_type == "application/json" {
            assert_eq!(answer.json()["code"], 3);
        }
        assert_eq!(answer.header("retry-after"), "");
    }
}

#[tokio::test]
async fn broken_bytes_are_400_and_nothing_is_stored() {
    let gzipped = ("content-encoding", "gzip");
    for (headers, body) in [
        (vec![PROTOBUF], Bytes::from("not protobuf")),
        (vec![JSON], Bytes::from("{")),
        (vec![PROTOBUF, gzipped], Bytes::from("not gzip")),
    ] {
        let (answer, sink) = send(Send { path: "/v1/logs", headers: &headers, body }).await;
        assert_eq!((answer.status, sink.requests().len()), (StatusCode::BAD_REQUEST, 0), "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_413_however_it_is_packed() {
    let config =
        Config { limits: DecodeLimits { request_bytes: 10_000, ..DecodeLimits::default() }, ..Config::default() };
    let zeros = vec![0; 1 << 20];
    let gzipped = ("content-encoding", "gzip");
    for (headers, body) in [
        (vec![PROTOBUF], Bytes::from(zeros.clone())),
        (vec![PROTOBUF, gzipped], gzip(&zeros)),
        (vec![PROTOBUF, ("content-length", "99999")], Bytes::new()),
    ] {
        let request = Send { path: "/v1/logs", headers: &headers, body };
        let (answer, _) = send_as(caller(), config.clone(), request).await;
        assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::PAYLOAD_TOO_LARGE, ""), "{headers:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_sink_says_when_to_come_back() {
    let check = async |fault, after, status, seconds: &str| {
        let (ingest, sink) = wing(Config::default());
        sink.refuse(Refusal { fault, detail: "the disk is full".to_owned(), retry_after: after });
        let router = ingest.http_router().layer(Extension(caller()));
        let answer = through(&router, Send { path: "/v1/traces", headers: &[JSON], body: sample::TRACES_JSON.into() });
        let answer = answer.await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (status, seconds));
        assert_eq!(answer.json()["message"], "the disk is full");
    };
    check(Fault::Overloaded, Some(Duration::from_millis(2500)), 429, "3").await;
    check(Fault::Unavailable, None, 503, "1").await;
    check(Fault::Internal, None, 500, "").await;
}

#[tokio::test]
async fn a_store_that_is_full_says_when_before_a_body_is_looked_at() {
    let (ingest, sink) = wing(Config::default());
    let (fault, retry_after) = (Fault::Overloaded, Some(Duration::from_secs(2)));
    sink.fill(Refusal { fault, detail: "rows in memory wait to be flushed".to_owned(), retry_after });
    let router = ingest.http_router().layer(Extension(caller()));
    let broken = Send { path: "/v1/traces", headers: &[PROTOBUF], body: Bytes::from("not protobuf") };
    assert!(!ingest.is_overloaded());
    let answer = through(&router, broken).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "2"));
    assert!(ingest.is_overloaded());
}

#[tokio::test]
async fn too_much_in_flight_is_429() {
    let (ingest, _) = wing(Config { in_flight_bytes: 100, ..Config::default() });
    let router = ingest.http_router().layer(Extension(caller()));
    let (slow, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(body));
    let request = Request::builder().method(Method::POST).uri("/v1/traces").header(PROTOBUF.0, PROTOBUF.1);
    let first = tokio::spawn(router.clone().oneshot(request.body(body).expect("a request")));
    slow.send(Ok(Bytes::from(vec![0; 90]))).await.expect("is read");
    let held = || ingest.stats().iter().any(|sample| sample.name.ends_with("in_flight_bytes") && sample.value == 90.0);
    for _ in 0..10_000 {
        if held() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(held(), "the first request's bytes are counted as they come");
    let answer = through(&router, Send { path: "/v1/traces", headers: &[PROTOBUF], body: traces() }).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    drop(slow);
    first.await.expect("no panic").expect("an answer");
    assert!(!held(), "bytes are given back");
}

#[tokio::test]
async fn a_tenant_beyond_its_rate_is_429_with_the_time_its_debt_takes() {
    let config = Config { tenant_rate: Rate::BytesPerSecond(100), tenant_burst_bytes: Some(1), ..Config::default() };
    let (ingest, sink) = wing(config);
    let router = ingest.http_router().layer(Extension(caller()));
    let zeros = Bytes::from(vec![0; 1050]);
    let send = async |body| through(&router, Send { path: "/v1/traces", headers: &[PROTOBUF], body }).await;
    assert_eq!(send(zeros).await.status, StatusCode::BAD_REQUEST);
    let answer = send(traces()).await;
    // 1049 bytes of debt at 100 a second, in whole seconds.
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "11"));
    assert!(!ingest.is_overloaded(), "it is the tenant who sends too fast");
    assert_eq!(sink.requests().len(), 0);
    let refusals = ingest.stats().into_iter().filter(|sample| sample.name == "tracelake_ingest_refusals_total");
    let counted: Vec<_> =
        refusals.filter(|sample| sample.value > 0.0).map(|sample| (sample.labels[0].1.clone(), sample.value)).collect();
    assert_eq!(counted, [("malformed".to_owned(), 1.0), ("rate".to_owned(), 1.0)]);
}

#[tokio::test]
async fn a_caller_without_the_role_is_403() {
    let request = Send { path: "/v1/traces", headers: &[PROTOBUF], body: traces() };
    let (answer, sink) = send_as(reader_only(), Config::default(), request).await;
    assert_eq!((answer.status, sink.requests().len()), (StatusCode::FORBIDDEN, 0));
}

#[tokio::test]
async fn another_method_is_405_and_a_preflight_is_allowed() {
    let (ingest, _) = wing(Config::default());
    let ask = async |method: Method| {
        let request = Request::builder().method(method).uri("/v1/traces").header("origin", "http://shop.example");
        let request = request.header("access-control-request-headers", "content-type,x-key").body(Body::empty());
        ingest.http_router().oneshot(request.expect("a request")).await.expect("an answer")
    };
    let answer = ask(Method::OPTIONS).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert_eq!(answer.headers()["access-control-allow-headers"], "content-type,x-key");
    let answer = ask(Method::GET).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    let (answer, _) = send(Send { path: "/v1/traces", headers: &[PROTOBUF], body: traces() }).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn figures_count_requests_and_records_and_no_duplicate_twice() {
    let (ingest, _) = wing(Config::default());
    let router = ingest.http_router().layer(Extension(caller()));
    for body in [traces(), traces(), Bytes::from("broken")] {
        through(&router, Send { path: "/v1/traces", headers: &[PROTOBUF], body }).await;
    }
    let figure = |name: &str, outcome: &str| {
        let samples = ingest.stats();
        let found = samples.iter().find(|sample| {
            let has = |label: &str, value: &str| sample.labels.iter().any(|(l, v)| *l == label && v == value);
            sample.name == name && has("signal", "traces") && has("protocol", "http") && has("outcome", outcome)
        });
        found.expect("a sample").value
    };
    assert_eq!(figure("tracelake_ingest_requests_total", "accepted"), 1.0);
    assert_eq!(figure("tracelake_ingest_requests_total", "duplicate"), 1.0);
    assert_eq!(figure("tracelake_ingest_requests_total", "invalid"), 1.0);
    assert_eq!(figure("tracelake_ingest_records_total", "accepted"), 1.0);
}
