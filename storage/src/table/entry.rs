//! The files of commits: written if absent, read, found.
//!
//! A commit is one atomic, durable name, made by `Files::put_new`.
//! Deliberately knows nothing of what the actions mean.

use std::io;
use std::path::Path;

use deltalake_core::kernel::{Add, Metadata, Protocol, Remove, Transaction};
use object_store::path::Path as Location;
use serde::Deserialize;

use crate::checksum::{Seal, check_seal};
use crate::error::Error;
use crate::files::file::{Files, Found};

/// The key in our `commitInfo` that seals the whole entry (`checksum.rs`).
pub(crate) const SEAL: &str = "tracelake.entry";
/// The end of our `engineInfo` in sealed entries: one whose seal's key is damaged is still known as sealed.
const SEALED: &str = " (sealed)\"";

/// One line of a commit. Actions that say nothing about what lives (`commitInfo`, `cdc`) are passed over.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Line {
    pub(crate) add: Option<Add>,
    pub(crate) remove: Option<Remove>,
    pub(crate) txn: Option<Transaction>,
    pub(crate) protocol: Option<Protocol>,
    #[serde(rename = "metaData")]
    pub(crate) metadata: Option<Metadata>,
}

/// The directory of a table's log.
pub(crate) fn directory(table: &Location) -> Location {
    table.clone().join("_delta_log")
}

/// Where the commit of a version lies.
pub(crate) fn location(table: &Location, version: u64) -> Location {
    directory(table).join(format!("{version:020}.json"))
}

/// The versions among the files of a log, ascending.
pub(crate) fn versions(found: &[Found]) -> Vec<u64> {
    let mut versions: Vec<u64> = found.iter().filter_map(|file| numbered(&file.name, ".json")).collect();
    versions.sort_unstable();
    versions
}

/// The files of a table's log; none when there is no log.
pub(crate) fn found(files: &dyn Files, table: &Location) -> Result<Vec<Found>, Error> {
    let directory = directory(table);
    files.list(&directory).map_err(Error::io("list", &files.path(&directory)))
}

/// The names in a table's log that come after the commit of a version: later commits, checkpoints of later versions.
/// All names without one.
pub(crate) fn names_after(files: &dyn Files, table: &Location, version: Option<u64>) -> Result<Vec<String>, Error> {
    let directory = directory(table);
    let name = version.map(|version| format!("{version:020}.json")).unwrap_or_default();
    files.names_after(&directory, &name).map_err(Error::io("list", &files.path(&directory)))
}

/// Takes a commit back that nobody reads.
pub(crate) fn remove(files: &dyn Files, table: &Location, version: u64) -> Result<(), Error> {
    let at = location(table, version);
    files.remove(&at).map(drop).map_err(Error::io("remove", &files.path(&at)))
}

/// The version of a name that is twenty digits and `ending`.
pub(crate) fn numbered(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Makes a version's commit; false when somebody made that version first. Durable when it returns true.
pub(crate) fn put(files: &dyn Files, table: &Location, version: u64, content: &[u8]) -> Result<bool, Error> {
    let at = location(table, version);
    files.put_new(&at, content).map_err(Error::io("write", &files.path(&at)))
}

/// The actions of a version; `None` when it is not there.
pub(crate) fn read(files: &dyn Files, table: &Location, version: u64) -> Result<Option<Vec<Line>>, Error> {
    let at = location(table, version);
    let path = files.path(&at);
    let content = match files.read(&at) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(Error::io("read", &path))?,
    };
    check(&content, &path).map(Some)
}

/// The actions of several versions, asked for together; fewer when one of them is not there.
pub(crate) fn read_many(files: &dyn Files, table: &Location, versions: &[u64]) -> Result<Vec<Vec<Line>>, Error> {
    let places: Vec<_> = versions.iter().map(|version| location(table, *version)).collect();
    let directory = directory(table);
    let contents = files.read_many(&places).map_err(Error::io("read", &files.path(&directory)))?;
    let found = places.iter().zip(contents).map_while(|(at, content)| Some((at, content?)));
    found.map(|(at, content)| check(&content, &files.path(at))).collect()
}

/// Actions whose checksum holds.
fn check(content: &[u8], path: &Path) -> Result<Vec<Line>, Error> {
    let is_whole = match check_seal(SEAL, content) {
        Seal::Whole => true,
        Seal::Broken => false,
        Seal::Absent => !content.windows(SEALED.len()).any(|window| window == SEALED.as_bytes()),
    };
    if !is_whole {
        return Err(Error::Damaged { path: path.to_owned(), detail: "its checksum does not hold".into() });
    }
    parse(content, path)
}

/// Whether a version's commit is nothing but zeros, as a power cut leaves what was not synced.
pub(crate) fn is_torn(files: &dyn Files, table: &Location, version: u64) -> Result<bool, Error> {
    let at = location(table, version);
    let content = files.read(&at).map_err(Error::io("read", &files.path(&at)))?;
    Ok(content.iter().all(|&byte| byte == 0))
}

/// Actions as JSON lines.
pub(crate) fn parse(content: &[u8], path: &Path) -> Result<Vec<Line>, Error> {
    let lines = content.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let read = lines.map(|line| {
        serde_json::from_slice(line)
            .map_err(|fault| Error::Damaged { path: path.to_owned(), detail: format!("a line is no action: {fault}") })
    });
    let lines: Vec<Line> = read.collect::<Result<_, _>>()?;
    if lines.is_empty() {
        return Err(Error::Damaged { path: path.to_owned(), detail: "the commit is empty".into() });
    }
    Ok(lines)
}

/// Removes the last commit if a power cut left it without content, as writers do that do not sync; whether it did.
/// What such a commit held was never told to be durable.
pub(crate) fn remove_torn(files: &dyn Files, table: &Location, version: u64) -> Result<bool, Error> {
    if !is_torn(files, table, version)? {
        return Ok(false);
    }
    let at = location(table, version);
    files.remove(&at).map_err(Error::io("remove", &files.path(&at)))?;
    let directory = directory(table);
    files.sync(&directory).map_err(Error::io("sync", &files.path(&directory)))?;
    Ok(true)
}
