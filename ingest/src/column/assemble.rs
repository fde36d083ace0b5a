//! Named columns put into their table's order and checked: a column under the wrong name cannot pass unseen.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use tracelake_model::{Batch, Table, is_null_column, null_column};

use crate::error::Error;

/// Collects a table's columns by name.
pub(crate) struct Assemble {
    table: Table,
    /// Mostly in the table's order.
    columns: Vec<Option<(&'static str, ArrayRef)>>,
}

impl Assemble {
    /// Begins with no column.
    pub(crate) fn new(table: Table) -> Self {
        Self { table, columns: Vec::with_capacity(table.schema().fields().len()) }
    }

    /// Sets one column.
    pub(crate) fn put(&mut self, name: &'static str, column: impl Array + 'static) {
        self.put_ref(name, Arc::new(column));
    }

    /// Sets one column that is shared already.
    pub(crate) fn put_ref(&mut self, name: &'static str, column: ArrayRef) {
        self.columns.push(Some((name, column)));
    }

    /// The batch. An optional column that was not set is null; anything else that does not fit is a defect.
    pub(crate) fn finish(mut self, rows: usize) -> Result<Batch, Error> {
        let schema = self.table.schema();
        let (mut columns, mut next) = (Vec::with_capacity(schema.fields().len()), 0);
        for field in schema.fields() {
            columns.push(match self.take(field.name(), &mut next) {
                Some(column) => lean(column),
                None if field.is_nullable() => null_column(field.data_type(), rows),
                None => return Err(Error::Defect(format!("column {} was not filled", field.name()))),
            });
        }
        if let Some((name, _)) = self.columns.iter().flatten().next() {
            return Err(Error::Defect(format!("table {} has no column {name}", self.table)));
        }
        let batch = RecordBatch::try_new(schema, columns).map_err(|error| Error::Defect(error.to_string()))?;
        Batch::new(self.table, batch).map_err(|error| Error::Defect(error.to_string()))
    }

    /// The column of a name, looked for from `next` on and around.
    fn take(&mut self, name: &str, next: &mut usize) -> Option<ArrayRef> {
        let is_it = |column: &Option<(&str, ArrayRef)>| column.as_ref().is_some_and(|(known, _)| *known == name);
        let (before, after) = self.columns.split_at(*next);
        let at = after.iter().position(is_it).map(|at| *next + at).or_else(|| before.iter().position(is_it))?;
        *next = at + 1;
        self.columns[at].take().map(|(_, column)| column)
    }
}

/// The column without its builder's spare room, or a shared one where no row has a value: batches stay in memory until
/// they are flushed, and most are small.
fn lean(mut column: ArrayRef) -> ArrayRef {
    if is_null_column(&column) {
        return null_column(column.data_type(), column.len());
    }
    if let Some(array) = Arc::get_mut(&mut column) {
        array.shrink_to_fit();
    }
    column
}
