//! Recorded telemetry replayed through the door: everything is counted exactly, the map equals the truth, and a
//! restart in the middle changes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use prost::Message;
use serde_json::Value;

use crate::house::House;
use crate::recorded::{edges, full, requests, slice, truth};

/// Requests under way at once.
const IN_FLIGHT: usize = 8;

/// Sends everything; each request must be acknowledged, at the latest after the waits that an SDK would make too.
pub(crate) async fn send_all(house: &House, signal: &str, requests: &[Vec<u8>]) {
    let answers = stream::iter(requests).map(|body| send_as_sdk(house, signal, body)).buffered(IN_FLIGHT);
    let statuses: Vec<_> = answers.collect().await;
    assert!(statuses.iter().all(|status| *status == 200), "{:?}", statuses.iter().find(|status| **status != 200));
}

/// Sends one request; comes back while the server says that it is busy, up to a bound.
async fn send_as_sdk(house: &House, signal: &str, body: &[u8]) -> u16 {
    for wait_ms in [50, 100, 200, 400, 800, 1600, 3200, 6400] {
        let status = house.send(signal, body.to_vec()).await.expect("the door answers");
        if !matches!(status, 429 | 503) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    house.send(signal, body.to_vec()).await.expect("the door answers")
}

/// Sends half, restarts, sends the other half and the last ten of the first half again, as a sender that lost the
/// answers would. A kill stands for a crash.
async fn send_across_a_kill(house: House, signal: &str, requests: &[Vec<u8>]) -> House {
    let (first, second) = requests.split_at(requests.len() / 2);
    send_all(&house, signal, first).await;
    let house = house.kill_and_restart();
    send_all(&house, signal, &first[first.len().saturating_sub(10)..]).await;
    send_all(&house, signal, second).await;
    house
}

async fn check_traces(house: &House, truth: &Value) {
    let distinct = "SELECT COUNT(*) FROM (SELECT DISTINCT trace_id, span_id, kind, service_name FROM spans)";
    assert_eq!(house.number(distinct).await, truth["distinct_spans"].as_i64().expect("distinct_spans"));
    let traces = "SELECT COUNT(DISTINCT trace_id) FROM spans";
    assert_eq!(house.number(traces).await, truth["distinct_traces"].as_i64().expect("distinct_traces"));
    let rows = house.number("SELECT COUNT(*) FROM spans").await;
    assert!(rows <= truth["span_rows_sent"].as_i64().expect("span_rows_sent"), "{rows} rows: some were stored twice");
    for (service, spans) in truth["services"].as_object().expect("services") {
        let query = format!(
            "SELECT COUNT(*) FROM (SELECT DISTINCT trace_id, span_id, kind FROM spans WHERE service_name = '{service}')"
        );
        assert_eq!(house.number(&query).await, spans.as_i64().expect("a count"), "{service}");
    }
    assert_eq!(service_calls(house).await, edges(truth));
}

/// Calls between services as the map shows them over all time, direct and by message together.
async fn service_calls(house: &House) -> Vec<(String, String, i64)> {
    let map = house.get("/api/v1/service-map?start=1970-01-02T00:00:00Z&end=2200-01-01T00:00:00Z").await;
    let service = |id: &Value| id.as_str().and_then(|id| id.strip_prefix("service:")).map(str::to_owned);
    let mut calls: BTreeMap<(String, String), i64> = BTreeMap::new();
    for edge in map["edges"].as_array().expect("edges") {
        if let (Some(from), Some(to)) = (service(&edge["source"]), service(&edge["target"])) {
            *calls.entry((from, to)).or_default() += edge["calls"].as_i64().expect("calls");
        }
    }
    calls.into_iter().map(|((from, to), calls)| (from, to, calls)).collect()
}

async fn replay_traces(data: &Path, facts: &Path) {
    let (requests, truth) = (requests(data), truth(facts));
    let house = send_across_a_kill(House::start(), "traces", &requests).await;
    check_traces(&house, &truth).await;
    house.flush().await;
    check_traces(&house, &truth).await;
    check_traces(&house.restart(), &truth).await;
}

#[tokio::test]
async fn the_committed_slice_of_trainticket_is_counted_and_mapped_exactly() {
    replay_traces(&slice("trainticket-2023-01-29.slice.binpb.zst"), &slice("trainticket-2023-01-29.slice.truth.json"))
        .await;
}

#[tokio::test]
async fn the_committed_slice_of_nodejs_microservices_is_counted_and_mapped_exactly() {
    replay_traces(&slice("nodejs_microservices.slice.binpb.zst"), &slice("nodejs_microservices.slice.truth.json"))
        .await;
}

async fn replay_full_traces(name: &str) {
    let data = full(&format!("{name}.traces.binpb.zst"));
    let facts = full(&format!("{name}.truth.json"));
    if let (Some(data), Some(facts)) = (data, facts) {
        replay_traces(&data, &facts).await;
    }
}

#[tokio::test]
async fn all_of_trainticket_is_counted_and_mapped_exactly() {
    replay_full_traces("trainticket-2023-01-29").await;
}

#[tokio::test]
async fn all_of_onlineboutique_is_counted_and_mapped_exactly() {
    replay_full_traces("onlineboutique-2022-08-22").await;
}

#[tokio::test]
async fn all_of_nodejs_microservices_is_counted_and_mapped_exactly() {
    replay_full_traces("nodejs_microservices").await;
}

async fn replay_logs_and_metrics(name: &str) {
    let file = |suffix: &str| full(&format!("{name}.{suffix}"));
    let (Some(logs), Some(metrics), Some(facts)) =
        (file("logs.binpb.zst"), file("metrics.binpb.zst"), file("truth.json"))
    else {
        return;
    };
    let truth = truth(&facts);
    let house = send_across_a_kill(House::start(), "logs", &requests(&logs)).await;
    let metrics = requests(&metrics);
    let house = send_across_a_kill(house, "metrics", &metrics).await;
    for _ in 0..2 {
        let records = truth["logs"]["records"].as_i64().expect("records");
        assert_eq!(house.number("SELECT COUNT(*) FROM logs").await, records);
        let points = truth["metrics"]["points"].as_i64().expect("points");
        assert_eq!(house.number("SELECT COUNT(*) FROM metrics").await, points);
        let not_a_number = house.number("SELECT COUNT(*) FROM metrics WHERE isnan(value)").await;
        assert_eq!(not_a_number, i64::try_from(count_nan(&metrics)).expect("a count"));
        house.flush().await;
    }
}

fn count_nan(requests: &[Vec<u8>]) -> usize {
    let decoded = requests.iter().map(|body| ExportMetricsServiceRequest::decode(body.as_slice()).expect("a request"));
    let metrics = decoded.flat_map(|r| r.resource_metrics).flat_map(|r| r.scope_metrics).flat_map(|s| s.metrics);
    let points = metrics.flat_map(|metric| match metric.data {
        Some(metric::Data::Gauge(gauge)) => gauge.data_points,
        Some(metric::Data::Sum(sum)) => sum.data_points,
        _ => Vec::new(),
    });
    points.filter(|point| matches!(point.value, Some(number_data_point::Value::AsDouble(v)) if v.is_nan())).count()
}

#[tokio::test]
async fn all_logs_and_metrics_of_trainticket_are_counted_exactly() {
    replay_logs_and_metrics("trainticket-2023-01-29").await;
}

#[tokio::test]
async fn all_logs_and_metrics_of_onlineboutique_are_counted_exactly() {
    replay_logs_and_metrics("onlineboutique-2022-08-22").await;
}
