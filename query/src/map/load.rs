//! Reads the spans of a range for the map and the figures, and the spans around it that decide about its edges.
//!
//! What is read makes the answer for a span the same whatever range is asked for: all spans that start near the range,
//! and the whole of those traces of which that does not tell enough ([`incomplete`]). Bounded: a range that holds more
//! than [`SPANS_MAX`] spans is refused with the remedy. A span that was sent twice, with starts further apart than
//! [`NEAR`], counts in both places.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::TryStreamExt;
use tracelake_model::column::START_UNIX_NANO;
use tracelake_model::{Table, TimeRange, UnixNano};
use tracelake_storage::{Part, Snapshot};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::edge::incomplete;
use crate::map::near::NEAR;
use crate::map::span::{Detail, SpanSet};
use crate::view::column::int;

/// Spans that one question may hold in memory, about 64 bytes each.
pub(crate) const SPANS_MAX: usize = 4_000_000;

/// The spans that start in `range` or near it, each once.
async fn spans(engine: &Engine, snapshot: &Arc<Snapshot>, range: TimeRange, detail: Detail) -> Result<SpanSet, Error> {
    let mut set = SpanSet::new(detail);
    let ask = Scan { columns: detail.columns(), as_stored: true, range: near(range), ..Scan::default() };
    let mut stream = engine.rows_at(snapshot, Table::Spans, ask).await?;
    while let Some(batch) = stream.try_next().await? {
        set.push(&batch);
        check_size(set.spans.len())?;
    }
    set.seal();
    Ok(set)
}

/// The spans that start in `range` with all spans that decide about its edges, each once.
pub(crate) async fn spans_and_relatives(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    range: TimeRange,
    detail: Detail,
) -> Result<SpanSet, Error> {
    let mut set = spans(engine, snapshot, range, detail).await?;
    let ids: BTreeSet<Vec<u8>> = incomplete(&set, range).into_iter().map(Vec::from).collect();
    if ids.is_empty() {
        return Ok(set);
    }
    let near = near(range);
    let beyond = beyond(snapshot, range, true);
    let mut stream = engine.rows_of_traces(&beyond, Table::Spans, ids, &detail.columns()).await?;
    while let Some(batch) = stream.try_next().await? {
        let start = int(&batch, START_UNIX_NANO);
        let is_new = |row: &usize| !near.contains(UnixNano(start.value(*row)));
        set.push_rows(&batch, (0..batch.num_rows()).filter(is_new).map(|row| (row, false)));
        check_size(set.spans.len())?;
    }
    set.seal();
    Ok(set)
}

/// What may hold spans that start neither in a range nor near it, with the tail or without.
pub(crate) fn beyond(snapshot: &Snapshot, range: TimeRange, with_tail: bool) -> Arc<Snapshot> {
    let near = near(range);
    let is_read = |part: &Part| near.contains(part.time_min) && near.contains(part.time_max);
    Arc::new(snapshot.narrowed(Table::Spans, with_tail, |part| !is_read(part)))
}

/// A range with what lies near it.
pub(crate) fn near(range: TimeRange) -> TimeRange {
    TimeRange { start: range.start.minus(NEAR), end: range.end.plus(NEAR) }
}

/// Refuses what would not fit into memory.
pub(crate) fn check_size(spans: usize) -> Result<(), Error> {
    if spans <= SPANS_MAX {
        return Ok(());
    }
    Err(Error::TooLarge(format!("the time range holds more than {SPANS_MAX} spans; narrow start and end")))
}
