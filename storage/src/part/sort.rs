//! The order of rows in a part: by the table's sort keys, equal rows as they arrived.
//!
//! Works on the keys only and names rows by number, so that the wide columns move once, when they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use tracelake_model::{SortKey, Table, UnixNano};

/// Whether fresh parts of a table are sorted. Spans arrive trace by trace: in that order they take 2 to 5 % less than by
/// their sort keys and 0.3 µs less CPU each, and a trace stays on neighbouring pages. Logs take 3 % less when sorted.
pub(crate) fn is_sorted_when_fresh(table: Table) -> bool {
    table != Table::Spans
}

/// The sort keys of all rows, comparable as bytes.
pub(crate) struct Keys(Rows);

impl Keys {
    /// Reads the sort keys of rows with the columns of [`Table::schema`].
    pub(crate) fn read(table: Table, rows: &RecordBatch) -> Result<Self, ArrowError> {
        let schema = rows.schema();
        let column = |name: &str| Ok::<_, ArrowError>(Arc::clone(rows.column(schema.index_of(name)?)));
        let columns = table.sort_keys().iter().map(|key| match key {
            SortKey::Column(name) => column(name),
            SortKey::Minute(name) => {
                let times = column(name)?;
                let minutes: Int64Array = times.as_primitive::<Int64Type>().unary(|time| UnixNano(time).minute().0);
                Ok(Arc::new(minutes) as ArrayRef)
            }
        });
        let columns = columns.collect::<Result<Vec<_>, ArrowError>>()?;
        let fields = columns.iter().map(|column| SortField::new(column.data_type().clone()));
        Ok(Self(RowConverter::new(fields.collect())?.convert_columns(&columns)?))
    }

    /// Puts row numbers in order.
    pub(crate) fn sort(&self, numbers: &mut [u32]) {
        let key = |number: &u32| self.0.row(*number as usize);
        numbers.sort_by(|a, b| key(a).cmp(&key(b)));
    }
}
