//! Bad input on the doors of the running server: the right code, nothing valid lost, and the server goes on.

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tonic::codec::CompressionEncoding;

use crate::house::{House, client};

fn span(id: u8) -> Span {
    Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: format!("span {id}"),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_500,
        ..Default::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

/// A request of which spans 1 and 6 are good and every other one is bad in a way of its own.
fn mixed() -> ExportTraceServiceRequest {
    let bad = |change: fn(&mut Span)| {
        let mut span = span(9);
        change(&mut span);
        span
    };
    request(vec![
        span(1),
        bad(|span| span.trace_id = vec![0; 16]),
        bad(|span| span.trace_id = vec![1; 15]),
        bad(|span| span.span_id = Vec::new()),
        bad(|span| span.start_time_unix_nano = u64::MAX),
        span(6),
    ])
}

#[tokio::test]
async fn good_spans_are_kept_and_bad_ones_counted_over_grpc_and_http() {
    let house = House::start();
    let mut grpc = TraceServiceClient::connect(format!("http://{}", house.grpc))
        .await
        .expect("the door answers")
        .send_compressed(CompressionEncoding::Gzip);
    let answer = grpc.export(mixed()).await.expect("accepted").into_inner();
    assert_eq!(answer.partial_success.expect("partial success").rejected_spans, 4);
    // The very same payload again, by the other door: acknowledged, not stored twice.
    let url = format!("http://{}/v1/traces", house.otlp);
    let send = client().post(url).header("content-type", "application/x-protobuf").body(mixed().encode_to_vec());
    let body = send.send().await.expect("an answer").bytes().await.expect("a body");
    let answer = ExportTraceServiceResponse::decode(body).expect("a response");
    let partial = answer.partial_success.expect("partial success");
    assert_eq!(partial.rejected_spans, 4);
    assert!(!partial.error_message.is_empty());
    assert_eq!(house.number("SELECT COUNT(*) FROM spans").await, 2);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_is_refused_whole_with_the_right_status() {
    let house = House::start();
    let whole = request(vec![span(1)]).encode_to_vec();
    let protobuf = "application/x-protobuf";
    let cases: Vec<(&str, &str, &str, Vec<u8>, u16)> = vec![
        ("garbage", protobuf, "identity", b"this is no protobuf".to_vec(), 400),
        ("truncated", protobuf, "identity", whole[..whole.len() - 3].to_vec(), 400),
        ("bad gzip", protobuf, "gzip", whole.clone(), 400),
        ("bad zstd", protobuf, "zstd", whole.clone(), 400),
        ("bad JSON", "application/json", "identity", b"{\"resourceSpans\": [".to_vec(), 400),
        ("JSON of another shape", "application/json", "identity", b"{\"resourceSpans\": 7}".to_vec(), 400),
        ("unknown type", "text/plain", "identity", whole.clone(), 415),
        ("unknown encoding", protobuf, "br", whole.clone(), 415),
        ("too large", protobuf, "identity", vec![0; (16 << 20) + 1], 413),
        ("a bomb", protobuf, "zstd", zstd::encode_all(vec![0; 64 << 20].as_slice(), 3).expect("zstd"), 413),
        ("empty", protobuf, "identity", Vec::new(), 200),
        ("good", protobuf, "identity", whole.clone(), 200),
    ];
    for (what, content_type, encoding, body, expected) in cases {
        let request = client().post(format!("http://{}/v1/traces", house.otlp)).header("content-type", content_type);
        let answer = request.header("content-encoding", encoding).body(body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), expected, "{what}");
    }
    let got = client().get(format!("http://{}/v1/traces", house.otlp)).send().await.expect("an answer");
    assert_eq!(got.status().as_u16(), 405);
    assert_eq!(house.number("SELECT COUNT(*) FROM spans").await, 1);
}

#[tokio::test]
async fn a_deeply_nested_json_body_is_refused_and_the_server_goes_on() {
    let house = House::start();
    let depth = 100_000;
    let body = format!("{{\"resourceSpans\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let request = client().post(format!("http://{}/v1/traces", house.otlp)).header("content-type", "application/json");
    assert_eq!(request.body(body).send().await.expect("an answer").status().as_u16(), 400);
    assert_eq!(house.send("traces", request_bytes()).await.expect("the door answers"), 200);
}

fn request_bytes() -> Vec<u8> {
    request(vec![span(1)]).encode_to_vec()
}
