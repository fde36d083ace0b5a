//! Parts of one table and day become one by moving their row groups as they are, encoded: what a merge would write again
//! byte for byte is copied.
//!
//! Only ids are read: for the trace index, and because rows of a span that is stored twice may have to become one, which
//! is a merge's work (`merge.rs`). Row groups stay in the order in which they were stored and each keeps its own order.
//! Metric points are never spliced: their order brings the points of a series together only when it goes over the
//! whole part. Nor are rows that stand in generations, of which older ones go. Deliberately commits nothing.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowSchemaConverter, ProjectionMask};
use parquet::file::metadata::PageIndexPolicy;
use tracelake_model::{Table, TenantId, UnixNano, column};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::checksum;
use crate::error::Error;
use crate::files::file::{Chunks, Files};
use crate::part::file::{Commits, NewPart, Part};
use crate::part::merge::Failure;
use crate::part::sort::{GROUP_ORDER_KEY, Sorted};
use crate::part::trace_index;
use crate::part::writer::PartWriter;

/// Rows of a row group at least, on average: smaller ones compress worse and cost readers more than they save us.
pub(crate) const GROUP_ROWS_MIN: u64 = 32 << 10;
/// Rows of ids that are read at once.
const BATCH_ROWS: usize = 8 << 10;

/// Parts whose row groups can be moved as they are.
pub(crate) struct Splice {
    table: Table,
    parts: Vec<Opened>,
}

struct Opened {
    part: Arc<Part>,
    file: Chunks,
    metadata: ArrowReaderMetadata,
}

impl Splice {
    /// Looks at the footers of `parts`; `None` when they are to be merged row by row: also where row groups have fewer
    /// than `group_rows_min` rows on average.
    pub(crate) fn open(
        files: &dyn Files,
        table: Table,
        parts: &[Arc<Part>],
        group_rows_min: u64,
    ) -> Result<Option<Self>, Failure> {
        let rows: u64 = parts.iter().map(|part| part.rows).sum();
        if table == Table::Metrics || table.has_generations() || rows < group_rows_min * parts.len() as u64 {
            return Ok(None);
        }
        let schema = ArrowSchemaConverter::new().convert(&table.schema());
        let schema = schema.map_err(|fault| Failure::Output(Error::Flush(fault.to_string())))?;
        let (mut opened, mut groups) = (Vec::new(), 0);
        for part in parts {
            let input = Opened::open(files, part).map_err(|error| Failure::Input(Arc::clone(part), error))?;
            let metadata = input.metadata.metadata();
            let ours = metadata.file_metadata().schema_descr().root_schema() == schema.root_schema();
            if !ours || Sorted::of(table, metadata) == Sorted::No {
                return Ok(None);
            }
            groups += metadata.num_row_groups() as u64;
            opened.push(input);
        }
        let large = rows >= group_rows_min * groups;
        Ok(large.then_some(Self { table, parts: opened }))
    }

    /// Writes the part; it is durable on return. `None` when a span stands in it twice. `go_on` is asked every few
    /// thousand rows.
    pub(crate) fn run(
        self,
        files: &dyn Files,
        tenant: &TenantId,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<NewPart>, Failure> {
        let parts = || self.parts.iter().map(|opened| opened.part.as_ref());
        let rows = usize::try_from(parts().map(|part| part.rows).sum::<u64>()).unwrap_or(usize::MAX);
        let stored = parts().map(|part| part.stored).max().unwrap_or(UnixNano(0));
        let commits = parts().map(|part| part.commits).reduce(Commits::and).unwrap_or(Commits::UNKNOWN);
        let date = parts().next().map_or("", |part| part.date.as_str());
        let mut writer = PartWriter::create(files, tenant, self.table, date, rows).map_err(Failure::Output)?;
        for opened in &self.parts {
            opened.check(files, go_on)?;
        }
        if trace_index::is_indexed(self.table) {
            let mut spans = Vec::with_capacity(if self.table == Table::Spans { rows } else { 0 });
            for opened in &self.parts {
                opened.read_ids(self.table, &mut writer, &mut spans, go_on)?;
            }
            if stands_twice(spans) {
                return Ok(None);
            }
        }
        writer.note_order(GROUP_ORDER_KEY);
        for opened in &self.parts {
            writer.cover(opened.part.time_min.0, opened.part.time_max.0);
            let metadata = opened.metadata.metadata();
            for group in 0..metadata.num_row_groups() {
                // The input is sound, so what fails is the disk.
                writer.copy_group(&opened.file, metadata, group).map_err(Failure::Output)?;
                if !go_on() {
                    return Err(Failure::Stopped);
                }
            }
        }
        writer.finish(stored, commits).map(Some).map_err(Failure::Output)
    }
}

impl Opened {
    fn open(files: &dyn Files, part: &Arc<Part>) -> Result<Self, Error> {
        let path = files.path(&part.location);
        let file = files.open(&part.location).map(Chunks).map_err(Error::io("open", &path))?;
        let options =
            ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&file, options);
        let metadata = metadata.map_err(|fault| Error::Damaged { path, detail: fault.to_string() })?;
        Ok(Self { part: Arc::clone(part), file, metadata })
    }

    /// Compares the checksum: what is copied unread would be damaged for good, under a checksum that is right.
    fn check(&self, files: &dyn Files, go_on: &mut dyn FnMut() -> bool) -> Result<(), Failure> {
        let path = || files.path(&self.part.location);
        let failed = |error: Error| Failure::Input(Arc::clone(&self.part), error);
        let sum = checksum::of_source(self.file.0.as_ref(), &mut |_| go_on());
        let sum = sum.map_err(|fault| failed(Error::io("read", &path())(fault)))?.ok_or(Failure::Stopped)?;
        if self.part.checksum.is_some_and(|told| told != sum) {
            let detail = "its checksum is not the committed one".to_owned();
            return Err(failed(Error::Damaged { path: path(), detail }));
        }
        Ok(())
    }

    /// Reads the ids of all rows: traces for the index, hashes of whole span ids to `spans`.
    fn read_ids(
        &self,
        table: Table,
        writer: &mut PartWriter,
        spans: &mut Vec<u64>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), Failure> {
        let failed = |error: Error| Failure::Input(Arc::clone(&self.part), error);
        let wanted: &[&str] =
            if table == Table::Spans { &[column::TRACE_ID, column::SPAN_ID] } else { &[column::TRACE_ID] };
        let ids = ProjectionMask::columns(self.metadata.parquet_schema(), wanted.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone());
        let reader = reader.with_projection(ids).with_batch_size(BATCH_ROWS).build();
        for batch in reader.map_err(|fault| failed(Error::Flush(fault.to_string())))? {
            let batch = batch.map_err(|fault| failed(fault.into()))?;
            writer.index(&batch);
            if table == Table::Spans {
                hash_spans(&batch, spans);
            }
            if !go_on() {
                return Err(Failure::Stopped);
            }
        }
        Ok(())
    }
}

fn hash_spans(batch: &RecordBatch, spans: &mut Vec<u64>) {
    let ids = |name: &str| batch.column_by_name(name).and_then(|ids| ids.as_binary_opt::<i32>());
    if let (Some(traces), Some(ids)) = (ids(column::TRACE_ID), ids(column::SPAN_ID)) {
        let hashes = traces.iter().zip(ids).map(|(trace, id)| {
            // Ids of spans are unique within their trace only.
            xxh3_64_with_seed(id.unwrap_or_default(), xxh3_64(trace.unwrap_or_default()))
        });
        spans.extend(hashes);
    }
}

/// Whether any span has two rows. Two spans of one hash count as one: then more is done than needed, once in 2^24
/// parts of a million rows.
fn stands_twice(mut spans: Vec<u64>) -> bool {
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[0] == pair[1])
}
