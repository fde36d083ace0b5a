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
