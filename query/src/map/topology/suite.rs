//! The tests: hundreds of random systems, each compared with what really happened.
//!
//! A failure names the seed, the fewest requests that still fail, the difference, the system and (where few) the spans.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tracelake_model::{Table, TimeRange, UnixNano};

use super::deliver::take_up;
use super::expect::{Expected, Key, Seen};
use super::record::{BEGIN, Record, trace_id};
use super::run::request;
use super::system::{Sampling, System};
use crate::fixture::{House, batch};
use crate::map::edge;
use crate::map::graph::{ServiceMap, draw, id};
use crate::map::minute::pass_tests::{counted, shown};
use crate::map::minute::tally::{Tally, name};
use crate::map::span::{Detail, SpanSet};

/// Random systems.
const SYSTEMS: u64 = 240;

/// Spans shown of a failing system.
const SHOWN_MAX: usize = 60;

const DETAIL: Detail = Detail { names: false, peers: true };

#[test]
fn random_systems_are_mapped_exactly() {
    let mut kinds: BTreeMap<(String, bool), usize> = BTreeMap::new();
    let mut spans = 0;
    for seed in 0..SYSTEMS {
        let system = system(seed);
        match check(&system) {
            Ok(seen) => {
                spans += seen.spans;
                let sampled = system.sampling != Sampling::None;
                seen.kinds.into_iter().for_each(|kind| *kinds.entry((kind, sampled)).or_default() += 1);
            }
            Err(fault) => panic!("{}", shrunk(system, fault)),
        }
    }
    println!("{SYSTEMS} systems (seeds 0 to {}), {spans} spans, edges by kind and sampling: {kinds:?}", SYSTEMS - 1);
    for kind in ["client Call service", "service Call service", "service Messaging service", "service Messaging queue"]
        .into_iter()
        .chain(["queue Messaging service", "service Database database", "service External external"])
    {
        for sampled in [false, true] {
            let count = kinds.get(&(kind.to_owned(), sampled)).copied().unwrap_or(0);
            assert!(count >= 20, "the systems are too tame: {count} edges {kind}, sampled: {sampled}");
        }
    }
}

/// Counted from tables in one pass and in many, a system's minutes are the same.
#[tokio::test]
async fn random_systems_come_out_the_same_in_any_number_of_passes() {
    let (mut most, mut torn) = (0, 0);
    for seed in (0..SYSTEMS).step_by(8) {
        let system = system(seed);
        let record = run(&system);
        let mut rows: Vec<_> = (0..record.spans.len()).map(|span| record.row(span)).collect();
        rows.shuffle(&mut StdRng::seed_from_u64(seed));
        let house = House::new();
        for piece in rows.chunks(rows.len() / 2 + 1) {
            house.append(Table::Spans, piece).await;
            house.flush().await;
        }
        let part = |from: i64, to: i64| TimeRange {
            start: UnixNano(BEGIN + from * 1_000_000_000),
            end: UnixNano(BEGIN + to * 1_000_000_000),
        };
        // All, and little of all that is near it.
        for range in [part(0, 3600), part(4, 7)] {
            let one = counted(&house, range, usize::MAX, u64::MAX).await;
            for (bytes_max, margin_min) in [(usize::MAX, 0), (400_000, u64::MAX), (60_000, u64::MAX), (60_000, 0)] {
                let many = counted(&house, range, bytes_max, margin_min).await;
                if many.tallies.values().any(|tally| tally.torn) {
                    // A batch of messages links to more than a pass may hold.
                    torn += 1;
                    continue;
                }
                most = most.max(many.passes);
                let (found, wanted) = (shown(&many), shown(&one));
                let differs = found.iter().zip(&wanted).find(|(found, wanted)| found != wanted);
                let passes = many.passes;
                assert!(found == wanted, "seed {seed}, {bytes_max} bytes, {margin_min}, {passes} passes: {differs:?}");
            }
        }
    }
    println!("up to {most} passes, {torn} of 240 torn");
    assert!(most >= 7 && torn <= 20, "{most} passes, {torn} of 240 torn");
}

fn system(seed: u64) -> System {
    System::random(seed, &mut StdRng::seed_from_u64(seed))
}

struct Checked {
    spans: usize,
    /// The kinds of each edge and its ends.
    kinds: Vec<String>,
}

fn run(system: &System) -> Record<'_> {
    let mut record = Record::new(system);
    for _ in 0..system.requests {
        request(&mut record);
        take_up(&mut record, false);
    }
    // What still waits is taken up, and nothing new begun.
    record.request_begins = 0;
    while take_up(&mut record, true) {}
    record
}

/// Runs a system and compares its map; what differs.
fn check(system: &System) -> Result<Checked, String> {
    let record = run(system);
    let mut rng = StdRng::seed_from_u64(system.seed);
    let kept: Vec<bool> =
        (0..record.spans.len()).map(|span| record.is_sampled(span) && !rng.random_bool(system.lost)).collect();
    let expected = Expected::new(&record, &kept);
    let set = stored(&record, &kept, &mut rng);
    let map = draw(Tally::of(&set, TimeRange::ALL), TimeRange::ALL, None);
    let mut faults = String::new();
    compare_nodes(&map, &expected, &mut faults);
    compare_edges(&map, &set, &expected, &mut faults);
    compare_ranges(&set, &expected, &mut rng, &mut faults);
    if system.sampling != Sampling::None {
        compare_estimates(&map, &Expected::new(&record, &vec![true; record.spans.len()]), &mut faults);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let kind = |end: &str| end.split(':').next().unwrap_or_default().to_owned();
    let kinds = expected.edges.keys().map(|(source, target, of)| format!("{} {of} {}", kind(source), kind(target)));
    Ok(Checked { spans: set.spans.len(), kinds: kinds.collect() })
}

/// The kept spans as a reader finds them: in any order, some twice, parents after their children, in several reads.
fn stored(record: &Record<'_>, kept: &[bool], rng: &mut StdRng) -> SpanSet {
    let mut rows: Vec<usize> = (0..kept.len()).filter(|span| kept[*span]).collect();
    let twice: Vec<usize> = rows.iter().copied().filter(|_| rng.random_bool(0.05)).collect();
    rows.extend(twice);
    rows.shuffle(rng);
    let mut set = SpanSet::new(DETAIL);
    for part in rows.chunks(rows.len() / 3 + 1) {
        let rows: Vec<_> = part.iter().map(|span| record.row(*span)).collect();
        set.push(&plain(&rows));
        set.seal();
    }
    set
}

/// Rows with the types of files.
fn plain(rows: &[serde_json::Value]) -> arrow::array::RecordBatch {
    let rows = batch(Table::Spans, rows).into_rows();
    let schema = Table::Spans.file_schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns = columns.map(|(field, column)| arrow::compute::cast(column, field.data_type()).unwrap()).collect();
    arrow::array::RecordBatch::try_new(schema, columns).unwrap()
}

fn compare_nodes(map: &ServiceMap, expected: &Expected, faults: &mut String) {
    let found: BTreeSet<&str> = map.nodes.iter().map(|node| node.id.as_str()).collect();
    let wanted: BTreeSet<&str> = expected.nodes.keys().map(String::as_str).collect();
    wanted.difference(&found).for_each(|id| writeln!(faults, "no node {id}").unwrap());
    found.difference(&wanted).for_each(|id| writeln!(faults, "a node too many: {id}").unwrap());
    for node in &map.nodes {
        let Some(wanted) = expected.nodes.get(&node.id) else { continue };
        if (node.requests, node.errors) != (wanted.requests, wanted.errors) {
            let (id, requests, errors) = (&node.id, node.requests, node.errors);
            writeln!(faults, "{id}: {requests} requests, {errors} failed, in truth {wanted:?}").unwrap();
        }
        if !is_near(node.requests_estimated, wanted.estimated) {
            let found = node.requests_estimated;
            writeln!(faults, "{}: {found} requests estimated, must be {}", node.id, wanted.estimated).unwrap();
        }
    }
}

fn compare_edges(map: &ServiceMap, set: &SpanSet, expected: &Expected, faults: &mut String) {
    let found = calls(set, TimeRange::ALL);
    for key in expected.edges.keys().filter(|key| !found.contains_key(*key)) {
        writeln!(faults, "no edge {key:?} with {} calls", expected.edges[key].calls.len()).unwrap();
    }
    for (key, calls) in &found {
        let Some(wanted) = expected.edges.get(key) else {
            writeln!(faults, "an edge too many: {key:?} with {} calls", calls.len()).unwrap();
            continue;
        };
        let mut true_calls = wanted.calls.clone();
        true_calls.sort_unstable();
        if *calls != true_calls {
            let failed = |calls: &[Seen]| calls.iter().filter(|call| call.1).count();
            let (found, wanted) = ((calls.len(), failed(calls)), (true_calls.len(), failed(&true_calls)));
            writeln!(faults, "{key:?}: calls and errors {found:?}, in truth {wanted:?}, or their durations").unwrap();
        }
    }
    if map.edges.len() != found.len() {
        writeln!(faults, "{} edges drawn of {}", map.edges.len(), found.len()).unwrap();
    }
    for edge in &map.edges {
        let key = (edge.source.clone(), edge.target.clone(), kind_name(&format!("{:?}", edge.kind)));
        let Some(wanted) = expected.edges.get(&key) else { continue };
        let failed = wanted.calls.iter().filter(|call| call.1).count();
        if (edge.calls, edge.errors) != (wanted.calls.len() as u64, failed as u64) {
            writeln!(faults, "{key:?}: drawn with {} calls, {} failed", edge.calls, edge.errors).unwrap();
        }
        if edge.inferred == (key.0.starts_with("service:") && key.1.starts_with("service:")) {
            writeln!(faults, "{key:?}: inferred is {}", edge.inferred).unwrap();
        }
        if !is_near(edge.calls_estimated, wanted.estimated) {
            writeln!(faults, "{key:?}: {} estimated, must be {}", edge.calls_estimated, wanted.estimated).unwrap();
        }
        compare_examples(&key, &edge.examples, &wanted.calls, faults);
    }
}

/// Failed calls' traces first, then the slowest.
fn compare_examples(key: &Key, examples: &[String], calls: &[Seen], faults: &mut String) {
    let mut best: BTreeMap<usize, (bool, i64)> = BTreeMap::new();
    for &(duration, error, trace, _) in calls {
        let known = best.entry(trace).or_insert((error, duration));
        *known = (*known).max((error, duration));
    }
    let mut order: Vec<((bool, i64), usize)> = best.into_iter().map(|(trace, best)| (best, trace)).collect();
    order.sort_by_key(|(best, trace)| (std::cmp::Reverse(*best), *trace));
    let wanted: Vec<String> = order.into_iter().take(3).map(|(_, trace)| trace_id(trace)).collect();
    if examples != wanted {
        writeln!(faults, "{key:?}: examples {examples:?}, must be {wanted:?}").unwrap();
    }
}

/// Each call belongs to the range in which it starts, so that adjoining ranges add up.
fn compare_ranges(set: &SpanSet, expected: &Expected, rng: &mut StdRng, faults: &mut String) {
    let mut cuts: Vec<i64> = (0..3).map(|_| BEGIN + rng.random_range(0..30_000_000_000)).collect();
    cuts.extend([TimeRange::ALL.start.0, TimeRange::ALL.end.0]);
    cuts.sort_unstable();
    for cut in cuts.windows(2) {
        let mut wanted: BTreeMap<Key, Vec<Seen>> = BTreeMap::new();
        for (key, edge) in &expected.edges {
            let mut calls: Vec<Seen> =
                edge.calls.iter().filter(|call| (cut[0]..cut[1]).contains(&call.3)).copied().collect();
            calls.sort_unstable();
            if !calls.is_empty() {
                wanted.insert(key.clone(), calls);
            }
        }
        if calls(set, TimeRange { start: UnixNano(cut[0]), end: UnixNano(cut[1]) }) != wanted {
            writeln!(faults, "other calls than those that start from {} to {}", cut[0], cut[1]).unwrap();
        }
    }
}

/// Under sampling: what is estimated lies within five standard deviations, and one call's share, of what happened.
fn compare_estimates(map: &ServiceMap, truth: &Expected, faults: &mut String) {
    for edge in &map.edges {
        let key = (edge.source.clone(), edge.target.clone(), kind_name(&format!("{:?}", edge.kind)));
        let Some(true_edge) = truth.edges.get(&key) else {
            writeln!(faults, "{key:?}: an edge of what never happened").unwrap();
            continue;
        };
        let (deviation, greatest) = true_edge.deviation();
        let (found, happened) = (edge.calls_estimated, true_edge.calls.len() as f64);
        if (found - happened).abs() > 5.0 * deviation + greatest {
            writeln!(faults, "{key:?}: {found} estimated, {happened} happened, deviation {deviation}").unwrap();
        }
    }
}

/// The calls of each edge as the rules find them, in order.
fn calls(set: &SpanSet, range: TimeRange) -> BTreeMap<Key, Vec<Seen>> {
    let mut found: BTreeMap<Key, Vec<Seen>> = BTreeMap::new();
    edge::calls(set, range, &mut |(source, target, kind), call| {
        let key = (id(&name(set, source)), id(&name(set, target)), kind_name(&format!("{kind:?}")));
        let trace = u128::from_be_bytes(*set.traces.get(call.trace)) as usize - 1;
        found.entry(key).or_default().push((call.duration_ns, call.error, trace, call.start));
    });
    found.values_mut().for_each(|calls| calls.sort_unstable());
    found
}

fn kind_name(kind: &str) -> &'static str {
    ["Call", "Messaging", "Database", "External"].into_iter().find(|name| *name == kind).unwrap()
}

fn is_near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 1e-5 * wanted.abs()
}

/// What failed, with the fewest requests that still fail.
fn shrunk(mut system: System, mut fault: String) -> String {
    for requests in 1..system.requests {
        system.requests = requests;
        if let Err(smaller) = check(&system) {
            fault = smaller;
            break;
        }
        system.requests = requests + 1;
    }
    let record = run(&system);
    let mut text = format!("seed {}, {} requests:\n{fault}\n{system:#?}\n", system.seed, system.requests);
    if record.spans.len() <= SHOWN_MAX {
        for (place, span) in record.spans.iter().enumerate() {
            writeln!(text, "{place}: {span:?}").unwrap();
        }
        record.acts.iter().for_each(|act| writeln!(text, "{act:?}").unwrap());
    }
    text
}
