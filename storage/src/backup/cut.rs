//! What every table is at one instant, and the small files that go with it, written as they come.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use object_store::path::Path as Location;
use tracelake_model::{Position, Table, TenantId};

use crate::backup::manifest::SmallFile;
use crate::checksum;
use crate::core::Core;
use crate::document::ENDING;
use crate::error::Error;
use crate::files::file::{Draft, Files, walk};
use crate::flush::HASHES_FILE;
use crate::part::file::Part;
use crate::signal::FlushReport;

/// How long taps may take to see what is in the tables. Past it the backup says that they were behind.
const TAPS_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A table at a version. Its parts stay on disk as long as this lives.
pub(crate) struct CutTable {
    pub(crate) tenant: TenantId,
    pub(crate) table: Table,
    pub(crate) version: u64,
    pub(crate) parts: Vec<Arc<Part>>,
}

/// The file of all small files, under way.
pub(crate) struct Small {
    draft: Box<dyn Draft>,
    pub(crate) files: Vec<SmallFile>,
}

impl Small {
    pub(crate) fn begin(files: &dyn Files, at: &Location) -> Result<Self, Error> {
        let draft = files.create(at).map_err(Error::io("make", &files.path(at)))?;
        Ok(Self { draft, files: Vec::new() })
    }

    /// Adds a file by its path below the data directory.
    pub(crate) fn add(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.draft.write_all(content).map_err(Error::io("copy", std::path::Path::new(path)))?;
        let (bytes, xxh3) = (content.len() as u64, checksum::to_text(checksum::of(content)));
        self.files.push(SmallFile { path: path.to_owned(), bytes, xxh3 });
        Ok(())
    }

    /// Makes it durable.
    pub(crate) fn finish(mut self) -> Result<Vec<SmallFile>, Error> {
        self.draft.finish().map_err(Error::io("write", std::path::Path::new("the small files")))?;
        Ok(self.files)
    }
}

/// Tables whose rows come in by requests; the others' are computed from them.
pub(crate) fn is_source(table: Table) -> bool {
    matches!(table, Table::Spans | Table::Logs | Table::Metrics | Table::Audit)
}

impl Core {
    /// Flushes, and names the versions of all tables that are `wanted`, at one instant: rows up to the answered position
    /// are in them, and none after it. Their logs go to `small`.
    pub(crate) fn cut(
        &self,
        wanted: fn(Table) -> bool,
        small: &mut Small,
        tables: &mut Vec<CutTable>,
    ) -> Result<u64, Error> {
        let _one = self.flushing.lock();
        self.move_tail(&mut FlushReport::default())?;
        let flushed = self.tail.lock().first_needed() - 1;
        for (tenant, table, shared) in self.logs.all() {
            let log = shared.lock();
            let Some(version) = log.version().filter(|_| wanted(table)) else { continue };
            for (name, content) in log.export()? {
                small.add(&format!("data/{tenant}/{table}/_delta_log/{name}"), &content)?;
            }
            tables.push(CutTable { tenant, table, version, parts: log.live() });
        }
        Ok(flushed)
    }

    /// Waits until taps have seen every request that is durable now; whether they have.
    pub(crate) fn wait_for_taps(&self) -> bool {
        let wanted = self.segments.files().iter().map(|(segment, _)| segment.observable).max().unwrap_or(0);
        let since = Instant::now();
        while self.feed.taps_position().is_some_and(|at| at < wanted) {
            if since.elapsed() > TAPS_PATIENCE {
                return false;
            }
            sleep(POLL);
        }
        true
    }

    /// Hashes of payloads that are in the tables up to `flushed`: a retry of one that is not must be stored.
    pub(crate) fn cut_hashes(&self, flushed: u64, small: &mut Small) -> Result<(), Error> {
        let content = self.dedup.lock().file_content(Position(flushed), self.clock.now());
        small.add(&format!("wal/{HASHES_FILE}"), &content)
    }

    /// The documents, each as it is now.
    pub(crate) fn cut_documents(&self, small: &mut Small) -> Result<(), Error> {
        let (files, root) = (self.documents.as_ref(), Location::default());
        let found = walk(files, &root).map_err(Error::io("list", &files.path(&root)))?;
        for (at, _) in found.into_iter().filter(|(at, _)| at.as_ref().ends_with(ENDING)) {
            // One that is deleted meanwhile is not in the backup.
            if let Ok(content) = files.read(&at) {
                small.add(&format!("documents/{at}"), &content)?;
            }
        }
        Ok(())
    }
}
