//! The files of a log that a reader of one version needs, for a backup: the newest checkpoint up to it, and the entries
//! from there on.

use std::io;

use bytes::Bytes;
use object_store::path::Path as Location;

use crate::error::Error;
use crate::files::file::Files;
use crate::table::{checkpoint, entry};

/// Their names within the log, and what they hold. `NotFound` when the log was cleaned past this version meanwhile.
pub(crate) fn files(files: &dyn Files, table: &Location, version: u64) -> Result<Vec<(String, Bytes)>, Error> {
    let found = entry::found(files, table)?;
    let whole = |at: &u64| *at <= version && checkpoint::read(files, table, *at).is_ok();
    let checkpoint = checkpoint::versions(&found).into_iter().find(whole);
    let mut wanted = Vec::new();
    if let Some(at) = checkpoint {
        wanted.push(checkpoint::location(table, at));
        // Neither is there on every table, and the note only where no newer checkpoint was made.
        let sums = checkpoint::sum_location(table, at);
        wanted.extend((files.read(&sums).is_ok()).then_some(sums));
        if checkpoint::newest(files, table)? == Some(at) {
            wanted.push(checkpoint::hint(table));
        }
    }
    wanted.extend((checkpoint.map_or(0, |at| at + 1)..=version).map(|version| entry::location(table, version)));
    let mut exported = Vec::new();
    for at in wanted {
        let content = files.read(&at).map_err(Error::io("read", &files.path(&at)))?;
        exported.push((at.filename().unwrap_or_default().to_owned(), content));
    }
    for version in checkpoint.map_or(0, |at| at + 1)..=version {
        if entry::read(files, table, version)?.is_none() {
            let at = entry::location(table, version);
            return Err(Error::io("read", &files.path(&at))(io::ErrorKind::NotFound.into()));
        }
    }
    Ok(exported)
}
