//! Deletes files that nobody needs: removed long enough ago and not read here, or never named by a commit.
//!
//! A file goes only after the commit that removes it is durable. A crash in between leaves files that a later sweep
//! finds; deliberately nothing else remembers them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use tracelake_model::UnixNano;

use crate::core::Core;
use crate::error::Error;
use crate::table::log::TableLog;

/// A file without a commit is left for so long: its commit may be on its way.
pub(crate) const ORPHAN_AGE: Duration = Duration::from_secs(3600);

impl Core {
    /// Deletes files that were removed at least `keep` ago and that no snapshot holds; how many.
    pub(crate) fn sweep_step(&self, keep: Duration) -> Result<u64, Error> {
        let until = self.clock.now().minus(keep);
        let mut deleted = 0;
        for (_, _, shared) in self.logs.all() {
            let expired = shared.lock().expired(until)?;
            for (path, bytes) in expired {
                deleted += self.delete(&self.data.join(&path), bytes)?;
                shared.lock().forget(&path);
            }
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
            let found = list(&self.data, &prefix, until)?;
            let mut log = shared.lock();
            log.catch_up()?;
            self.show(&tenant, table, &log);
            let orphan = |log: &TableLog, path: &str| path.ends_with(DRAFT_END) || !log.knows(path);
            let orphans: Vec<_> = found.into_iter().filter(|(path, _)| orphan(&log, path)).collect();
            drop(log);
            for (path, bytes) in orphans {
                tracing::info!(path, "a file without a commit is deleted");
                deleted += self.delete(&self.data.join(path), bytes)?;
            }
        }
        Ok(deleted)
    }

    fn delete(&self, path: &Path, bytes: u64) -> Result<u64, Error> {
        match fs::remove_file(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(fault) => Err(Error::io("delete", path)(fault)),
            Ok(()) => {
                self.counters.deleted_files.fetch_add(1, Ordering::Relaxed);
                self.counters.deleted_bytes.fetch_add(bytes, Ordering::Relaxed);
                Ok(1)
            }
        }
    }
}

const DRAFT_END: &str = ".json.tmp";

/// Parts and drafts that this program names so and that were last written at `until` or before: paths below the data
/// root, bytes.
fn list(data: &Path, prefix: &str, until: UnixNano) -> Result<Vec<(String, u64)>, Error> {
    let mut found = Vec::new();
    for directory in entries(&data.join(prefix))? {
        let Some(name) = directory.file_name().into_string().ok().filter(|name| holds_files(name)) else { continue };
        let path = data.join(prefix).join(&name);
        for file in entries(&path)? {
            let Some(file_name) = file.file_name().into_string().ok().filter(|name| is_ours(name)) else { continue };
            let about = file.metadata().and_then(|about| Ok((about.modified()?, about.len())));
            let (modified, bytes) = match about {
                // A flush removes its drafts meanwhile.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                about => about.map_err(Error::io("measure", &path))?,
            };
            let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
            if UnixNano(0).plus(age) <= until {
                found.push((format!("{prefix}/{name}/{file_name}"), bytes));
            }
        }
    }
    Ok(found)
}

fn entries(directory: &Path) -> Result<Vec<fs::DirEntry>, Error> {
    match fs::read_dir(directory) {
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        entries => {
            let entries = entries.and_then(Iterator::collect::<io::Result<Vec<_>>>);
            entries.map_err(Error::io("list", directory))
        }
    }
}

fn holds_files(directory: &str) -> bool {
    directory.starts_with("date=") || directory == "_delta_log"
}

fn is_ours(name: &str) -> bool {
    let between = |start: &str, end: &str| name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    let unique = between("part-", ".parquet").or_else(|| between("_commit_", DRAFT_END));
    unique.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
