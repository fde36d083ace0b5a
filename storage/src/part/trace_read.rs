//! The trace index of a part that is written already: as it lies in the part, or else gathered from its rows.
//!
//! Parts of other programs and of earlier versions have none, and a damaged one is as good as none.

use object_store::path::Path as Location;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;
use tracelake_model::column;

use crate::error::Error;
use crate::files::file::{Chunks, Files};
use crate::part::trace_index::{PLACE_KEY, TraceIndex, TraceIndexBuilder, parse_place};

/// Rows of trace ids that are read at once.
const BATCH_ROWS: usize = 8 << 10;

/// Reads the index of a part.
pub(crate) fn read(files: &dyn Files, at: &Location) -> Result<TraceIndex, Error> {
    let path = files.path(at);
    let damaged = |fault: &dyn std::fmt::Display| Error::Damaged { path: path.clone(), detail: fault.to_string() };
    let file = files.open(at).map(Chunks).map_err(Error::io("open", &path))?;
    // Ids are bytes whatever an Arrow schema in the file says.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options).map_err(|fault| damaged(&fault))?;
    if let Some(place) = place(metadata.metadata()) {
        let bytes = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        let content = file.0.read_at(place.start, bytes).map_err(Error::io("read", &path))?;
        if let Some(index) = TraceIndex::decode(&content) {
            return Ok(index);
        }
        tracing::warn!(part = %at, "its trace index is damaged, it is gathered from its rows");
    }
    gather(file, metadata).map_err(|fault| damaged(&fault))
}

fn place(metadata: &ParquetMetaData) -> Option<std::ops::Range<u64>> {
    let notes = metadata.file_metadata().key_value_metadata()?;
    notes.iter().find(|note| note.key == PLACE_KEY).and_then(|note| parse_place(note.value.as_deref()?))
}

fn gather(file: Chunks, metadata: ArrowReaderMetadata) -> Result<TraceIndex, arrow::error::ArrowError> {
    let ids = ProjectionMask::columns(metadata.parquet_schema(), [column::TRACE_ID]);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let mut index = TraceIndexBuilder::default();
    for batch in reader.with_projection(ids).with_batch_size(BATCH_ROWS).build()? {
        index.push(&batch?);
    }
    Ok(index.finish())
}
