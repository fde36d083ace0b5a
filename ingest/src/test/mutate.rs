//! Broken input never panics, and what an independent reader (prost) takes, the walker takes with the same records.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{ContentType, Signal};

use crate::decode::Decoded;
use crate::test::bench::decoded;
use crate::test::sample;

const ROUNDS: u64 = 4_000;

fn mutate(random: &mut SmallRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match random.random_range(0..6) {
            _ if bytes.is_empty() => bytes.push(random.random()),
            0 => bytes[at] = random.random(),
            1 => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.random()),
            4 => {
                bytes.remove(at);
            }
            _ => {
                let end = (at + random.random_range(0..40)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Records as prost counts them; `None` when it refuses the request.
fn independent(signal: Signal, plain: &[u8]) -> Option<usize> {
    Some(match signal {
        Signal::Traces => {
            let request = ExportTraceServiceRequest::decode(plain).ok()?;
            request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum()
        }
        Signal::Logs | Signal::Audit => {
            let request = ExportLogsServiceRequest::decode(plain).ok()?;
            request.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum()
        }
        Signal::Metrics => {
            let request = ExportMetricsServiceRequest::decode(plain).ok()?;
            let scopes = request.resource_metrics.iter().flat_map(|r| &r.scope_metrics);
            let points = |data: &Data| match data {
                Data::Gauge(gauge) => gauge.data_points.len(),
                Data::Sum(sum) => sum.data_points.len(),
                Data::Histogram(histogram) => histogram.data_points.len(),
                Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
                Data::Summary(summary) => summary.data_points.len(),
            };
            scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref()).map(points).sum()
        }
    })
}

fn records(found: &Decoded) -> usize {
    let kept: usize = found.batches.iter().map(tracelake_model::Batch::row_count).sum();
    kept + found.refused.total() as usize
}

#[test]
fn mutated_protobuf_never_panics_and_agrees_with_prost() {
    let audit = vec![sample::full_log(), sample::full_log()];
    for (signal, plain) in [
        (Signal::Traces, sample::traces(vec![sample::full_span(), sample::plain_span(3)]).encode_to_vec()),
        (Signal::Logs, sample::logs(vec![sample::full_log()]).encode_to_vec()),
        (Signal::Audit, sample::logs(audit).encode_to_vec()),
        (Signal::Metrics, sample::metrics(sample::full_metrics()).encode_to_vec()),
    ] {
        for seed in 0..ROUNDS {
            let mut bytes = plain.clone();
            mutate(&mut SmallRng::seed_from_u64(seed), &mut bytes);
            let found = decoded(signal, ContentType::Protobuf, &bytes);
            if let Some(expected) = independent(signal, &bytes) {
                let found = found.unwrap_or_else(|error| panic!("{signal:?} seed {seed}: prost takes it, we: {error}"));
                assert_eq!(records(&found), expected, "{signal:?} seed {seed}");
                assert!(found.refused.message(signal).find("UTF-8").is_none(), "{signal:?} seed {seed}");
            }
        }
    }
}

#[test]
fn mutated_json_never_panics() {
    for (signal, json) in [(Signal::Traces, sample::TRACES_JSON), (Signal::Metrics, sample::METRICS_JSON)] {
        let mut taken = 0;
        for seed in 0..ROUNDS {
            let mut bytes = json.as_bytes().to_vec();
            mutate(&mut SmallRng::seed_from_u64(seed), &mut bytes);
            taken += u64::from(decoded(signal, ContentType::Json, &bytes).is_ok());
        }
        assert!((1..ROUNDS).contains(&taken), "mutations both break and spare requests: {taken}");
    }
}
