//! Typed columns of a scanned batch. A scan returns the columns it was asked for with the types of the table's files,
//! so a missing or different column is a defect of ours and panics.

use arrow::array::{
    Array, AsArray, BinaryArray, BooleanArray, Float64Array, Int8Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{Float64Type, Int8Type, Int64Type};

const PROMISE: &str = "a scan returns the columns it was asked for, with the table's types";

/// A text column.
pub(crate) fn text<'a>(batch: &'a RecordBatch, name: &str) -> &'a StringArray {
    batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>()).expect(PROMISE)
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
