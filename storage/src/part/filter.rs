//! A part without some of its rows: which ones go, and the part that is left.
//!
//! Two walks over the file: the first reads only the columns that the question needs and keeps one bit per row, the
//! second writes the rows that stay, in the order in which they stand. Memory is a batch, a row group of the output and
//! the bits. Deliberately commits nothing.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::Int64Type;
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};

use crate::erasure::Erasure;
use crate::error::Error;
use crate::files::file::Files;
use crate::part::file::{NewPart, Part};
use crate::part::input::Opened;
use crate::part::sort::{GROUP_ORDER_KEY, ORDER_KEY, Sorted};
use crate::part::writer::PartWriter;

/// Bytes of a batch at most, about.
const BATCH_BYTES_MAX: u64 = 32 << 20;
/// Rows of a batch at most.
const BATCH_ROWS_MAX: u64 = 8 << 10;

/// The rows of a part that stay.
#[derive(Debug)]
pub(crate) struct Rest {
    stay: BooleanBuffer,
    /// How many go.
    pub(crate) gone: u64,
}

/// Which rows of a part an erasure does not mean. `go_on` is asked after every batch.
pub(crate) fn find(
    files: &dyn Files,
    part: &Arc<Part>,
    erasure: &Erasure,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Rest, Error> {
    let table = erasure.table;
    let opened = Opened::open(files, table, part)?;
    let mut wanted: Vec<&str> = erasure.condition.columns().iter().map(String::as_str).collect();
    wanted.push(table.time_column());
    let rows = batch_rows(&opened);
    let mut stay = BooleanBufferBuilder::new(usize::try_from(part.rows).unwrap_or(0));
    for batch in opened.read(Some(&wanted), rows)? {
        let goes = goes(&batch?, erasure)?;
        stay.append_buffer(&!goes.values());
        if !go_on() {
            return Err(Error::Stopped);
        }
    }
    let stay = stay.finish();
    let gone = (stay.len() - stay.count_set_bits()) as u64;
    Ok(Rest { stay, gone })
}

/// Writes what stays as a part of the same day and age; `None` when nothing does.
pub(crate) fn write(
    files: &dyn Files,
    tenant: &TenantId,
    table: Table,
    part: &Arc<Part>,
    rest: &Rest,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Option<NewPart>, Error> {
    let rows_left = rest.stay.count_set_bits();
    if rows_left == 0 {
        return Ok(None);
    }
    let opened = Opened::open(files, table, part)?;
    let mut writer = PartWriter::create(files, tenant, table, &part.date, rows_left)?;
    match opened.sorted() {
        Sorted::Whole => writer.note_order(ORDER_KEY),
        Sorted::Groups => writer.note_order(GROUP_ORDER_KEY),
        Sorted::No => {}
    }
    // Where each row group is in order by itself, so are those of the output.
    let ends = if opened.sorted() == Sorted::Groups { opened.group_ends() } else { Vec::new() };
    let mut ends = ends.into_iter();
    let mut group_end = ends.next();
    let rows = batch_rows(&opened);
    let mut at = 0;
    for batch in opened.read(None, rows)? {
        let batch = batch?;
        if at + batch.num_rows() > rest.stay.len() {
            let detail = "it has more rows than a moment ago".to_owned();
            return Err(Error::Damaged { path: files.path(&part.location), detail });
        }
        let mut from = 0;
        while from < batch.num_rows() {
            let left = batch.num_rows() - from;
            let count = group_end.map_or(left, |end| left.min(end - at));
            let stay = rest.stay.slice(at, count);
            if stay.count_set_bits() > 0 {
                writer.write_all(&filter_record_batch(&batch.slice(from, count), &BooleanArray::new(stay, None))?)?;
            }
            (at, from) = (at + count, from + count);
            if group_end == Some(at) {
                writer.end_group()?;
                group_end = ends.next();
            }
        }
        if !go_on() {
            return Err(Error::Stopped);
        }
    }
    writer.finish(part.stored, part.commits).map(Some)
}

fn batch_rows(opened: &Opened) -> usize {
    usize::try_from((BATCH_BYTES_MAX / opened.row_bytes()).clamp(64, BATCH_ROWS_MAX)).unwrap_or(64)
}

/// Whether each row goes: never null. The time stands last.
fn goes(batch: &RecordBatch, erasure: &Erasure) -> Result<BooleanArray, Error> {
    let times = batch.column(batch.num_columns() - 1).as_primitive::<Int64Type>();
    let TimeRange { start, end } = erasure.range;
    let inside = |time: i64| UnixNano(time) >= start && (UnixNano(time) < end || end == UnixNano::MAX);
    let inside = BooleanBuffer::collect_bool(times.len(), |row| inside(times.value(row)));
    let schema = erasure.table.file_schema();
    let names = erasure.condition.columns();
    let places: Vec<usize> = names.iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
    let schema = Arc::new(schema.project(&places)?);
    let plain = batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let plain = plain.collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let plain = RecordBatch::try_new_with_options(schema, plain, &options)?;
    let holds = erasure.condition.holds(&plain)?;
    if holds.len() != batch.num_rows() {
        return Err(Error::Condition(format!("{} answers for {} rows", holds.len(), batch.num_rows())));
    }
    let holds = if holds.null_count() > 0 { prep_null_mask_filter(&holds) } else { holds };
    Ok(BooleanArray::new(holds.values() & &inside, None))
}
