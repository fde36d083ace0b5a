//! One part as a merge reads it: rows in order, with their sort keys.
//!
//! A part that says it is in order is read as a stream, a batch at a time; one whose row groups are, as one stream for
//! each. Any other (another program's) is held whole and put in order in memory, within what the merge allows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{Row, Rows};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use tracelake_model::Table;

use crate::error::Error;
use crate::files::file::{Chunks, Files};
use crate::part::encoding::{DICTIONARY_BYTES_MAX, PAGE_ROWS_MAX};
use crate::part::file::Part;
use crate::part::sort::{self, Order, Sorted};

/// Bytes of a column's entry of one row (offset or number), and of a row's sort key, about.
const ENTRY_BYTES: u64 = 8;
const KEY_BYTES: u64 = 128;

/// A part whose footer is read.
pub(crate) struct Opened {
    pub(crate) part: Arc<Part>,
    file: Chunks,
    metadata: ArrowReaderMetadata,
    schema: SchemaRef,
    /// Column of the file for each column of the table.
    columns: Vec<Option<usize>>,
    sorted: Sorted,
}

/// Where a merge is in a part.
pub(crate) struct Input {
    pub(crate) part: Arc<Part>,
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    columns: Vec<Option<usize>>,
    batch: RecordBatch,
    keys: Rows,
    /// Rows of `batch` in order; `None` where they stand in order.
    numbers: Option<Vec<u32>>,
    at: usize,
}

/// The rows of a part in the order of its file.
pub(crate) struct Stream {
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    columns: Vec<Option<usize>>,
}

/// What a step forward found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Another row of the same batch.
    Row,
    /// A row of a new batch.
    Batch,
    /// The end.
    End,
}

impl Opened {
    /// Opens a part so that its columns are read as the table has them: interned ones as dictionaries.
    pub(crate) fn open(files: &dyn Files, table: Table, part: &Arc<Part>) -> Result<Self, Error> {
        let path = files.path(&part.location);
        let damaged = |fault: &dyn std::fmt::Display| Error::Damaged { path: path.clone(), detail: fault.to_string() };
        let schema = table.schema();
        let file = files.open(&part.location).map(Chunks).map_err(Error::io("open", &path))?;
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let plain = ArrowReaderMetadata::load(&file, options.clone()).map_err(|fault| damaged(&fault))?;
        let typed = |field: &Arc<Field>| {
            let ours = schema.field_with_name(field.name());
            let ours = ours.map_err(|_| damaged(&format!("its column {:?} is not ours", field.name())))?;
            Ok(field.as_ref().clone().with_data_type(ours.data_type().clone()))
        };
        let read: Result<Vec<Field>, Error> = plain.schema().fields().iter().map(typed).collect();
        let read = Arc::new(Schema::new(read?));
        let columns = schema.fields().iter().map(|field| read.index_of(field.name()).ok()).collect();
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options.with_schema(read));
        let metadata = metadata.map_err(|fault| damaged(&fault))?;
        let sorted = Sorted::of(table, metadata.metadata());
        Ok(Self { part: Arc::clone(part), file, metadata, schema, columns, sorted })
    }

    /// Bytes of a row in memory, about.
    pub(crate) fn row_bytes(&self) -> u64 {
        let of_group = self.metadata.metadata().row_groups().iter().map(|group| {
            let rows = u64::try_from(group.num_rows()).unwrap_or(1).max(1);
            u64::try_from(group.total_byte_size()).unwrap_or(0) / rows + ENTRY_BYTES * group.num_columns() as u64
        });
        of_group.max().unwrap_or(1) + KEY_BYTES
    }

    /// Bytes that reading it holds, about, beside the batch it stands at: pages of a stream, or all of its rows.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self.sorted {
            Sorted::Whole | Sorted::Groups => self.streams() * page_bytes(self.metadata.metadata()),
            Sorted::No => self.row_bytes() * self.part.rows,
        }
    }

    /// How many inputs it becomes.
    pub(crate) fn streams(&self) -> u64 {
        if self.sorted == Sorted::Groups { self.metadata.metadata().num_row_groups() as u64 } else { 1 }
    }

    /// What it says of the order of its rows.
    pub(crate) fn sorted(&self) -> Sorted {
        self.sorted
    }

    /// How many rows stand before the end of each row group.
    pub(crate) fn group_ends(&self) -> Vec<usize> {
        let rows = self.metadata.metadata().row_groups().iter().map(|group| usize::try_from(group.num_rows()));
        let ends = rows.scan(0, |end, rows| {
            *end += rows.unwrap_or(0);
            Some(*end)
        });
        ends.collect()
    }

    /// Its rows as they stand in the file: these columns of the table in this order, or all of them.
    pub(crate) fn read(self, wanted: Option<&[&str]>, batch_rows: usize) -> Result<Stream, Error> {
        let wanted: Vec<usize> = match wanted {
            Some(names) => names.iter().map(|name| self.schema.index_of(name)).collect::<Result<_, _>>()?,
            None => (0..self.schema.fields().len()).collect(),
        };
        let mut of_file: Vec<usize> = wanted.iter().filter_map(|&column| self.columns[column]).collect();
        of_file.sort_unstable();
        of_file.dedup();
        // The reader gives the columns in the order of the file.
        let place = |column: &usize| of_file.iter().position(|of_file| Some(*of_file) == self.columns[*column]);
        let columns = wanted.iter().map(place).collect();
        let schema = Arc::new(self.schema.project(&wanted)?);
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata).with_batch_size(batch_rows);
        let mask = ProjectionMask::roots(builder.parquet_schema(), of_file);
        let reader = builder.with_projection(mask).build().map_err(|fault| Error::Flush(fault.to_string()))?;
        Ok(Stream { reader, schema, columns })
    }

    /// Starts reading, before the first row; a part whose row groups are in order by themselves becomes several inputs.
    pub(crate) fn start(self, order: &Order, batch_rows: usize) -> Result<Vec<Input>, Error> {
        let groups = match self.sorted {
            Sorted::Groups => (0..self.metadata.metadata().num_row_groups()).map(|group| Some(vec![group])).collect(),
            Sorted::Whole | Sorted::No => vec![None],
        };
        groups.into_iter().map(|groups| self.input(order, batch_rows, groups)).collect()
    }

    /// Starts reading some row groups, or all.
    fn input(&self, order: &Order, batch_rows: usize, groups: Option<Vec<usize>>) -> Result<Input, Error> {
        let holds_all = self.sorted == Sorted::No;
        let rows = if holds_all { usize::try_from(self.part.rows).unwrap_or(batch_rows) } else { batch_rows };
        let (file, metadata) = (self.file.clone(), self.metadata.clone());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_batch_size(rows);
        let reader = match groups {
            Some(groups) => reader.with_row_groups(groups),
            None => reader,
        };
        let reader = reader.build().map_err(|fault| Error::Flush(fault.to_string()))?;
        let batch = RecordBatch::new_empty(Arc::clone(&self.schema));
        let keys = order.keys(&batch)?;
        let (part, schema, columns) = (Arc::clone(&self.part), Arc::clone(&self.schema), self.columns.clone());
        let mut input = Input { part, reader, schema, columns, batch, keys, numbers: None, at: 0 };
        if holds_all {
            input.hold_all(order)?;
        }
        Ok(input)
    }
}

impl Input {
    /// The batch it stands in.
    pub(crate) fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The row of the batch it stands at.
    pub(crate) fn row(&self) -> usize {
        let at = self.at - 1;
        self.numbers.as_ref().map_or(at, |numbers| numbers[at] as usize)
    }

    /// The sort key of its row.
    pub(crate) fn key(&self) -> Row<'_> {
        self.keys.row(self.row())
    }

    /// Goes to the next row.
    pub(crate) fn advance(&mut self, order: &Order) -> Result<Step, Error> {
        let first = self.at == 0;
        if self.at < self.batch.num_rows() {
            self.at += 1;
            return Ok(if first { Step::Batch } else { Step::Row });
        }
        for batch in self.reader.by_ref() {
            let batch = conform(&batch?, &self.schema, &self.columns)?;
            if batch.num_rows() > 0 {
                (self.keys, self.batch, self.at) = (order.keys(&batch)?, batch, 1);
                return Ok(Step::Batch);
            }
        }
        self.batch = RecordBatch::new_empty(Arc::clone(&self.schema));
        Ok(Step::End)
    }

    fn hold_all(&mut self, order: &Order) -> Result<(), Error> {
        let mut batches = Vec::new();
        for batch in self.reader.by_ref() {
            batches.push(conform(&batch?, &self.schema, &self.columns)?);
        }
        self.batch = concat_batches(&self.schema, &batches)?;
        self.keys = order.keys(&self.batch)?;
        let mut numbers: Vec<u32> = (0..).take(self.batch.num_rows()).collect();
        sort::sort(&self.keys, &mut numbers);
        self.numbers = Some(numbers);
        Ok(())
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next()?;
        Some(batch.map_err(Error::from).and_then(|batch| conform(&batch, &self.schema, &self.columns)))
    }
}

/// A batch of the file with exactly these columns; those that came later than the file are null.
fn conform(batch: &RecordBatch, schema: &SchemaRef, columns: &[Option<usize>]) -> Result<RecordBatch, Error> {
    let column = |(at, field): (&Option<usize>, &Arc<Field>)| -> ArrayRef {
        match at {
            Some(at) => Arc::clone(batch.column(*at)),
            None => new_null_array(field.data_type(), batch.num_rows()),
        }
    };
    let columns = columns.iter().zip(schema.fields()).map(column).collect();
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Of each column a page, and its dictionary.
fn page_bytes(metadata: &ParquetMetaData) -> u64 {
    let of_group = metadata.row_groups().iter().map(|group| {
        let rows = u64::try_from(group.num_rows()).unwrap_or(1).max(1);
        let columns = group.columns().iter().map(|column| {
            let whole = u64::try_from(column.uncompressed_size()).unwrap_or(0);
            let page = whole.saturating_mul((PAGE_ROWS_MAX as u64).min(rows)) / rows;
            let has_dictionary = column.dictionary_page_offset().is_some();
            page + if has_dictionary { whole.min(DICTIONARY_BYTES_MAX as u64) } else { 0 }
        });
        columns.sum::<u64>()
    });
    of_group.max().unwrap_or(0)
}
