//! Numbers audit rows: one sequence per tenant without gaps, in the order of the log.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::error::ArrowError;
use tracelake_model::{Batch, Table, column};

use crate::error::Error;

/// The name under which the audit table's log remembers its last `seq`.
pub(crate) const AUDIT_SEQ: &str = "audit_seq";

/// Rows of the audit table in these batches.
pub(crate) fn count_rows(batches: &[Batch]) -> u64 {
    batches.iter().filter(|batch| batch.table() == Table::Audit).map(|batch| batch.row_count() as u64).sum()
}

/// Fills `seq` of audit rows, counting up from `first`; other batches stay as they are.
pub(crate) fn number(batches: Vec<Batch>, first: u64) -> Result<Vec<Batch>, Error> {
    let mut next = i64::try_from(first).unwrap_or(i64::MAX);
    let mut fill = |batch: Batch| {
        if batch.table() != Table::Audit {
            return Ok(batch);
        }
        let rows = batch.into_rows();
        let end = next.saturating_add(i64::try_from(rows.num_rows()).unwrap_or(0));
        let seq: ArrayRef = Arc::new(Int64Array::from_iter_values(next..end));
        next = end;
        let (schema, mut columns, _) = rows.into_parts();
        columns[schema.index_of(column::SEQ)?] = seq;
        let rows = RecordBatch::try_new(schema, columns)?;
        Batch::new(Table::Audit, rows).map_err(|error| ArrowError::SchemaError(error.to_string()).into())
    };
    batches.into_iter().map(&mut fill).collect()
}
