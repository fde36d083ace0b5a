//! Log records as they become durable, filtered as a log search is.
//!
//! Keeps nothing for a listener that falls behind: it is told how many requests it missed.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use futures::Stream;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tracelake_model::{Durable, Table, TenantId};

use crate::view::log_filter::LogFilter;
use crate::view::log_row::{LogColumns, LogRow};

/// What a listener hears.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A record.
    Log(Box<LogRow>),
    /// So many requests, of all tenants, went by unheard.
    Missed(u64),
}

/// The tenant's records that fulfil the conditions, from now until the server stops.
pub(crate) fn listen(feed: Receiver<Durable>, tenant: TenantId, filter: LogFilter) -> impl Stream<Item = Heard> {
    let state = (feed, VecDeque::new());
    let filter = Arc::new(filter);
    futures::stream::unfold(state, move |(mut feed, mut ready)| {
        let (tenant, filter) = (tenant.clone(), Arc::clone(&filter));
        async move {
            loop {
                if let Some(row) = ready.pop_front() {
                    return Some((Heard::Log(Box::new(row)), (feed, ready)));
                }
                match feed.recv().await {
                    Ok(durable) if durable.tenant == tenant => ready.extend(matching(&durable, &filter)),
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => return Some((Heard::Missed(missed), (feed, ready))),
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    })
}

/// The records of one request that fulfil the conditions, in the order in which they were sent.
pub(crate) fn matching(durable: &Durable, filter: &LogFilter) -> Vec<LogRow> {
    let mut rows = Vec::new();
    for batch in durable.batches.iter().filter(|batch| batch.table() == Table::Logs) {
        let plain = plain(batch.rows());
        let (matcher, columns) = (filter.matcher(&plain), LogColumns::new(&plain));
        rows.extend((0..plain.num_rows()).filter(|row| matcher.matches(*row)).map(|row| columns.row(row)));
    }
    rows
}

/// The batch with its interned columns as plain text.
fn plain(batch: &RecordBatch) -> RecordBatch {
    let schema = Table::Logs.file_schema();
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        cast(column, field.data_type()).expect("a dictionary of text casts to text, other columns to themselves")
    });
    let columns = columns.collect();
    RecordBatch::try_new(schema, columns).expect("a checked batch has the table's columns")
}
