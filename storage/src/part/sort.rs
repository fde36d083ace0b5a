//! The order of rows in a part: by the table's sort keys, equal rows as they arrived.
//!
//! Works on the keys only and names rows by index, so that the wide columns move once, when they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use tracelake_model::{SortKey, Table, UnixNano};

/// A row: which batch, and which row of it.
pub(crate) type RowIndex = (usize, usize);

/// The sort keys of all rows, comparable as bytes.
pub(crate) struct Keys {
    rows: Rows,
    /// Number of the first row of each batch.
    firsts: Vec<usize>,
}

impl Keys {
    /// Reads the sort keys of all batches; they have the columns of [`Table::schema`].
    pub(crate) fn read(table: Table, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let schema = table.schema();
        let fields = table.sort_keys().iter().map(|key| match key {
            SortKey::Column(name) => Ok(SortField::new(schema.field_with_name(name)?.data_type().clone())),
            SortKey::Minute(_) => Ok(SortField::new(DataType::Int64)),
        });
        let converter = RowConverter::new(fields.collect::<Result<_, ArrowError>>()?)?;
        let total = batches.iter().map(RecordBatch::num_rows).sum();
        let mut keys = Self { rows: converter.empty_rows(total, total * 48), firsts: Vec::new() };
        for batch in batches {
            keys.firsts.push(keys.rows.num_rows());
            converter.append(&mut keys.rows, &columns(table, batch)?)?;
        }
        Ok(keys)
    }

    /// Puts rows in order.
    pub(crate) fn sort(&self, indices: &mut [RowIndex]) {
        let row = |index: &RowIndex| self.rows.row(self.firsts[index.0] + index.1);
        indices.sort_by(|a, b| row(a).cmp(&row(b)));
    }
}

fn columns(table: Table, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    let schema = batch.schema();
    let column = |name: &str| Ok::<_, ArrowError>(Arc::clone(batch.column(schema.index_of(name)?)));
    let keys = table.sort_keys().iter().map(|key| match key {
        SortKey::Column(name) => column(name),
        SortKey::Minute(name) => {
            let times = column(name)?;
            let minutes: Int64Array = times.as_primitive::<Int64Type>().unary(|time| UnixNano(time).minute().0);
            Ok(Arc::new(minutes) as ArrayRef)
        }
    });
    keys.collect()
}
