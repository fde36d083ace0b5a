//! What a trace says at a glance: root, time per service and span, critical path, what is missing, what belongs to it.
//!
//! Times are shown as they were sent; what would put disagreeing clocks right stands beside them (`adjust_ns`), so that
//! a page can switch it on and off. The trace's duration is from the earliest start to the latest end.

use std::collections::BTreeMap;

use serde::Serialize;
use tracelake_model::{TraceId, UnixNano};

use crate::map::parent::span_text;
use crate::view::completeness::{Completeness, completeness};
use crate::view::name::kind_name;
use crate::view::outline::Outline;
use crate::view::path::{CriticalPath, critical_path};
use crate::view::related::{Exception, Links, LogCount, Records};
use crate::view::skew::offsets;
use crate::view::tree::Tree;

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
    /// Ids of the spans on the critical path.
    pub(crate) critical_path: Vec<String>,
    /// The same piece by piece, without a gap.
    pub(crate) critical_segments: Vec<SegmentTime>,
    pub(crate) missing_parents: Vec<String>,
    /// One root, every parent there, no circle.
    pub(crate) complete: bool,
    pub(crate) completeness: Completeness,
    pub(crate) clock_skew: ClockSkew,
    pub(crate) links: Links,
    /// Log records of the whole trace.
    pub(crate) logs: LogCount,
    pub(crate) exception_count: usize,
    pub(crate) exceptions: Vec<Exception>,
    /// The earliest first.
    pub(crate) spans: Vec<SpanTime>,
    /// What of the answer is missing because files are damaged.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(crate) warnings: Vec<String>,
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
    /// Its share of the critical path.
    pub(crate) critical_ms: f64,
}

/// A piece of the critical path that one span by itself is responsible for.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SegmentTime {
    pub(crate) span_id: String,
    pub(crate) kind: &'static str,
    /// From the trace's start.
    pub(crate) offset_ns: i64,
    pub(crate) duration_ns: i64,
}

/// Clocks that disagree.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct ClockSkew {
    /// Spans that moving would put right.
    pub(crate) span_count: usize,
    /// The greatest move, either way.
    pub(crate) most_ms: f64,
    pub(crate) services: Vec<String>,
}

/// One span. Ids may be shared: kind and service belong to a span's identity.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SpanTime {
    pub(crate) span_id: String,
    pub(crate) service: String,
    pub(crate) kind: &'static str,
    /// The span that it hangs below; null for roots and where it is missing.
    pub(crate) parent: Option<ParentRef>,
    pub(crate) self_ns: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) critical_ns: i64,
    /// What to add to its times to put the clocks right.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) adjust_ns: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logs: Option<LogCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exceptions: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) end_before_start: bool,
}

/// The identity of a parent.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ParentRef {
    pub(crate) span_id: String,
    pub(crate) service: String,
    pub(crate) kind: &'static str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Summarises a sealed outline with what belongs to it.
pub(crate) fn summarise(id: TraceId, outline: &Outline, links: Links, records: Records) -> Summary {
    let tree = Tree::new(&outline.spans);
    let (spans, time) = (&outline.spans, outline.time());
    let root = tree.earliest(&tree.roots);
    let path = root.or_else(|| tree.earliest(&tree.orphans)).map(|at| critical_path(&tree, at)).unwrap_or_default();
    let mut missing: Vec<u64> = tree.orphans.iter().map(|at| spans[*at].link.parent).collect();
    missing.sort_unstable();
    missing.dedup();
    let found = completeness(outline, &tree);
    let times = Times::new(&tree, &path);
    let logs = records.logs.values().fold(LogCount::default(), |all, one| LogCount {
        count: all.count + one.count,
        errors: all.errors + one.errors,
    });
    Summary {
        trace_id: id.to_string(),
        span_count: spans.len(),
        error_count: spans.iter().filter(|one| one.is_error()).count(),
        start_time: UnixNano(time.start).to_rfc3339(),
        duration_ns: time.end - time.start,
        root: root.map(|at| Root {
            service: outline.services.get(spans[at].link.service).to_string(),
            name: outline.names.get(spans[at].name).to_string(),
            span_id: span_text(spans[at].link.span),
        }),
        services: services(outline, &times),
        critical_path: path.spans.iter().map(|at| span_text(spans[*at].link.span)).collect(),
        critical_segments: segments(outline, &path, time.start),
        complete: root.is_some() && missing.is_empty() && found.circular_count == 0,
        missing_parents: missing.into_iter().map(span_text).collect(),
        completeness: found,
        clock_skew: clock_skew(outline, &times),
        links,
        logs,
        exception_count: records.exception_count,
        spans: span_times(outline, &tree, &times, &records),
        exceptions: records.exception_list,
        warnings: Vec::new(),
    }
}

/// Figures of each span, in the order of the outline.
struct Times {
    own: Vec<i64>,
    critical: Vec<i64>,
    adjust: Vec<i64>,
}

impl Times {
    fn new(tree: &Tree<'_>, path: &CriticalPath) -> Self {
        let mut critical = vec![0; tree.spans.len()];
        for segment in &path.segments {
            critical[segment.at] += segment.time.end - segment.time.start;
        }
        Self { own: (0..tree.spans.len()).map(|at| tree.self_ns(at)).collect(), critical, adjust: offsets(tree) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations stay below 2^52 ns")]
fn services(outline: &Outline, times: &Times) -> Vec<ServiceTime> {
    let mut by_service: BTreeMap<u32, (usize, usize, i64, i64)> = BTreeMap::new();
    for (at, one) in outline.spans.iter().enumerate() {
        let (spans, errors, self_ns, critical_ns) = by_service.entry(one.link.service).or_default();
        *spans += 1;
        *errors += usize::from(one.is_error());
        *self_ns += times.own[at];
        *critical_ns += times.critical[at];
    }
    let mut services: Vec<ServiceTime> = by_service
        .into_iter()
        .map(|(service, (spans, errors, self_ns, critical_ns))| ServiceTime {
            name: outline.services.get(service).to_string(),
            spans,
            errors,
            self_ms: self_ns as f64 / 1e6,
            critical_ms: critical_ns as f64 / 1e6,
        })
        .collect();
    services.sort_by(|a, b| b.self_ms.total_cmp(&a.self_ms).then_with(|| a.name.cmp(&b.name)));
    services
}

fn segments(outline: &Outline, path: &CriticalPath, start: i64) -> Vec<SegmentTime> {
    let told = path.segments.iter().map(|segment| SegmentTime {
        span_id: span_text(outline.spans[segment.at].link.span),
        kind: kind_name(outline.spans[segment.at].link.kind),
        offset_ns: segment.time.start - start,
        duration_ns: segment.time.end - segment.time.start,
    });
    told.collect()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
fn clock_skew(outline: &Outline, times: &Times) -> ClockSkew {
    let skewed = || times.adjust.iter().enumerate().filter(|(_, by)| **by != 0);
    let mut services: Vec<String> =
        skewed().map(|(at, _)| outline.services.get(outline.spans[at].link.service).to_string()).collect();
    services.sort_unstable();
    services.dedup();
    let most = skewed().map(|(_, by)| by.unsigned_abs()).max().unwrap_or(0);
    ClockSkew { span_count: skewed().count(), most_ms: most as f64 / 1e6, services }
}

fn span_times(outline: &Outline, tree: &Tree<'_>, times: &Times, records: &Records) -> Vec<SpanTime> {
    let spans = &outline.spans;
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|at| (spans[*at].start, spans[*at].link));
    let service = |at: usize| outline.services.get(spans[at].link.service).to_string();
    let parent = |at: usize| ParentRef {
        span_id: span_text(spans[at].link.span),
        service: service(at),
        kind: kind_name(spans[at].link.kind),
    };
    let told = order.into_iter().map(|at| SpanTime {
        span_id: span_text(spans[at].link.span),
        service: service(at),
        kind: kind_name(spans[at].link.kind),
        parent: tree.parents[at].map(parent),
        self_ns: times.own[at],
        critical_ns: times.critical[at],
        adjust_ns: times.adjust[at],
        logs: records.logs.get(&spans[at].link.span).copied(),
        exceptions: records.exceptions.get(&spans[at].link.span).copied(),
        end_before_start: spans[at].ends_before_start,
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::parent::{CLIENT, Link, SERVER, span_number};
    use crate::map::truth;
    use crate::scan::pick::Stored;
    use crate::view::outline::OutlineSpan;
    use crate::view::outline::made::{Made, outline};
    use opentelemetry_proto::tonic::trace::v1::Span;
    use std::collections::HashMap;

    fn summary(outline: &Outline) -> Summary {
        summarise(TraceId([1; 16]), outline, Links::default(), Records::default())
    }

    fn made(spans: &[Made<'_>]) -> Summary {
        summary(&outline(spans))
    }

    fn path(summary: &Summary) -> Vec<u64> {
        summary.critical_path.iter().map(|id| u64::from_str_radix(id, 16).expect("hex")).collect()
    }

    #[test]
    fn without_a_root_the_earliest_orphan_begins_and_circles_end() {
        assert_eq!(path(&made(&[(2, 7, "a", 1, 5, 9), (3, 7, "a", 1, 1, 4)])), [3]);
        let circle = made(&[(1, 2, "a", 1, 0, 9), (2, 1, "a", 1, 1, 8)]);
        assert!(path(&circle).is_empty() && circle.root.is_none() && !circle.complete);
    }

    #[test]
    fn a_summary_counts_each_service_and_tells_what_is_missing() {
        let ms = 1_000_000;
        let mut outline = outline(&[
            (1, 0, "a", 1, 0, 10 * ms),
            (2, 1, "b", 1, 2 * ms, 6 * ms),
            (3, 1, "b", 1, 4 * ms, 8 * ms),
            (4, 9, "c", 1, ms, 30 * ms),
        ]);
        outline.spans[1].status = 2;
        let found = summary(&outline);
        let times: Vec<(&str, usize, usize, f64, f64)> = found
            .services
            .iter()
            .map(|one| (&one.name[..], one.spans, one.errors, one.self_ms, one.critical_ms))
            .collect();
        assert_eq!(times, [("c", 1, 0, 29.0, 0.0), ("b", 2, 1, 8.0, 4.0), ("a", 1, 0, 4.0, 6.0)]);
        assert_eq!((found.span_count, found.error_count, found.duration_ns), (4, 1, 30 * ms));
        assert_eq!(found.missing_parents, ["0000000000000009"]);
        assert!(!found.complete);
        assert_eq!(found.root.expect("a root").name, "s1");
        assert!(made(&[(1, 0, "a", 1, 0, 1), (2, 1, "a", 1, 0, 1)]).complete);
    }

    #[test]
    fn times_stay_as_sent_and_what_would_put_clocks_right_stands_beside_them() {
        let spans = [(1, 0, "a", CLIENT, 1000, 2000), (2, 1, "b", SERVER, 400, 1200), (3, 2, "b", 1, 500, 600)];
        let mut found = made(&spans);
        assert_eq!(found.clock_skew, ClockSkew { span_count: 2, most_ms: 0.0007, services: vec!["b".to_owned()] });
        let told: Vec<(&str, i64, i64)> =
            found.spans.iter().map(|one| (&one.span_id[15..], one.self_ns, one.adjust_ns)).collect();
        assert_eq!(told, [("2", 700, 700), ("3", 100, 700), ("1", 800, 0)]);
        assert_eq!(found.spans.remove(1).parent.expect("a parent").service, "b");
        assert_eq!(found.duration_ns, 1600);
    }

    fn push(outline: &mut Outline, service: &str, span: &Span) {
        let service = outline.services.intern_text(service);
        let nanos = |time: u64| i64::try_from(time).expect("a time");
        outline.spans.push(OutlineSpan {
            link: Link {
                span: span_number(&span.span_id),
                parent: span_number(&span.parent_span_id),
                kind: i8::try_from(span.kind).expect("a kind"),
                service,
            },
            start: nanos(span.start_time_unix_nano),
            end: nanos(span.end_time_unix_nano),
            status: span.status.as_ref().map_or(0, |status| i8::try_from(status.code).expect("a code")),
            name: outline.names.intern_text(&span.name),
            process: service,
            ends_before_start: false,
            stored: Stored::default(),
            row: (0, 0),
        });
    }

    #[test]
    fn self_times_of_real_traces_equal_the_truth() {
        let Some(facts) = truth::facts("trainticket-2023-01-29.searches.json") else { return };
        let slowest = facts["slowest"].as_array().expect("traces");
        let mut traces: HashMap<Vec<u8>, Outline> = HashMap::new();
        for fact in slowest {
            let id = TraceId::parse(fact["trace_id"].as_str().expect("an id")).expect("an id");
            traces.insert(id.0.to_vec(), Outline::default());
        }
        truth::spans("trainticket-2023-01-29", |service, span| {
            if let Some(trace) = traces.get_mut(&span.trace_id) {
                push(trace, service, &span);
            }
        });
        for fact in slowest {
            let id = TraceId::parse(fact["trace_id"].as_str().expect("an id")).expect("an id");
            let trace = traces.get_mut(id.0.as_slice()).expect("a trace");
            trace.spans.sort_by_key(|span| (span.link.span, span.link.kind, span.link.service));
            trace.spans.dedup_by_key(|span| (span.link.span, span.link.kind, span.link.service));
            let found = summary(trace);
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
