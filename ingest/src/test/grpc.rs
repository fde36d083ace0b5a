//! Answers of the gRPC door, to the generated clients over a real connection and to frames by hand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::http::{HeaderMap, Request};
use bytes::Bytes;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;
use tracelake_model::{DecodeLimits, Encoding, Fault, Refusal, Table};

use crate::config::Config;
use crate::test::bench::{Recorder, caller, gzip, reader_only, wing};
use crate::test::sample;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A wing that listens on loopback for as long as the test's runtime lives.
async fn listening(config: Config) -> (String, Arc<Recorder>) {
    let (ingest, sink) = wing(config);
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let router = ingest.grpc_router().layer(Extension(caller()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), sink)
}

#[tokio::test]
async fn generated_clients_send_every_signal_plain_and_compressed() {
    let (address, sink) = listening(Config::default()).await;
    let mut traces = TraceServiceClient::connect(address.clone()).await.expect("connects");
    let answer = traces.export(sample::traces(vec![sample::full_span()])).await.expect("is taken").into_inner();
    assert_eq!(answer.partial_success, None);
    let mut logs = LogsServiceClient::connect(address.clone()).await.expect("connects");
    logs = logs.send_compressed(CompressionEncoding::Gzip);
    logs.export(sample::logs(vec![sample::full_log()])).await.expect("is taken");
    let mut metrics = MetricsServiceClient::connect(address).await.expect("connects");
    metrics = metrics.send_compressed(CompressionEncoding::Zstd);
    metrics.export(sample::metrics(sample::full_metrics())).await.expect("is taken");

    let stored: Vec<_> = sink.requests().into_iter().map(|r| (r.header.accepted, r.header.encoding)).collect();
    assert_eq!(
        stored,
        [
            (vec![(Table::Spans, 1)], Encoding::Identity),
            (vec![(Table::Logs, 1)], Encoding::Gzip),
            (vec![(Table::Metrics, 6)], Encoding::Zstd),
        ]
    );
}

#[tokio::test]
async fn partial_success_reaches_the_client() {
    let (address, _) = listening(Config::default()).await;
    let mut traces = TraceServiceClient::connect(address).await.expect("connects");
    let mut bad = sample::plain_span(2);
    bad.trace_id.clear();
    let answer = traces.export(sample::traces(vec![sample::plain_span(1), bad])).await.expect("is taken");
    let partial = answer.into_inner().partial_success.expect("partial");
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("trace id"));
}

#[tokio::test]
async fn a_refusal_reaches_the_client_with_a_time_to_come_back() {
    let (address, sink) = listening(Config::default()).await;
    let retry_after = Some(Duration::from_millis(2500));
    sink.refuse(Refusal { fault: Fault::Overloaded, detail: "voll, 100 % é".to_owned(), retry_after });
    let mut traces = TraceServiceClient::connect(address).await.expect("connects");
    let status = traces.export(sample::traces(vec![sample::full_span()])).await.expect_err("is refused");
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "voll, 100 % é"));
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(details.contains("google.rpc.RetryInfo"), "{details}");
    // RetryInfo { retry_delay: Duration { seconds: 2, nanos: 500_000_000 } }
    assert!(status.details().ends_with(&[0x0a, 0x08, 0x08, 0x02, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]));
}

#[tokio::test]
async fn a_large_request_is_taken_and_a_larger_one_is_refused_without_a_retry() {
    let limits = DecodeLimits { request_bytes: 2 << 20, ..DecodeLimits::default() };
    let (address, sink) = listening(Config { limits, ..Config::default() }).await;
    let mut traces = TraceServiceClient::connect(address).await.expect("connects");
    traces.export(sample::traces(vec![sample::full_span(); 4_000])).await.expect("is taken");
    assert_eq!(sink.requests()[0].header.accepted, [(Table::Spans, 4_000)]);
    let status = traces.export(sample::traces(vec![sample::full_span(); 8_000])).await.expect_err("is refused");
    assert_eq!((status.code(), status.details().len()), (Code::ResourceExhausted, 0));
}

#[tokio::test]
async fn health_is_served_for_the_server_and_each_service() {
    let (address, _) = listening(Config::default()).await;
    let channel =
        tonic::transport::Endpoint::from_shared(address).expect("an address").connect().await.expect("connects");
    let mut health = HealthClient::new(channel);
    for service in ["", "opentelemetry.proto.collector.trace.v1.TraceService"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.expect("is known");
        assert_eq!(answer.into_inner().status, 1, "{service}");
    }
    let status = health.check(HealthCheckRequest { service: "other".to_owned() }).await.expect_err("is unknown");
    assert_eq!(status.code(), Code::NotFound);
}

fn framed(flag: u8, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("short");
    Bytes::from([&[flag][..], &length.to_be_bytes(), message].concat())
}

/// Status code, message and all headers and trailers of an answer.
async fn ask(path: &str, encoding: Option<&str>, body: Bytes) -> (String, HeaderMap) {
    let limits = DecodeLimits { request_bytes: 100_000, ..DecodeLimits::default() };
    let (ingest, _) = wing(Config { limits, ..Config::default() });
    let caller = if path == "forbidden" { reader_only() } else { caller() };
    let path = if path == "forbidden" { TRACES } else { path };
    let mut request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let router = ingest.grpc_router().layer(Extension(caller));
    let response = router.oneshot(request.body(Body::from(body)).expect("a request")).await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/grpc".parse().expect("a value"))
    );
    let mut headers = response.headers().clone();
    let collected = response.into_body().collect().await.expect("a body");
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    (headers["grpc-status"].to_str().expect("a number").to_owned(), headers)
}

#[tokio::test]
async fn every_fault_has_the_code_that_clients_act_on() {
    let good = sample::traces(vec![sample::plain_span(1)]).encode_to_vec();
    let bomb = gzip(&vec![0; 1 << 20]);
    let two = [framed(0, &good), framed(0, &good)].concat();
    let unknown = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    for (what, path, encoding, body, code) in [
        ("plain", TRACES, None, framed(0, &good), "0"),
        ("empty", TRACES, None, framed(0, &[]), "0"),
        ("gzip", TRACES, Some("gzip"), framed(1, &gzip(&good)), "0"),
        ("flag off", TRACES, Some("gzip"), framed(0, &good), "0"),
        ("malformed", TRACES, None, framed(0, b"not protobuf"), "3"),
        ("bad compression", TRACES, Some("gzip"), framed(1, &good), "3"),
        ("bomb", TRACES, Some("gzip"), framed(1, &bomb), "8"),
        ("too large", TRACES, None, framed(0, &vec![0; 200_000]), "8"),
        ("unknown encoding", TRACES, Some("br"), framed(1, &good), "12"),
        ("no encoding", TRACES, None, framed(1, &good), "13"),
        ("no frame", TRACES, None, Bytes::new(), "13"),
        ("two frames", TRACES, None, Bytes::from(two), "13"),
        ("cut frame", TRACES, None, framed(0, &good).slice(..20), "13"),
        ("unknown service", unknown, None, framed(0, &good), "12"),
        ("no role", "forbidden", None, framed(0, &good), "7"),
    ] {
        let (found, headers) = ask(path, encoding, body).await;
        assert_eq!(found, code, "{what}: {headers:?}");
        assert!(headers.contains_key("grpc-accept-encoding"), "{what}");
        assert_eq!(headers.contains_key("grpc-message"), code != "0", "{what}");
    }
}
