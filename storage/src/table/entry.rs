//! The files of commits: written if absent, read, found.
//!
//! A commit is one atomic, durable name: its bytes are synced before its number links to them, and the directory after.
//! Deliberately knows nothing of what the actions mean.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deltalake_core::kernel::{Add, Metadata, Protocol, Remove, Transaction};
use serde::Deserialize;

use crate::error::Error;
use crate::part::durable;

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
pub(crate) fn directory(table: &Path) -> PathBuf {
    table.join("_delta_log")
}

/// Where the commit of a version lies.
pub(crate) fn path(table: &Path, version: u64) -> PathBuf {
    directory(table).join(format!("{version:020}.json"))
}

/// The versions among the names of a log, ascending.
pub(crate) fn versions(names: &[String]) -> Vec<u64> {
    let mut versions: Vec<u64> = names.iter().filter_map(|name| numbered(name, ".json")).collect();
    versions.sort_unstable();
    versions
}

/// The names in a table's log; none when there is no log.
pub(crate) fn names(table: &Path) -> Result<Vec<String>, Error> {
    let directory = directory(table);
    let entries = match fs::read_dir(&directory) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("list", &directory))?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    let names: io::Result<Vec<Option<String>>> = names.collect();
    Ok(names.map_err(Error::io("list", &directory))?.into_iter().flatten().collect())
}

/// The version of a name that is twenty digits and `ending`.
pub(crate) fn numbered(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Makes a version's commit; false when somebody made that version first. Durable when it returns true.
pub(crate) fn put(table: &Path, version: u64, content: &[u8]) -> Result<bool, Error> {
    let directory = directory(table);
    durable::make_directories(&directory)?;
    let draft = directory.join(format!("_commit_{}.json.tmp", durable::unique_name()?));
    durable::write_new(&draft, content)?;
    let path = path(table, version);
    let linked = fs::hard_link(&draft, &path);
    let _ = fs::remove_file(&draft);
    match linked {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(fault) => Err(Error::io("link", &path)(fault)),
        Ok(()) => durable::sync_directory(&directory).map(|()| true),
    }
}

/// The actions of a version; `None` when it is not there.
pub(crate) fn read(table: &Path, version: u64) -> Result<Option<Vec<Line>>, Error> {
    let path = path(table, version);
    let content = match fs::read(&path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
        content => content.map_err(Error::io("read", &path))?,
    };
    parse(&content, &path).map(Some)
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
pub(crate) fn remove_torn(table: &Path, version: u64) -> Result<bool, Error> {
    let path = path(table, version);
    let content = fs::read(&path).map_err(Error::io("read", &path))?;
    if content.iter().any(|&byte| byte != 0) {
        return Ok(false);
    }
    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    durable::sync_directory(&directory(table))?;
    Ok(true)
}
