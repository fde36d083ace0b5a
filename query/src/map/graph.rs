//! The answer of the service map: nodes and edges with their figures and evidence.
//!
//! `requests`, `calls` and `errors` count what is stored, percentiles and rates too; the figures ending in `_estimated`
//! say what the stored spans stand for by how they were sampled.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use tracelake_model::{TenantId, TimeRange, TraceId, UnixNano};

use crate::engine::Engine;
use crate::error::Error;
use crate::map::edge::{Call, Edge, EdgeKind, End, edges};
use crate::map::load::spans_and_parents;
use crate::map::node::NodeKind;
use crate::map::red::{Percentiles, Red};
use crate::map::span::{Detail, SpanSet};

/// Example traces on an edge.
const EXAMPLES_MAX: usize = 3;

/// The map of a range.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceMap {
    start: String,
    end: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Link>,
}

/// A service, database, queue, peer outside or client.
#[derive(Debug, Serialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) requests_estimated: f64,
    pub(crate) errors_estimated: f64,
    rate: f64,
    error_rate: f64,
    #[serde(flatten)]
    percentiles: Percentiles,
}

/// The calls from one node to another.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) kind: EdgeKind,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) calls_estimated: f64,
    pub(crate) errors_estimated: f64,
    error_rate: f64,
    rate: f64,
    #[serde(flatten)]
    percentiles: Percentiles,
    pub(crate) inferred: bool,
    pub(crate) examples: Vec<String>,
}

/// Computes the map of the calls that start in `range`; with `service`, only what touches that service.
pub(crate) async fn service_map(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    service: Option<&str>,
) -> Result<ServiceMap, Error> {
    let set = spans_and_parents(engine, tenant, range, Detail { peers: true, names: false }).await?;
    let service = service.map(str::to_owned);
    let drawn = tokio::task::spawn_blocking(move || draw(&set, range, service.as_deref())).await;
    Ok(drawn.expect("drawing a map does not panic and is not cancelled"))
}

/// Draws the map of a sealed set.
pub(crate) fn draw(set: &SpanSet, range: TimeRange, service: Option<&str>) -> ServiceMap {
    let mut edges = edges(set, range);
    let mut nodes = requests(set, range);
    if let Some(name) = service {
        let centre = set.services.find(name).map(End::Service);
        edges.retain(|edge| Some(edge.source) == centre || Some(edge.target) == centre);
        let near: HashSet<End> = edges.iter().flat_map(|edge| [edge.source, edge.target]).chain(centre).collect();
        nodes.retain(|end, _| near.contains(end));
    }
    for edge in &edges {
        nodes.entry(edge.source).or_default();
        let target = nodes.entry(edge.target).or_default();
        if matches!(edge.target, End::Peer(_)) {
            edge.calls.iter().for_each(|call| target.add_adjusted(call.duration_ns, call.error, call.adjusted));
        }
    }
    let mut nodes: Vec<Node> = nodes.into_iter().map(|(end, red)| node(set, range, end, red)).collect();
    let mut edges: Vec<Link> = edges.into_iter().map(|edge| link(set, range, edge)).collect();
    // Numbers given while reading depend on the order of rows, which no answer may show.
    nodes.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    edges.sort_by(|a, b| (&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)));
    ServiceMap { start: range.start.to_rfc3339(), end: range.end.to_rfc3339(), nodes, edges }
}

/// What each service answered: its SERVER and CONSUMER spans. Services with other spans only stand there with none.
fn requests(set: &SpanSet, range: TimeRange) -> BTreeMap<End, Red> {
    let mut nodes: BTreeMap<End, Red> = BTreeMap::new();
    for span in set.spans.iter().filter(|span| !span.is_folded && range.contains(UnixNano(span.start))) {
        let red = nodes.entry(End::Service(span.link.service)).or_default();
        if span.is_request() {
            red.add_adjusted(span.duration_ns, span.is_error(), span.adjusted);
        }
    }
    nodes
}

fn named(set: &SpanSet, end: End) -> (NodeKind, &str) {
    match end {
        End::Service(place) => (NodeKind::Service, set.services.get(place)),
        End::Peer(place) => {
            let (kind, name) = set.peers.get(place);
            (*kind, name)
        }
    }
}

/// The id of an edge's end in answers: its kind and name.
pub(crate) fn id(set: &SpanSet, end: End) -> String {
    let (kind, name) = named(set, end);
    format!("{}:{name}", kind.as_str())
}

fn node(set: &SpanSet, range: TimeRange, end: End, mut red: Red) -> Node {
    let (kind, name) = named(set, end);
    Node {
        id: id(set, end),
        name: name.to_owned(),
        kind,
        requests: red.count(),
        errors: red.errors(),
        requests_estimated: red.estimated().calls,
        errors_estimated: red.estimated().errors,
        rate: red.rate(range),
        error_rate: red.error_rate(),
        percentiles: red.percentiles(),
    }
}

fn link(set: &SpanSet, range: TimeRange, mut edge: Edge) -> Link {
    let mut red = Red::default();
    edge.calls.iter().for_each(|call| red.add_adjusted(call.duration_ns, call.error, call.adjusted));
    Link {
        source: id(set, edge.source),
        target: id(set, edge.target),
        kind: edge.kind,
        calls: red.count(),
        errors: red.errors(),
        calls_estimated: red.estimated().calls,
        errors_estimated: red.estimated().errors,
        error_rate: red.error_rate(),
        rate: red.rate(range),
        percentiles: red.percentiles(),
        inferred: edge.inferred,
        examples: examples(set, &mut edge.calls),
    }
}

/// The traces worth a look first: failed calls before others, then the slowest.
fn examples(set: &SpanSet, calls: &mut [Call]) -> Vec<String> {
    calls.sort_unstable_by_key(|call| (!call.error, -call.duration_ns, *set.traces.get(call.trace)));
    let mut traces: Vec<u32> = Vec::new();
    for call in calls {
        if traces.len() < EXAMPLES_MAX && !traces.contains(&call.trace) {
            traces.push(call.trace);
        }
    }
    traces.into_iter().map(|trace| TraceId(*set.traces.get(trace)).to_string()).collect()
}
