//! Whole traces out of a snapshot, with the values that a query needs, and rows of a range one by one.
//!
//! Bounded: traces that would not fit into memory are refused with the remedy.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use tracelake_model::column::{DURATION_NS, KIND, PARENT_SPAN_ID, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, TRACE_ID};
use tracelake_model::{Table, TimeRange};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::parent::{Link, span_number};
use crate::map::span::Interner;
use crate::traceql::plan::{Plan, RowTest};
use crate::traceql::row::Rows;
use crate::traceql::slot::Slots;
use crate::traceql::tree::{Span, Trace};
use crate::traceql::work::off_thread;
use crate::view::column::{binary, bytes_at, int, small, text};

/// Spans of the traces that are held at once.
const SPANS_MAX: usize = 1_000_000;

/// Reads spans of batches.
pub(crate) struct SpanReader {
    services: Interner<Arc<str>>,
}

impl SpanReader {
    /// One reader for all batches of a question: services get their numbers from it.
    pub(crate) fn new() -> Self {
        Self { services: Interner::default() }
    }

    /// All rows of a batch that has the columns of the slots and of identity, each with its trace.
    pub(crate) fn read(&mut self, batch: &RecordBatch, slots: &Slots, mut see: impl FnMut([u8; 16], Span)) {
        let (trace, span, parent) = (binary(batch, TRACE_ID), binary(batch, SPAN_ID), binary(batch, PARENT_SPAN_ID));
        let (service, kind) = (text(batch, SERVICE_NAME), small(batch, KIND));
        let (start, duration) = (int(batch, START_UNIX_NANO), int(batch, DURATION_NS));
        let mut rows = Rows::new(batch, slots);
        for row in 0..batch.num_rows() {
            let Ok(id) = <[u8; 16]>::try_from(trace.value(row)) else { continue };
            let link = Link {
                span: span_number(span.value(row)),
                parent: bytes_at(parent, row).map_or(0, span_number),
                kind: kind.value(row),
                service: self.services.intern_text(service.value(row)),
            };
            let (start, duration) = (start.value(row), duration.value(row));
            see(id, Span { link, start, duration, values: rows.values(row) });
        }
    }
}

/// Some whole traces, in no order.
pub(crate) async fn traces(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    plan: &Arc<Plan>,
    ids: &[[u8; 16]],
) -> Result<Vec<Trace>, Error> {
    let wanted = ids.iter().map(|id| id.to_vec()).collect();
    let mut stream = engine.rows_of_traces(snapshot, Table::Spans, wanted, &plan.columns()).await?;
    let mut spans: HashMap<[u8; 16], Vec<Span>> = HashMap::new();
    let (mut reader, mut count) = (SpanReader::new(), 0);
    while let Some(batch) = stream.try_next().await? {
        count += batch.num_rows();
        if count > SPANS_MAX {
            let detail = format!("{} traces have more than {SPANS_MAX} spans together; narrow the query", ids.len());
            return Err(Error::TooLarge(detail));
        }
        let plan = Arc::clone(plan);
        let work = move || {
            reader.read(&batch, &plan.slots, |trace, span| spans.entry(trace).or_default().push(span));
            (reader, spans)
        };
        (reader, spans) = off_thread(work).await?;
    }
    let plan = Arc::clone(plan);
    off_thread(move || spans.into_iter().map(|(id, spans)| Trace::new(id, spans, &plan.slots)).collect()).await
}

/// Tells trace and start of every stored row in `range` that passes the plan's test.
pub(crate) async fn candidates(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    plan: &Arc<Plan>,
    range: TimeRange,
    mut see: impl FnMut([u8; 16], i64),
) -> Result<(), Error> {
    let mut columns = vec![TRACE_ID, START_UNIX_NANO];
    if plan.rows.test.is_some() {
        columns = plan.rows.columns();
    }
    let (filter, wanted) = (plan.rows.filter.clone(), plan.rows.wanted.clone());
    let ask = Scan { columns, filter, range, wanted, ..Scan::default() };
    let mut stream = engine.rows_at(snapshot, Table::Spans, ask).await?;
    while let Some(batch) = stream.try_next().await? {
        let plan = Arc::clone(plan);
        for (trace, start) in off_thread(move || passing(&batch, &plan.rows)).await? {
            see(trace, start);
        }
    }
    Ok(())
}

/// Trace and start of the rows that pass a test.
fn passing(batch: &RecordBatch, rows: &RowTest) -> Vec<([u8; 16], i64)> {
    let (traces, starts) = (binary(batch, TRACE_ID), int(batch, START_UNIX_NANO));
    let (mut reader, mut values) = (Rows::new(batch, &rows.slots), Vec::new());
    let mut passes = |row: usize| {
        rows.test.as_ref().is_none_or(|test| {
            reader.fill(row, &mut values);
            test.holds(&values)
        })
    };
    let found = (0..batch.num_rows()).filter(|row| passes(*row));
    found.filter_map(|row| Some((traces.value(row).try_into().ok()?, starts.value(row)))).collect()
}
