//! Columns that most rows leave null: nothing is done for a row before one sets a value. Numbers, text, lists.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, ListArray, NullBufferBuilder, PrimitiveArray, PrimitiveBuilder,
    StringBuilder, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Fields, Int64Type};
use tracelake_model::null_column;
use tracelake_model::semconv::PromotedKind;

use crate::error::Error;
use crate::wire::value::Any;

/// A builder that takes many nulls at once.
trait Nulls: ArrayBuilder {
    fn append_nulls(&mut self, count: usize);
}

impl<T: ArrowPrimitiveType> Nulls for PrimitiveBuilder<T> {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }
}

impl Nulls for StringBuilder {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }
}

impl Nulls for BooleanBuilder {
    fn append_nulls(&mut self, count: usize) {
        Self::append_nulls(self, count);
    }
}

/// Rows before `row` that were not set are null. Asking for no null at all would make a mask.
fn fill(builder: &mut impl Nulls, row: usize) {
    let missing = row - builder.len();
    if missing > 0 {
        builder.append_nulls(missing);
    }
}

/// The column of `rows` rows; without a single value it needs no builder.
fn filled(mut builder: impl Nulls, data_type: &DataType, rows: usize) -> ArrayRef {
    if builder.is_empty() {
        return null_column(data_type, rows);
    }
    fill(&mut builder, rows);
    builder.finish()
}

/// A nullable column of numbers. Rows are set in order, each at most once.
pub(crate) struct Numbers<T: ArrowPrimitiveType>(PrimitiveBuilder<T>);

impl<T: ArrowPrimitiveType> Numbers<T> {
    /// An empty column.
    pub(crate) fn new() -> Self {
        Self(PrimitiveBuilder::with_capacity(0))
    }

    /// Sets the value of row `row`.
    pub(crate) fn set(&mut self, row: usize, value: T::Native) {
        fill(&mut self.0, row);
        self.0.append_value(value);
    }

    /// Sets the value of row `row`, if there is one.
    pub(crate) fn set_option(&mut self, row: usize, value: Option<T::Native>) {
        if let Some(value) = value {
            self.set(row, value);
        }
    }

    /// The column, filled up to `rows`.
    pub(crate) fn finish(self, rows: usize) -> ArrayRef {
        filled(self.0, &T::DATA_TYPE, rows)
    }
}

/// A nullable column of text. Rows are set in order, each at most once.
pub(crate) struct Texts(StringBuilder);

impl Texts {
    /// An empty column.
    pub(crate) fn new() -> Self {
        Self(StringBuilder::with_capacity(0, 0))
    }

    /// Sets the text of row `row`.
    pub(crate) fn set(&mut self, row: usize, text: &str) {
        fill(&mut self.0, row);
        self.0.append_value(text);
    }

    /// Sets the text of row `row` unless it is empty: OTLP does not tell empty text from absent text.
    pub(crate) fn set_nonempty(&mut self, row: usize, text: &str) {
        if !text.is_empty() {
            self.set(row, text);
        }
    }

    /// The column, filled up to `rows`.
    pub(crate) fn finish(self, rows: usize) -> ArrayRef {
        filled(self.0, &DataType::Utf8, rows)
    }
}

/// A nullable column of one promoted attribute.
pub(crate) enum Sparse {
    Text(Texts),
    Int(Numbers<Int64Type>),
    Bool(BooleanBuilder),
}

impl Sparse {
    /// An empty column.
    pub(crate) fn new(kind: PromotedKind) -> Self {
        match kind {
            PromotedKind::String => Self::Text(Texts::new()),
            PromotedKind::Int => Self::Int(Numbers::new()),
            PromotedKind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
        }
    }

    /// Sets the value of row `row`, which no earlier call has set; `false` when the value is of another type.
    pub(crate) fn set(&mut self, row: usize, value: &Any<'_>) -> bool {
        match (self, value) {
            (Self::Text(column), Any::Text(text)) => column.set(row, text),
            (Self::Int(column), Any::Int(value)) => column.set(row, *value),
            (Self::Bool(column), Any::Bool(value)) => {
                fill(column, row);
                column.append_value(*value);
            }
            _ => return false,
        }
        true
    }

    /// The column, filled up to `rows`.
    pub(crate) fn finish(self, rows: usize) -> ArrayRef {
        match self {
            Self::Text(column) => column.finish(rows),
            Self::Int(column) => column.finish(rows),
            Self::Bool(column) => filled(column, &DataType::Boolean, rows),
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
        Self { ends: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }

    /// Gives row `row` a list that ends at item `end` of the whole column. Rows are set in order, each at most once.
    pub(crate) fn set(&mut self, row: usize, end: usize) {
        self.fill(row);
        // Items come from at most 16 MiB of payload, far below this bound.
        self.ends.push(i32::try_from(end).expect("fewer than 2^31 items in one request"));
        self.nulls.append_non_null();
    }

    /// Rows before `row` that were not set have no list.
    fn fill(&mut self, row: usize) {
        let last = self.ends.last().copied().unwrap_or(0);
        let missing = row - self.nulls.len();
        if missing > 0 {
            self.nulls.append_n_nulls(missing);
        }
        self.ends.resize(row + 1, last);
    }

    /// A list column over items of a type, filled up to `rows`.
    pub(crate) fn finish(
        mut self,
        rows: usize,
        item: &DataType,
        items: impl FnOnce() -> Result<ArrayRef, Error>,
    ) -> Result<ArrayRef, Error> {
        let field = Arc::new(Field::new("item", item.clone(), true));
        if self.ends.is_empty() {
            return Ok(null_column(&DataType::List(field), rows));
        }
        self.fill(rows);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let list = ListArray::try_new(field, offsets, items()?, self.nulls.finish());
        Ok(Arc::new(list.map_err(|error| Error::Defect(error.to_string()))?))
    }
}

/// A nullable column of lists of numbers.
pub(crate) struct NumberList<T: ArrowPrimitiveType> {
    items: Vec<T::Native>,
    offsets: Offsets,
}

impl<T: ArrowPrimitiveType> NumberList<T> {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self { items: Vec::new(), offsets: Offsets::new() }
    }

    /// Sets the list of row `row`.
    pub(crate) fn set(&mut self, row: usize, list: &[T::Native]) {
        self.items.extend_from_slice(list);
        self.offsets.set(row, self.items.len());
    }

    /// The column, filled up to `rows`.
    pub(crate) fn finish(self, rows: usize) -> Result<ArrayRef, Error> {
        let items = self.items;
        self.offsets.finish(rows, &T::DATA_TYPE, || Ok(Arc::new(PrimitiveArray::<T>::new(items.into(), None))))
    }
}

/// Items of a list of structs from their columns, in the order of the fields.
pub(crate) fn structs(fields: Fields, columns: Vec<ArrayRef>) -> Result<ArrayRef, Error> {
    debug_assert!(fields.iter().all(|field| !matches!(field.data_type(), DataType::Struct(_))));
    let items = StructArray::try_new(fields, columns, None);
    Ok(Arc::new(items.map_err(|error| Error::Defect(error.to_string()))?))
}
