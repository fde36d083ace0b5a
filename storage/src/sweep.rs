//! Deletes files that nobody needs: removed long enough ago and not read here, or never named by a commit.
//!
//! A file goes only after the commit that removes it is durable. A crash in between leaves files that a later sweep
//! finds; deliberately nothing else remembers them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::path::Path as Location;
use tracelake_model::UnixNano;

use crate::core::Core;
use crate::error::Error;
use crate::files::disk::{DRAFT_END, DRAFT_START};
use crate::files::file::Files;
use crate::logs::SharedLog;
use crate::table::log::TableLog;

/// A file without a commit is left for so long: its commit may be on its way, on a server that sleeps.
pub(crate) const ORPHAN_AGE: Duration = Duration::from_secs(6 * 3600);

impl Core {
    /// Deletes files that were removed at least `keep` ago and that no snapshot holds; how many.
    pub(crate) fn sweep_step(&self, keep: Duration) -> Result<u64, Error> {
        let until = self.clock.now().minus(keep);
        let mut deleted = 0;
        for (_, _, shared) in self.logs.all() {
            let expired = shared.lock().expired(until)?;
            deleted += self.delete_expired(&shared, expired)?;
        }
        Ok(deleted)
    }

    /// Deletes what a table's log named as expired; how many.
    pub(crate) fn delete_expired(&self, shared: &SharedLog, expired: Vec<(String, u64)>) -> Result<u64, Error> {
        let mut deleted = 0;
        for (path, bytes) in expired {
            deleted += self.delete(&path, bytes)?;
            shared.lock().forget(&path);
        }
        Ok(deleted)
    }

    /// Deletes files of ours that no commit names, and drafts of commits; how many.
    pub(crate) fn sweep_orphans(&self) -> Result<u64, Error> {
        let until = self.clock.now().minus(ORPHAN_AGE);
        let mut deleted = 0;
        for (tenant, table, shared) in self.logs.all() {
            let prefix = format!("{tenant}/{table}");
            // What is listed before the log is read again and is still unknown after has no commit.
            let found = list(self.files.as_ref(), &prefix, until)?;
            let mut log = shared.lock();
            log.catch_up()?;
            self.show(&tenant, table, &log);
            let orphan = |log: &TableLog, path: &str| path.ends_with(DRAFT_END) || !log.knows(path);
            let orphans: Vec<_> = found.into_iter().filter(|(path, _)| orphan(&log, path)).collect();
            drop(log);
            for (path, bytes) in orphans {
                tracing::info!(path, "a file without a commit is deleted");
                deleted += self.delete(&path, bytes)?;
            }
        }
        Ok(deleted)
    }

    fn delete(&self, path: &str, bytes: u64) -> Result<u64, Error> {
        let at = Location::from(path);
        let deleted = self.files.remove(&at).map_err(Error::io("delete", &self.files.path(&at)))?;
        if deleted {
            self.counters.deleted_files.fetch_add(1, Ordering::Relaxed);
            self.counters.deleted_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(u64::from(deleted))
    }
}

/// Parts and drafts that this program names so and that were last written at `until` or before: paths below the data
/// root, bytes.
fn list(files: &dyn Files, prefix: &str, until: UnixNano) -> Result<Vec<(String, u64)>, Error> {
    let (table, mut found) = (Location::from(prefix), Vec::new());
    let names = files.directories(&table).map_err(Error::io("list", &files.path(&table)))?;
    for name in names.into_iter().filter(|name| holds_files(name)) {
        let directory = table.clone().join(name.as_str());
        for file in files.list(&directory).map_err(Error::io("list", &files.path(&directory)))? {
            if is_ours(&file.name) && file.modified <= until {
                found.push((format!("{directory}/{}", file.name), file.bytes));
            }
        }
    }
    Ok(found)
}

fn holds_files(directory: &str) -> bool {
    directory.starts_with("date=") || directory == "_delta_log"
}

fn is_ours(name: &str) -> bool {
    let between = |start: &str, end: &str| name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let unique = between("part-", ".parquet").or_else(|| between(DRAFT_START, DRAFT_END));
    let unique = unique.or_else(|| between("_commit_", ".json.tmp"));
    unique.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
