//! The order of rows in a part: by the table's sort keys, equal rows as they arrived.
//!
//! Works on the keys only and names rows by number, so that the wide columns move once, when they are written.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};
use parquet::file::metadata::ParquetMetaData;
use tracelake_model::{SortKey, Table, UnixNano};

use crate::part::small::Smalls;

/// Under this key a file notes the order of its rows, if it has one.
pub(crate) const ORDER_KEY: &str = "tracelake.order";

/// Under this key a file notes the order of the rows of each of its row groups, if its rows are in none.
pub(crate) const GROUP_ORDER_KEY: &str = "tracelake.group_order";

/// What a file notes of the order of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sorted {
    /// They come in the table's order.
    Whole,
    /// Those of each row group do.
    Groups,
    /// Nothing is known.
    No,
}

impl Sorted {
    /// Reads the notes of a file of a table.
    pub(crate) fn of(table: Table, metadata: &ParquetMetaData) -> Self {
        let order = describe(table);
        let notes = || metadata.file_metadata().key_value_metadata().into_iter().flatten();
        let has = |key: &str| notes().any(|note| note.key == key && note.value.as_deref() == Some(&order));
        match (has(ORDER_KEY), has(GROUP_ORDER_KEY)) {
            (true, _) => Self::Whole,
            (false, true) => Self::Groups,
            (false, false) => Self::No,
        }
    }
}

/// A table's order as files note it: `second(start_unix_nano),service_name,...`.
pub(crate) fn describe(table: Table) -> String {
    let name = |key: &SortKey| match key {
        SortKey::Column(name) => (*name).to_owned(),
        SortKey::Minute(name) => format!("minute({name})"),
        SortKey::Second(name) => format!("second({name})"),
    };
    table.sort_keys().iter().map(name).collect::<Vec<_>>().join(",")
}

/// The sort keys of the rows of many batches.
pub(crate) enum Keys {
    /// As numbers, where keys are short enough.
    Small(Smalls),
    /// Comparable as bytes.
    Rows(Vec<Rows>),
}

impl Keys {
    /// Reads the sort keys of batches with the columns of [`Table::schema`].
    pub(crate) fn read(table: Table, batches: &[RecordBatch]) -> Result<Self, ArrowError> {
        let of_batch = |batch| columns(table, batch);
        let keys: Vec<Vec<ArrayRef>> = batches.iter().map(of_batch).collect::<Result<_, ArrowError>>()?;
        if let Some(small) = Smalls::read(&keys) {
            return Ok(Self::Small(small));
        }
        let order = Order::new(table)?;
        Ok(Self::Rows(batches.iter().map(|batch| order.keys(batch)).collect::<Result<_, ArrowError>>()?))
    }

    /// Puts places (batch, row) in order; equal keys stay as they stand, in the order of batches and rows.
    pub(crate) fn sort(&self, places: &mut [(u32, u32)]) {
        match self {
            Self::Small(keys) => {
                // Keys beside places, so that comparing follows no pointer.
                let mut keyed: Vec<_> = places.iter().map(|&place| (keys.key(place), place)).collect();
                keyed.sort_unstable();
                places.iter_mut().zip(keyed).for_each(|(place, (_, sorted))| *place = sorted);
            }
            Self::Rows(rows) => {
                let key = |&(batch, row): &(u32, u32)| rows[batch as usize].row(row as usize);
                places.sort_by(|a, b| key(a).cmp(&key(b)));
            }
        }
    }
}

/// Puts row numbers in the order of their keys.
pub(crate) fn sort(keys: &Rows, numbers: &mut [u32]) {
    let key = |number: &u32| keys.row(*number as usize);
    numbers.sort_by(|a, b| key(a).cmp(&key(b)));
}

/// The order of a table's rows: keys read through the same order can be compared.
pub(crate) struct Order {
    table: Table,
    converter: RowConverter,
}

impl Order {
    /// The order by [`Table::sort_keys`].
    pub(crate) fn new(table: Table) -> Result<Self, ArrowError> {
        let schema = table.schema();
        let fields = table.sort_keys().iter().map(|key| match key {
            SortKey::Column(name) => Ok(SortField::new(schema.field_with_name(name)?.data_type().clone())),
            SortKey::Minute(_) | SortKey::Second(_) => Ok(SortField::new(DataType::Int64)),
        });
        Ok(Self { table, converter: RowConverter::new(fields.collect::<Result<_, ArrowError>>()?)? })
    }

    /// The sort keys of one batch, comparable as bytes.
    pub(crate) fn keys(&self, batch: &RecordBatch) -> Result<Rows, ArrowError> {
        self.converter.convert_columns(&columns(self.table, batch)?)
    }
}

fn columns(table: Table, batch: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
    let schema = batch.schema();
    let column = |name: &str| Ok::<_, ArrowError>(Arc::clone(batch.column(schema.index_of(name)?)));
    let start = |name: &str, start: fn(UnixNano) -> UnixNano| {
        let times = column(name)?;
        let starts: Int64Array = times.as_primitive::<Int64Type>().unary(|time| start(UnixNano(time)).0);
        Ok(Arc::new(starts) as ArrayRef)
    };
    let keys = table.sort_keys().iter().map(|key| match key {
        SortKey::Column(name) => column(name),
        SortKey::Minute(name) => start(name, UnixNano::minute),
        SortKey::Second(name) => start(name, UnixNano::second),
    });
    keys.collect()
}
