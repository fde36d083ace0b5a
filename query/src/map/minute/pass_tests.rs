//! Minutes that are counted in many passes against the same in one: links across traces, late and long spans, spans sent
//! twice, traces that are too large.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tracelake_model::{Table, TenantId, TimeRange};
use tracelake_storage::{Condition, Erasure};

use super::tests::{BEGIN, MINUTE, MINUTES, check, keeper, kept_minutes, made, range};
use crate::fixture::House;
use crate::map::minute::keeper::Haste;
use crate::map::minute::pace::Pace;
use crate::map::minute::pass::{Ask, Counted, count};
use crate::map::minute::read::{Want, tally};
use crate::map::minute::tally::Tally;
use crate::map::red::Red;

/// Counts what is in parts.
pub(crate) async fn counted(house: &House, range: TimeRange, bytes_max: usize, margin_min: u64) -> Counted {
    let snapshot = house.store.snapshot(&TenantId::default()).narrowed(Table::Spans, false, |_| true);
    let ask = Ask { engine: &house.engine, snapshot: &Arc::new(snapshot), range, bytes_max, margin_min };
    let mut go_on = |_| true;
    let mut pace = Pace { go_on: &mut go_on, since: Instant::now(), busy: Duration::ZERO };
    count(ask, &mut pace).await.expect("a count").expect("an end")
}

/// All that was counted, line by line.
pub(crate) fn shown(counted: &Counted) -> Vec<String> {
    let red = |red: &Red| {
        let estimated = red.estimated();
        // Sums of fractions depend on their order in the last digits.
        let rounded = |sum: f64| format!("{sum:.6e}");
        (red.count(), red.errors(), red.histogram(), rounded(estimated.calls), rounded(estimated.errors))
    };
    let minute = |(minute, tally): (&i64, &Tally)| {
        let edge = |(ends, edge): (_, &crate::map::minute::tally::EdgeTally)| {
            format!("{minute} {ends:?} {} {:?} {:?}", edge.inferred, edge.examples, red(&edge.red))
        };
        let mut lines: Vec<String> = tally.edges.iter().map(edge).collect();
        lines.extend(tally.services.iter().map(|(name, service)| {
            format!("{minute} {name} {} {} {:?}", service.spans, service.crowded, red(&service.red))
        }));
        lines.extend(tally.operations.iter().map(|(of, figures)| format!("{minute} {of:?} {:?}", red(figures))));
        lines.push(format!("{minute} torn {}", tally.torn));
        lines
    };
    let unfound = counted.unfound.iter().map(|unfound| format!("unfound {unfound:?}"));
    counted.tallies.iter().flat_map(minute).chain(unfound).collect()
}

/// The same spans with links of messages to spans of other traces.
fn linked(random: &mut StdRng, mut rows: Vec<Value>) -> Vec<Value> {
    let ids: Vec<(Value, Value)> = rows.iter().map(|row| (row["trace_id"].clone(), row["span_id"].clone())).collect();
    for row in rows.iter_mut().filter(|row| row["kind"] == 5 || row["kind"] == 4) {
        let links = (0..random.random_range(0..3)).map(|_| {
            let (trace, span) = &ids[random.random_range(0..ids.len())];
            json!({"trace_id": trace, "span_id": span})
        });
        row["links"] = links.collect();
        if row["kind"] == 5 && random.random_ratio(1, 2) {
            row["messaging_operation_type"] = json!("receive");
        }
    }
    rows
}

async fn filled(rows: &[Value]) -> House {
    let house = House::new();
    for piece in rows.chunks(rows.len() / 3 + 1) {
        house.append(Table::Spans, piece).await;
        house.flush().await;
    }
    house
}

#[tokio::test]
async fn passes_add_up_whatever_their_number() {
    let mut most = 0;
    for seed in 0..8 {
        let mut random = StdRng::seed_from_u64(seed);
        let rows = made(&mut random, 150);
        let mut rows = linked(&mut random, rows);
        let again: Vec<Value> = rows.iter().filter(|_| random.random_ratio(1, 10)).cloned().collect();
        rows.extend(again);
        rows.shuffle(&mut random);
        let house = filled(&rows).await;
        let all = range(BEGIN, BEGIN + (MINUTES + 2) * MINUTE);
        for (asked, least) in [(all, 7), (range(BEGIN + 3 * MINUTE, BEGIN + 4 * MINUTE), 2)] {
            let one = counted(&house, asked, usize::MAX, u64::MAX).await;
            assert_eq!(one.passes, 1);
            assert!(one.tallies.values().any(|tally| !tally.edges.is_empty()), "seed {seed}");
            let ways = [(usize::MAX, 0), (60_000, u64::MAX), (24_000, 0), (14_000, u64::MAX), (14_000, 0)];
            for (bytes_max, margin_min) in ways {
                let many = counted(&house, asked, bytes_max, margin_min).await;
                assert_eq!(
                    shown(&many),
                    shown(&one),
                    "seed {seed}, {bytes_max} bytes, margin {margin_min}, {} passes",
                    many.passes
                );
                assert!(many.passes >= if bytes_max == 14_000 { least } else { 1 }, "seed {seed}: {}", many.passes);
                most = most.max(many.passes);
            }
        }
    }
    println!("seeds 0 to 7, up to {most} passes");
}

#[tokio::test]
async fn a_minute_larger_than_a_pass_is_kept() {
    let mut random = StdRng::seed_from_u64(3);
    let rows = made(&mut random, 300);
    let house = filled(&rows).await;
    let mut keeper = keeper(&house);
    keeper.pass_bytes = 14_000;
    keeper.round(Haste::All).await.expect("kept");
    assert!(kept_minutes(&house) >= 9);
    let passes = house.engine.books().passes.load(Ordering::Relaxed);
    assert!(passes >= 7, "{passes} passes");
    let spans = house.engine.books().read_spans.load(Ordering::Relaxed);
    let all = range(BEGIN, BEGIN + (MINUTES + 2) * MINUTE);
    tally(&house.engine, &TenantId::default(), all, Want::Map).await.expect("a tally");
    assert_eq!(house.engine.books().read_spans.load(Ordering::Relaxed), spans, "nothing is left to spans");
    check(&house, all, "seed 3").await;
}

#[tokio::test]
async fn a_trace_too_large_for_a_pass_counts_but_draws_no_edge_and_its_minute_says_so() {
    let span = |trace: u64, span: u64, parent: u64, service: &str| {
        json!({
            "trace_id": format!("{trace:032x}"),
            "span_id": format!("{span:016x}"),
            "parent_span_id": format!("{parent:016x}"),
            "service_name": service,
            "name": "op",
            "kind": 2,
            "start_unix_nano": BEGIN + 1,
            "duration_ns": 5,
        })
    };
    let mut rows = Vec::new();
    for number in 1..=2_000_u64 {
        rows.push(span(1, number, number / 2, if number % 2 == 0 { "big" } else { "large" }));
        // Some are sent twice.
        if number % 10 == 0 {
            rows.push(span(1, number, number / 2, "big"));
        }
    }
    for trace in 2..40 {
        rows.extend([span(trace, 1, 0, "shop"), span(trace, 2, 1, "cart")]);
    }
    let house = filled(&rows).await;
    let mut keeper = keeper(&house);
    keeper.pass_bytes = 14_000;
    keeper.round(Haste::All).await.expect("kept");
    assert_eq!(kept_minutes(&house), 1);
    let found = tally(&house.engine, &TenantId::default(), range(BEGIN, BEGIN + MINUTE), Want::Map).await;
    let found = found.expect("a tally");
    assert!(found.torn);
    let services: BTreeMap<&str, (u64, u64)> =
        found.services.iter().map(|(name, service)| (name.as_ref(), (service.spans, service.red.count()))).collect();
    let expected = [("big", (1000, 1000)), ("cart", (38, 38)), ("large", (1000, 1000)), ("shop", (38, 38))];
    assert_eq!(services, BTreeMap::from(expected));
    let edges: Vec<String> = found
        .edges
        .iter()
        .map(|((source, target, _), edge)| format!("{} {} {}", source.1, target.1, edge.red.count()))
        .collect();
    assert_eq!(edges, ["shop cart 38", "user shop 38"]);
}

#[tokio::test]
async fn minutes_whose_rows_are_gone_are_forgotten() {
    let span = |trace: u64, minute: i64| {
        let trace = format!("{trace:032x}");
        json!({"trace_id": trace, "service_name": "shop", "kind": 2, "start_unix_nano": BEGIN + minute * MINUTE})
    };
    let house = House::new();
    let mut keeper = keeper(&house);
    for minute in 0..4 {
        house.append(Table::Spans, &[span(1, minute), span(2, minute)]).await;
        house.flush().await;
        keeper.round(Haste::All).await.expect("kept");
        assert_eq!(kept_minutes(&house), usize::try_from(minute).expect("small") + 1, "in the tail and in parts");
    }
    house.flush().await;
    keeper.round(Haste::All).await.expect("kept");
    assert_eq!(kept_minutes(&house), 4);
    let erase = |until: i64| Erasure {
        table: Table::ServiceMinutes,
        condition: Condition::new(
            vec!["minute_unix_nano".to_owned()],
            Box::new(move |rows| {
                let minutes = crate::view::column::int(rows, "minute_unix_nano");
                Ok(minutes.iter().map(|minute| Some(minute.is_some_and(|minute| minute < until))).collect())
            }),
        ),
        range: TimeRange::ALL,
        dry_run: false,
    };
    for (until, left) in [(BEGIN + 2 * MINUTE, 2), (BEGIN + 9 * MINUTE, 0)] {
        house.store.erase(&TenantId::default(), erase(until)).await.expect("an erasure");
        keeper.round(Haste::All).await.expect("kept");
        assert_eq!(kept_minutes(&house), left);
    }
}

#[tokio::test]
async fn a_sender_of_another_trace_that_comes_late_changes_the_minute_of_its_consumer() {
    let span = |trace: u64, service: &str, kind: i8, minute: i64| {
        json!({
            "trace_id": format!("{trace:032x}"),
            "span_id": format!("{trace:016x}"),
            "service_name": service,
            "kind": kind,
            "start_unix_nano": BEGIN + minute * MINUTE,
            "duration_ns": 5,
        })
    };
    let mut consumer = span(2, "mail", 5, 7);
    consumer["links"] = json!([{"trace_id": format!("{:032x}", 1), "span_id": format!("{:016x}", 1)}]);
    let house = House::new();
    let mut keeper = keeper(&house);
    house.append(Table::Spans, &[consumer, span(3, "shop", 4, 2)]).await;
    house.flush().await;
    keeper.round(Haste::All).await.expect("kept");
    let calls = || async {
        let all = range(BEGIN, BEGIN + 9 * MINUTE);
        let found = tally(&house.engine, &TenantId::default(), all, Want::Map).await.expect("a tally");
        let edges = found.edges.iter().filter(|((source, target, _), _)| (&*source.1, &*target.1) == ("shop", "mail"));
        edges.map(|(_, edge)| edge.red.count()).sum::<u64>()
    };
    assert_eq!((calls().await, kept_minutes(&house)), (0, 2));
    house.append(Table::Spans, &[span(1, "shop", 4, 3)]).await;
    assert_eq!(calls().await, 1, "in the tail");
    house.flush().await;
    assert_eq!(calls().await, 1, "in a part that nobody looked at");
    keeper.round(Haste::All).await.expect("kept");
    assert_eq!((calls().await, kept_minutes(&house)), (1, 3));
    assert_eq!(house.engine.books().computed.load(Ordering::Relaxed), 4, "minutes 2 and 7, then 3 and 7");
    let awaited = || house.engine.books().page(&TenantId::default()).is_some_and(|page| !page.awaited.is_empty());
    assert!(!awaited());
}
