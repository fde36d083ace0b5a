//! Random queries over random traces: what the engine answers is what the naive evaluator answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};

use crate::fixture::{House, NOW};
use crate::traceql::ast::{Aggregate, Function};
use crate::traceql::measure;
use crate::traceql::oracle::{Oracle, Recorded, V, number};
use crate::traceql::parse::parse;
use crate::traceql::search::{Ask, search};
use crate::traceql::series::Intervals;

const SECOND: i64 = 1_000_000_000;
const BEGIN: i64 = NOW.0 - 900 * SECOND;
const TRACES: u64 = 60;

fn seed() -> u64 {
    let seed = std::env::var("TRACEQL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("TRACEQL_SEED={seed}");
    seed
}

fn pick<'a, T>(random: &mut StdRng, from: &'a [T]) -> &'a T {
    from.choose(random).expect("something")
}

/// One span with random contents at a random time of the last quarter of an hour.
fn span(random: &mut StdRng, trace: u64, id: u64, parent: Option<u64>) -> Recorded {
    let mut attributes = BTreeMap::new();
    let mut put = |random: &mut StdRng, key: &str, values: &[V]| {
        if random.random_bool(0.6) {
            attributes.insert(key.to_owned(), pick(random, values).clone());
        }
    };
    let text = |text: &str| V::S(text.to_owned());
    put(random, "n", &[V::I(0), V::I(1), V::I(2), V::I(3), V::F(1.5), text("1"), V::Many(vec![V::I(1), V::I(4)])]);
    put(random, "s", &[text("a"), text("b"), text("ab"), V::Many(vec![text("a"), text("c")]), V::I(7)]);
    put(random, "b", &[V::B(true), V::B(false), text("true")]);
    put(random, "http.method", &[text("GET"), text("POST")]);
    put(random, "http.status_code", &[V::I(200), V::I(404), V::I(500), text("500")]);
    let mut resource = BTreeMap::new();
    if random.random_bool(0.5) {
        resource.insert("s".to_owned(), V::S((*pick(random, &["a", "z"])).to_owned()));
    }
    let events = (0..random.random_range(0..3)).map(|_| (*pick(random, &["boom", "note"])).to_owned()).collect();
    Recorded {
        trace,
        id,
        parent,
        service: (*pick(random, &["api", "cart", "db"])).to_owned(),
        name: (*pick(random, &["GET /", "call", "query"])).to_owned(),
        kind: random.random_range(1..4),
        status: random.random_range(0..3),
        start: BEGIN + i64::try_from(trace).expect("few") * 10 * SECOND + random.random_range(0..20 * SECOND),
        duration: random.random_range(0..5) * 100_000_000,
        attributes,
        resource,
        events,
    }
}

/// Stored rows in order, and the spans that count: the last row of each.
fn record(random: &mut StdRng) -> (Vec<Value>, Vec<Recorded>) {
    let (mut rows, mut spans) = (Vec::new(), Vec::new());
    for trace in 1..=TRACES {
        let count = random.random_range(1..9);
        for n in 1..=count {
            let parent = match n {
                1 if random.random_bool(0.9) => None,
                _ if random.random_bool(0.05) => Some(trace * 100 + 99),
                1 => Some(trace * 100 + 98),
                _ => Some(trace * 100 + random.random_range(1..n)),
            };
            let mut one = span(random, trace, trace * 100 + n, parent);
            if random.random_bool(0.15) {
                // An earlier row of the same span, which the later one replaces.
                let mut earlier = span(random, trace, one.id, parent);
                (earlier.service, earlier.kind, earlier.start) = (one.service.clone(), one.kind, one.start);
                rows.push(row(&earlier));
            }
            if random.random_bool(0.1) {
                rows.push(row(&one));
            }
            one.duration = one.duration.max(0);
            rows.push(row(&one));
            spans.push(one);
        }
    }
    (rows, spans)
}

fn json_of(value: &V) -> Value {
    match value {
        V::S(text) => json!(text),
        V::I(value) => json!(value),
        V::F(value) => json!(value),
        V::B(value) => json!(value),
        V::Many(values) => values.iter().map(json_of).collect(),
        other => panic!("{other:?} is recorded nowhere"),
    }
}

fn row(span: &Recorded) -> Value {
    let mut row = json!({
        "trace_id": format!("{:032x}", span.trace), "span_id": format!("{:016x}", span.id),
        "parent_span_id": span.parent.map(|parent| format!("{parent:016x}")),
        "service_name": span.service, "name": span.name, "kind": span.kind, "status_code": span.status,
        "start_unix_nano": span.start, "duration_ns": span.duration, "end_unix_nano": span.start + span.duration,
    });
    let mut rest = serde_json::Map::new();
    for (key, value) in &span.attributes {
        match (key.as_str(), value) {
            ("http.method", V::S(text)) => row["http_method"] = json!(text),
            ("http.status_code", V::I(code)) => row["http_status_code"] = json!(code),
            _ => {
                rest.insert(key.clone(), json_of(value));
            }
        }
    }
    if !rest.is_empty() {
        row["attributes_rest"] = json!(Value::Object(rest).to_string());
    }
    let mut resource = json!({ "service.name": span.service });
    for (key, value) in &span.resource {
        resource[key] = json_of(value);
    }
    row["resource_attributes"] = json!(resource.to_string());
    if !span.events.is_empty() {
        row["events"] = span.events.iter().map(|name| json!({ "time": span.start, "name": name })).collect();
    }
    row
}

fn condition(random: &mut StdRng, depth: usize) -> String {
    if depth > 0 && random.random_bool(0.45) {
        let (left, right) = (condition(random, depth - 1), condition(random, depth - 1));
        return match random.random_range(0..3) {
            0 => format!("({left} && {right})"),
            1 => format!("({left} || {right})"),
            _ => format!("!({left})"),
        };
    }
    let order = *pick(random, &["=", "!=", "<", "<=", ">", ">="]);
    let equality = *pick(random, &["=", "!="]);
    let small = random.random_range(-1..5);
    match random.random_range(0..19) {
        0 => format!("span.n {order} {small}"),
        1 => format!(".n {order} 1.5"),
        2 => format!(".s {order} \"{}\"", pick(random, &["a", "b", "z"])),
        3 => format!("span.s {} \"{}\"", pick(random, &["=~", "!~"]), pick(random, &["a.*", "b", "a|z", "."])),
        4 => format!("resource.s {equality} \"{}\"", pick(random, &["a", "z"])),
        5 => {
            format!("{} {equality} nil", pick(random, &[".s", "span.n", "resource.s", "span.http.method", "parent.n"]))
        }
        6 => format!("name {order} \"{}\"", pick(random, &["GET /", "call"])),
        7 => format!("status {equality} {}", pick(random, &["ok", "error", "unset"])),
        8 => format!("kind {equality} {}", pick(random, &["server", "client", "internal"])),
        9 => format!("duration {order} {}ms", random.random_range(0..5) * 100),
        10 => format!("resource.service.name {equality} \"{}\"", pick(random, &["api", "cart", "db"])),
        11 => format!("span.http.status_code {order} {}", pick(random, &["200", "404", "500", "\"500\"", "499.5"])),
        12 => format!("span.http.method {order} \"{}\"", pick(random, &["GET", "POST"])),
        13 => "span.b".to_owned(),
        14 => format!("span.n {} 2 {order} {small}", pick(random, &["+", "-", "*", "/", "%"])),
        15 => format!(
            "{} {order} {}ms",
            pick(random, &["trace:duration", "traceDuration"]),
            random.random_range(0..150) * 100
        ),
        16 => format!("childCount {order} {}", random.random_range(0..3)),
        17 => (*pick(random, &["nestedSetParent < 0", "nestedSetParent = -1", "nestedSetParent >= 0", "parent.n = 1"]))
            .to_owned(),
        _ => format!(
            "{} {equality} \"{}\"",
            pick(random, &["event:name", "rootName", "rootServiceName"]),
            pick(random, &["boom", "note", "call", "api"])
        ),
    }
}

fn spanset(random: &mut StdRng, depth: usize) -> String {
    if depth > 0 && random.random_bool(0.55) {
        let op = *pick(
            random,
            &["&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~"],
        );
        let (left, right) = (spanset(random, depth - 1), spanset(random, depth - 1));
        return format!("({left}) {op} ({right})");
    }
    if depth > 0 && random.random_bool(0.15) {
        return format!("{} | {}", spanset(random, depth - 1), scalar_filter(random));
    }
    if random.random_bool(0.1) { "{ }".to_owned() } else { format!("{{ {} }}", condition(random, 2)) }
}

fn scalar_filter(random: &mut StdRng) -> String {
    let order = *pick(random, &["=", "!=", "<", "<=", ">", ">="]);
    match random.random_range(0..5) {
        0 => format!("count() {order} {}", random.random_range(0..5)),
        1 => format!(
            "{}(duration) {order} {}ms",
            pick(random, &["avg", "min", "max", "sum"]),
            random.random_range(0..10) * 100
        ),
        2 => format!("{}(span.n) {order} {}", pick(random, &["avg", "min", "max", "sum"]), random.random_range(0..5)),
        3 => format!("max(duration) - min(duration) {order} 200ms"),
        _ => format!("({} | count()) {order} ({} | count())", "{ status = error }", "{ span.n > 1 }"),
    }
}

fn query(random: &mut StdRng) -> String {
    let mut text = spanset(random, 2);
    for _ in 0..random.random_range(0..3) {
        text = match random.random_range(0..5) {
            0 => format!("{text} | {}", scalar_filter(random)),
            1 => format!("{text} | by({})", pick(random, &["resource.service.name", "span.n", "status", ".s"])),
            2 => format!("{text} | coalesce()"),
            3 => format!("{text} | {{ {} }}", condition(random, 1)),
            _ => format!("{text} | select(span.n, status)"),
        };
    }
    text
}

fn range(random: &mut StdRng) -> TimeRange {
    if random.random_bool(0.4) {
        return TimeRange::ALL;
    }
    let start = BEGIN + random.random_range(0..500) * SECOND;
    TimeRange { start: UnixNano(start), end: UnixNano(start + random.random_range(1..300) * SECOND) }
}

fn oracles(spans: &[Recorded]) -> BTreeMap<u64, Oracle<'_>> {
    let mut traces: BTreeMap<u64, Oracle<'_>> = BTreeMap::new();
    for span in spans {
        traces.entry(span.trace).or_insert_with(|| Oracle { spans: Vec::new() }).spans.push(span);
    }
    traces
}

/// Traces of the answer, newest first, each with the ids of its spansets.
fn expected(spans: &[Recorded], text: &str, range: TimeRange) -> Vec<(u64, BTreeSet<Vec<u64>>)> {
    let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut found = Vec::new();
    for (trace, oracle) in oracles(spans) {
        let sets = oracle.run(&query.pipeline, vec![(0..oracle.spans.len()).collect()]);
        let starts = sets.iter().flatten().map(|at| oracle.spans[*at].start);
        let Some(newest) = starts.filter(|start| range.contains(UnixNano(*start))).max() else { continue };
        let ids = |set: &BTreeSet<usize>| set.iter().map(|at| oracle.spans[*at].id).collect();
        found.push((Reverse(newest), trace, sets.iter().map(ids).collect()));
    }
    found.sort();
    found.into_iter().map(|(_, trace, sets)| (trace, sets)).collect()
}

async fn ask(house: &House, text: &str, range: TimeRange, limit: usize) -> Vec<(u64, BTreeSet<Vec<u64>>)> {
    let pipeline = parse(text).expect("a query").pipeline;
    let ask = Ask { pipeline, range, limit, spans_per_set: 100 };
    let answer =
        search(&house.engine, &TenantId::default(), ask).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    let trace = |found: &crate::traceql::search::FoundTrace| {
        let set = |set: &crate::traceql::search::FoundSet| {
            assert_eq!(set.matched, set.spans.len(), "{text}");
            let mut ids: Vec<u64> = set.spans.iter().map(|span| span.id).collect();
            ids.sort_unstable();
            ids
        };
        (u64::from_be_bytes(found.id[8..].try_into().expect("8 bytes")), found.sets.iter().map(set).collect())
    };
    answer.traces.iter().map(trace).collect()
}

/// A house with random spans: a third in files, in two parts, the rest in memory.
async fn house(random: &mut StdRng) -> (House, Vec<Recorded>) {
    let (rows, spans) = record(random);
    let house = House::new();
    let third = rows.len() / 6;
    house.append(Table::Spans, &rows[..third]).await;
    house.flush().await;
    house.append(Table::Spans, &rows[third..2 * third]).await;
    house.flush().await;
    house.append(Table::Spans, &rows[2 * third..]).await;
    (house, spans)
}

#[tokio::test]
async fn random_searches_find_what_the_naive_evaluator_finds() {
    let mut random = StdRng::seed_from_u64(seed());
    let (house, spans) = house(&mut random).await;
    let mut full = 0;
    for _ in 0..150 {
        let (text, range) = (query(&mut random), range(&mut random));
        let expected = expected(&spans, &text, range);
        full += usize::from(!expected.is_empty());
        assert_eq!(ask(&house, &text, range, 1_000).await, expected, "{text} in {range:?}");
        let limit = random.random_range(1..8);
        let first: Vec<_> = expected.into_iter().take(limit).collect();
        assert_eq!(ask(&house, &text, range, limit).await, first, "{text} in {range:?}, the first {limit}");
    }
    assert!(full > 25, "only {full} queries found anything");
}

#[tokio::test]
async fn random_metrics_are_those_of_the_naive_evaluator() {
    let mut random = StdRng::seed_from_u64(seed());
    let (house, spans) = house(&mut random).await;
    for _ in 0..80 {
        let filter = if random.random_bool(0.5) {
            spanset(&mut random, 1)
        } else {
            format!("{{ {} }}", condition(&mut random, 1))
        };
        let function = *pick(
            &mut random,
            &[
                "rate()",
                "count_over_time()",
                "min_over_time(duration)",
                "max_over_time(span.n)",
                "avg_over_time(duration)",
                "sum_over_time(span.n)",
                "quantile_over_time(duration, .5)",
            ],
        );
        let by = *pick(&mut random, &["", " by (resource.service.name)", " by (span.n, status)", " by (rootName)"]);
        let text = format!("{filter} | {function}{by}");
        let start = BEGIN + random.random_range(0..300) * SECOND;
        let range = TimeRange { start: UnixNano(start), end: UnixNano(start + random.random_range(1..400) * SECOND) };
        let step = random.random_range(5..60) * SECOND;
        let query = parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let expected = measured(&spans, &text, range, step);
        let intervals = Intervals { range, step, instant: false };
        let ask = measure::Ask { query, intervals, exemplars: 10 };
        let found = measure::answer(&house.engine, &TenantId::default(), ask).await;
        let found = found.unwrap_or_else(|error| panic!("{text}: {error}"));
        let found: BTreeMap<Vec<String>, BTreeMap<i64, f64>> = found
            .into_iter()
            .map(|one| {
                let own = one.labels.iter().filter(|(key, _)| key != "__name__" && key != "p");
                let samples = one.samples.into_iter().filter(|(_, value)| *value != 0.0);
                (own.map(|(_, value)| value.plain()).collect(), samples.collect())
            })
            .collect();
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{text} in {range:?}");
        for (labels, samples) in &expected {
            let samples: BTreeMap<i64, f64> =
                samples.iter().filter(|(_, value)| **value != 0.0).map(|(at, value)| (*at, *value)).collect();
            assert_eq!(
                found[labels].keys().collect::<Vec<_>>(),
                samples.keys().collect::<Vec<_>>(),
                "{text} {labels:?}"
            );
            for (at, value) in samples {
                assert!(
                    (found[labels][&at] - value).abs() < 1e-9,
                    "{text} {labels:?} at {at}: {} {value}",
                    found[labels][&at]
                );
            }
        }
    }
}

/// Samples of each group, by the begin of their interval.
fn measured(spans: &[Recorded], text: &str, range: TimeRange, step: i64) -> BTreeMap<Vec<String>, BTreeMap<i64, f64>> {
    let query = parse(text).expect("a query");
    let metric = query.metric.clone().expect("a function");
    let mut values: BTreeMap<Vec<String>, BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
    for oracle in oracles(spans).values() {
        let sets = oracle.run(&query.pipeline, vec![(0..oracle.spans.len()).collect()]);
        let places: BTreeSet<usize> = sets.into_iter().flatten().collect();
        for at in places.into_iter().filter(|at| range.contains(UnixNano(oracle.spans[*at].start))) {
            let value = match &metric.function {
                Function::OverTime { of: Some(of), .. } | Function::Quantile { of, .. } => oracle.value(at, of),
                _ => Some(V::I(1)),
            };
            let seconds = if matches!(value, Some(V::D(_))) { 1e9 } else { 1.0 };
            let Some(number) = value.as_ref().and_then(number) else { continue };
            let labels = metric.by.iter().map(|field| shown(oracle.field(at, field))).collect();
            let begin = oracle.spans[at].start.div_euclid(step) * step;
            values.entry(labels).or_default().entry(begin).or_default().push(number / seconds);
        }
    }
    let fold = |mut numbers: Vec<f64>| {
        let (count, sum) = (numbers.len() as f64, numbers.iter().sum::<f64>());
        numbers.sort_by(f64::total_cmp);
        match &metric.function {
            Function::Rate => count / (step as f64 / 1e9),
            Function::OverTime { kind, .. } => match kind {
                Aggregate::Count => count,
                Aggregate::Min => numbers[0],
                Aggregate::Max => numbers[numbers.len() - 1],
                Aggregate::Avg => sum / count,
                Aggregate::Sum => sum,
            },
            _ => {
                let middle = (numbers.len() - 1) as f64 * 0.5;
                (numbers[middle.floor() as usize] + numbers[middle.ceil() as usize]) / 2.0
            }
        }
    };
    let cells = |cells: BTreeMap<i64, Vec<f64>>| cells.into_iter().map(|(at, numbers)| (at, fold(numbers))).collect();
    values.into_iter().map(|(labels, found)| (labels, cells(found))).collect()
}

fn shown(value: Option<V>) -> String {
    match value {
        None => "nil".to_owned(),
        Some(V::S(text)) => text,
        Some(V::I(value)) => value.to_string(),
        Some(V::F(value)) => format!("{value:?}"),
        Some(V::Status(status)) => ["unset", "ok", "error"][usize::try_from(status).expect("a status")].to_owned(),
        Some(V::Many(values)) => {
            format!("[{}]", values.into_iter().map(|value| shown(Some(value))).collect::<Vec<_>>().join(", "))
        }
        Some(other) => panic!("{other:?} is no group"),
    }
}
