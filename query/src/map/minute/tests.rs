//! Kept minutes against the spans they were made of: whatever comes late, twice, in any order, across a restart.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::BooleanArray;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};
use tracelake_storage::{Condition, Erasure};

use crate::fixture::{House, NOW};
use crate::map::edge::EdgeKind;
use crate::map::graph::service_map;
use crate::map::minute::histogram::ERROR_MAX;
use crate::map::minute::keeper::{Haste, Keeper};
use crate::map::minute::read::{Want, from_spans, tally};
use crate::map::minute::sums::{SUM_NS, start_of};
use crate::map::minute::tally::{EdgeTally, Name, Tally};
use crate::map::node::NodeKind;
use crate::map::red::Red;
use crate::map::truth;
use crate::view::service::list_services;

const SECOND: i64 = 1_000_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
/// Start of the made-up spans: an hour ago, at a full minute.
pub(super) const BEGIN: i64 = (NOW.0 - 3600 * SECOND) / MINUTE * MINUTE;
pub(super) const MINUTES: i64 = 9;

pub(super) fn range(start: i64, end: i64) -> TimeRange {
    TimeRange { start: UnixNano(start), end: UnixNano(end) }
}

pub(super) fn keeper(house: &House) -> Keeper {
    Keeper::new(Arc::clone(&house.engine), Box::new(|_| true))
}

async fn keep(house: &House) {
    keeper(house).round(Haste::All).await.expect("kept minutes");
}

/// A row of `spans`.
struct Made {
    trace: u64,
    span: u64,
    parent: u64,
    service: &'static str,
    kind: i8,
    start: i64,
    duration_ns: i64,
    error: bool,
}

impl Made {
    fn row(&self) -> Value {
        let mut row = json!({
            "trace_id": format!("{:032x}", self.trace),
            "span_id": format!("{:016x}", self.span),
            "service_name": self.service,
            "name": format!("op {}", self.span % 3),
            "kind": self.kind,
            "start_unix_nano": self.start,
            "end_unix_nano": self.start + self.duration_ns,
            "duration_ns": self.duration_ns,
            "status_code": if self.error { 2 } else { 0 },
        });
        if self.parent != 0 {
            row["parent_span_id"] = json!(format!("{:016x}", self.parent));
        }
        match (self.kind, self.span % 4) {
            (3, 0) => row["db_system_name"] = json!("mysql"),
            (3, 1) => row["server_address"] = json!("pay.example"),
            (4 | 5, _) => row["messaging_destination_name"] = json!("orders"),
            _ => {}
        }
        row
    }
}

/// Traces over some minutes: calls, messages, long and late children, spans that were lost.
pub(super) fn made(random: &mut StdRng, traces: u64) -> Vec<Value> {
    const SERVICES: [&str; 5] = ["shop", "cart", "pay", "mail", "stock"];
    let mut rows = Vec::new();
    for trace in 1..=traces {
        let mut spans: Vec<Made> = Vec::new();
        for number in 0..random.random_range(1..9_u64) {
            let bits = random.random_range(1..36);
            let duration_ns = random.random_range(0..1_i64 << bits);
            let parent = spans.get(random.random_range(0..spans.len().max(1)));
            let start = match parent {
                None => BEGIN + random.random_range(0..MINUTES * MINUTE),
                // Now and then much later, or a little earlier, as other clocks have it.
                Some(_) if random.random_ratio(1, 12) => BEGIN + random.random_range(0..MINUTES * MINUTE),
                Some(parent) => parent.start + random.random_range(-SECOND..=parent.duration_ns.max(1)),
            };
            spans.push(Made {
                trace,
                span: trace * 16 + number + 1,
                parent: parent.map_or(0, |parent| parent.span),
                service: SERVICES[random.random_range(0..SERVICES.len())],
                kind: random.random_range(1..6),
                start,
                duration_ns,
                error: random.random_ratio(1, 8),
            });
        }
        let kept = spans.iter().filter(|_| !random.random_ratio(1, 15));
        rows.extend(kept.map(Made::row));
    }
    rows
}

fn alike(found: &Red, expected: &Red, what: &str) {
    let counts = |red: &Red| (red.count(), red.errors(), red.estimated());
    assert_eq!(counts(found), counts(expected), "{what}");
    let (found, expected) = (found.clone().percentiles(), expected.clone().percentiles());
    for (found, exact) in
        [(found.p50_ms, expected.p50_ms), (found.p95_ms, expected.p95_ms), (found.p99_ms, expected.p99_ms)]
    {
        let (found, exact) = (found.unwrap_or(-1.0), exact.unwrap_or(-1.0));
        assert!((found - exact).abs() <= exact.abs() * ERROR_MAX + 1e-9, "{what}: {found} ms, exactly {exact} ms");
    }
}

/// Whether a tally is that of the spans.
fn same(found: &Tally, expected: &Tally, what: &str) {
    let edges = |tally: &Tally| {
        let edge = |(ends, edge): (&(Name, Name, EdgeKind), &EdgeTally)| {
            format!("{ends:?} {} {:?}", edge.inferred, edge.examples)
        };
        tally.edges.iter().map(edge).collect::<Vec<_>>()
    };
    assert_eq!(edges(found), edges(expected), "{what}");
    for (ends, edge) in &expected.edges {
        alike(&found.edges[ends].red, &edge.red, &format!("{what}: {ends:?}"));
    }
    let spans = |tally: &Tally| {
        tally.services.iter().map(|(name, service)| (name.to_string(), service.spans)).collect::<Vec<_>>()
    };
    assert_eq!(spans(found), spans(expected), "{what}");
    for (name, service) in &expected.services {
        alike(&found.services[name].red, &service.red, &format!("{what}: {name}"));
    }
    let operations = |tally: &Tally| tally.operations.keys().cloned().collect::<Vec<_>>();
    assert_eq!(operations(found), operations(expected), "{what}");
    for (operation, red) in &expected.operations {
        alike(&found.operations[operation], red, &format!("{what}: {operation:?}"));
    }
}

/// Compares answers with what spans alone tell.
pub(super) async fn check(house: &House, range: TimeRange, what: &str) {
    let (tenant, engine) = (TenantId::default(), &house.engine);
    for want in [Want::Map, Want::Services, Want::Operations("cart")] {
        let found = tally(engine, &tenant, range, want).await.expect("a tally");
        let snapshot = Arc::new(house.store.snapshot(&tenant));
        let expected = from_spans(engine, &snapshot, range, want, &mut 0).await.expect("a tally");
        let mut expected = expected;
        match want {
            Want::Map => {}
            Want::Services => expected.edges.clear(),
            Want::Operations(_) => {
                expected.edges.clear();
                expected.services.clear();
            }
        }
        let mut found = found;
        match want {
            Want::Map => found.operations.clear(),
            Want::Services => found.edges.clear(),
            Want::Operations(_) => {
                found.edges.clear();
                found.services.clear();
            }
        }
        same(&found, &expected, &format!("{what}, {want:?} {:?}", (range.start.0 - BEGIN, range.end.0 - BEGIN)));
    }
}

/// Whole half hours around the made-up spans.
fn half_hours() -> TimeRange {
    range(start_of(BEGIN) - SUM_NS, start_of(BEGIN + MINUTES * MINUTE) + SUM_NS)
}

fn read_sums(house: &House) -> u64 {
    house.engine.books().read_sums.load(Ordering::Relaxed)
}

async fn check_ranges(house: &House, random: &mut StdRng, what: &str) {
    let end = BEGIN + (MINUTES + 3) * MINUTE;
    check(house, range(BEGIN - MINUTE, end), what).await;
    check(house, half_hours(), what).await;
    for _ in 0..2 {
        let start = random.random_range(BEGIN..end);
        check(house, range(start, random.random_range(start..=end)), what).await;
        let minute = BEGIN + random.random_range(0..MINUTES) * MINUTE;
        check(house, range(minute, minute + random.random_range(1..4) * MINUTE), what).await;
    }
}

/// The calls of each edge between services.
fn between_services(tally: &Tally) -> Vec<u64> {
    let both =
        |(source, target, _): &(Name, Name, EdgeKind)| (source.0, target.0) == (NodeKind::Service, NodeKind::Service);
    tally.edges.iter().filter(|(ends, _)| both(ends)).map(|(_, edge)| edge.red.count()).collect()
}

pub(super) fn kept_minutes(house: &House) -> usize {
    house.engine.books().page(&TenantId::default()).map_or(0, |page| page.kept.len())
}

#[tokio::test]
async fn minutes_tell_what_spans_tell_whatever_comes_when() {
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let what = format!("seed {seed}");
        let mut rows = made(&mut random, 90);
        let again: Vec<Value> = rows.iter().filter(|_| random.random_ratio(1, 10)).cloned().collect();
        rows.extend(again);
        rows.shuffle(&mut random);
        let mut house = House::new();
        for piece in rows.chunks(rows.len() / 5 + 1) {
            house.append(Table::Spans, piece).await;
            if random.random_ratio(2, 3) {
                house.flush().await;
            }
            if random.random_ratio(2, 3) {
                keep(&house).await;
            }
            if random.random_ratio(1, 3) {
                house = house.reopen().await;
            }
            check_ranges(&house, &mut random, &what).await;
        }
        house.flush().await;
        keep(&house).await;
        assert!(kept_minutes(&house) >= 9, "{what}");
        check_ranges(&house, &mut random, &what).await;
        let read = || house.engine.books().read_kept.load(Ordering::Relaxed);
        let before = read();
        check(&house, range(BEGIN, BEGIN + MINUTES * MINUTE), &what).await;
        assert!(read() >= before + 27, "{what}: the minutes were read");
        house.flush().await;
        check(&house, half_hours(), &what).await;
        let before = read_sums(&house);
        check(&house, half_hours(), &what).await;
        assert!(read_sums(&house) >= before + 4, "{what}: their sums were remembered");
    }
}

#[tokio::test]
async fn a_sum_is_remembered_as_long_as_its_rows_stand() {
    let house = House::new();
    house.append(Table::Spans, &made(&mut StdRng::seed_from_u64(3), 40)).await;
    house.flush().await;
    keep(&house).await;
    let ask = || async {
        let before = read_sums(&house);
        let found = tally(&house.engine, &TenantId::default(), half_hours(), Want::Map).await.expect("a tally");
        (found.edges.len(), found.services.len(), read_sums(&house) - before)
    };
    let all = half_hours();
    let sums = u64::try_from((all.end.0 - all.start.0) / SUM_NS).expect("some");
    let (edges, services, remembered) = ask().await;
    // Its rows are in memory, then in parts.
    assert!(edges > 5 && services == 5 && remembered < sums, "{edges} {services} {remembered}");
    house.flush().await;
    assert_eq!((ask().await.0, ask().await), (edges, (edges, services, sums)));
    erase_all(&house, Table::ServiceEdges).await;
    assert_eq!(ask().await.0, 0);
    assert_eq!(ask().await, (0, services, sums));
}

async fn erase_all(house: &House, table: Table) -> u64 {
    let time = vec![table.time_column().to_owned()];
    let every = Condition::new(time, Box::new(|rows| Ok(BooleanArray::from(vec![true; rows.num_rows()]))));
    let gone = Erasure { table, condition: every, range: TimeRange::ALL, dry_run: false };
    house.store.erase(&TenantId::default(), gone).await.expect("an erasure").rows
}

#[tokio::test]
async fn a_late_parent_changes_the_minute_of_its_child_and_only_that() {
    let span = |span, parent, service, minute: i64| Made {
        trace: 7,
        span,
        parent,
        service,
        kind: 2,
        start: BEGIN + minute * MINUTE,
        duration_ns: SECOND,
        error: false,
    };
    let house = House::new();
    let child = [span(2, 1, "cart", 5).row(), span(9, 0, "mail", 1).row()];
    house.append(Table::Spans, &child).await;
    house.flush().await;
    let mut keeper = keeper(&house);
    keeper.round(Haste::All).await.expect("kept");
    let calls = || async {
        let all = range(BEGIN, BEGIN + 9 * MINUTE);
        let found = tally(&house.engine, &TenantId::default(), all, Want::Map).await.expect("a tally");
        between_services(&found).iter().sum::<u64>()
    };
    assert_eq!((calls().await, kept_minutes(&house)), (0, 2));
    // In the tail, then in a part that nobody looked at, then kept.
    house.append(Table::Spans, &[span(1, 0, "shop", 0).row()]).await;
    assert_eq!(calls().await, 1);
    house.flush().await;
    assert_eq!(calls().await, 1);
    keeper.round(Haste::All).await.expect("kept");
    assert_eq!((calls().await, kept_minutes(&house)), (1, 3));
    let rows = "SELECT source, target, calls, latency['counts'] FROM service_edges WHERE source_kind = 'service'";
    assert_eq!(house.cells(rows).await, "shop|cart|1|[\"1\"]");
    let computed = house.engine.books().computed.load(Ordering::Relaxed);
    assert_eq!(computed, 4, "minutes 1 and 5, then 0 and 5");
}

#[tokio::test]
async fn a_late_span_changes_nothing_once_its_minutes_spans_are_gone() {
    let span = |trace, span, parent, service| Made {
        trace,
        span,
        parent,
        service,
        kind: 2,
        start: BEGIN + SECOND,
        duration_ns: SECOND,
        error: false,
    };
    let mut house = House::new();
    house.append(Table::Spans, &[span(1, 1, 0, "shop").row(), span(1, 2, 1, "cart").row()]).await;
    house.flush().await;
    keep(&house).await;
    assert_eq!(erase_all(&house, Table::Spans).await, 2);
    for step in ["kept", "late", "flushed", "looked at", "after a restart"] {
        match step {
            "late" => house.append(Table::Spans, &[span(2, 1, 0, "shop").row(), span(2, 2, 1, "cart").row()]).await,
            "flushed" => house.flush().await,
            "looked at" => keep(&house).await,
            "after a restart" => {
                house = house.reopen().await;
                keep(&house).await;
            }
            _ => {}
        }
        let all = range(BEGIN, BEGIN + MINUTE);
        let found = tally(&house.engine, &TenantId::default(), all, Want::Map).await.expect("a tally");
        let calls = between_services(&found);
        let spans: u64 = found.services.values().map(|service| service.spans).sum();
        assert_eq!((calls, spans), (vec![1], 2), "{step}");
    }
}

#[tokio::test]
async fn the_minutes_of_a_real_system_tell_the_truth() {
    const SET: &str = "trainticket-2023-01-29";
    let Some(facts) = truth::facts(&format!("{SET}.searches.json")) else { return };
    let mut rows = Vec::new();
    truth::spans(SET, |service, span| rows.push(truth_row(service, &span)));
    rows.shuffle(&mut StdRng::seed_from_u64(5));
    let house = House::new();
    let mut keeper = keeper(&house);
    for piece in rows.chunks(rows.len() / 2 + 1) {
        for piece in piece.chunks(20_000) {
            house.append(Table::Spans, piece).await;
        }
        house.flush().await;
        keeper.round(Haste::All).await.expect("kept minutes");
    }
    let (tenant, all) = (TenantId::default(), TimeRange::ALL);
    let map = service_map(&house.engine, &tenant, all, None).await.expect("a map");
    let map = serde_json::to_value(map).expect("JSON");
    assert_eq!(map["bound"].as_f64(), Some(ERROR_MAX), "it comes from minutes");
    let close = |found: &Value, exact_ns: &Value, what: &Value| {
        let (found, exact) = (found.as_f64().expect("ms"), exact_ns.as_f64().expect("ns") / 1e6);
        assert!((found - exact).abs() <= exact * 0.01, "{what}: {found} ms, in truth {exact} ms");
    };
    let from_services = |edge: &&Value| edge["source"].as_str().is_some_and(|source| source.starts_with("service:"));
    let edges: Vec<&Value> = map["edges"].as_array().expect("edges").iter().filter(from_services).collect();
    let expected = facts["edges"].as_array().expect("edges");
    assert_eq!(edges.len(), expected.len());
    for truth in expected {
        let end = |key: &str| format!("service:{}", truth[key].as_str().expect("a service"));
        let is_it = |edge: &&&Value| edge["source"] == end("from").as_str() && edge["target"] == end("to").as_str();
        let edge = edges.iter().find(is_it).unwrap_or_else(|| panic!("no edge {truth}"));
        assert_eq!((&edge["calls"], &edge["errors"]), (&truth["calls"], &truth["failed"]), "{truth}");
        close(&edge["p95_ms"], &truth["p95_server_ns"], truth);
    }
    let services = list_services(tally(&house.engine, &tenant, all, Want::Services).await.expect("services"), all);
    let services = serde_json::to_value(services).expect("JSON");
    for (name, truth) in facts["red_by_service"].as_object().expect("services") {
        let service = services.as_array().expect("a list").iter().find(|one| one["name"] == name.as_str());
        let service = service.unwrap_or_else(|| panic!("no service {name}"));
        assert_eq!((&service["requests"], &service["errors"]), (&truth["requests"], &truth["errors"]), "{name}");
        close(&service["p50_ms"], &truth["p50_ns"], truth);
        close(&service["p95_ms"], &truth["p95_ns"], truth);
        close(&service["p99_ms"], &truth["p99_ns"], truth);
    }
}

fn truth_row(service: &str, span: &opentelemetry_proto::tonic::trace::v1::Span) -> Value {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut row = json!({
        "trace_id": hex(&span.trace_id),
        "span_id": hex(&span.span_id),
        "service_name": service,
        "name": span.name,
        "kind": span.kind,
        "start_unix_nano": span.start_time_unix_nano,
        "end_unix_nano": span.end_time_unix_nano,
        "duration_ns": span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
        "status_code": span.status.as_ref().map_or(0, |status| status.code),
    });
    if !span.parent_span_id.is_empty() {
        row["parent_span_id"] = json!(hex(&span.parent_span_id));
    }
    row
}
