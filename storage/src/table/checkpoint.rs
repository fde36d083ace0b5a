//! Checkpoints of a table's log: written, read, found.
//!
//! A checkpoint spares readers the entries before it and lets old entries go. It is made by deltalake-core through
//! `Files`, which syncs what it writes; one that is damaged is passed over while the entries still reach back.

use std::io;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use deltalake_core::DeltaTableBuilder;
use deltalake_core::checkpoints::create_checkpoint;
use object_store::path::Path as Location;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracelake_model::UnixNano;
use url::Url;

use crate::error::Error;
use crate::files::file::{Files, Found};
use crate::table::entry::{self, Line};

/// What a load needs of a checkpoint's columns.
const COLUMNS: [&str; 5] = ["add", "remove", "txn", "protocol", "metaData"];

const ENDING: &str = ".checkpoint.parquet";
const HINT: &str = "_last_checkpoint";
/// The scheme means nothing: the files are handed to the crate.
const ROOT: &str = "memory:///";

/// The versions that have a checkpoint, newest first.
pub(crate) fn versions(found: &[Found]) -> Vec<u64> {
    let mut versions: Vec<u64> = found.iter().filter_map(|file| entry::numbered(&file.name, ENDING)).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
}

/// The version of the newest checkpoint as its maker noted it; `None` when there is no note that can be read.
pub(crate) fn newest(files: &dyn Files, table: &Location) -> Result<Option<u64>, Error> {
    let at = entry::directory(table).join(HINT);
    let note = match files.read(&at) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A note that is there and not heard may tell that free numbers were taken once.
        note => note.map_err(Error::io("read", &files.path(&at)))?,
    };
    let note = serde_json::from_slice::<serde_json::Value>(&note).ok();
    Ok(note.and_then(|note| note.get("version")?.as_u64()))
}

/// All that lives at a version, as the lines of one commit.
pub(crate) fn read(files: &dyn Files, table: &Location, version: u64) -> Result<Vec<Line>, Error> {
    let at = location(table, version);
    let path = files.path(&at);
    let damaged = |fault: &dyn std::fmt::Display| Error::Damaged { path: path.clone(), detail: fault.to_string() };
    let file = files.read(&at).map_err(Error::io("read", &path))?;
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

/// Writes the checkpoint of a version. Blocks, about 0.2 s.
///
/// Runs on a thread of its own, because the crate's calls need a runtime and callers may be inside of one.
pub(crate) fn write(files: &dyn Files, table: &Location, version: u64) -> Result<(), Error> {
    let failed = |fault: &dyn std::fmt::Display| Error::Flush(format!("no checkpoint of {table}: {fault}"));
    let run = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(Error::io("start a runtime for", Path::new(table.as_ref())))?;
        runtime.block_on(make(files, table, version)).map_err(|fault| failed(&fault))
    };
    let joined = std::thread::scope(|scope| scope.spawn(run).join());
    joined.unwrap_or_else(|_| Err(failed(&"it panicked")))
}

async fn make(files: &dyn Files, table: &Location, version: u64) -> Result<(), Box<dyn std::error::Error>> {
    let url = Url::parse(&format!("{ROOT}{table}/"))?;
    let builder = DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(files.object_store(), url);
    let loaded = builder.with_version(version).load().await?;
    Ok(create_checkpoint(&loaded, None).await?)
}

/// Removes entries and checkpoints that a checkpoint covers which was made at `until` or before: whoever read the log
/// since then needs none of them.
pub(crate) fn clean_up(files: &dyn Files, table: &Location, until: UnixNano) -> Result<(), Error> {
    let found = entry::found(files, table)?;
    let old_enough = found.iter().filter(|file| file.modified <= until);
    let Some(covered) = old_enough.filter_map(|file| entry::numbered(&file.name, ENDING)).max() else { return Ok(()) };
    let number = |name: &str| entry::numbered(name, ENDING).or_else(|| entry::numbered(name, ".json"));
    let mut past: Vec<_> = found.iter().filter(|file| number(&file.name).is_some_and(|at| at < covered)).collect();
    // From the oldest on, so that what is left reaches back without a gap wherever this ends.
    past.sort_by_key(|file| number(&file.name));
    for file in past {
        let at = entry::directory(table).join(file.name.as_str());
        files.remove(&at).map_err(Error::io("remove", &files.path(&at)))?;
    }
    Ok(())
}

/// Removes a checkpoint that cannot be read, so that other readers use the entries too.
pub(crate) fn remove(files: &dyn Files, table: &Location, version: u64) -> Result<(), Error> {
    let remove = |at: Location| match files.remove(&at) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &files.path(&at))(fault)),
        _ => Ok(()),
    };
    if newest(files, table)?.is_none_or(|noted| noted >= version) {
        remove(entry::directory(table).join(HINT))?;
    }
    remove(location(table, version))?;
    let directory = entry::directory(table);
    files.sync(&directory).map_err(Error::io("sync", &files.path(&directory)))
}

fn location(table: &Location, version: u64) -> Location {
    entry::directory(table).join(format!("{version:020}{ENDING}"))
}

fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(batch)?;
    writer.finish()?;
    Ok(text)
}
