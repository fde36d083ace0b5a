//! Rows to Parquet files, one per UTC day, durable with their directories before anybody is told.
//!
//! Deliberately commits nothing: a part that no commit names does not exist for readers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use tracelake_model::{Table, TenantId, UnixNano};

use crate::error::Error;
use crate::part::file::{NewPart, Part};
use crate::part::sort::Keys;
use crate::part::{durable, encoding, sort, stats};

/// Rows that are put in order at once: bounds what is held twice while a part is written.
const CHUNK_ROWS: usize = 16 << 10;

/// Rows of one day, by their number.
struct Day {
    rows: Vec<u32>,
    time_min: i64,
    time_max: i64,
}

/// Writes rows (columns of [`Table::schema`]) to one part per UTC day below the data root; rows without a time
/// (zero or less) belong to the day they were received. Every file and its directory is durable on return; on an error
/// those already written stay behind unnamed.
pub(crate) fn write_parts(
    data: &Path,
    tenant: &TenantId,
    table: Table,
    batches: &[RecordBatch],
    received: UnixNano,
) -> Result<Vec<NewPart>, Error> {
    let schema = table.schema();
    if let Some(odd) = batches.iter().find(|batch| batch.schema().fields() != schema.fields()) {
        let detail = format!("rows for {table} have other columns: {}", odd.schema());
        return Err(ArrowError::SchemaError(detail).into());
    }
    // One batch with one dictionary per column: a chunk of rows then costs its rows, however many batches there were.
    let rows = concat_batches(&schema, batches)?;
    let mut days = split(table, &rows, received)?;
    if days.is_empty() {
        return Ok(Vec::new());
    }
    if sort::is_sorted_when_fresh(table) {
        let keys = Keys::read(table, &rows)?;
        for day in days.values_mut() {
            keys.sort(&mut day.rows);
        }
    }
    let write = |(date, day): (String, Day)| write_part(data, tenant, table, &rows, date, &day);
    days.into_iter().map(write).collect()
}

fn split(table: Table, rows: &RecordBatch, received: UnixNano) -> Result<BTreeMap<String, Day>, Error> {
    const DAY_NS: i64 = 86_400_000_000_000;
    let mut days: BTreeMap<i64, Day> = BTreeMap::new();
    let times = rows.column(rows.schema().index_of(table.time_column())?).as_primitive::<Int64Type>();
    for (number, &time) in (0..).zip(times.values()) {
        let dated = if time > 0 { time } else { received.0 };
        let empty = || Day { rows: Vec::new(), time_min: i64::MAX, time_max: i64::MIN };
        let day = days.entry(dated.div_euclid(DAY_NS)).or_insert_with(empty);
        day.rows.push(number);
        day.time_min = day.time_min.min(time);
        day.time_max = day.time_max.max(time);
    }
    Ok(days.into_iter().map(|(day, rows)| (UnixNano(day.saturating_mul(DAY_NS)).date(), rows)).collect())
}

fn write_part(
    data: &Path,
    tenant: &TenantId,
    table: Table,
    rows: &RecordBatch,
    date: String,
    day: &Day,
) -> Result<NewPart, Error> {
    let location = format!("{tenant}/{table}/date={date}/part-{}.parquet", durable::unique_name()?);
    let path = data.join(&location);
    let directory = path.parent().unwrap_or(data);
    durable::make_directories(directory)?;
    let file = File::create_new(&path).map_err(Error::io("make", &path))?;
    let written = write_rows(&file, table, rows, &day.rows);
    let synced = written.and_then(|metadata| {
        file.sync_all().map_err(Error::io("sync", &path))?;
        let bytes = file.metadata().map_err(Error::io("measure", &path))?.len();
        durable::sync_directory(directory)?;
        Ok((metadata, bytes))
    });
    let (metadata, bytes) = synced.inspect_err(|_| {
        let _ = fs::remove_file(&path);
    })?;
    Ok(NewPart {
        stats: stats::describe(&table.file_schema(), &metadata),
        part: Part {
            location: location.into(),
            rows: day.rows.len() as u64,
            bytes,
            time_min: UnixNano(day.time_min),
            time_max: UnixNano(day.time_max),
            date,
        },
    })
}

/// The writer turns dictionaries to plain text by itself: the Arrow schema is left out of the file.
fn write_rows(file: &File, table: Table, rows: &RecordBatch, numbers: &[u32]) -> Result<ParquetMetaData, Error> {
    let failed = |fault: ParquetError| Error::Flush(fault.to_string());
    let properties = encoding::properties(table, &table.file_schema(), numbers.len()).map_err(failed)?;
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(file, table.schema(), options).map_err(failed)?;
    for chunk in numbers.chunks(CHUNK_ROWS) {
        let ordered = take_record_batch(rows, &UInt32Array::from(chunk.to_vec()))?;
        writer.write(&ordered).map_err(failed)?;
    }
    writer.close().map_err(failed)
}
