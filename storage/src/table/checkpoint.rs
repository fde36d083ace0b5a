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
use serde::{Deserialize, Serialize};
use tracelake_model::UnixNano;
use url::Url;

use crate::checksum::{self, Seal, check_seal};
use crate::error::Error;
use crate::files::file::{Files, Found};
use crate::table::entry::{self, Line};

/// What a load needs of a checkpoint's columns.
const COLUMNS: [&str; 5] = ["add", "remove", "txn", "protocol", "metaData"];

const ENDING: &str = ".checkpoint.parquet";
const HINT: &str = "_last_checkpoint";
const SUMS_START: &str = "_checkpoint_";
const SUMS_END: &str = ".xxh3";
/// The scheme means nothing: the files are handed to the crate.
const ROOT: &str = "memory:///";

/// The versions that have a checkpoint, newest first.
pub(crate) fn versions(found: &[Found]) -> Vec<u64> {
    let mut versions: Vec<u64> = found.iter().filter_map(|file| entry::numbered(&file.name, ENDING)).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions
}

/// Whether a name is that of a checkpoint.
pub(crate) fn is_one(name: &str) -> bool {
    entry::numbered(name, ENDING).is_some()
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
    // Parquet has no checksum of its own here: a flipped bit could as well read as another path.
    if let Some(Ok(sums)) = sums(files, table, version)?
        && sums.checkpoint != checksum::to_text(checksum::of(&file))
    {
        return Err(damaged(&"its checksum does not hold"));
    }
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
    joined.unwrap_or_else(|_| Err(failed(&"it panicked")))?;
    write_sums(files, table, version)
}

/// The checksums of a checkpoint and of the note that names it.
#[derive(Debug, Deserialize, Serialize)]
struct Sums {
    checkpoint: String,
    hint: String,
    #[serde(rename = "tracelake.entry")]
    seal: String,
}

/// Notes the checksums of a checkpoint: neither Parquet nor the protocol keeps one that covers every bit.
fn write_sums(files: &dyn Files, table: &Location, version: u64) -> Result<(), Error> {
    let sum = |at: &Location| {
        let content = files.read(at).map_err(Error::io("read", &files.path(at)))?;
        Ok::<_, Error>(checksum::to_text(checksum::of(&content)))
    };
    let (checkpoint, hint) = (sum(&location(table, version))?, sum(&hint(table))?);
    let sums = Sums { checkpoint, hint, seal: checksum::UNSEALED.to_owned() };
    let mut text = serde_json::to_vec(&sums).map_err(|fault| Error::Flush(format!("no checksums: {fault}")))?;
    checksum::seal(entry::SEAL, &mut text);
    let at = sum_location(table, version);
    files.replace(&at, &text).map_err(Error::io("write", &files.path(&at)))
}

/// The checksums of a version's checkpoint: `None` when there are none, an error in words when they cannot be trusted.
fn sums(files: &dyn Files, table: &Location, version: u64) -> Result<Option<Result<Sums, String>>, Error> {
    let at = sum_location(table, version);
    let content = match files.read(&at) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(Error::io("read", &files.path(&at)))?,
    };
    if check_seal(entry::SEAL, &content) != Seal::Whole {
        return Ok(Some(Err("its checksum does not hold".to_owned())));
    }
    Ok(Some(serde_json::from_slice(&content).map_err(|fault| format!("it cannot be read: {fault}"))))
}

/// What is wrong with the file of checksums beside a checkpoint; nothing when it is whole or not there.
pub(crate) fn check_sum_file(files: &dyn Files, table: &Location, version: u64) -> Result<Option<String>, Error> {
    Ok(sums(files, table, version)?.and_then(Result::err))
}

/// Whether the note names the newest checkpoint and is as it was written. No note is as good: readers list then.
pub(crate) fn check_hint(
    files: &dyn Files,
    table: &Location,
    newest: Option<u64>,
) -> Result<Result<(), String>, Error> {
    let at = hint(table);
    let content = match files.read(&at) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Ok(())),
        content => content.map_err(Error::io("read", &files.path(&at)))?,
    };
    let read: Result<serde_json::Value, _> = serde_json::from_slice(&content);
    let named = match read {
        Err(fault) => return Ok(Err(format!("it is no JSON: {fault}"))),
        Ok(note) => note.get("version").and_then(serde_json::Value::as_u64),
    };
    if named != newest {
        return Ok(Err(format!("it names version {named:?}, the newest checkpoint is {newest:?}")));
    }
    let Some(Ok(sums)) = newest.map(|version| sums(files, table, version)).transpose()?.flatten() else {
        return Ok(Ok(()));
    };
    let is_whole = sums.hint == checksum::to_text(checksum::of(&content));
    Ok(if is_whole { Ok(()) } else { Err("its checksum does not hold".to_owned()) })
}

/// Where the note of the newest checkpoint lies.
pub(crate) fn hint(table: &Location) -> Location {
    entry::directory(table).join(HINT)
}

/// Where the checksums of a version's checkpoint lie. Delta readers pass over names that begin so.
pub(crate) fn sum_location(table: &Location, version: u64) -> Location {
    entry::directory(table).join(format!("{SUMS_START}{version:020}{SUMS_END}"))
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
    let sums = |name: &str| entry::numbered(name.strip_prefix(SUMS_START)?, SUMS_END);
    let number =
        |name: &str| entry::numbered(name, ENDING).or_else(|| entry::numbered(name, ".json")).or_else(|| sums(name));
    let mut past: Vec<_> = found.iter().filter(|file| number(&file.name).is_some_and(|at| at < covered)).collect();
    if past.is_empty() {
        return Ok(());
    }
    // What is about to go is nowhere else.
    read(files, table, covered)?;
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
    remove(sum_location(table, version))?;
    let directory = entry::directory(table);
    files.sync(&directory).map_err(Error::io("sync", &files.path(&directory)))
}

/// Where the checkpoint of a version lies.
pub(crate) fn location(table: &Location, version: u64) -> Location {
    entry::directory(table).join(format!("{version:020}{ENDING}"))
}

fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer.write(batch)?;
    writer.finish()?;
    Ok(text)
}
