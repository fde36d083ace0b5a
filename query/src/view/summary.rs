//! What a trace says at a glance: root, time per service, critical path, what is missing.
//!
//! Self time is a span's duration without the union of its children's intervals, cut to its own. The critical path
//! walks back from the end of the root through the child that finished last before the instant reached (as Uber's
//! CRISP and Jaeger do). The trace's duration is from the earliest start to the latest end.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Serialize;
use tracelake_model::{SpanId, TraceId, UnixNano};

use crate::map::parent::{Parent, parent_of};
use crate::map::span::ERROR;
use crate::view::trace::{Trace, TraceSpan};

/// The answer of `?view=summary`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    trace_id: String,
    pub(crate) span_count: usize,
    pub(crate) error_count: usize,
    start_time: String,
    pub(crate) duration_ns: i64,
    pub(crate) root: Option<Root>,
    pub(crate) services: Vec<ServiceTime>,
    pub(crate) critical_path: Vec<String>,
    pub(crate) missing_parents: Vec<String>,
    pub(crate) complete: bool,
}

/// The span that nothing called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Root {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) span_id: String,
}

/// What a service did in a trace.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ServiceTime {
    pub(crate) name: String,
    pub(crate) spans: usize,
    pub(crate) errors: usize,
    pub(crate) self_ms: f64,
}

/// Summarises a sealed trace.
pub(crate) fn summarise(id: TraceId, trace: &Trace) -> Summary {
    let tree = Tree::new(trace);
    let spans = &trace.spans;
    let start = (0..spans.len()).map(|at| tree.time(at).start).min().unwrap_or(0);
    let end = (0..spans.len()).map(|at| tree.time(at).end).max().unwrap_or(0);
    let missing: BTreeSet<u64> = tree.missing.iter().map(|at| spans[*at].link.parent).collect();
    let root = tree.earliest(&tree.roots);
    let path_from = root.or_else(|| tree.earliest(&tree.missing));
    Summary {
        trace_id: id.to_string(),
        span_count: spans.len(),
        error_count: spans.iter().filter(|one| is_error(one)).count(),
        start_time: UnixNano(start).to_rfc3339(),
        duration_ns: end - start,
        root: root.map(|at| Root {
            service: trace.services.get(spans[at].link.service).to_string(),
            name: spans[at].span.name.clone(),
            span_id: hex(spans[at].link.span),
        }),
        services: services(trace, &tree),
        critical_path: path_from.map_or_else(Vec::new, |at| tree.critical_path(at)),
        complete: root.is_some() && missing.is_empty(),
        missing_parents: missing.into_iter().map(hex).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations stay below 2^52 ns")]
fn services(trace: &Trace, tree: &Tree<'_>) -> Vec<ServiceTime> {
    let mut by_service: BTreeMap<u32, (usize, usize, i64)> = BTreeMap::new();
    for (at, one) in trace.spans.iter().enumerate() {
        let (spans, errors, self_ns) = by_service.entry(one.link.service).or_default();
        *spans += 1;
        *errors += usize::from(is_error(one));
        *self_ns += tree.self_ns(at);
    }
    let mut services: Vec<ServiceTime> = by_service
        .into_iter()
        .map(|(service, (spans, errors, self_ns))| ServiceTime {
            name: trace.services.get(service).to_string(),
            spans,
            errors,
            self_ms: self_ns as f64 / 1e6,
        })
        .collect();
    services.sort_by(|a, b| b.self_ms.total_cmp(&a.self_ms).then_with(|| a.name.cmp(&b.name)));
    services
}

/// Who is whose child; places are those of the trace's spans.
struct Tree<'a> {
    spans: &'a [TraceSpan],
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
    missing: Vec<usize>,
}

impl<'a> Tree<'a> {
    fn new(trace: &'a Trace) -> Self {
        let spans = &trace.spans[..];
        let mut tree = Self { spans, children: vec![Vec::new(); spans.len()], roots: Vec::new(), missing: Vec::new() };
        for at in 0..spans.len() {
            match parent_of(spans, at, |one| one.link) {
                Parent::Root => tree.roots.push(at),
                Parent::Missing => tree.missing.push(at),
                Parent::At(parent) => tree.children[parent].push(at),
            }
        }
        tree
    }

    /// Start and end in Unix nanoseconds; the end never before the start.
    fn time(&self, at: usize) -> Range<i64> {
        let span = &self.spans[at].span;
        let nanos = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        let start = nanos(span.start_time_unix_nano);
        start..nanos(span.end_time_unix_nano).max(start)
    }

    fn earliest(&self, places: &[usize]) -> Option<usize> {
        places.iter().copied().min_by_key(|at| (self.time(*at).start, self.spans[*at].link))
    }

    fn self_ns(&self, at: usize) -> i64 {
        let own = self.time(at);
        let cut = |child: &usize| {
            let time = self.time(*child);
            time.start.clamp(own.start, own.end)..time.end.clamp(own.start, own.end)
        };
        let mut intervals: Vec<Range<i64>> = self.children[at].iter().map(cut).collect();
        intervals.sort_by_key(|interval| interval.start);
        let (mut covered, mut until) = (0, own.start);
        for interval in intervals {
            let from = interval.start.max(until);
            covered += (interval.end - from).max(0);
            until = until.max(interval.end);
        }
        own.end - own.start - covered
    }

    /// Ids of the spans on the critical path below `root`, parents before children, in the order of time. A span on a
    /// circle of parents is walked once.
    fn critical_path(&self, root: usize) -> Vec<String> {
        let mut walked = vec![false; self.spans.len()];
        let mut path = Vec::new();
        // Spans to walk with the instant at which the walk back begins.
        let mut open = vec![(root, self.time(root).end)];
        while let Some((at, end)) = open.pop() {
            if std::mem::replace(&mut walked[at], true) {
                continue;
            }
            path.push(at);
            let mut children: Vec<usize> = self.children[at].clone();
            children.sort_by_key(|child| std::cmp::Reverse(self.time(*child).end.min(end)));
            let mut instant = end;
            for child in children {
                let time = self.time(child);
                let finished = time.end.min(end);
                if finished <= instant && time.start < finished {
                    open.push((child, finished));
                    instant = time.start.max(self.time(at).start);
                }
            }
        }
        path.sort_by_key(|at| self.time(*at).start);
        path.into_iter().map(|at| hex(self.spans[at].link.span)).collect()
    }
}

fn is_error(one: &TraceSpan) -> bool {
    one.span.status.as_ref().is_some_and(|status| status.code == i32::from(ERROR))
}

fn hex(span: u64) -> String {
    SpanId(span.to_be_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::truth;
    use opentelemetry_proto::tonic::trace::v1::{Span, Status};
    use std::collections::HashMap;

    /// A span: id, parent, service, start, end, whether it failed.
    fn trace(spans: &[(u64, u64, &str, u64, u64, bool)]) -> Trace {
        let mut trace = Trace::default();
        for &(id, parent, service, start, end, failed) in spans {
            let bytes = |id: u64| if id == 0 { Vec::new() } else { id.to_be_bytes().to_vec() };
            let status = Some(Status { code: if failed { 2 } else { 0 }, message: String::new() });
            let span = Span {
                span_id: bytes(id),
                parent_span_id: bytes(parent),
                name: format!("s{id}"),
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                status,
                ..Span::default()
            };
            trace.push_span(service, span);
        }
        trace.seal();
        trace
    }

    fn summary(spans: &[(u64, u64, &str, u64, u64, bool)]) -> Summary {
        summarise(TraceId([1; 16]), &trace(spans))
    }

    fn path(summary: &Summary) -> Vec<u64> {
        summary.critical_path.iter().map(|id| u64::from_str_radix(id, 16).expect("hex")).collect()
    }

    #[test]
    fn the_critical_path_walks_back_through_what_finished_last() {
        let check = |spans: &[(u64, u64, &str, u64, u64, bool)], expected: &[u64]| {
            assert_eq!(path(&summary(spans)), expected, "{spans:?}");
        };
        check(&[(1, 0, "a", 0, 10, false)], &[1]);
        // One after the other: both; side by side: the one that ends last.
        check(&[(1, 0, "a", 0, 10, false), (2, 1, "b", 1, 4, false), (3, 1, "c", 5, 9, false)], &[1, 2, 3]);
        check(&[(1, 0, "a", 0, 10, false), (2, 1, "b", 1, 8, false), (3, 1, "c", 2, 9, false)], &[1, 3]);
        // A child that outlives its parent counts up to the parent's end.
        check(&[(1, 0, "a", 0, 10, false), (2, 1, "b", 1, 99, false), (3, 2, "c", 2, 8, false)], &[1, 2, 3]);
        // Without a root the earliest span that lacks its parent begins; circles end.
        check(&[(2, 7, "a", 5, 9, false), (3, 7, "a", 1, 4, false)], &[3]);
        check(&[(1, 2, "a", 0, 9, false), (2, 1, "a", 1, 8, false)], &[]);
    }

    #[test]
    fn a_summary_counts_each_service_and_tells_what_is_missing() {
        let found = summary(&[
            (1, 0, "a", 0, 10_000_000, false),
            (2, 1, "b", 2_000_000, 6_000_000, true),
            (3, 1, "b", 4_000_000, 8_000_000, false),
            (4, 9, "c", 1_000_000, 30_000_000, false),
        ]);
        let times: Vec<(&str, usize, usize, f64)> =
            found.services.iter().map(|one| (&one.name[..], one.spans, one.errors, one.self_ms)).collect();
        assert_eq!(times, [("c", 1, 0, 29.0), ("b", 2, 1, 8.0), ("a", 1, 0, 4.0)]);
        assert_eq!((found.span_count, found.error_count, found.duration_ns), (4, 1, 30_000_000));
        assert_eq!(found.missing_parents, ["0000000000000009"]);
        assert!(!found.complete);
        assert_eq!(found.root.expect("a root").name, "s1");
        assert!(summary(&[(1, 0, "a", 0, 1, false), (2, 1, "a", 0, 1, false)]).complete);
    }

    #[test]
    fn self_times_of_real_traces_equal_the_truth() {
        let Some(facts) = truth::facts("trainticket-2023-01-29.searches.json") else { return };
        let slowest = facts["slowest"].as_array().expect("traces");
        let mut traces: HashMap<Vec<u8>, Trace> = HashMap::new();
        for fact in slowest {
            let id = TraceId::parse(fact["trace_id"].as_str().expect("an id")).expect("an id");
            traces.insert(id.0.to_vec(), Trace::default());
        }
        truth::spans("trainticket-2023-01-29", |service, span| {
            if let Some(trace) = traces.get_mut(&span.trace_id) {
                trace.push_span(service, span);
            }
        });
        for fact in slowest {
            let id = TraceId::parse(fact["trace_id"].as_str().expect("an id")).expect("an id");
            let trace = traces.get_mut(id.0.as_slice()).expect("a trace");
            trace.seal();
            let found = summarise(id, trace);
            assert_eq!(Some(found.span_count as u64), fact["spans"].as_u64());
            assert_eq!(Some(found.duration_ns), fact["duration_ns"].as_i64());
            assert!(found.complete);
            let expected = fact["self_time_ns_by_service"].as_object().expect("services");
            assert_eq!(found.services.len(), expected.len());
            for service in &found.services {
                let truth = expected[&service.name].as_f64().expect("ns") / 1e6;
                assert!((service.self_ms - truth).abs() < 1e-6, "{}: {} {truth}", service.name, service.self_ms);
            }
        }
    }
}
