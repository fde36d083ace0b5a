//! Checked rows of one table: what travels from a decoder to a part.

use arrow::array::{Array as _, ArrayRef, RecordBatch};

use crate::null::is_null_column;
use crate::table::Table;

/// What a column holds beside its buffers, about.
const COLUMN_BYTES: u64 = 256;

/// Rows of one table whose columns are exactly that table's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    table: Table,
    rows: RecordBatch,
}

/// Rows that do not fit the table they are meant for. Always a defect of the code that built them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rows for table {table} have the wrong columns; first difference at {at:?}")]
pub struct BatchError {
    table: Table,
    at: String,
}

impl Batch {
    /// Takes rows whose schema equals [`Table::schema`].
    pub fn new(table: Table, rows: RecordBatch) -> Result<Self, BatchError> {
        let (want, have) = (table.schema(), rows.schema());
        if want.fields() == have.fields() {
            return Ok(Self { table, rows });
        }
        let differs = want.fields().iter().enumerate().find(|(i, field)| have.fields().get(*i) != Some(field));
        let at = differs.map_or_else(|| "extra columns".to_owned(), |(_, field)| field.name().clone());
        Err(BatchError { table, at })
    }

    /// Which table these rows belong to.
    pub fn table(&self) -> Table {
        self.table
    }

    /// The rows.
    pub fn rows(&self) -> &RecordBatch {
        &self.rows
    }

    /// The rows, taken out.
    pub fn into_rows(self) -> RecordBatch {
        self.rows
    }

    /// Bytes that the rows hold in memory. A column without a value counts for next to nothing: it is shared
    /// ([`crate::null_column`]).
    pub fn memory_bytes(&self) -> u64 {
        let held = |column: &ArrayRef| match is_null_column(column) {
            true => COLUMN_BYTES,
            false => COLUMN_BYTES + column.get_buffer_memory_size() as u64,
        };
        self.rows.columns().iter().map(held).sum()
    }

    /// How many rows.
    pub fn row_count(&self) -> usize {
        self.rows.num_rows()
    }
}
