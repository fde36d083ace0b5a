//! Parts of one table and day become one that is in order: a merge of as many inputs, row by row.
//!
//! Memory is bounded: the inputs' share is named here, of the output one chunk and one row group are held. Span rows
//! that are equal in all columns are written once, of tables that have generations only the newest of a minute is;
//! rows of other tables are all kept. Deliberately commits nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, BinaryArray, Int64Array, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use tracelake_model::{Table, TenantId, UnixNano, column};

use crate::error::Error;
use crate::files::file::Files;
use crate::part::file::{Commits, NewPart, Part};
use crate::part::input::{Input, Opened, Step};
use crate::part::sort::{ORDER_KEY, Order};
use crate::part::writer::PartWriter;

/// Bytes that two inputs may hold, about; a part that takes more than its half is not merged.
const INPUT_BYTES_MAX: u64 = 48 << 20;
/// Bytes that more than two inputs may hold, about; further ones wait for the next merge.
const INPUTS_BYTES: u64 = 16 << 20;
/// Bytes that rows between input and output may take, about.
const ROWS_BYTES_MAX: u64 = 8 << 20;
/// Rows of one batch of an input at most.
const BATCH_ROWS_MAX: u64 = 4 << 10;
/// Rows that are written at once at most. Equal spans are found within a chunk; more than twice this many with one sort
/// key are cut there.
const CHUNK_ROWS_MAX: u64 = 16 << 10;

/// Why a merge ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An input cannot be merged: it is damaged, too large, not in order, or has columns that we do not know.
    Input(Arc<Part>, Error),
    /// The output could not be written.
    Output(Error),
    /// It was told to stop.
    Stopped,
}

/// Inputs that are open, ready to be merged.
pub(crate) struct Merge {
    table: Table,
    order: Order,
    parts: Vec<Arc<Part>>,
    /// What is read of them, in their order: the whole part, or each of its row groups.
    inputs: Vec<Input>,
    /// Which batch of the chunk each input stands in.
    slots: Vec<usize>,
    chunk: Chunk,
    chunk_rows: usize,
}

/// Rows that are written next.
#[derive(Default)]
struct Chunk {
    batches: Vec<RecordBatch>,
    /// Batch and row of it.
    rows: Vec<(usize, usize)>,
    /// Whether each row's key is that of the row before it.
    same: Vec<bool>,
}

impl Merge {
    /// Opens the first of `parts`, as many as memory allows, two at least.
    pub(crate) fn open(files: &dyn Files, table: Table, parts: &[Arc<Part>]) -> Result<Self, Failure> {
        let order = Order::new(table).map_err(|fault| Failure::Output(fault.into()))?;
        let mut opened = Vec::new();
        let (mut held_bytes, mut row_bytes, mut streams) = (0, 1, 0);
        for part in parts {
            let failed = |error| Failure::Input(Arc::clone(part), error);
            let input = Opened::open(files, table, part).map_err(failed)?;
            if input.held_bytes() > INPUT_BYTES_MAX / 2 {
                let detail = format!("it takes {} bytes of memory to be merged", input.held_bytes());
                return Err(failed(Error::Flush(detail)));
            }
            held_bytes += input.held_bytes();
            if opened.len() >= 2 && held_bytes > INPUTS_BYTES {
                break;
            }
            (row_bytes, streams) = (row_bytes.max(input.row_bytes()), streams + input.streams());
            opened.push(input);
        }
        let share = ROWS_BYTES_MAX / 2 / streams.max(1);
        let batch_rows = usize::try_from((share / row_bytes).clamp(64, BATCH_ROWS_MAX)).unwrap_or(64);
        let chunk_rows = usize::try_from((ROWS_BYTES_MAX / 2 / row_bytes).clamp(256, CHUNK_ROWS_MAX)).unwrap_or(256);
        let start = |input: Opened| {
            let part = Arc::clone(&input.part);
            input.start(&order, batch_rows).map_err(|error| Failure::Input(part, error))
        };
        let parts = opened.iter().map(|input| Arc::clone(&input.part)).collect();
        let inputs = opened.into_iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<Input> = inputs.into_iter().flatten().collect();
        let slots = vec![0; inputs.len()];
        Ok(Self { table, order, parts, inputs, slots, chunk: Chunk::default(), chunk_rows })
    }

    /// The inputs.
    pub(crate) fn parts(&self) -> Vec<Arc<Part>> {
        self.parts.clone()
    }

    /// Writes the merged part; it is durable on return. `go_on` is asked after every chunk.
    pub(crate) fn run(
        mut self,
        files: &dyn Files,
        tenant: &TenantId,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<NewPart, Failure> {
        let parts = self.parts();
        let stored = parts.iter().map(|part| part.stored).max().unwrap_or(UnixNano(0));
        let commits = parts.iter().map(|part| part.commits).reduce(Commits::and).unwrap_or(Commits::UNKNOWN);
        let rows = usize::try_from(parts.iter().map(|part| part.rows).sum::<u64>()).unwrap_or(usize::MAX);
        let date = parts.first().map_or("", |part| part.date.as_str());
        let mut writer = PartWriter::create(files, tenant, self.table, date, rows).map_err(Failure::Output)?;
        writer.note_order(ORDER_KEY);
        let mut last = Vec::new();
        // The inputs that have a row, the one with the least key at the end.
        let mut line: Vec<usize> = Vec::new();
        for input in 0..self.inputs.len() {
            self.advance(input, &mut line)?;
        }
        while let Some(number) = line.pop() {
            let input = &self.inputs[number];
            let order = input.key().data().cmp(last.as_slice());
            if order.is_lt() {
                let path = files.path(&input.part.location);
                let detail = "its rows are not in the order that it says".to_owned();
                return Err(Failure::Input(Arc::clone(&input.part), Error::Damaged { path, detail }));
            }
            let rows = self.chunk.rows.len();
            let same = order.is_eq() && rows > 0;
            if rows >= self.chunk_rows && (!same || rows >= 2 * self.chunk_rows) {
                self.write(&mut writer).map_err(Failure::Output)?;
                if !go_on() {
                    return Err(Failure::Stopped);
                }
            }
            let input = &self.inputs[number];
            self.chunk.same.push(same && !self.chunk.rows.is_empty());
            self.chunk.rows.push((self.slots[number], input.row()));
            last.clear();
            last.extend_from_slice(input.key().data());
            self.advance(number, &mut line)?;
        }
        self.write(&mut writer).map_err(Failure::Output)?;
        writer.finish(stored, commits).map_err(Failure::Output)
    }

    /// Moves an input to its next row and puts it in its place in the line; equal keys in the order of the inputs.
    fn advance(&mut self, number: usize, line: &mut Vec<usize>) -> Result<(), Failure> {
        let input = &mut self.inputs[number];
        let step = input.advance(&self.order).map_err(|error| Failure::Input(Arc::clone(&input.part), error))?;
        if step == Step::End {
            return Ok(());
        }
        if step == Step::Batch {
            self.slots[number] = self.chunk.batches.len();
            self.chunk.batches.push(input.batch().clone());
        }
        let key = |number: usize| (self.inputs[number].key(), number);
        let ours = key(number);
        // Runs of one input are common: its next row mostly comes next.
        if line.last().is_none_or(|&next| ours < key(next)) {
            line.push(number);
        } else {
            let at = line.partition_point(|&other| key(other) > ours);
            line.insert(at, number);
        }
        Ok(())
    }

    /// Writes the chunk, and begins the next one with the batches that are still read.
    fn write(&mut self, writer: &mut PartWriter) -> Result<(), Error> {
        let mut chunk = std::mem::take(&mut self.chunk);
        if self.table == Table::Spans {
            drop_equal(&mut chunk)?;
        } else if self.table.has_generations() {
            drop_older(&mut chunk)?;
        }
        if !chunk.rows.is_empty() {
            let batches: Vec<&RecordBatch> = chunk.batches.iter().collect();
            writer.write(&batches, &chunk.rows)?;
        }
        for (slot, input) in self.slots.iter_mut().zip(&self.inputs) {
            if input.batch().num_rows() > 0 {
                *slot = self.chunk.batches.len();
                self.chunk.batches.push(input.batch().clone());
            }
        }
        Ok(())
    }
}

/// Leaves the last of rows that are equal in all columns. Equal rows have equal keys, so they stand together.
fn drop_equal(chunk: &mut Chunk) -> Result<(), Error> {
    let alike = alike(chunk)?;
    if alike.is_empty() {
        return Ok(());
    }
    let batches: Vec<&RecordBatch> = chunk.batches.iter().collect();
    let indices: Vec<_> = alike.iter().map(|&row| chunk.rows[row]).collect();
    let rows = interleave_record_batch(&batches, &indices)?;
    let fields = rows.schema().fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let whole = RowConverter::new(fields)?.convert_columns(rows.columns())?;
    let mut again = vec![false; chunk.rows.len()];
    // Rows that are equal have equal keys, so it does not matter that other keys' rows are among these. From the end, so
    // that a row which was stored again stands behind those that came between.
    let mut seen: HashSet<&[u8]> = HashSet::new();
    for (number, &row) in alike.iter().enumerate().rev() {
        again[row] = !seen.insert(whole.row(number).data());
    }
    let mut at = again.into_iter();
    chunk.rows.retain(|_| !at.next().unwrap_or(false));
    Ok(())
}

/// Leaves of the rows of one key, which is their minute, those of the greatest generation.
fn drop_older(chunk: &mut Chunk) -> Result<(), Error> {
    let column = |batch: &RecordBatch| {
        let at = batch.schema().index_of(column::GENERATION)?;
        Ok(batch.column(at).as_primitive::<Int64Type>().clone())
    };
    let generations = chunk.batches.iter().map(column).collect::<Result<Vec<Int64Array>, ArrowError>>()?;
    let generation = |row: usize| {
        let (batch, at) = chunk.rows[row];
        generations[batch].value(at)
    };
    let mut newest = vec![i64::MIN; chunk.rows.len()];
    let mut first = 0;
    for row in 0..chunk.rows.len() {
        first = if chunk.same[row] { first } else { row };
        newest[first] = newest[first].max(generation(row));
    }
    let mut keep = Vec::with_capacity(chunk.rows.len());
    for row in 0..chunk.rows.len() {
        first = if chunk.same[row] { first } else { row };
        keep.push(generation(row) == newest[first]);
    }
    let mut at = keep.into_iter();
    chunk.rows.retain(|_| at.next().unwrap_or(true));
    Ok(())
}

/// Rows with the key and the span id of another one: few, so that only these are compared whole.
fn alike(chunk: &Chunk) -> Result<Vec<usize>, Error> {
    let ids =
        |batch: &RecordBatch| Ok(batch.column(batch.schema().index_of(column::SPAN_ID)?).as_binary::<i32>().clone());
    let ids = chunk.batches.iter().map(ids).collect::<Result<Vec<BinaryArray>, ArrowError>>()?;
    let mut alike = Vec::new();
    // The first row of each span id among the rows of one key, and whether it is among those found.
    let mut first: HashMap<&[u8], (usize, bool)> = HashMap::new();
    for (row, &(batch, at)) in chunk.rows.iter().enumerate() {
        if !chunk.same[row] {
            first.clear();
            // Most keys have one row.
            if !chunk.same.get(row + 1).is_some_and(|same| *same) {
                continue;
            }
        }
        let (known, found) = first.entry(ids[batch].value(at)).or_insert((row, false));
        if *known != row {
            if !std::mem::replace(found, true) {
                alike.push(*known);
            }
            alike.push(row);
        }
    }
    alike.sort_unstable();
    Ok(alike)
}
