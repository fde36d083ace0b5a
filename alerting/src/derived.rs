//! Rows that we compute go to their tables: transitions to `alerts`, attempts to `notices`.
//!
//! The source position is the journal's sequence, so that rows written again after a kill are stored once.
//! Exceptions are written by the matching thread, whose position is that of the WAL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BinaryBuilder, Int64Array, RecordBatch, StringArray};
use arrow::error::ArrowError;
use model::{Batch, Derived, Fault, Refusal, Sink, Source, Table, TenantId, from_hex};
use tracelake_model as model;
use tracing::{error, warn};

use crate::ledger::{AlertRow, NoticeRow, Row};
use crate::outbox::Outbox;

const ROWS_AT_ONCE: usize = 1_000;
const RETRY: Duration = Duration::from_millis(500);

/// Stores rows as they come, for ever; ends when its task is dropped.
pub(crate) async fn store_rows(outbox: Arc<Outbox>, sink: Arc<dyn Sink>) {
    loop {
        let rows = outbox.waiting_rows(ROWS_AT_ONCE);
        let Some(last) = rows.last().map(|(seq, _)| *seq) else {
            outbox.rows.notified().await;
            continue;
        };
        match store(&rows, sink.as_ref()).await {
            Ok(()) => outbox.rows_stored(last),
            Err(refusal) => tokio::time::sleep(refusal.retry_after.unwrap_or(RETRY)).await,
        }
    }
}

/// Stores what is waiting, once; for the last moment before an end.
pub(crate) async fn store_rows_once(outbox: &Outbox, sink: &dyn Sink) {
    let rows = outbox.waiting_rows(usize::MAX);
    if let Some(last) = rows.last().map(|(seq, _)| *seq)
        && store(&rows, sink).await.is_ok()
    {
        outbox.rows_stored(last);
    }
}

async fn store(rows: &[(u64, Row)], sink: &dyn Sink) -> Result<(), Refusal> {
    let mut streams: BTreeMap<(&str, &'static str), Vec<(u64, &Row)>> = BTreeMap::new();
    for (seq, row) in rows {
        let stream = match row {
            Row::Alert(_) => "alerts",
            Row::Notice(_) => "notices",
        };
        streams.entry((row.tenant(), stream)).or_default().push((*seq, row));
    }
    for ((tenant, name), mut rows) in streams {
        let Ok(tenant) = TenantId::new(tenant) else { continue };
        let stored = sink.derived_position(&tenant, name);
        rows.retain(|(seq, _)| *seq > stored);
        let Some(position) = rows.last().map(|(seq, _)| *seq) else { continue };
        let rows: Vec<&Row> = rows.into_iter().map(|(_, row)| row).collect();
        let table = if name == "alerts" { Table::Alerts } else { Table::Notices };
        append(sink, &tenant, Source { name, position }, table, batch_of(table, &rows)).await?;
    }
    Ok(())
}

/// Appends rows; a refusal that no retry can heal is told and given up.
pub(crate) async fn append(
    sink: &dyn Sink,
    tenant: &TenantId,
    source: Source,
    table: Table,
    rows: Result<RecordBatch, ArrowError>,
) -> Result<(), Refusal> {
    let batch = match rows.map(|rows| Batch::new(table, rows)) {
        Ok(Ok(batch)) => batch,
        Ok(Err(error)) => {
            error!(%error, %table, "derived rows do not fit their table, not stored");
            return Ok(());
        }
        Err(error) => {
            error!(%error, %table, "derived rows could not be built, not stored");
            return Ok(());
        }
    };
    let derived = Derived { tenant: tenant.clone(), source, batches: vec![batch] };
    match sink.append_derived(derived).await {
        Ok(_) => Ok(()),
        Err(refusal) if matches!(refusal.fault, Fault::Overloaded | Fault::Unavailable | Fault::Timeout) => {
            warn!(%refusal, %table, "derived rows refused for now, trying again");
            Err(refusal)
        }
        Err(refusal) => {
            error!(%refusal, %table, "derived rows refused, not stored");
            Ok(())
        }
    }
}

fn batch_of(table: Table, rows: &[&Row]) -> Result<RecordBatch, ArrowError> {
    if table == Table::Alerts {
        let of = |row: &&Row| if let Row::Alert(row) = row { Some(row.clone()) } else { None };
        alert_rows(&rows.iter().filter_map(of).collect::<Vec<_>>())
    } else {
        let of = |row: &&Row| if let Row::Notice(row) = row { Some(row.clone()) } else { None };
        notice_rows(&rows.iter().filter_map(of).collect::<Vec<_>>())
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}

fn numbers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

fn alert_rows(rows: &[AlertRow]) -> Result<RecordBatch, ArrowError> {
    let mut trace_ids = BinaryBuilder::new();
    for row in rows {
        trace_ids.append_option(row.trace_id.as_deref().and_then(from_hex));
    }
    let columns = vec![
        numbers(rows.iter().map(|row| row.time)),
        texts(rows.iter().map(|row| row.rule_id.as_str())),
        texts(rows.iter().map(|row| row.rule_kind.as_str())),
        texts(rows.iter().map(|row| row.severity.as_str())),
        texts(rows.iter().map(|row| row.group.as_str())),
        texts(rows.iter().map(|row| row.episode.as_str())),
        texts(rows.iter().map(|row| row.state.as_str())),
        texts(rows.iter().map(|row| row.title.as_str())),
        numbers(rows.iter().map(|row| row.first_seen)),
        numbers(rows.iter().map(|row| row.last_seen)),
        numbers(rows.iter().map(|row| i64::try_from(row.count).unwrap_or(i64::MAX))),
        Arc::new(trace_ids.finish()),
    ];
    RecordBatch::try_new(Table::Alerts.schema(), columns)
}

fn notice_rows(rows: &[NoticeRow]) -> Result<RecordBatch, ArrowError> {
    let columns = vec![
        numbers(rows.iter().map(|row| row.time)),
        texts(rows.iter().map(|row| row.notice_id.as_str())),
        texts(rows.iter().map(|row| row.rule_id.as_str())),
        texts(rows.iter().map(|row| row.receiver_id.as_str())),
        texts(rows.iter().map(|row| row.kind.as_str())),
        texts(rows.iter().map(|row| row.title.as_str())),
        numbers(rows.iter().map(|row| i64::from(row.attempt))),
        texts(rows.iter().map(|row| row.status.as_str())),
        Arc::new(rows.iter().map(|row| row.next_attempt).collect::<Int64Array>()),
        texts(rows.iter().map(|row| row.answer.as_str())),
    ];
    RecordBatch::try_new(Table::Notices.schema(), columns)
}
