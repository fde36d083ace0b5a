//! The map against made-up traces, and against the facts of three real systems.

use std::collections::BTreeMap;

use serde_json::Value;
use tracelake_model::{TimeRange, UnixNano};

use super::compare::compare;
use super::edge::incomplete;
use super::graph::{Link as Drawn, draw};
use super::minute::tally::Tally;
use super::node::NodeKind;
use super::parent::{CLIENT, CONSUMER, INTERNAL, Link, PRODUCER, SERVER, span_number};
use super::role::Role;
use super::span::{Detail, NONE, Span, SpanSet};
use super::truth;
use crate::view::service::list_services;

const ALL: TimeRange = TimeRange::ALL;
const USER_CALLS_A: &str = "client:user -> service:a Call? 1/0";

/// A span of trace 1: id, parent, service, kind, peer.
type Made<'a> = (u64, u64, &'a str, i8, Option<(NodeKind, &'a str)>);

fn span(trace: u32, link: Link, start: i64, duration_ns: i64) -> Span {
    Span {
        trace,
        link,
        start,
        duration_ns,
        name: NONE,
        peer: NONE,
        links: NONE,
        adjusted: 1.0,
        status: 0,
        role: Role::of_kind(link.kind),
        is_folded: false,
        matched: false,
    }
}

fn set(spans: &[Made<'_>]) -> SpanSet {
    let mut set = SpanSet::new(Detail::default());
    for &(id, parent, service, kind, peer) in spans {
        let service = set.services.intern_text(service);
        let link = Link { span: id, parent, kind, service };
        let peer = peer.map_or(NONE, |(kind, name)| set.peers.intern((kind, name.to_owned())));
        let trace = set.traces.intern([1; 16]);
        let start = i64::try_from(id).expect("small ids") * 100;
        set.spans.push(Span { peer, ..span(trace, link, start, 10) });
    }
    set.seal();
    set
}

fn told(edge: &Drawn) -> String {
    let inferred = if edge.inferred { "?" } else { "" };
    format!("{} -> {} {:?}{inferred} {}/{}", edge.source, edge.target, edge.kind, edge.calls, edge.errors)
}

fn check(spans: &[Made<'_>], expected: &[&str]) {
    let map = draw(Tally::of(&set(spans), ALL), ALL, None);
    assert_eq!(map.edges.iter().map(told).collect::<Vec<_>>(), expected, "{spans:?}");
}

#[test]
fn a_call_is_a_child_in_another_service_whatever_the_kinds() {
    check(
        &[(1, 0, "a", SERVER, None), (2, 1, "a", CLIENT, None), (3, 2, "b", SERVER, None)],
        &[USER_CALLS_A, "service:a -> service:b Call 1/0"],
    );
    check(&[(1, 0, "a", INTERNAL, None), (2, 1, "b", INTERNAL, None)], &["service:a -> service:b Call 1/0"]);
    check(&[(1, 0, "a", 0, None), (2, 1, "b", 0, None)], &["service:a -> service:b Call 1/0"]);
    // A parent that is not there is nobody's call, not even a user's.
    check(&[(1, 0, "a", SERVER, None), (2, 1, "a", CLIENT, None), (3, 9, "b", SERVER, None)], &[USER_CALLS_A]);
    // A service that calls itself, over a wire or not, draws no edge; a circle of services draws each of its calls.
    check(&[(1, 0, "a", CLIENT, None), (2, 1, "a", SERVER, None)], &[]);
    check(
        &[(1, 0, "a", CLIENT, None), (2, 1, "b", SERVER, None), (3, 2, "a", SERVER, None), (4, 3, "b", SERVER, None)],
        &["service:a -> service:b Call 2/0", "service:b -> service:a Call 1/0"],
    );
    // Spans that are their own ancestors are a fault of the sender, and no reason to hang.
    check(
        &[(1, 2, "a", SERVER, None), (2, 1, "b", SERVER, None)],
        &["service:a -> service:b Call 1/0", "service:b -> service:a Call 1/0"],
    );
    // The very same span twice is one call.
    check(
        &[(1, 0, "a", CLIENT, None), (2, 1, "b", SERVER, None), (2, 1, "b", SERVER, None)],
        &["service:a -> service:b Call 1/0"],
    );
    // Client and server that share one id.
    check(
        &[(1, 0, "a", SERVER, None), (2, 1, "a", CLIENT, None), (2, 1, "b", SERVER, None), (3, 2, "b", CLIENT, None)],
        &[USER_CALLS_A, "service:a -> service:b Call 1/0"],
    );
}

#[test]
fn a_client_without_child_leads_to_the_peer_it_names() {
    let db = Some((NodeKind::Database, "mysql/shop"));
    let pay = Some((NodeKind::External, "pay.example"));
    check(
        &[(1, 0, "a", SERVER, None), (2, 1, "a", CLIENT, db), (3, 1, "a", CLIENT, pay)],
        &[
            USER_CALLS_A,
            "service:a -> database:mysql/shop Database? 1/0",
            "service:a -> external:pay.example External? 1/0",
        ],
    );
    // The peer that answered with a span of its own is that service.
    check(&[(1, 0, "a", CLIENT, pay), (2, 1, "b", SERVER, None)], &["service:a -> service:b Call 1/0"]);
}

#[test]
fn a_message_goes_by_its_queue_and_between_its_services() {
    let queue = Some((NodeKind::Queue, "orders"));
    let sent = [(1, 0, "a", PRODUCER, queue), (2, 1, "b", CONSUMER, queue), (3, 2, "b", CONSUMER, queue)];
    check(
        &sent,
        &[
            "queue:orders -> service:b Messaging? 1/0",
            "service:a -> queue:orders Messaging? 1/0",
            "service:a -> service:b Messaging 1/0",
        ],
    );
    check(&[(1, 0, "a", PRODUCER, None), (2, 1, "b", CONSUMER, None)], &["service:a -> service:b Messaging 1/0"]);
}

#[test]
fn a_range_holds_the_calls_that_start_in_it_wherever_their_parent_starts() {
    let spans = set(&[
        (1, 0, "a", CLIENT, None),
        (2, 1, "b", SERVER, None),
        (3, 1, "c", SERVER, None),
        (4, 9, "d", SERVER, None),
    ]);
    let range = |start, end| TimeRange { start: UnixNano(start), end: UnixNano(end) };
    let edges = |range| draw(Tally::of(&spans, range), range, None).edges.iter().map(told).collect::<Vec<_>>();
    assert_eq!(edges(range(200, 300)), ["service:a -> service:b Call 1/0"]);
    assert_eq!(edges(range(201, 301)), ["service:a -> service:c Call 1/0"]);
    assert!(edges(range(0, 200)).is_empty());
    assert_eq!(incomplete(&spans, range(400, 401)), [[1; 16]]);
    assert!(incomplete(&spans, range(0, 400)).is_empty());
}

#[test]
fn a_map_of_one_service_shows_its_neighbours_only() {
    let spans = set(&[
        (1, 0, "a", CLIENT, None),
        (2, 1, "b", CLIENT, None),
        (3, 2, "c", SERVER, None),
        (4, 0, "d", SERVER, None),
    ]);
    let ids =
        |service| draw(Tally::of(&spans, ALL), ALL, service).nodes.into_iter().map(|node| node.id).collect::<Vec<_>>();
    assert_eq!(ids(None).len(), 5);
    assert_eq!(ids(Some("a")), ["service:a", "service:b"]);
    assert_eq!(ids(Some("d")), ["service:d", "client:user"]);
    assert!(ids(Some("nobody")).is_empty());
}

#[test]
fn figures_and_evidence_come_from_the_calls() {
    let mut spans = set(&[(1, 0, "a", CLIENT, None), (2, 1, "b", SERVER, None), (3, 1, "b", SERVER, None)]);
    spans.spans[1].duration_ns = 2_000_000;
    spans.spans[2].duration_ns = 4_000_000;
    spans.spans[2].status = 2;
    let map = serde_json::to_value(draw(Tally::of(&spans, ALL), ALL, None)).expect("JSON");
    let edge = &map["edges"][0];
    assert_eq!((edge["calls"].as_u64(), edge["errors"].as_u64()), (Some(2), Some(1)));
    assert_eq!((edge["error_rate"].as_f64(), edge["p50_ms"].as_f64()), (Some(0.5), Some(3.0)));
    assert_eq!(edge["examples"], serde_json::json!(["01010101010101010101010101010101"]));
    assert_eq!((edge["kind"].as_str(), &map["nodes"][1]["kind"]), (Some("call"), &Value::from("service")));
    assert_eq!((edge["calls_estimated"].as_f64(), edge["errors_estimated"].as_f64()), (Some(2.0), Some(1.0)));
    assert_eq!((map["nodes"][0]["requests"].as_u64(), map["nodes"][1]["requests"].as_u64()), (Some(0), Some(2)));
}

#[test]
fn a_map_tells_what_became_of_its_nodes_and_edges() {
    let map = |callee: &str| {
        let spans = [(1, 0, "a", CLIENT, None), (2, 1, "b", SERVER, None), (3, 1, callee, SERVER, None)];
        draw(Tally::of(&set(&spans), ALL), ALL, None)
    };
    let map = serde_json::to_value(compare(map("c"), map("d"))).expect("JSON");
    let told = |what: &str, name: &str| {
        let all = map[what].as_array().expect("a list").iter();
        all.map(|one| format!("{} {}", one[name].as_str().expect("text"), one["change"].as_str().expect("text")))
            .collect::<Vec<_>>()
    };
    assert_eq!(told("nodes", "name"), ["a same", "b same", "c new", "d gone"]);
    assert_eq!(told("edges", "target"), ["service:b same", "service:c new", "service:d gone"]);
    let gone = &map["edges"][2];
    assert_eq!((&gone["calls"], &gone["before"]["calls"], &gone["p50_ms"]), (&0.into(), &1.into(), &Value::Null));
    assert_eq!(gone["examples"].as_array().map(Vec::len), Some(1));
    assert_eq!((&map["edges"][1]["before"], map["compare"]["start"].is_string()), (&Value::Null, true));
}

fn replayed(name: &str) -> SpanSet {
    let mut set = SpanSet::new(Detail::default());
    truth::spans(name, |service, span| {
        let nanos = |time: u64| i64::try_from(time).expect("a time");
        let link = Link {
            span: span_number(&span.span_id),
            parent: span_number(&span.parent_span_id),
            kind: i8::try_from(span.kind).expect("a kind"),
            service: set.services.intern_text(service),
        };
        let trace = set.traces.intern(span.trace_id.as_slice().try_into().expect("a trace id"));
        let start = nanos(span.start_time_unix_nano);
        let status = span.status.map_or(0, |status| i8::try_from(status.code).expect("a code"));
        let duration_ns = nanos(span.end_time_unix_nano) - start;
        set.spans.push(Span { status, ..self::span(trace, link, start, duration_ns) });
    });
    set.seal();
    set
}

fn close(found: &Value, expected_ns: &Value, what: &str) {
    let (found, expected) = (found.as_f64().expect("ms"), expected_ns.as_f64().expect("ns") / 1e6);
    assert!((found - expected).abs() <= expected.abs() * 1e-9, "{what}: {found} ms, in truth {expected} ms");
}

/// The edges without the clients that start traces, of which the facts say nothing.
fn between_services(edges: &[Drawn]) -> impl Iterator<Item = &Drawn> {
    edges.iter().filter(|edge| edge.source.starts_with("service:") && edge.target.starts_with("service:"))
}

#[test]
fn the_maps_of_real_systems_equal_the_truth() {
    for name in truth::SETS {
        let Some(facts) = truth::facts(&format!("{name}.truth.json")) else { return };
        let set = replayed(name);
        assert_eq!(Some(set.spans.len() as u64), facts["distinct_spans"].as_u64(), "{name}");
        let map = draw(Tally::of(&set, ALL), ALL, None);
        let found: BTreeMap<(String, String), u64> =
            between_services(&map.edges).map(|edge| ((edge.source.clone(), edge.target.clone()), edge.calls)).collect();
        let end = |edge: &Value, key: &str| format!("service:{}", edge[key].as_str().expect("a service"));
        let expected: BTreeMap<(String, String), u64> = facts["service_edges"]
            .as_array()
            .expect("edges")
            .iter()
            .map(|edge| ((end(edge, "from"), end(edge, "to")), edge["calls"].as_u64().expect("calls")))
            .collect();
        assert_eq!(found, expected, "{name}");
        assert!(incomplete(&set, ALL).is_empty(), "{name}: no span of this set lacks its parent");
    }
}

#[test]
fn the_figures_of_a_real_system_equal_the_truth() {
    let Some(facts) = truth::facts("trainticket-2023-01-29.searches.json") else { return };
    let set = replayed("trainticket-2023-01-29");
    let drawn = draw(Tally::of(&set, ALL), ALL, None);
    let map = serde_json::to_value(&drawn).expect("JSON");
    let edges: Vec<Value> =
        between_services(&drawn.edges).map(|edge| serde_json::to_value(edge).expect("JSON")).collect();
    let expected = facts["edges"].as_array().expect("edges");
    assert_eq!(edges.len(), expected.len());
    for truth in expected {
        let end = |key: &str| format!("service:{}", truth[key].as_str().expect("a service"));
        let is_it = |edge: &&Value| edge["source"] == end("from").as_str() && edge["target"] == end("to").as_str();
        let edge = edges.iter().find(is_it).unwrap_or_else(|| panic!("no edge {truth}"));
        assert_eq!((&edge["calls"], &edge["errors"]), (&truth["calls"], &truth["failed"]), "{truth}");
        close(&edge["p95_ms"], &truth["p95_server_ns"], &truth.to_string());
    }
    let services = serde_json::to_value(list_services(Tally::of(&set, ALL), ALL)).expect("JSON");
    let nodes = map["nodes"].as_array().expect("nodes");
    for (name, truth) in facts["red_by_service"].as_object().expect("services") {
        let service = services.as_array().expect("a list").iter().find(|one| one["name"] == name.as_str());
        let node = nodes.iter().find(|node| node["name"] == name.as_str());
        for found in [service, node] {
            let found = found.unwrap_or_else(|| panic!("no service {name}"));
            assert_eq!((&found["requests"], &found["errors"]), (&truth["requests"], &truth["errors"]), "{name}");
            close(&found["p50_ms"], &truth["p50_ns"], name);
            close(&found["p95_ms"], &truth["p95_ns"], name);
            close(&found["p99_ms"], &truth["p99_ns"], name);
        }
    }
}
