//! Typed columns of a scanned batch. A scan returns the columns it was asked for with the types of the table's files,
//! so a missing or different column is a defect of ours and panics.

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{Float64Type, Int8Type, Int32Type, Int64Type};

const PROMISE: &str = "a scan returns the columns it was asked for, with the table's types";

/// A text column.
pub(crate) fn text<'a>(batch: &'a RecordBatch, name: &str) -> &'a StringArray {
    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).expect(PROMISE)
}

/// A text column whose texts may be interned.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    /// A text for each row.
    Plain(&'a StringArray),
    /// A place among texts for each row.
    Interned(&'a Int32Array, &'a StringArray),
}

impl<'a> Texts<'a> {
    /// The column of a name.
    pub(crate) fn new(batch: &'a RecordBatch, name: &str) -> Self {
        let column = batch.column_by_name(name).expect(PROMISE);
        match column.as_dictionary_opt::<Int32Type>() {
            Some(texts) => Self::Interned(texts.keys(), texts.values().as_string_opt::<i32>().expect(PROMISE)),
            None => Self::Plain(column.as_string_opt::<i32>().expect(PROMISE)),
        }
    }

    /// How many places there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Plain(texts) | Self::Interned(_, texts) => texts.len(),
        }
    }

    /// The place of a row's text, `None` for null.
    pub(crate) fn place(self, row: usize) -> Option<usize> {
        match self {
            Self::Plain(texts) => texts.is_valid(row).then_some(row),
            Self::Interned(places, _) => places.is_valid(row).then(|| usize::try_from(places.value(row)).ok())?,
        }
    }

    /// The text at a place.
    pub(crate) fn text(self, place: usize) -> &'a str {
        match self {
            Self::Plain(texts) | Self::Interned(_, texts) => texts.value(place),
        }
    }
}

/// A column of raw ids.
pub(crate) fn binary<'a>(batch: &'a RecordBatch, name: &str) -> &'a BinaryArray {
    batch.column_by_name(name).and_then(|column| column.as_binary_opt::<i32>()).expect(PROMISE)
}

/// A column of 64-bit integers.
pub(crate) fn int<'a>(batch: &'a RecordBatch, name: &str) -> &'a Int64Array {
    batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>()).expect(PROMISE)
}

/// A column of doubles.
pub(crate) fn double<'a>(batch: &'a RecordBatch, name: &str) -> &'a Float64Array {
    batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Float64Type>()).expect(PROMISE)
}

/// A column of kinds, status codes or severities.
pub(crate) fn small<'a>(batch: &'a RecordBatch, name: &str) -> &'a Int8Array {
    batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int8Type>()).expect(PROMISE)
}

/// A column of booleans.
pub(crate) fn boolean<'a>(batch: &'a RecordBatch, name: &str) -> &'a BooleanArray {
    batch.column_by_name(name).and_then(|column| column.as_boolean_opt()).expect(PROMISE)
}

/// A column of lists.
pub(crate) fn list<'a>(batch: &'a RecordBatch, name: &str) -> &'a ListArray {
    batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>()).expect(PROMISE)
}

/// The text of a row, `None` for null.
pub(crate) fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The bytes of a row, `None` for null.
pub(crate) fn bytes_at(column: &BinaryArray, row: usize) -> Option<&[u8]> {
    column.is_valid(row).then(|| column.value(row))
}
