//! What the map must show: from what really happened and which spans were kept.

use std::collections::{BTreeMap, HashMap};

use super::record::{Act, Record};

/// Source, target and kind of an edge.
pub(super) type Key = (String, String, &'static str);

/// One call as an edge must have it: duration, failed, trace, start.
pub(super) type Seen = (i64, bool, usize, i64);

/// The map as it must be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) edges: BTreeMap<Key, ExpectedEdge>,
    pub(super) nodes: BTreeMap<String, ExpectedNode>,
}

#[derive(Debug, Default)]
pub(super) struct ExpectedEdge {
    pub(super) calls: Vec<Seen>,
    /// Calls that the kept ones stand for, each by the inverse of the probability that all who tell of it were kept.
    pub(super) estimated: f64,
    /// Of each call the traces whose randomness decides whether it is seen, with the probability.
    chances: Vec<Vec<(usize, f64)>>,
}

#[derive(Debug, Default)]
pub(super) struct ExpectedNode {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) estimated: f64,
}

impl Expected {
    /// The map of the spans that were kept.
    pub(super) fn new(record: &Record<'_>, kept: &[bool]) -> Self {
        let mut expected = Self::default();
        for act in record.acts.iter().filter(|act| is_seen(act, kept)) {
            expected.edge(record, act);
        }
        for (_, span) in record.spans.iter().enumerate().filter(|(place, _)| kept[*place]) {
            let Some(name) = &span.shown else { continue };
            let node = expected.nodes.entry(name.clone()).or_default();
            if span.is_request {
                node.requests += 1;
                node.errors += u64::from(span.error);
                node.estimated += 1.0 / probability(record, span.owner);
            }
        }
        expected
    }

    fn edge(&mut self, record: &Record<'_>, act: &Act) {
        let figure = &record.spans[act.figure];
        let mut chances: Vec<(usize, f64)> = Vec::new();
        for place in act.seen_by.iter().chain([&act.figure]) {
            let span = &record.spans[*place];
            let probability = probability(record, span.owner);
            match chances.iter_mut().find(|(trace, _)| *trace == span.trace) {
                // One randomness decides about all spans of a trace: the rarest is the least likely.
                Some((_, least)) => *least = least.min(probability),
                None => chances.push((span.trace, probability)),
            }
        }
        let (source, target, _) = &act.edge;
        self.nodes.entry(source.clone()).or_default();
        let node = self.nodes.entry(target.clone()).or_default();
        let chance: f64 = chances.iter().map(|(_, chance)| chance).product();
        if !target.starts_with("service:") {
            node.requests += 1;
            node.errors += u64::from(figure.error);
            node.estimated += 1.0 / chance;
        }
        let edge = self.edges.entry(act.edge.clone()).or_default();
        edge.calls.push((figure.duration_ns, figure.error, figure.trace, figure.start));
        edge.estimated += 1.0 / chance;
        edge.chances.push(chances);
    }
}

impl ExpectedEdge {
    /// The standard deviation of an estimate of this many calls, and the most that one call can add to it.
    pub(super) fn deviation(&self) -> (f64, f64) {
        let mut by_trace: HashMap<usize, Vec<usize>> = HashMap::new();
        for (call, chances) in self.chances.iter().enumerate() {
            chances.iter().for_each(|(trace, _)| by_trace.entry(*trace).or_default().push(call));
        }
        let chance = |call: usize| self.chances[call].iter().map(|(_, chance)| chance).product::<f64>();
        let mut variance = 0.0;
        let mut greatest: f64 = 0.0;
        for (call, chances) in self.chances.iter().enumerate() {
            greatest = greatest.max(1.0 / chance(call));
            let mut near: Vec<usize> = chances.iter().flat_map(|(trace, _)| by_trace[trace].clone()).collect();
            near.sort_unstable();
            near.dedup();
            for other in near {
                variance += together(chances, &self.chances[other]) / (chance(call) * chance(other)) - 1.0;
            }
        }
        (variance.max(0.0).sqrt(), greatest)
    }
}

/// How likely two calls are both seen.
fn together(one: &[(usize, f64)], other: &[(usize, f64)]) -> f64 {
    let of = |chances: &[(usize, f64)], wanted: usize| {
        chances.iter().find(|(trace, _)| *trace == wanted).map_or(1.0, |(_, chance)| *chance)
    };
    let shared = one.iter().map(|(trace, chance)| chance.min(of(other, *trace)));
    let alone =
        other.iter().filter(|(trace, _)| one.iter().all(|(known, _)| known != trace)).map(|(_, chance)| *chance);
    shared.chain(alone).product()
}

fn is_seen(act: &Act, kept: &[bool]) -> bool {
    let told_elsewhere = act.unless.iter().any(|spans| spans.iter().all(|span| kept[*span]));
    kept[act.figure] && act.seen_by.iter().all(|span| kept[*span]) && !told_elsewhere
}

/// How likely a service's sampler keeps a span.
fn probability(record: &Record<'_>, service: usize) -> f64 {
    1.0 - record.system.services[service].threshold as f64 / (1_u64 << 56) as f64
}
