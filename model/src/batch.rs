//! Checked rows of one table: what travels from a decoder to a part.

use arrow::array::RecordBatch;

use crate::table::Table;

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

    /// How many rows.
    pub fn row_count(&self) -> usize {
        self.rows.num_rows()
    }
}
