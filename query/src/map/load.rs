//! Reads the spans of a range for the map and the figures, and the parents that lie outside it.
//!
//! Bounded: a range that holds more spans than [`SPANS_MAX`] is refused with the remedy.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::ScalarValue;
use datafusion::prelude::{Expr, col};
use futures::TryStreamExt;
use tracelake_model::column::TRACE_ID;
use tracelake_model::{Table, TenantId, TimeRange};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::edge::incomplete;
use crate::map::span::{Detail, SpanSet};
use crate::view::column::binary;

/// Spans that one question may hold in memory, about 64 bytes each.
pub(crate) const SPANS_MAX: usize = 4_000_000;

/// Read on either side of the range with it: most parents and children of its spans lie there.
const MARGIN: Duration = Duration::from_secs(300);

/// A parent that starts longer before the range is not looked for.
const REACH: Duration = Duration::from_secs(24 * 3600);

/// With more trace ids than this the rows are filtered here rather than in the scan.
const FILTER_IDS_MAX: usize = 10_000;

/// The spans that start in `range`, each once.
pub(crate) async fn spans(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    detail: Detail,
    filter: Option<Expr>,
) -> Result<SpanSet, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let mut set = SpanSet::new(detail);
    read(engine, &snapshot, Scan { filter, range, ..scan(detail) }, None, &mut set).await?;
    set.seal();
    Ok(set)
}

/// The spans that start in `range` with the spans around it that decide about its edges, each once.
pub(crate) async fn spans_and_parents(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    detail: Detail,
) -> Result<SpanSet, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let mut set = SpanSet::new(detail);
    let near = TimeRange { start: range.start.minus(MARGIN), end: range.end.plus(MARGIN) };
    read(engine, &snapshot, Scan { range: near, ..scan(detail) }, None, &mut set).await?;
    set.seal();
    let traces: HashSet<[u8; 16]> = incomplete(&set, range).into_iter().collect();
    if !traces.is_empty() {
        let before = TimeRange { start: near.start.minus(REACH), end: near.start };
        let filter = (traces.len() <= FILTER_IDS_MAX).then(|| in_traces(traces.iter()));
        read(engine, &snapshot, Scan { range: before, filter, ..scan(detail) }, Some(&traces), &mut set).await?;
        set.seal();
    }
    Ok(set)
}

/// The condition that a row belongs to one of these traces.
pub(crate) fn in_traces<'a>(ids: impl Iterator<Item = &'a [u8; 16]>) -> Expr {
    let literal = |id: &[u8; 16]| Expr::Literal(ScalarValue::Binary(Some(id.to_vec())), None);
    col(TRACE_ID).in_list(ids.map(literal).collect(), false)
}

/// Refuses what would not fit into memory.
pub(crate) fn check_size(spans: usize) -> Result<(), Error> {
    if spans <= SPANS_MAX {
        return Ok(());
    }
    Err(Error::TooLarge(format!("the time range holds more than {SPANS_MAX} spans; narrow start and end")))
}

fn scan(detail: Detail) -> Scan {
    Scan { columns: detail.columns(), as_stored: true, ..Scan::default() }
}

async fn read(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    ask: Scan,
    traces: Option<&HashSet<[u8; 16]>>,
    set: &mut SpanSet,
) -> Result<(), Error> {
    let mut stream = engine.rows_at(snapshot, Table::Spans, ask).await?;
    while let Some(batch) = stream.try_next().await? {
        if let Some(traces) = traces {
            let ids = binary(&batch, TRACE_ID);
            let wanted = |row: &usize| <[u8; 16]>::try_from(ids.value(*row)).is_ok_and(|id| traces.contains(&id));
            set.push_rows(&batch, (0..batch.num_rows()).filter(wanted).map(|row| (row, false)));
        } else {
            set.push(&batch);
        }
        check_size(set.spans.len())?;
    }
    Ok(())
}
