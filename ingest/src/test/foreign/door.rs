//! Answers of Zipkin's and Jaeger's doors.

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, Method, Request};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;
use tracelake_model::{ContentType, DecodeLimits, Encoding, Fault, Refusal, Table};

use crate::config::Config;
use crate::decode::decoder;
use crate::ingest::Ingest;
use crate::test::bench::{Recorder, caller, gzip, reader_only, wing};
use crate::test::foreign::recorded::{JAEGER_PROTOBUF, JAEGER_THRIFT, ZIPKIN_JSON, ZIPKIN_PROTOBUF};

const SPANS: &str = "/api/v2/spans";
const TRACES: &str = "/api/traces";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
const THRIFT: &str = "application/x-thrift";
const POST_SPANS: &str = "/jaeger.api_v2.CollectorService/PostSpans";

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

async fn ask(ingest: &std::sync::Arc<Ingest>, request: Request<Body>) -> Answer {
    let routers = ingest.http_router().merge(ingest.zipkin_router()).merge(ingest.jaeger_router());
    let response = routers.layer(Extension(caller())).oneshot(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

fn post(path: &str, content_type: &str, body: impl Into<Bytes>) -> Request<Body> {
    let request = Request::post(path).header("content-type", content_type);
    request.body(Body::from(body.into())).expect("a request")
}

async fn send(path: &str, content_type: &str, body: &'static [u8]) -> (Answer, std::sync::Arc<Recorder>) {
    let (ingest, sink) = wing(Config::default());
    (ask(&ingest, post(path, content_type, body)).await, sink)
}

#[tokio::test]
async fn every_format_is_accepted_and_stored_as_otlp() {
    for (path, content_type, body) in [
        (SPANS, JSON, ZIPKIN_JSON),
        (SPANS, "application/json; charset=utf-8", ZIPKIN_JSON),
        (SPANS, "text/plain;charset=UTF-8", ZIPKIN_JSON),
        (SPANS, "", ZIPKIN_JSON),
        (SPANS, PROTOBUF, ZIPKIN_PROTOBUF),
        (TRACES, THRIFT, JAEGER_THRIFT),
        ("/api/traces?format=jaeger.thrift", "application/vnd.apache.thrift.binary", JAEGER_THRIFT),
    ] {
        let (answer, sink) = send(path, content_type, body).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, ""), "{path} {content_type}");
        let stored = &sink.requests()[0];
        assert_eq!(stored.header.accepted, [(Table::Spans, 3)]);
        assert_eq!((stored.header.content_type, stored.header.encoding), (ContentType::Protobuf, Encoding::Identity));
        // What a replay makes of it is what was acknowledged.
        let again = decoder().decode(&stored.header, &stored.payload).expect("decodes");
        assert!(again == stored.batches, "{path} {content_type}");
    }
}

#[tokio::test]
async fn the_same_request_again_is_stored_once_however_it_is_compressed() {
    for (path, content_type, body) in [(SPANS, JSON, ZIPKIN_JSON), (TRACES, THRIFT, JAEGER_THRIFT)] {
        let (ingest, sink) = wing(Config::default());
        assert_eq!(ask(&ingest, post(path, content_type, body)).await.status, 202);
        let mut packed = post(path, content_type, gzip(body));
        packed.headers_mut().insert("content-encoding", "gzip".parse().expect("a value"));
        assert_eq!(ask(&ingest, packed).await.status, 202);
        assert_eq!(sink.requests().len(), 1, "{path}");
        let duplicates = |sample: &&tracelake_model::Sample| {
            sample.name == "tracelake_ingest_requests_total"
                && ["duplicate", "traces"].iter().all(|value| sample.labels.iter().any(|(_, label)| label == value))
        };
        let counted: f64 = ingest.stats().iter().filter(duplicates).map(|sample| sample.value).sum();
        assert_eq!(counted, 1.0, "{path}");
    }
}

#[tokio::test]
async fn single_spans_that_are_refused_are_told_in_a_header() {
    let list = br#"[{"traceId":"1","id":"2","timestamp":1},{"traceId":"1","id":"x"}]"#;
    let (answer, sink) = send(SPANS, JSON, list).await;
    let told = "1 span refused: 1 with a span id that is not 8 bytes or is zero";
    assert_eq!((answer.status, answer.header("tracelake-warning")), (202, told));
    assert_eq!(answer.body.trim_end(), told);
    assert_eq!((sink.requests()[0].header.accepted[0].1, sink.requests()[0].header.refused), (1, 1));
}

#[tokio::test]
async fn where_nothing_is_kept_the_request_is_refused() {
    let (ingest, sink) = wing(Config::default());
    let answer = ask(&ingest, post(SPANS, JSON, r#"[{"traceId":"1","id":"x"}]"#)).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("nothing was kept: 1 span refused"), "{}", answer.body);
    assert!(sink.requests().is_empty());
    let refused = |sample: &&tracelake_model::Sample| {
        sample.name == "tracelake_ingest_records_total"
            && ["zipkin", "refused"].iter().all(|value| sample.labels.iter().any(|(_, label)| label == value))
    };
    assert_eq!(ingest.stats().iter().find(refused).map(|sample| sample.value), Some(1.0));
    // An empty list is no mistake.
    assert_eq!(ask(&ingest, post(SPANS, JSON, "[]")).await.status, 202);
}

#[tokio::test]
async fn what_is_wrong_is_told_in_plain_text() {
    let check = async |path: &str, content_type: &str, body: &'static [u8], status: u16, word: &str| {
        let (answer, sink) = send(path, content_type, body).await;
        assert_eq!((answer.status, sink.requests().len()), (status, 0), "{path} {content_type}: {}", answer.body);
        assert!(answer.header("content-type").starts_with("text/plain"), "{path} {content_type}");
        assert!(answer.body.contains(word), "{path} {content_type}: {}", answer.body);
        assert_eq!(answer.header("retry-after"), "");
    };
    check(SPANS, JSON, b"{}", 400, "a list of Zipkin v2 spans").await;
    check(SPANS, JSON, b"", 400, "Zipkin JSON").await;
    check(SPANS, PROTOBUF, b"[]", 400, "protobuf").await;
    check(SPANS, THRIFT, b"", 415, "Zipkin v2").await;
    check("/api/v1/spans", JSON, b"[]", 404, "/api/v2/spans").await;
    check(TRACES, THRIFT, b"\x00", 400, "field 1").await;
    check(TRACES, "application/vnd.apache.thrift.compact", b"", 415, "thrift.binary").await;
    check(TRACES, JSON, b"{}", 415, "jaeger.thrift").await;
}

#[tokio::test]
async fn limits_and_refusals_of_the_sink_hold_as_for_otlp() {
    let limits = DecodeLimits { request_bytes: 1500, ..DecodeLimits::default() };
    let (ingest, sink) = wing(Config { limits, ..Config::default() });
    assert_eq!(ask(&ingest, post(SPANS, JSON, ZIPKIN_JSON)).await.status, 413);
    assert_eq!(ask(&ingest, post(SPANS, PROTOBUF, ZIPKIN_PROTOBUF)).await.status, 202);
    sink.refuse(Refusal { fault: Fault::Overloaded, detail: "the disk is full".to_owned(), retry_after: None });
    let answer = ask(&ingest, post(SPANS, PROTOBUF, ZIPKIN_PROTOBUF)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, "1"));
    assert_eq!(answer.body, "the disk is full\n");
    // Bytes that were held are given back, translated ones too.
    let held = ingest.stats().into_iter().find(|sample| sample.name == "tracelake_ingest_in_flight_bytes");
    assert_eq!(held.map(|sample| sample.value), Some(0.0));
    let router = ingest.zipkin_router().layer(Extension(reader_only()));
    let answer = router.oneshot(post(SPANS, JSON, "[]")).await.expect("an answer");
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn pages_may_send_to_zipkins_door_from_anywhere() {
    let (ingest, _) = wing(Config::default());
    let preflight = Request::builder().method(Method::OPTIONS).uri(SPANS).body(Body::empty()).expect("a request");
    let answer = ask(&ingest, preflight).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "*"));
    let answer = ask(&ingest, post(SPANS, JSON, "[]")).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

/// Status, warning and message of a gRPC answer.
async fn post_spans(ingest: &std::sync::Arc<Ingest>, message: &[u8]) -> (String, String, Bytes) {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let framed = Bytes::from([&[0][..], &length, message].concat());
    let request = Request::post(POST_SPANS).header("content-type", "application/grpc").body(Body::from(framed));
    let router = ingest.grpc_router().layer(Extension(caller()));
    let response = router.oneshot(request.expect("a request")).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body");
    let text = |name: &str| {
        let value = head.headers.get(name).or_else(|| body.trailers().and_then(|trailers| trailers.get(name)));
        value.map_or_else(String::new, |value| value.to_str().expect("ASCII").to_owned())
    };
    (text("grpc-status"), text("tracelake-warning"), body.to_bytes())
}

#[tokio::test]
async fn jaegers_collector_service_takes_batches_over_grpc() {
    let (ingest, sink) = wing(Config::default());
    let (status, warning, body) = post_spans(&ingest, JAEGER_PROTOBUF).await;
    assert_eq!((status.as_str(), warning.as_str(), body.as_ref()), ("0", "", &[0_u8; 5][..]));
    assert_eq!(sink.requests()[0].header.accepted, [(Table::Spans, 3)]);
    assert_eq!(post_spans(&ingest, b"\x0a").await.0, "3");
    // One span without ids.
    assert_eq!(post_spans(&ingest, &[0x0a, 2, 0x0a, 0]).await.0, "3");
    assert_eq!(post_spans(&ingest, b"").await.0, "0");
    assert_eq!(sink.requests().len(), 1);
}
