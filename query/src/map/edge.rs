//! Spans to edges: the rule of the service map, as a pure function.
//!
//! Calls are child spans whose parent in the same trace belongs to another service, whatever the kinds; an edge's time,
//! latency and errors are the child's. A client or producer span without child leads to the database, queue or outside
//! peer that its attributes name; a producer's destination always stands between it and its consumers.

use std::collections::HashMap;

use tracelake_model::{TimeRange, UnixNano};

use crate::map::node::NodeKind;
use crate::map::parent::{CONSUMER, PRODUCER, Parent, parent_of};
use crate::map::span::{NONE, Span, SpanSet};
use serde::Serialize;

/// What an edge stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EdgeKind {
    /// A service calls a service.
    Call,
    /// By way of a message.
    Messaging,
    /// A service asks a database.
    Database,
    /// A service calls a peer that sent no span.
    External,
}

/// One end of an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum End {
    /// Place in [`SpanSet::services`].
    Service(u32),
    /// Place in [`SpanSet::peers`].
    Peer(u32),
}

/// One call along an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Duration in nanoseconds.
    pub(crate) duration_ns: i64,
    /// Place in [`SpanSet::traces`].
    pub(crate) trace: u32,
    /// Whether it failed.
    pub(crate) error: bool,
}

/// All calls between two ends.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    /// Who calls.
    pub(crate) source: End,
    /// Who is called.
    pub(crate) target: End,
    /// What for. Of calls and messages between the same services, the more frequent.
    pub(crate) kind: EdgeKind,
    /// One end sent no span of its own; attributes name it.
    pub(crate) inferred: bool,
    /// The calls, in no order.
    pub(crate) calls: Vec<Call>,
}

/// The edges of the calls that start in `range`, in no order. `set` is sealed.
pub(crate) fn edges(set: &SpanSet, range: TimeRange) -> Vec<Edge> {
    let mut found = Found::default();
    for group in set.by_trace() {
        let parents: Vec<Parent> = (0..group.len()).map(|at| parent_of(group, at, |span| span.link)).collect();
        let mut has_child = vec![false; group.len()];
        for parent in &parents {
            if let Parent::At(at) = parent {
                has_child[*at] = true;
            }
        }
        for (at, span) in group.iter().enumerate() {
            if !range.contains(UnixNano(span.start)) {
                continue;
            }
            let parent = if let Parent::At(at) = parents[at] { Some(&group[at]) } else { None };
            found.child(span, parent);
            found.peer(set, span, parent, has_child[at]);
        }
    }
    found.into_edges()
}

/// The traces of calls that start in `range` and whose parent is not in the set; in no order, each once.
pub(crate) fn incomplete(set: &SpanSet, range: TimeRange) -> Vec<[u8; 16]> {
    let lacks = |group: &&[Span]| {
        (0..group.len()).any(|at| {
            range.contains(UnixNano(group[at].start)) && parent_of(group, at, |span| span.link) == Parent::Missing
        })
    };
    set.by_trace().filter(lacks).map(|group| *set.traces.get(group[0].trace)).collect()
}

#[derive(Default)]
struct Found {
    edges: HashMap<(End, End), (Edge, u64)>,
}

impl Found {
    fn child(&mut self, span: &Span, parent: Option<&Span>) {
        let Some(parent) = parent.filter(|parent| parent.link.service != span.link.service) else { return };
        let message = span.link.kind == CONSUMER || parent.link.kind == PRODUCER;
        let kind = if message { EdgeKind::Messaging } else { EdgeKind::Call };
        self.add(End::Service(parent.link.service), End::Service(span.link.service), kind, false, span);
    }

    fn peer(&mut self, set: &SpanSet, span: &Span, parent: Option<&Span>, has_child: bool) {
        if span.peer == NONE {
            return;
        }
        let (service, peer) = (End::Service(span.link.service), End::Peer(span.peer));
        let kind = match set.peers.get(span.peer).0 {
            NodeKind::Database => EdgeKind::Database,
            NodeKind::Queue => EdgeKind::Messaging,
            NodeKind::External | NodeKind::Service => EdgeKind::External,
        };
        if span.link.kind == CONSUMER {
            // Receiving and processing are two spans of one message: the outer one counts.
            let repeats = |outer: &Span| {
                (outer.link.kind, outer.link.service, outer.peer) == (CONSUMER, span.link.service, span.peer)
            };
            if !parent.is_some_and(repeats) {
                self.add(peer, service, kind, true, span);
            }
        } else if !has_child || span.link.kind == PRODUCER {
            self.add(service, peer, kind, true, span);
        }
    }

    fn add(&mut self, source: End, target: End, kind: EdgeKind, inferred: bool, span: &Span) {
        let fresh = || (Edge { source, target, kind, inferred, calls: Vec::new() }, 0);
        let (edge, messages) = self.edges.entry((source, target)).or_insert_with(fresh);
        *messages += u64::from(kind == EdgeKind::Messaging);
        edge.calls.push(Call { duration_ns: span.duration_ns, trace: span.trace, error: span.is_error() });
    }

    fn into_edges(self) -> Vec<Edge> {
        let settle = |(mut edge, messages): (Edge, u64)| {
            if matches!((edge.source, edge.target), (End::Service(_), End::Service(_))) {
                let calls = u64::try_from(edge.calls.len()).unwrap_or(u64::MAX);
                edge.kind = if messages * 2 > calls { EdgeKind::Messaging } else { EdgeKind::Call };
            }
            edge
        };
        self.edges.into_values().map(settle).collect()
    }
}
