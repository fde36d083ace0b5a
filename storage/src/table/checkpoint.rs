//! Checkpoints of a table's log: written, read, found.
//!
//! A checkpoint spares readers the entries before it and lets old entries go. It is made by deltalake-core, which syncs
//! nothing, so it is synced here; one that a power cut damaged is passed over while the entries still reach back.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use deltalake_core::checkpoints::{cleanup_metadata, create_checkpoint};
use deltalake_core::{DeltaTableBuilder, DeltaTableError};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use url::Url;

use crate::error::Error;
use crate::part::durable;
use crate::table::entry::{self, Line};

/// Commits from one checkpoint to the next.
pub(crate) const EVERY: u64 = 100;

/// What a load needs of a checkpoint's columns.
const COLUMNS: [&str; 5] = ["add", "remove", "txn", "protocol", "metaData"];

const ENDING: &str = ".checkpoint.parquet";
const HINT: &str = "_last_checkpoint";

/// The versions that have a checkpoint, newest first.
pub(crate) fn versions(names: &[String]) -> Vec<u64> {
    let mut versions: Vec<u64> = names.iter().filter_map(|name| entry::numbered(name, ENDING)).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
}

/// The version of the newest checkpoint as its maker noted it; `None` when there is no note that can be read.
pub(crate) fn newest(table: &Path) -> Option<u64> {
    let note = std::fs::read(entry::directory(table).join(HINT)).ok()?;
    serde_json::from_slice::<serde_json::Value>(&note).ok()?.get("version")?.as_u64()
}

/// All that lives at a version, as the lines of one commit.
pub(crate) fn read(table: &Path, version: u64) -> Result<Vec<Line>, Error> {
    let path = path(table, version);
    let damaged = |fault: &dyn std::fmt::Display| Error::Damaged { path: path.clone(), detail: fault.to_string() };
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|fault| damaged(&fault))?;
    let fields = builder.schema().fields().iter().enumerate();
    let wanted = fields.filter(|(_, field)| COLUMNS.contains(&field.name().as_str())).map(|(i, _)| i);
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).build().map_err(|fault| damaged(&fault))?;
    let mut lines = Vec::new();
    for batch in reader {
        let text = json_lines(&batch.map_err(|fault| damaged(&fault))?)?;
        lines.extend(entry::parse(&text, &path)?);
    }
    Ok(lines)
}

/// Writes the checkpoint of a version, and drops entries that are past their retention. Blocks, about 0.2 s.
///
/// Runs on a thread of its own, because the crate's calls need a runtime and callers may be inside of one.
pub(crate) fn write(table: &Path, version: u64) -> Result<(), Error> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(Error::io("start a runtime for", table))?;
        let made = runtime.block_on(make(table, version));
        made.map_err(|fault| Error::Flush(format!("no checkpoint of {}: {fault}", table.display())))
    };
    let joined = std::thread::scope(|scope| scope.spawn(run).join());
    joined.unwrap_or_else(|_| Err(Error::Flush(format!("no checkpoint of {}: it panicked", table.display()))))
}

async fn make(table: &Path, version: u64) -> Result<(), Box<dyn std::error::Error>> {
    let absolute = std::path::absolute(table)?;
    let url = Url::from_directory_path(&absolute).map_err(|()| DeltaTableError::generic("not an absolute path"))?;
    let loaded = DeltaTableBuilder::from_url(url)?.with_version(version).load().await?;
    create_checkpoint(&loaded, None).await?;
    durable::sync_file(&path(table, version))?;
    durable::sync_file(&entry::directory(table).join(HINT))?;
    durable::sync_directory(&entry::directory(table))?;
    cleanup_metadata(&loaded, None).await?;
    Ok(())
}

/// Removes a checkpoint that cannot be read, so that other readers use the entries too.
pub(crate) fn remove(table: &Path, version: u64) -> Result<(), Error> {
    if newest(table).is_none_or(|noted| noted >= version) {
        let hint = entry::directory(table).join(HINT);
        match std::fs::remove_file(&hint) {
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &hint)(fault));
            }
            _ => {}
        }
    }
    let path = path(table, version);
    std::fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    durable::sync_directory(&entry::directory(table))
}

fn path(table: &Path, version: u64) -> PathBuf {
    entry::directory(table).join(format!("{version:020}{ENDING}"))
}

fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(batch)?;
    writer.finish()?;
    Ok(text)
}
