//! Exact trace search: a trace matches when one span fulfils all conditions; newest first by the newest matching span's
//! start, then by trace id; a cursor names the last trace given and later pages never repeat or skip one.
//!
//! Two steps: the ids of the newest matching traces, in bounded memory; then all spans of those traces, each span once,
//! where the conditions are tested again on the row that counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tracelake_model::column::{START_UNIX_NANO, TRACE_ID};
use tracelake_model::{SpanId, Table, TenantId, TimeRange, TraceId, UnixNano};
use tracelake_storage::Snapshot;

use crate::engine::Engine;
use crate::error::Error;
use crate::map::load::check_size;
use crate::map::parent::{Parent, parent_of};
use crate::map::span::{Detail, Span, SpanSet};
use crate::scan::seek_part::Seek;
use crate::view::column::{binary, int};
use crate::view::name::{kind_name, status_name};
use crate::view::newest::Newest;
use crate::view::span_filter::SpanFilter;
use crate::view::summary::Root;

/// Matching spans shown of a trace.
const MATCHED_MAX: usize = 5;

/// Traces whose spans are read at once.
const TRACES_AT_ONCE: usize = 1_000;

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) filter: SpanFilter,
    pub(crate) limit: usize,
    pub(crate) after: Option<After>,
}

/// The last trace of the page before: its newest matching span's start and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After {
    pub(crate) start: i64,
    pub(crate) trace: [u8; 16],
}

/// One page of an answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) traces: Vec<TraceRow>,
    /// There may be more after this one.
    pub(crate) next: Option<After>,
}

/// One trace found.
#[derive(Debug, Serialize)]
pub(crate) struct TraceRow {
    pub(crate) trace_id: String,
    pub(crate) root: Option<Root>,
    start_time: String,
    pub(crate) duration_ns: i64,
    duration_ms: f64,
    pub(crate) span_count: usize,
    pub(crate) error_count: usize,
    services: Vec<ServiceCount>,
    pub(crate) matched: Vec<Matched>,
    pub(crate) matched_count: usize,
}

#[derive(Debug, Serialize)]
struct ServiceCount {
    name: String,
    spans: usize,
    errors: usize,
}

/// A span that fulfils the conditions.
#[derive(Debug, Serialize)]
pub(crate) struct Matched {
    span_id: String,
    service: String,
    name: String,
    kind: &'static str,
    status: &'static str,
    start_time: String,
    duration_ns: i64,
}

/// Answers one page.
pub(crate) async fn search(engine: &Engine, tenant: &TenantId, ask: Ask) -> Result<Page, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let mut page = Page { traces: Vec::new(), next: ask.after };
    // Traces are lost in the second step only when another row of the same span counts; then the next ones fill up.
    while page.traces.len() < ask.limit {
        let wanted = ask.limit - page.traces.len();
        let mut found = newest(engine, &snapshot, &ask.filter, page.next, wanted + 1).await?;
        let is_last = found.len() <= wanted;
        found.truncate(wanted);
        for chunk in found.chunks(TRACES_AT_ONCE) {
            page.traces.extend(rows(engine, &snapshot, &ask.filter, chunk).await?);
        }
        page.next = found.last().filter(|_| !is_last).map(|&(start, trace)| After { start, trace });
        if is_last {
            break;
        }
    }
    Ok(page)
}

/// The first `limit` traces after `after`, with their newest matching span's start.
async fn newest(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    filter: &SpanFilter,
    after: Option<After>,
    limit: usize,
) -> Result<Vec<(i64, [u8; 16])>, Error> {
    let mut given: HashSet<[u8; 16]> = HashSet::new();
    let mut range = filter.range;
    if let Some(after) = after {
        // What stands before the cursor was given already, also where it has older matching spans behind the cursor.
        let before = TimeRange { start: UnixNano(after.start).max(range.start), end: range.end };
        let mut seeker = engine.seek(snapshot, seek(filter, before))?;
        while let Some(batches) = seeker.next().await? {
            let see = |trace, start| {
                if start > after.start || trace <= after.trace {
                    given.insert(trace);
                }
            };
            matching(filter, &batches, see).await;
        }
        range.end = UnixNano(after.start.saturating_add(1)).min(range.end);
    }
    let mut newest = Newest::new(limit);
    let mut seeker = engine.seek(snapshot, seek(filter, range))?;
    while !newest.is_settled(seeker.newest_left()) {
        let Some(batches) = seeker.next().await? else { break };
        let see = |trace, start| {
            if !given.contains(&trace) {
                newest.see(trace, start);
            }
        };
        matching(filter, &batches, see).await;
    }
    Ok(newest.into_order())
}

fn seek(filter: &SpanFilter, range: TimeRange) -> Seek {
    let mut columns = filter.columns();
    columns.push(TRACE_ID);
    Seek { table: Table::Spans, columns, filter: filter.expression(), range, wanted: filter.wanted() }
}

/// Tells trace and start of every row that matches. Lets others have the thread between batches.
async fn matching(filter: &SpanFilter, batches: &[RecordBatch], mut see: impl FnMut([u8; 16], i64)) {
    for batch in batches {
        {
            let (matcher, traces) = (filter.matcher(batch), binary(batch, TRACE_ID));
            let starts = int(batch, START_UNIX_NANO);
            for row in (0..batch.num_rows()).filter(|row| matcher.matches(*row)) {
                if let Ok(trace) = traces.value(row).try_into() {
                    see(trace, starts.value(row));
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Reads the spans of some traces and tells of each what the answer shows, in the order of `found`.
async fn rows(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    filter: &SpanFilter,
    found: &[(i64, [u8; 16])],
) -> Result<Vec<TraceRow>, Error> {
    let detail = Detail { names: true, peers: false };
    let mut columns = detail.columns();
    columns.extend(filter.columns());
    columns.sort_unstable();
    columns.dedup();
    let wanted = found.iter().map(|(_, trace)| trace.to_vec()).collect();
    let mut stream = engine.rows_of_traces(snapshot, Table::Spans, wanted, &columns).await?;
    let mut set = SpanSet::new(detail);
    while let Some(batch) = stream.try_next().await? {
        let matcher = filter.matcher(&batch);
        set.push_rows(&batch, (0..batch.num_rows()).map(|row| (row, matcher.matches(row))));
        check_size(set.spans.len())?;
    }
    set.seal();
    let mut rows: HashMap<[u8; 16], TraceRow> = set
        .by_trace()
        .filter(|group| group.iter().any(|span| span.matched))
        .map(|group| (*set.traces.get(group[0].trace), trace_row(&set, group)))
        .collect();
    Ok(found.iter().filter_map(|(_, trace)| rows.remove(trace)).collect())
}

#[expect(clippy::cast_precision_loss, reason = "durations stay below 2^52 ns")]
fn trace_row(set: &SpanSet, group: &[Span]) -> TraceRow {
    let start = group.iter().map(|span| span.start).min().unwrap_or(0);
    let end = group.iter().map(|span| span.start.saturating_add(span.duration_ns)).max().unwrap_or(0);
    let mut matched: Vec<&Span> = group.iter().filter(|span| span.matched).collect();
    matched.sort_by_key(|span| (std::cmp::Reverse(span.start), span.link));
    TraceRow {
        trace_id: TraceId(*set.traces.get(group[0].trace)).to_string(),
        root: root(set, group),
        start_time: UnixNano(start).to_rfc3339(),
        duration_ns: end - start,
        duration_ms: (end - start) as f64 / 1e6,
        span_count: group.len(),
        error_count: group.iter().filter(|span| span.is_error()).count(),
        services: services(set, group),
        matched_count: matched.len(),
        matched: matched.into_iter().take(MATCHED_MAX).map(|span| matched_span(set, span)).collect(),
    }
}

fn root(set: &SpanSet, group: &[Span]) -> Option<Root> {
    let is_root = |at: &usize| parent_of(group, *at, |span| span.link) == Parent::Root;
    let root = (0..group.len()).filter(is_root).map(|at| &group[at]).min_by_key(|span| (span.start, span.link))?;
    Some(Root {
        service: set.services.get(root.link.service).to_string(),
        name: set.names.get(root.name).to_string(),
        span_id: SpanId(root.link.span.to_be_bytes()).to_string(),
    })
}

fn services(set: &SpanSet, group: &[Span]) -> Vec<ServiceCount> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for span in group {
        let (spans, errors) = counts.entry(set.services.get(span.link.service)).or_default();
        *spans += 1;
        *errors += usize::from(span.is_error());
    }
    let count = |(name, (spans, errors)): (&str, _)| ServiceCount { name: name.to_owned(), spans, errors };
    counts.into_iter().map(count).collect()
}

fn matched_span(set: &SpanSet, span: &Span) -> Matched {
    Matched {
        span_id: SpanId(span.link.span.to_be_bytes()).to_string(),
        service: set.services.get(span.link.service).to_string(),
        name: set.names.get(span.name).to_string(),
        kind: kind_name(span.link.kind),
        status: status_name(span.status),
        start_time: UnixNano(span.start).to_rfc3339(),
        duration_ns: span.duration_ns,
    }
}
