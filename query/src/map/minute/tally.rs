//! What the calls of a range add up to: edges between ends, services, and their operations.
//!
//! Pure: spans in, sums out. Sums of parts of a range add up to those of the range, however it is parted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tracelake_model::{TimeRange, UnixNano};

use crate::map::edge::{EdgeKind, End, Ends, calls};
use crate::map::minute::example::{Example, offer};
use crate::map::node::NodeKind;
use crate::map::red::Red;
use crate::map::span::{NONE, Span, SpanSet};

/// One end of an edge.
pub(crate) type Name = (NodeKind, Arc<str>);

/// The calls of one kind from one end to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct EdgeTally {
    /// Calls, errors and durations.
    pub(crate) red: Red,
    /// One end sent no span of its own.
    pub(crate) inferred: bool,
    /// The best examples, in order.
    pub(crate) examples: Vec<Example>,
}

/// What a service did.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServiceTally {
    /// Spans of all kinds, those of sidecars left out.
    pub(crate) spans: u64,
    /// Its requests: SERVER and CONSUMER spans.
    pub(crate) red: Red,
    /// It has more operations than a minute keeps, and none of them are here.
    pub(crate) crowded: bool,
}

/// One operation of a service: name and OTLP number of the kind.
pub(crate) type Operation = (Arc<str>, i8);

/// Sums of a range.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// By source, target and kind.
    pub(crate) edges: BTreeMap<(Name, Name, EdgeKind), EdgeTally>,
    /// All services with spans.
    pub(crate) services: BTreeMap<Arc<str>, ServiceTally>,
    /// By service; only where names of spans were read.
    pub(crate) operations: BTreeMap<(Arc<str>, Operation), Red>,
    /// A trace was too large for its calls to be drawn; its spans count in services and operations.
    pub(crate) torn: bool,
}

impl EdgeTally {
    fn merge(&mut self, other: Self) {
        self.red.merge(other.red);
        self.inferred |= other.inferred;
        self.offer_all(other.examples);
    }

    /// Puts calls among the examples, where they belong there.
    pub(crate) fn offer_all(&mut self, examples: Vec<Example>) {
        examples.into_iter().for_each(|example| offer(&mut self.examples, example));
    }
}

impl Tally {
    /// The sums of the spans of a sealed set that start in `range`.
    pub(crate) fn of(set: &SpanSet, range: TimeRange) -> Self {
        gather(set, range, |_| 0).remove(&0).unwrap_or_default()
    }

    /// The same for each minute (its start, Unix nanoseconds) that has any.
    pub(crate) fn by_minute(set: &SpanSet, range: TimeRange) -> BTreeMap<i64, Self> {
        gather(set, range, minute_of)
    }

    /// The same of some spans of a trace of which too much is missing to draw edges.
    pub(crate) fn of_torn(set: &SpanSet, range: TimeRange) -> BTreeMap<i64, Self> {
        let mut tallies = BTreeMap::new();
        add_spans(set, range, minute_of, &mut tallies);
        tallies.values_mut().for_each(|tally| tally.torn = true);
        tallies
    }

    /// Keeps durations by histogram where that takes less memory, and of a service with more than `operations_max`
    /// operations none. For tallies of which histograms are kept anyway.
    pub(crate) fn shrink(&mut self, operations_max: usize) {
        self.edges.values_mut().for_each(|edge| edge.red.shrink());
        self.services.values_mut().for_each(|service| service.red.shrink());
        let mut counts: HashMap<Arc<str>, usize> = HashMap::new();
        for ((service, _), red) in &mut self.operations {
            red.shrink();
            match counts.get_mut(service) {
                Some(count) => *count += 1,
                None => drop(counts.insert(Arc::clone(service), 1)),
            }
        }
        for (name, service) in &mut self.services {
            service.crowded |= counts.get(name).is_some_and(|count| *count > operations_max);
        }
        if self.services.values().any(|service| service.crowded) {
            let services = &self.services;
            self.operations.retain(|(name, _), _| !services.get(name).is_some_and(|service| service.crowded));
        }
    }

    /// About the bytes of edges and services in memory.
    pub(crate) fn bytes(&self) -> usize {
        const NAMES: usize = 96;
        let edge =
            |edge: &EdgeTally| NAMES + size_of::<EdgeTally>() + edge.red.bytes() + size_of_val(&edge.examples[..]);
        let service = |service: &ServiceTally| NAMES + size_of::<ServiceTally>() + service.red.bytes();
        self.edges.values().map(edge).sum::<usize>() + self.services.values().map(service).sum::<usize>()
    }

    /// Takes in all that another one has.
    pub(crate) fn merge(&mut self, other: Self) {
        for (ends, edge) in other.edges {
            match self.edges.entry(ends) {
                std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().merge(edge),
                std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(edge)),
            }
        }
        for (name, service) in other.services {
            let known = self.services.entry(name).or_default();
            known.spans += service.spans;
            known.red.merge(service.red);
            known.crowded |= service.crowded;
        }
        self.torn |= other.torn;
        for (operation, red) in other.operations {
            self.operations.entry(operation).or_default().merge(red);
        }
    }
}

fn minute_of(start: i64) -> i64 {
    UnixNano(start).minute().0
}

fn gather(set: &SpanSet, range: TimeRange, part: fn(i64) -> i64) -> BTreeMap<i64, Tally> {
    let mut tallies = BTreeMap::new();
    add_edges(set, range, part, &mut tallies);
    add_spans(set, range, part, &mut tallies);
    tallies
}

fn add_edges(set: &SpanSet, range: TimeRange, part: fn(i64) -> i64, tallies: &mut BTreeMap<i64, Tally>) {
    let mut edges: HashMap<(i64, Ends), EdgeTally> = HashMap::new();
    calls(set, range, &mut |ends, call| {
        let tally = edges.entry((part(call.start), ends)).or_default();
        tally.red.add_adjusted(call.duration_ns, call.error, call.adjusted);
        tally.inferred = matches!(ends, (End::Peer(_), ..) | (_, End::Peer(_), _));
        let example = Example { trace: *set.traces.get(call.trace), duration_ns: call.duration_ns, error: call.error };
        offer(&mut tally.examples, example);
    });
    for ((at, (source, target, kind)), tally) in edges {
        let ends = (name(set, source), name(set, target), kind);
        tallies.entry(at).or_default().edges.insert(ends, tally);
    }
}

fn add_spans(set: &SpanSet, range: TimeRange, part: fn(i64) -> i64, tallies: &mut BTreeMap<i64, Tally>) {
    let mut services: HashMap<(i64, u32), ServiceTally> = HashMap::new();
    let mut operations: HashMap<(i64, u32, u32, i8), Red> = HashMap::new();
    let counts = |span: &&Span| !set.is_guest(span.trace) && range.contains(UnixNano(span.start));
    // What a sidecar sent is its service's, which counts by its own spans.
    for span in set.spans.iter().filter(|span| !span.is_folded).filter(counts) {
        let at = part(span.start);
        let service = services.entry((at, span.link.service)).or_default();
        service.spans += 1;
        if span.is_request() {
            service.red.add_adjusted(span.duration_ns, span.is_error(), span.adjusted);
        }
        if span.name != NONE {
            let operation = operations.entry((at, span.link.service, span.name, span.link.kind)).or_default();
            operation.add_adjusted(span.duration_ns, span.is_error(), span.adjusted);
        }
    }
    for ((at, service), tally) in services {
        tallies.entry(at).or_default().services.insert(Arc::clone(set.services.get(service)), tally);
    }
    for ((at, service, name, kind), red) in operations {
        let operation = (Arc::clone(set.names.get(name)), kind);
        let key = (Arc::clone(set.services.get(service)), operation);
        tallies.entry(at).or_default().operations.insert(key, red);
    }
}

/// The name of an edge's end.
pub(crate) fn name(set: &SpanSet, end: End) -> Name {
    match end {
        End::Service(place) => (NodeKind::Service, Arc::clone(set.services.get(place))),
        End::Peer(place) => {
            let (kind, name) = set.peers.get(place);
            (*kind, Arc::from(name.as_str()))
        }
    }
}
