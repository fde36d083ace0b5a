//! Log search: the newest records that fulfil the conditions, paged. Records are never dropped for being equal.
//!
//! The order is newest first, then by content; a cursor names the last place given and how many of the equal records
//! there were, so that paging is stable while records arrive and while they move from memory to files.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tracelake_model::{Table, TenantId, TimeRange};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::view::log_filter::LogFilter;
use crate::view::log_row::{LogColumns, LogRow, Place, columns};
use crate::view::window::windows;

/// Where a page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After {
    /// The place of the last record given.
    pub(crate) place: Place,
    /// Records given that share this place.
    pub(crate) given: usize,
}

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) logs: Vec<LogRow>,
    pub(crate) next: Option<After>,
}

/// Answers one page of at most `limit` records.
pub(crate) async fn search(
    engine: &Engine,
    tenant: &TenantId,
    filter: LogFilter,
    limit: usize,
    after: Option<After>,
) -> Result<Page, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let mut range = filter.range;
    if let Some(after) = after {
        range.end = range.end.min(tracelake_model::UnixNano(after.place.time.0.saturating_add(1)));
    }
    // One more than asked tells whether there is a next page.
    let mut newest = Newest::new(limit.saturating_add(1), after);
    // The records of one trace are found at once, wherever in time they are.
    let windows: Vec<TimeRange> =
        if filter.names_trace() { vec![range] } else { windows(range, engine.clock().now()).collect() };
    for window in windows {
        let part = LogFilter { range: window, ..filter.clone() };
        read(engine, &snapshot, &part, window, &mut newest).await?;
        if newest.is_full() {
            break;
        }
    }
    Ok(newest.into_page(limit))
}

async fn read(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    filter: &LogFilter,
    range: TimeRange,
    newest: &mut Newest,
) -> Result<(), Error> {
    let ask = Scan { columns: columns(), filter: filter.expression(), range, ..Scan::default() };
    let mut stream = engine.rows_at(snapshot, Table::Logs, ask).await?;
    while let Some(batch) = stream.try_next().await? {
        newest.see(filter, &batch);
    }
    Ok(())
}

/// The first records of the order behind a cursor.
struct Newest {
    limit: usize,
    after: Option<After>,
    /// Records at the cursor's own place that are yet to be passed over.
    pass_over: usize,
    kept: Vec<(Place, LogRow)>,
}

impl Newest {
    fn new(limit: usize, after: Option<After>) -> Self {
        Self { limit, after, pass_over: after.map_or(0, |after| after.given), kept: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.kept.len() >= self.limit
    }

    /// Takes in a batch; builds answers only for the records that stay.
    fn see(&mut self, filter: &LogFilter, batch: &RecordBatch) {
        let (matcher, columns) = (filter.matcher(batch), LogColumns::new(batch));
        let beyond = self.kept.last().filter(|_| self.is_full()).map(|(place, _)| *place);
        let mut found: Vec<(Place, usize)> = Vec::new();
        for row in (0..batch.num_rows()).filter(|row| matcher.matches(*row)) {
            let place = columns.place(row);
            if beyond.is_some_and(|beyond| place >= beyond) || !self.is_behind_cursor(place) {
                continue;
            }
            found.push((place, row));
        }
        found.sort_unstable();
        found.truncate(self.limit);
        let mut merged: Vec<(Place, Option<LogRow>, usize)> =
            std::mem::take(&mut self.kept).into_iter().map(|(place, row)| (place, Some(row), 0)).collect();
        merged.extend(found.into_iter().map(|(place, row)| (place, None, row)));
        merged.sort_by_key(|(place, _, _)| *place);
        merged.truncate(self.limit);
        let build =
            |(place, known, row): (Place, Option<LogRow>, usize)| (place, known.unwrap_or_else(|| columns.row(row)));
        self.kept = merged.into_iter().map(build).collect();
    }

    fn is_behind_cursor(&mut self, place: Place) -> bool {
        let Some(after) = self.after else { return true };
        if place == after.place && self.pass_over > 0 {
            self.pass_over -= 1;
            return false;
        }
        place >= after.place
    }

    fn into_page(self, limit: usize) -> Page {
        let more = self.kept.len() > limit;
        let mut kept = self.kept;
        kept.truncate(limit);
        let next = kept.last().filter(|_| more).map(|(last, _)| {
            let here = kept.iter().filter(|(place, _)| place == last).count();
            let before = self.after.filter(|after| after.place == *last).map_or(0, |after| after.given);
            After { place: *last, given: here + before }
        });
        Page { logs: kept.into_iter().map(|(_, row)| row).collect(), next }
    }
}
