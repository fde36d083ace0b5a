//! The figures of receiving and decoding are what really came, to the byte and the record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Extension;
use axum::http::Request;
use bytes::Bytes;
use prost::Message;
use tower::ServiceExt;

use crate::config::Config;
use crate::ingest::Ingest;
use crate::test::bench::{caller, gzip, wing};
use crate::test::sample;

/// Bytes and records of a stage; whether it took any time.
fn figures(ingest: &Ingest, stage: &str) -> (f64, f64, bool) {
    let samples = ingest.stats();
    let of_stage = |sample: &&tracelake_model::Sample| sample.labels == [("stage", stage.to_owned())];
    let found: BTreeMap<_, _> = samples.iter().filter(of_stage).map(|sample| (sample.name, sample.value)).collect();
    assert_eq!(found.len(), 3, "{stage}");
    let seconds = found["tracelake_stage_seconds_total"];
    (found["tracelake_stage_bytes_total"], found["tracelake_stage_rows_total"], seconds > 0.0)
}

async fn send(ingest: &Arc<Ingest>, encoding: &str, body: Bytes) -> u16 {
    let request = Request::post("/v1/traces")
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", encoding)
        .body(Body::from(body))
        .expect("a request");
    let router = ingest.http_router().layer(Extension(caller()));
    router.oneshot(request).await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn receiving_counts_bodies_as_sent_and_decoding_as_decompressed() {
    let (ingest, _sink) = wing(Config::default());
    let few = Bytes::from(sample::traces(vec![sample::full_span(), sample::plain_span(3)]).encode_to_vec());
    let mut nameless = sample::plain_span(4);
    nameless.span_id.clear();
    let many = (0..200).map(|number| sample::plain_span(number + 1)).chain([nameless]).collect();
    let many = Bytes::from(sample::traces(many).encode_to_vec());
    let packed = gzip(&many);
    // In the connection's thread, and in one of its own.
    assert_eq!(send(&ingest, "identity", few.clone()).await, 200);
    assert_eq!(send(&ingest, "gzip", packed.clone()).await, 200);
    let received = |bodies: &[&Bytes]| bodies.iter().map(|body| body.len()).sum::<usize>() as f64;
    assert_eq!(figures(&ingest, "receive"), (received(&[&few, &packed]), 203.0, false), "nobody told of connections");
    assert_eq!(figures(&ingest, "decode"), (received(&[&few, &many]), 202.0, true));

    // What cannot be decoded came all the same; no record is known of it.
    let broken = Bytes::from_static(b"\xff\xff\xff");
    assert_eq!(send(&ingest, "identity", broken.clone()).await, 400);
    assert_eq!(send(&ingest, "gzip", broken.clone()).await, 400);
    let (bytes, records, _) = figures(&ingest, "receive");
    assert_eq!((bytes, records), (received(&[&few, &packed, &broken, &broken]), 203.0));
    assert_eq!(figures(&ingest, "decode"), (received(&[&few, &many, &broken]), 202.0, true));

    ingest.note_work(Duration::from_secs(3600));
    assert!(figures(&ingest, "receive").2);
}
