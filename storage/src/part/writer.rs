//! Rows to Parquet files, one per UTC day, durable with their directories before anybody is told.
//!
//! Deliberately commits nothing: a part that no commit names does not exist for readers.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use object_store::path::Path as Location;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::writer::SerializedFileWriter;
use tracelake_model::{Table, TenantId, UnixNano, column};

use crate::checksum::Summed;
use crate::error::Error;
use crate::files::file::{Chunks, Draft, Files};
use crate::name::unique;
use crate::part::column::group::{Group, Groups};
use crate::part::encoding::{self, ROW_GROUP_ROWS_MAX};
use crate::part::file::{Commits, NewPart, Part};
use crate::part::sort::Keys;
use crate::part::trace_index::{self, TraceIndex, TraceIndexBuilder};
use crate::part::value_index::{VALUES_KEY, ValueGroup, describe};
use crate::part::{sort, stats};

/// Parts of one flush of a table at most: each is a file of its own, and each row of a commit. A request may spread over
/// thousands of days, by a wrong clock or to do harm.
const DAYS_MAX: usize = 32;
/// Once there are more, a day has a part of its own from so many rows on.
const DAY_ROWS_MIN: usize = 64;

/// A row: which batch, which row of it.
type Place = (u32, u32);

/// Writes rows (columns of [`Table::schema`]) to one part per UTC day below the data root, in the order of the table's
/// sort keys; rows without a time (zero or less), and those of days that are too many, belong to the day they were
/// received. Every file and its directory is durable on return; on an error those already written stay behind unnamed.
pub(crate) fn write_parts(
    files: &dyn Files,
    tenant: &TenantId,
    table: Table,
    batches: &[RecordBatch],
    received: UnixNano,
) -> Result<Vec<NewPart>, Error> {
    let schema = table.schema();
    if let Some(odd) = batches.iter().find(|batch| batch.schema_ref().fields() != schema.fields()) {
        return Err(Error::Flush(format!("rows for {table} have other columns: {}", odd.schema_ref())));
    }
    let mut days = split(table, batches, received)?;
    if days.is_empty() {
        return Ok(Vec::new());
    }
    let keys = Keys::read(table, batches)?;
    for places in days.values_mut() {
        keys.sort(places);
    }
    drop(keys);
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let write = |(date, places): (String, Vec<Place>)| {
        let mut writer = PartWriter::create(files, tenant, table, &date, places.len())?;
        writer.note_order(sort::ORDER_KEY);
        let places: Vec<_> = places.into_iter().map(|(batch, row)| (batch as usize, row as usize)).collect();
        writer.write(&batches, &places)?;
        // Which commit it will be stands in the commit.
        writer.finish(received, Commits::UNKNOWN)
    };
    days.into_iter().map(write).collect()
}

fn split(table: Table, batches: &[RecordBatch], received: UnixNano) -> Result<BTreeMap<String, Vec<Place>>, Error> {
    const DAY_NS: i64 = 86_400_000_000_000;
    let mut days: BTreeMap<i64, Vec<Place>> = BTreeMap::new();
    for (batch, rows) in (0..).zip(batches) {
        let times = rows.column(rows.schema_ref().index_of(table.time_column())?).as_primitive::<Int64Type>();
        for (row, &time) in (0..).zip(times.values()) {
            let dated = if time > 0 { time } else { received.0 };
            days.entry(dated.div_euclid(DAY_NS)).or_default().push((batch, row));
        }
    }
    limit(&mut days, received.0.div_euclid(DAY_NS));
    Ok(days.into_iter().map(|(day, rows)| (UnixNano(day.saturating_mul(DAY_NS)).date(), rows)).collect())
}

/// Leaves so many days: those with the most rows, of equal ones the latest. The rows of the others go to `today`.
fn limit(days: &mut BTreeMap<i64, Vec<Place>>, today: i64) {
    if days.len() <= DAYS_MAX {
        return;
    }
    let mut by_rows: Vec<(usize, i64)> = days.iter().map(|(day, places)| (places.len(), *day)).collect();
    by_rows.sort_unstable_by(|a, b| b.cmp(a));
    let mut rows = days.remove(&today).unwrap_or_default();
    let others = by_rows.into_iter().filter(|(_, day)| *day != today).enumerate();
    for (number, (count, day)) in others {
        if number + 1 >= DAYS_MAX || count < DAY_ROWS_MIN {
            rows.extend(days.remove(&day).unwrap_or_default());
        }
    }
    // In the order in which they came.
    rows.sort_unstable();
    days.insert(today, rows);
}

/// One part under way: rows come in order, the file is durable once it is finished. One that is dropped before is
/// removed.
pub(crate) struct PartWriter {
    location: Location,
    date: String,
    table: Table,
    file: SerializedFileWriter<Summed<Box<dyn Draft>>>,
    groups: Groups,
    group: Option<Group>,
    /// For tables that have such an index.
    traces: Option<TraceIndexBuilder>,
    /// What is known of the values of each row group that has ended.
    values: Vec<ValueGroup>,
    rows: u64,
    time_min: i64,
    time_max: i64,
}

impl PartWriter {
    /// Begins a part of about `rows` rows below the data root.
    pub(crate) fn create(
        files: &dyn Files,
        tenant: &TenantId,
        table: Table,
        date: &str,
        rows: usize,
    ) -> Result<Self, Error> {
        let name = unique().map_err(|fault| Error::Flush(format!("no name for a part: {fault}")))?;
        let location = Location::from(format!("{tenant}/{table}/date={date}/part-{name}.parquet"));
        let properties = encoding::properties(table, &table.file_schema(), rows).map_err(failed)?;
        let properties = Arc::new(properties);
        // Of the plain columns: no Arrow schema stands in the file that would bring dictionaries back.
        let mut groups = Groups::new(table.schema(), Arc::clone(&properties)).map_err(failed)?;
        groups.index_values(table);
        let draft = files.create(&location).map_err(Error::io("make", &files.path(&location)))?;
        let root = groups.descriptor().root_schema_ptr();
        let file = SerializedFileWriter::new(Summed::new(draft), root, properties).map_err(failed)?;
        let (time_min, time_max) = (i64::MAX, i64::MIN);
        let traces = trace_index::is_indexed(table).then(TraceIndexBuilder::default);
        let (date, values) = (date.to_owned(), Vec::new());
        Ok(Self { location, date, table, file, groups, group: None, traces, values, rows: 0, time_min, time_max })
    }

    /// Notes in the file that its rows come in the table's order, or those of each row group do.
    pub(crate) fn note_order(&mut self, key: &str) {
        let note = KeyValue::new(key.to_owned(), sort::describe(self.table));
        self.file.append_key_value_metadata(note);
    }

    /// Adds rows past those that it has. Each is named by its batch, with the columns of [`Table::schema`], and its number
    /// there.
    pub(crate) fn write(&mut self, batches: &[&RecordBatch], rows: &[(usize, usize)]) -> Result<(), Error> {
        let schema = self.table.schema();
        let time = schema.index_of(self.table.time_column())?;
        let times: Vec<_> = batches.iter().map(|batch| batch.column(time).as_primitive::<Int64Type>()).collect();
        for &(batch, row) in rows {
            let time = times[batch].value(row);
            self.cover(time, time);
        }
        if let Some(traces) = &mut self.traces {
            let ids = schema.index_of(column::TRACE_ID)?;
            let ids: Vec<_> = batches.iter().map(|batch| batch.column(ids).as_binary::<i32>()).collect();
            traces.push_ids(rows.iter().map(|&(batch, row)| ids[batch].is_valid(row).then(|| ids[batch].value(row))));
        }
        self.rows += rows.len() as u64;
        let mut left = rows;
        while !left.is_empty() {
            let group = match &mut self.group {
                Some(group) => group,
                none => none.insert(self.groups.begin().map_err(failed)?),
            };
            let (now, later) = left.split_at(left.len().min(ROW_GROUP_ROWS_MAX - group.rows()));
            self.groups.push(group, batches, now).map_err(failed)?;
            if group.rows() == ROW_GROUP_ROWS_MAX {
                self.end_group()?;
            }
            left = later;
        }
        Ok(())
    }

    /// Adds all rows of a batch.
    pub(crate) fn write_all(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let places: Vec<_> = (0..rows.num_rows()).map(|row| (0, row)).collect();
        self.write(&[rows], &places)
    }

    /// Ends the row group; the next rows begin another one.
    pub(crate) fn end_group(&mut self) -> Result<(), Error> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let end = || {
            let mut out = self.file.next_row_group()?;
            let values = self.groups.finish(group, &mut out)?;
            out.close().map(|_| values)
        };
        self.values.extend(end().map_err(failed)?);
        Ok(())
    }

    /// Adds a row group of another file of this table as it is, encoded. Its times and traces are told apart
    /// ([`PartWriter::cover`], [`PartWriter::index`]).
    pub(crate) fn copy_group(&mut self, file: &Chunks, metadata: &ParquetMetaData, number: usize) -> Result<(), Error> {
        self.end_group()?;
        let group = metadata.row_group(number);
        let mut copy = || {
            let mut out = self.file.next_row_group()?;
            for (at, column) in group.columns().iter().enumerate() {
                let close = ColumnCloseResult {
                    bytes_written: column.byte_range().1,
                    rows_written: u64::try_from(group.num_rows()).unwrap_or(0),
                    metadata: column.clone(),
                    bloom_filter: Sbbf::read_from_column_chunk(column, file)?,
                    column_index: metadata.column_index().and_then(|groups| groups.get(number)?.get(at)).cloned(),
                    offset_index: metadata.offset_index().and_then(|groups| groups.get(number)?.get(at)).cloned(),
                };
                out.append_column(file, close)?;
            }
            out.close().map(drop)
        };
        copy().map_err(failed)?;
        self.values.push(ValueGroup::read(file, metadata, number).map_err(failed)?);
        self.rows += u64::try_from(group.num_rows()).unwrap_or(0);
        Ok(())
    }

    /// Counts times among those of the part.
    pub(crate) fn cover(&mut self, first: i64, last: i64) {
        self.time_min = self.time_min.min(first);
        self.time_max = self.time_max.max(last);
    }

    /// Takes the traces of the next rows into the index.
    pub(crate) fn index(&mut self, rows: &RecordBatch) {
        if let Some(traces) = &mut self.traces {
            traces.push(rows);
        }
    }

    /// Ends the file and makes it durable with its directory.
    pub(crate) fn finish(mut self, stored: UnixNano, commits: Commits) -> Result<NewPart, Error> {
        self.end_group()?;
        let traces = self.traces.take().map(TraceIndexBuilder::finish);
        if let Some(traces) = &traces {
            self.embed_traces(traces)?;
        }
        self.embed_values()?;
        let metadata = self.file.finish().map_err(failed)?;
        let checksum = Some(self.file.inner_mut().sum());
        let durable = self.file.inner_mut().inner_mut().finish();
        let bytes = durable.map_err(|fault| Error::Flush(format!("{} is not durable: {fault}", self.location)))?;
        Ok(NewPart {
            stats: stats::describe(&self.table.file_schema(), &metadata),
            traces: traces.map(Arc::new),
            part: Part {
                location: self.location,
                rows: self.rows,
                bytes,
                time_min: UnixNano(self.time_min),
                time_max: UnixNano(self.time_max),
                date: self.date,
                stored,
                commits,
                checksum,
            },
        })
    }
}

impl PartWriter {
    /// Writes the trace index past the rows, and notes its place.
    fn embed_traces(&mut self, traces: &TraceIndex) -> Result<(), Error> {
        let content = traces.encode();
        let offset = self.embed(&content)?;
        self.note(trace_index::PLACE_KEY, trace_index::describe_place(offset, content.len() as u64));
        Ok(())
    }

    /// Writes the value index past the rows, and notes its places; nothing where nothing is known.
    fn embed_values(&mut self) -> Result<(), Error> {
        let groups = std::mem::take(&mut self.values);
        let offset = self.file.bytes_written() as u64;
        for group in &groups {
            self.embed(group.bytes())?;
        }
        if let Some(note) = describe(offset, &groups) {
            self.note(VALUES_KEY, note);
        }
        Ok(())
    }

    /// Writes bytes past the rows; where they begin.
    fn embed(&mut self, content: &[u8]) -> Result<u64, Error> {
        let offset = self.file.bytes_written() as u64;
        self.file.write_all(content).map_err(|fault| failed(fault.into()))?;
        Ok(offset)
    }

    fn note(&mut self, key: &str, text: String) {
        self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), text));
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn failed(fault: ParquetError) -> Error {
    Error::Flush(fault.to_string())
}
