//! Columns without a value, which all batches share.
//!
//! A batch has 30 to 85 columns and most rows fill a dozen. Sharing the rest makes small batches small: to decoders, which
//! build one batch per request, and to storage, which keeps them and gathers them.

use std::collections::HashMap;
use std::sync::LazyLock;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::datatypes::DataType;

use crate::table::Table;

/// Longer columns are made anew: they cost little beside their rows.
const SHARED_ROWS_MAX: usize = 16 << 10;

static SHARED: LazyLock<HashMap<DataType, ArrayRef>> = LazyLock::new(|| {
    let schemas = Table::ALL.map(Table::schema);
    let fields = schemas.iter().flat_map(|schema| schema.fields().iter()).filter(|field| field.is_nullable());
    fields.map(|field| (field.data_type().clone(), new_null_array(field.data_type(), SHARED_ROWS_MAX))).collect()
});

/// So many nulls of a type. Holds no memory of its own where the type is one of a table's and the column not very long.
pub fn null_column(data_type: &DataType, rows: usize) -> ArrayRef {
    match SHARED.get(data_type) {
        Some(column) if rows <= SHARED_ROWS_MAX => column.slice(0, rows),
        _ => new_null_array(data_type, rows),
    }
}

/// Whether no row of a column has a value.
pub fn is_null_column(column: &dyn Array) -> bool {
    column.null_count() == column.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_every_table_are_null_and_share_their_memory() {
        for field in Table::ALL.iter().flat_map(|table| table.schema().fields().iter().cloned().collect::<Vec<_>>()) {
            let column = null_column(field.data_type(), 7);
            assert_eq!((column.len(), column.null_count(), column.data_type()), (7, 7, field.data_type()));
            assert!(is_null_column(&column));
        }
        let place = |rows| null_column(&DataType::Utf8, rows).to_data().buffers()[0].as_ptr();
        assert_eq!(place(3), place(900));
        assert_eq!(null_column(&DataType::Utf8, SHARED_ROWS_MAX + 1).len(), SHARED_ROWS_MAX + 1);
        assert_eq!(null_column(&DataType::Float32, 2).null_count(), 2, "a type that no table has");
    }
}
