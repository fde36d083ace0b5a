//! Columns that most rows leave null cost nothing until a row sets them; lists of numbers and of structs.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, ListArray, NullBufferBuilder, PrimitiveArray, StringBuilder, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Fields};
use tracelake_model::null_column;
use tracelake_model::semconv::PromotedKind;

use crate::error::Error;
use crate::wire::value::Any;

enum Typed {
    Text(StringBuilder),
    Int(Int64Builder),
    Bool(BooleanBuilder),
}

/// A nullable column of one promoted attribute.
pub(crate) struct Sparse {
    column: Typed,
    rows: usize,
}

impl Sparse {
    /// An empty column.
    pub(crate) fn new(kind: PromotedKind) -> Self {
        let column = match kind {
            PromotedKind::String => Typed::Text(StringBuilder::with_capacity(0, 0)),
            PromotedKind::Int => Typed::Int(Int64Builder::with_capacity(0)),
            PromotedKind::Bool => Typed::Bool(BooleanBuilder::with_capacity(0)),
        };
        Self { column, rows: 0 }
    }

    /// Sets the value of row `row`, which no earlier call has set; `false` when the value is of another type.
    pub(crate) fn set(&mut self, row: usize, value: &Any<'_>) -> bool {
        match (&mut self.column, value) {
            (Typed::Text(column), Any::Text(text)) => {
                column.append_nulls(row - self.rows);
                column.append_value(text);
            }
            (Typed::Int(column), Any::Int(value)) => {
                column.append_nulls(row - self.rows);
                column.append_value(*value);
            }
            (Typed::Bool(column), Any::Bool(value)) => {
                column.append_nulls(row - self.rows);
                column.append_value(*value);
            }
            _ => return false,
        }
        self.rows = row + 1;
        true
    }

    fn data_type(&self) -> DataType {
        match self.column {
            Typed::Text(_) => DataType::Utf8,
            Typed::Int(_) => DataType::Int64,
            Typed::Bool(_) => DataType::Boolean,
        }
    }

    /// The column, filled up to `rows`.
    pub(crate) fn finish(self, rows: usize) -> ArrayRef {
        if self.rows == 0 {
            return null_column(&self.data_type(), rows);
        }
        let missing = rows - self.rows;
        match self.column {
            Typed::Text(mut column) => {
                column.append_nulls(missing);
                Arc::new(column.finish())
            }
            Typed::Int(mut column) => {
                column.append_nulls(missing);
                Arc::new(column.finish())
            }
            Typed::Bool(mut column) => {
                column.append_nulls(missing);
                Arc::new(column.finish())
            }
        }
    }
}

/// Where the lists of a column begin and end, and which rows have none.
pub(crate) struct Offsets {
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Offsets {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self { ends: vec![0], nulls: NullBufferBuilder::new(0) }
    }

    /// One row: null, or a list that ends at item `end` of the whole column.
    pub(crate) fn push(&mut self, end: usize, present: bool) {
        // Items come from at most 16 MiB of payload, far below this bound.
        self.ends.push(i32::try_from(end).expect("fewer than 2^31 items in one request"));
        self.nulls.append(present);
    }

    /// A list column over these items.
    pub(crate) fn finish(mut self, items: ArrayRef) -> Result<ArrayRef, Error> {
        let field = Arc::new(Field::new("item", items.data_type().clone(), true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let list = ListArray::try_new(field, offsets, items, self.nulls.finish());
        Ok(Arc::new(list.map_err(|error| Error::Defect(error.to_string()))?))
    }
}

/// A column of lists of numbers.
pub(crate) struct NumberList<T: ArrowPrimitiveType> {
    items: Vec<T::Native>,
    offsets: Offsets,
}

impl<T: ArrowPrimitiveType> NumberList<T> {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self { items: Vec::new(), offsets: Offsets::new() }
    }

    /// One row.
    pub(crate) fn push(&mut self, row: Option<&[T::Native]>) {
        self.items.extend_from_slice(row.unwrap_or_default());
        self.offsets.push(self.items.len(), row.is_some());
    }

    /// The column.
    pub(crate) fn finish(self) -> Result<ArrayRef, Error> {
        self.offsets.finish(Arc::new(PrimitiveArray::<T>::from_iter_values(self.items)))
    }
}

/// Items of a list of structs from their columns, in the order of the fields.
pub(crate) fn structs(fields: Fields, columns: Vec<ArrayRef>) -> Result<ArrayRef, Error> {
    debug_assert!(fields.iter().all(|field| !matches!(field.data_type(), DataType::Struct(_))));
    let items = StructArray::try_new(fields, columns, None);
    Ok(Arc::new(items.map_err(|error| Error::Defect(error.to_string()))?))
}
