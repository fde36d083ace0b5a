//! What a value index is told of a column: its values, page by page.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Int8Type, Int32Type, Int64Type};
use parquet::basic::Encoding;

use super::text::Texts;
use crate::part::value_index::CHUNK_ROWS;
use crate::part::value_rows::{GroupValues, RowValues, Told};

/// Numbers that are remembered.
const RECENT: usize = 256;
/// A span's status that tells of a failure (OTLP, `Status.StatusCode`).
const STATUS_CODE_ERROR: i8 = 2;

/// Tells the distinct values of a page by their numbers in the dictionary.
pub(super) fn interned(told: Told, texts: &Texts, numbers: &[u32], values: &mut RowValues<'_>) {
    let mut seen = vec![false; texts.len()];
    for &number in numbers {
        if !std::mem::replace(&mut seen[number as usize], true) {
            values.text(told, texts.value(number));
        }
    }
}

/// Tells the values of a page that are written as they are, by their lengths and bytes; not repeats that follow each
/// other.
pub(super) fn plain(told: Told, encoding: Encoding, lengths: &[u32], content: &[u8], values: &mut RowValues<'_>) {
    // Each value's length stands before it.
    let skipped = if encoding == Encoding::PLAIN { size_of::<u32>() } else { 0 };
    let (mut rest, mut last) = (content, None);
    for &length in lengths {
        let here = rest.get(skipped..).and_then(|rest| rest.split_at_checked(length as usize));
        let Some((value, after)) = here else { return values.hold_all() };
        if last.replace(value) != Some(value) {
            values.text(told, value);
        }
        rest = after;
    }
}

/// Tells the values of a column that is not ours.
pub(super) fn array(told: Told, array: &ArrayRef, values: &mut RowValues<'_>) {
    if array.null_count() == array.len() {
        return;
    }
    if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
        // Numbers are mostly few: those that were told lately are not told again.
        let mut recent = [None; RECENT];
        for number in numbers.iter().flatten() {
            if recent[number.rem_euclid(RECENT as i64) as usize].replace(number) != Some(number) {
                values.number(told, number);
            }
        }
    } else if let Some(flags) = array.as_boolean_opt() {
        flags.iter().flatten().for_each(|value| values.flag(told, value));
    } else {
        values.hold_all();
    }
}

/// Tells the services of spans that failed, of rows that are named by their batch and their number there, the first of
/// them the row group's `first`; `columns` are the statuses and the services of each batch.
pub(super) fn failed(
    columns: &[(&ArrayRef, &ArrayRef)],
    first: usize,
    rows: &[(usize, usize)],
    values: &mut GroupValues,
) {
    let statuses: Vec<_> = columns.iter().map(|(status, _)| status.as_primitive::<Int8Type>()).collect();
    let is_failed = |&&(batch, row): &&(usize, usize)| statuses[batch].value(row) == STATUS_CODE_ERROR;
    let (mut first, mut rest) = (first, rows);
    while !rest.is_empty() {
        // Up to the end of a filter's chunk.
        let (here, later) = rest.split_at(rest.len().min(CHUNK_ROWS - first % CHUNK_ROWS));
        let mut values = values.of_rows(first..first + here.len());
        for &(batch, row) in here.iter().filter(is_failed) {
            match service(columns[batch].1, row) {
                Some(service) => values.failed(service),
                None => values.hold_all(),
            }
        }
        (first, rest) = (first + here.len(), later);
    }
}

/// The text of a row; `None` in a column of another kind.
fn service(services: &ArrayRef, row: usize) -> Option<&str> {
    if let Some(texts) = services.as_string_opt::<i32>() {
        return Some(texts.value(row));
    }
    let interned = services.as_dictionary_opt::<Int32Type>()?;
    Some(interned.values().as_string_opt::<i32>()?.value(interned.key(row)?))
}
