//! What a commit says about the columns of a part: Delta's per-file statistics (PROTOCOL.md, "Per-file Statistics").
//!
//! Readers skip files by these figures, so only what is exactly right is said: integers, and texts short enough to be
//! held whole. Deliberately silent about binary, boolean, nested and floating-point columns (NaN has no place in them).

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;
use serde_json::{Map, Value, json};

/// Delta's own default (`delta.dataSkippingNumIndexedCols`): a commit must stay small.
const COLUMNS_MAX: usize = 32;

/// Statistics of a part as the JSON text of `Add.stats`.
pub(crate) fn describe(schema: &Schema, metadata: &ParquetMetaData) -> String {
    let leaves = leaves(metadata);
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for field in schema.fields().iter().take(COLUMNS_MAX) {
        let Some(&leaf) = leaves.get(field.name().as_str()) else { continue };
        let groups: Option<Vec<&Statistics>> =
            metadata.row_groups().iter().map(|group| group.column(leaf).statistics()).collect();
        let Some(groups) = groups else { continue };
        if let Some(count) = groups.iter().map(|group| group.null_count_opt()).sum::<Option<u64>>() {
            nulls.insert(field.name().clone(), json!(count));
        }
        if let Some((low, high)) = bounds(field.data_type(), &groups) {
            least.insert(field.name().clone(), low);
            greatest.insert(field.name().clone(), high);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls }).to_string()
}

/// Column numbers of the columns that are not nested.
fn leaves(metadata: &ParquetMetaData) -> HashMap<&str, usize> {
    let columns = metadata.file_metadata().schema_descr().columns().iter().enumerate();
    let flat = columns.filter(|(_, column)| column.path().parts().len() == 1);
    flat.map(|(i, column)| (column.name(), i)).collect()
}

/// The least and the greatest value of a row group where it holds any, and whether both are exact.
type Range<'a, T> = Option<(&'a T, &'a T, bool)>;

macro_rules! range_of {
    ($values:expr) => {
        $values.min_opt().zip($values.max_opt()).map(|(low, high)| {
            let exact = $values.min_is_exact() && $values.max_is_exact();
            (low, high, exact)
        })
    };
}

fn bounds(data_type: &DataType, groups: &[&Statistics]) -> Option<(Value, Value)> {
    match data_type {
        DataType::Int8 | DataType::Int32 => {
            let (low, high) = widest(groups, |group| match group {
                Statistics::Int32(values) => Some(range_of!(values)),
                _ => None,
            })?;
            Some((json!(low), json!(high)))
        }
        DataType::Int64 => {
            let (low, high) = widest(groups, |group| match group {
                Statistics::Int64(values) => Some(range_of!(values)),
                _ => None,
            })?;
            Some((json!(low), json!(high)))
        }
        DataType::Utf8 => {
            let (low, high) = widest(groups, |group| match group {
                Statistics::ByteArray(values) => Some(range_of!(values)),
                _ => None,
            })?;
            Some((json!(low.as_utf8().ok()?), json!(high.as_utf8().ok()?)))
        }
        _ => None,
    }
}

/// The range over all row groups that hold a value; `None` when no row group does or one is not exact.
fn widest<'a, T: PartialOrd>(
    groups: &[&'a Statistics],
    read: impl Fn(&'a Statistics) -> Option<Range<'a, T>>,
) -> Option<(&'a T, &'a T)> {
    let mut widest: Option<(&T, &T)> = None;
    for group in groups {
        let Some((low, high, exact)) = read(group)? else { continue };
        if !exact {
            return None;
        }
        widest = Some(widest.map_or((low, high), |(least, greatest)| {
            (if low < least { low } else { least }, if high > greatest { high } else { greatest })
        }));
    }
    widest
}
