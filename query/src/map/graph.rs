//! The answer of the service map: nodes and edges with their figures and evidence.
//!
//! `requests`, `calls` and `errors` count what is stored, percentiles and rates too; the figures ending in `_estimated`
//! say what the stored spans stand for by how they were sampled.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use datafusion::common::DataFusionError;
use serde::Serialize;
use tracelake_model::{TenantId, TimeRange, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::map::change::Compared;
use crate::map::edge::EdgeKind;
use crate::map::minute::histogram::ERROR_MAX;
use crate::map::minute::read::{Want, tally};
use crate::map::minute::tally::{EdgeTally, Name, Tally};
use crate::map::node::NodeKind;
use crate::map::red::{Percentiles, Red};

/// The map of a range.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceMap {
    start: String,
    end: String,
    /// A percentile differs from the exact one by this share of it at most; 0 where all are exact.
    pub(crate) bound: f64,
    /// The range that it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compare: Option<Span>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Link>,
    /// A trace was too large for its calls to be drawn.
    #[serde(skip)]
    pub(crate) torn: bool,
}

/// A range as answers name it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Span {
    start: String,
    end: String,
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
    pub(crate) rate: f64,
    pub(crate) error_rate: f64,
    #[serde(flatten)]
    pub(crate) percentiles: Percentiles,
    #[serde(flatten)]
    pub(crate) compared: Option<Compared>,
}

/// The calls of one kind from one node to another.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) kind: EdgeKind,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) calls_estimated: f64,
    pub(crate) errors_estimated: f64,
    pub(crate) error_rate: f64,
    pub(crate) rate: f64,
    #[serde(flatten)]
    pub(crate) percentiles: Percentiles,
    pub(crate) inferred: bool,
    pub(crate) examples: Vec<String>,
    #[serde(flatten)]
    pub(crate) compared: Option<Compared>,
}

impl ServiceMap {
    /// Its range.
    pub(crate) fn span(&self) -> Span {
        Span { start: self.start.clone(), end: self.end.clone() }
    }
}

impl Node {
    /// The same with nothing measured.
    pub(crate) fn emptied(self) -> Self {
        node(TimeRange::ALL, &(self.kind, Arc::from(self.name)), Red::default())
    }
}

impl Link {
    /// The same without calls; its examples stay.
    pub(crate) fn emptied(self) -> Self {
        let Self { source, target, kind, inferred, examples, .. } = self;
        let edge = EdgeTally { inferred, ..EdgeTally::default() };
        Self { examples, ..link(TimeRange::ALL, (source, target, kind), edge) }
    }
}

/// The map of the calls that start in `range`; with `service`, only what touches that service.
pub(crate) async fn service_map(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    service: Option<&str>,
) -> Result<ServiceMap, Error> {
    let tally = tally(engine, tenant, range, Want::Map).await?;
    let service = service.map(str::to_owned);
    let drawn = tokio::task::spawn_blocking(move || draw(tally, range, service.as_deref())).await;
    drawn.map_err(|fault| Error::Engine(DataFusionError::External(fault.into())))
}

/// Draws the map of a tally.
pub(crate) fn draw(tally: Tally, range: TimeRange, service: Option<&str>) -> ServiceMap {
    let Tally { mut edges, services, torn, .. } = tally;
    let mut nodes: BTreeMap<Name, Red> =
        services.into_iter().map(|(name, service)| ((NodeKind::Service, name), service.red)).collect();
    if let Some(name) = service {
        let centre = (NodeKind::Service, Arc::from(name));
        edges.retain(|(source, target, _), _| *source == centre || *target == centre);
        let mut near: HashSet<Name> =
            edges.keys().flat_map(|(source, target, _)| [source.clone(), target.clone()]).collect();
        near.insert(centre);
        nodes.retain(|name, _| near.contains(name));
    }
    for ((source, target, _), edge) in &edges {
        nodes.entry(source.clone()).or_default();
        let answered = nodes.entry(target.clone()).or_default();
        if target.0 != NodeKind::Service {
            answered.merge(edge.red.clone());
        }
    }
    let is_exact = nodes.values().all(Red::is_exact) && edges.values().all(|edge| edge.red.is_exact());
    let bound = if is_exact { 0.0 } else { ERROR_MAX };
    let nodes = nodes.into_iter().map(|(name, red)| node(range, &name, red)).collect();
    let named = |((source, target, kind), edge): ((Name, Name, EdgeKind), EdgeTally)| {
        link(range, (id(&source), id(&target), kind), edge)
    };
    let mut edges: Vec<Link> = edges.into_iter().map(named).collect();
    edges.sort_by(|a, b| (&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)));
    let (start, end) = (range.start.to_rfc3339(), range.end.to_rfc3339());
    ServiceMap { start, end, bound, compare: None, nodes, edges, torn }
}

/// The id of an edge's end in answers: its kind and name.
pub(crate) fn id((kind, name): &Name) -> String {
    format!("{}:{name}", kind.as_str())
}

fn node(range: TimeRange, name: &Name, mut red: Red) -> Node {
    Node {
        id: id(name),
        name: name.1.to_string(),
        kind: name.0,
        requests: red.count(),
        errors: red.errors(),
        requests_estimated: red.estimated().calls,
        errors_estimated: red.estimated().errors,
        rate: red.rate(range),
        error_rate: red.error_rate(),
        percentiles: red.percentiles(),
        compared: None,
    }
}

fn link(range: TimeRange, (source, target, kind): (String, String, EdgeKind), mut edge: EdgeTally) -> Link {
    Link {
        source,
        target,
        kind,
        calls: edge.red.count(),
        errors: edge.red.errors(),
        calls_estimated: edge.red.estimated().calls,
        errors_estimated: edge.red.estimated().errors,
        error_rate: edge.red.error_rate(),
        rate: edge.red.rate(range),
        percentiles: edge.red.percentiles(),
        inferred: edge.inferred,
        examples: edge.examples.iter().map(|example| TraceId(example.trace).to_string()).collect(),
        compared: None,
    }
}
