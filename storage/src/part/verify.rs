//! Whether a part's file is what its commit says: there, whole, of the same checksum; and, when asked, every row of it
//! readable and as the commit's statistics tell.
//!
//! Tells damage from a disk that would not answer: only the first says anything about the file. Memory is bounded by a
//! page of each column and one batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{AsArray, PrimitiveArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use serde_json::Value;
use tracelake_model::Table;

use crate::checksum;
use crate::error::Error;
use crate::files::file::{Chunks, Files, Source};
use crate::part::file::Part;
use crate::part::stats;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 4 << 10;

/// How closely a part is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Its bytes; rows only where the commit holds no checksum.
    Bytes,
    /// Its bytes and every row.
    Rows,
}

/// What a look at a part found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as committed.
    Sound,
    /// It is not, and why.
    Damaged(String),
    /// The look was ended early.
    Stopped,
}

/// Looks at a part. `stats` are those of its commit, where they are at hand; `go_on` is told of bytes that were read. An
/// error says that the disk did not answer.
pub(crate) fn verify(
    files: &dyn Files,
    table: Table,
    part: &Part,
    stats: Option<&str>,
    depth: Depth,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Verdict, Error> {
    let path = || files.path(&part.location);
    let source = match files.open(&part.location) {
        Ok(source) => source,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Verdict::Damaged("its file is missing".to_owned()));
        }
        Err(fault) => return Err(Error::io("open", &path())(fault)),
    };
    if source.bytes() != part.bytes {
        let detail = format!("it has {} bytes, {} were committed", source.bytes(), part.bytes);
        return Ok(Verdict::Damaged(detail));
    }
    let sum = checksum::of_source(source.as_ref(), go_on).map_err(Error::io("read", &path()))?;
    let Some(sum) = sum else { return Ok(Verdict::Stopped) };
    if part.checksum.is_some_and(|told| told != sum) {
        return Ok(Verdict::Damaged("its checksum is not the committed one".to_owned()));
    }
    if depth == Depth::Bytes && part.checksum.is_some() {
        return Ok(Verdict::Sound);
    }
    let look = || read_rows(&source, table, part, stats, go_on);
    Ok(catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(|_| Verdict::Damaged("reading it panics".to_owned())))
}

fn read_rows(
    source: &Arc<dyn Source>,
    table: Table,
    part: &Part,
    told: Option<&str>,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Verdict {
    let damaged = |fault: &dyn std::fmt::Display| Verdict::Damaged(format!("it cannot be read: {fault}"));
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(Chunks(Arc::clone(source)), options);
    let builder = match builder {
        Ok(builder) => builder.with_batch_size(BATCH_ROWS),
        Err(fault) => return damaged(&fault),
    };
    let metadata = Arc::clone(builder.metadata());
    let reader = match builder.build() {
        Ok(reader) => reader,
        Err(fault) => return damaged(&fault),
    };
    let (mut rows, mut first, mut last) = (0, i64::MAX, i64::MIN);
    for batch in reader {
        let batch = match batch {
            Ok(batch) => batch,
            Err(fault) => return damaged(&fault),
        };
        rows += batch.num_rows() as u64;
        let times = batch.column_by_name(table.time_column()).and_then(|times| times.as_primitive_opt::<Int64Type>());
        for &time in times.into_iter().flat_map(PrimitiveArray::values) {
            (first, last) = (first.min(time), last.max(time));
        }
        if !go_on(0) {
            return Verdict::Stopped;
        }
    }
    if rows != part.rows {
        return Verdict::Damaged(format!("it has {rows} rows, {} were committed", part.rows));
    }
    // Other programs may commit no times: then any are right.
    let fits = |told: i64, found: i64, open: i64| told == open || told == found;
    if rows > 0 && !(fits(part.time_min.0, first, i64::MIN) && fits(part.time_max.0, last, i64::MAX)) {
        return Verdict::Damaged("its times are not the committed ones".to_owned());
    }
    let found = stats::describe(&table.file_schema(), &metadata);
    if told.is_some_and(|told| !agree(told, &found)) {
        return Verdict::Damaged("its statistics are not the committed ones".to_owned());
    }
    Verdict::Sound
}

/// Whether what a commit says of columns is what the file says, for columns that both speak of.
fn agree(told: &str, found: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
    let (told, found) = (read(told), read(found));
    ["minValues", "maxValues", "nullCount"].iter().all(|kind| {
        let told = told[kind].as_object().into_iter().flatten();
        told.filter_map(|(column, value)| Some((value, found[kind].get(column)?))).all(|(told, found)| told == found)
    })
}
