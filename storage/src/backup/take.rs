//! A backup made while the store goes on: one instant, then the copies.
//!
//! Parts are pinned from the instant on until they are copied. Nothing is a backup before its manifest is durable.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use object_store::path::Path as Location;
use serde::{Deserialize, Serialize};
use tracelake_model::{Table, TenantId, UnixNano};

use crate::backup::cut::{CutTable, Small, is_source};
use crate::backup::manifest::{Manifest, PartCopy, TableCopy};
use crate::backup::repository::Repository;
use crate::checksum::{self, Summed};
use crate::core::Core;
use crate::error::Error;
use crate::files::file::{Draft, Files};
use crate::part::file::Part;

/// How often a backup is begun anew: a damaged part was found, or another server changed a table under it.
const ATTEMPTS_MAX: u32 = 3;
const COPY_BYTES: usize = 1 << 20;

/// Where a backup goes and what is done beside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupAsk {
    /// The repository.
    pub to: PathBuf,
    /// Backups that stay; `None` removes none.
    pub keep: Option<usize>,
    /// Copy parts even where a second name would do: for a repository that is copied elsewhere with its links, or not at
    /// all meant to share the disk's fate.
    pub copy: bool,
}

/// What a backup made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Its name.
    pub id: String,
    /// Everything acknowledged before this is in it.
    pub time: String,
    /// Rows in it, by tenant and table.
    pub rows: Vec<(String, u64)>,
    /// Parts in it.
    pub parts: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Parts that an earlier backup had already.
    pub parts_shared: u64,
    /// Parts that got a second name.
    pub parts_linked: u64,
    /// Bytes that were copied.
    pub bytes_copied: u64,
    /// Alerting had not seen everything after half a minute.
    pub alerting_behind: bool,
    /// Older backups that were removed.
    pub removed: u64,
    /// How long it took.
    pub seconds: f64,
}

/// State of other wings, by path below the data directory. Asked once taps have seen every row that is in the backup.
pub(crate) type Aside<'a> = &'a mut dyn FnMut() -> Result<Vec<(String, Bytes)>, String>;

/// Told of bytes that were copied; whether to go on.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(u64) -> bool;

/// A part that could not be copied.
enum Trouble {
    /// It is damaged, or not there any more: the tables are asked again.
    Part(TenantId, Table, Arc<Part>),
    Other(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Core {
    /// Makes a backup.
    pub(crate) fn back_up(&self, ask: &BackupAsk, aside: Aside<'_>, tell: Tell<'_>) -> Result<BackupReport, Error> {
        apart(&ask.to, &self.config.data_dir)?;
        let repository = Repository::open_or_make(&self.disk, &ask.to)?;
        for _ in 0..ATTEMPTS_MAX {
            match self.try_back_up(ask, &repository, aside, tell) {
                Ok(report) => return Ok(report),
                Err(Trouble::Other(error)) => return Err(error),
                Err(Trouble::Part(tenant, table, part)) => {
                    tracing::warn!(part = %part.location, "a part could not be copied, the backup begins anew");
                    self.suspect(&tenant, table, &part)?;
                }
            }
        }
        Err(Error::Backup("parts could not be copied again and again; the log names them".to_owned()))
    }

    fn try_back_up(
        &self,
        ask: &BackupAsk,
        repository: &Repository,
        aside: Aside<'_>,
        tell: Tell<'_>,
    ) -> Result<BackupReport, Trouble> {
        let (since, at) = (Instant::now(), self.clock.now());
        let id = repository.new_id(at)?;
        let mut manifest = Manifest::new(id, at, self.ids.current().to_text());
        let mut small = Small::begin(&repository.files, &Repository::small_of(&manifest.id))?;
        let mut tables = Vec::new();
        manifest.flushed = self.cut(is_source, &mut small, &mut tables)?;
        manifest.alerting_behind = !self.wait_for_taps();
        for (path, content) in aside().map_err(Error::Backup)? {
            small.add(&path, &content)?;
        }
        // What alerting computed from the rows above is in the log by now, so this flush has it.
        self.cut(|table| !is_source(table), &mut small, &mut tables)?;
        self.cut_hashes(manifest.flushed, &mut small)?;
        self.cut_documents(&mut small)?;
        manifest.next_position = self.tail.lock().visible() + 1;
        manifest.small = small.finish()?;
        let mut report = BackupReport { id: manifest.id.clone(), time: manifest.time.clone(), ..Default::default() };
        let trusted = repository.trusted()?;
        for table in &tables {
            manifest.tables.push(self.copy_table(ask, repository, &trusted, table, &mut report, tell)?);
        }
        manifest.tables.sort_by(|a, b| (&a.tenant, &a.table).cmp(&(&b.tenant, &b.table)));
        repository.finish(&manifest)?;
        report.rows =
            manifest.tables.iter().map(|table| (format!("{}/{}", table.tenant, table.table), table.rows)).collect();
        report.alerting_behind = manifest.alerting_behind;
        if let Some(keep) = ask.keep {
            report.removed = repository.prune(keep)?;
        }
        report.seconds = since.elapsed().as_secs_f64();
        tracing::info!(id = report.id, parts = report.parts, bytes = report.bytes, "backup made");
        Ok(report)
    }

    fn copy_table(
        &self,
        ask: &BackupAsk,
        repository: &Repository,
        trusted: &HashMap<String, PartCopy>,
        cut: &CutTable,
        report: &mut BackupReport,
        tell: Tell<'_>,
    ) -> Result<TableCopy, Trouble> {
        let mut parts = Vec::with_capacity(cut.parts.len());
        for part in &cut.parts {
            let path = part.location.to_string();
            let known = trusted.get(&path).filter(|known| is_same(known, part) && is_there(repository, known));
            let copied = match known {
                Some(known) => {
                    report.parts_shared += 1;
                    known.clone()
                }
                None => {
                    let sum = self.copy_part(ask, repository, part, report, tell).map_err(|error| match error {
                        Error::Damaged { .. } => Trouble::Part(cut.tenant.clone(), cut.table, Arc::clone(part)),
                        error if error.is_absence() => Trouble::Part(cut.tenant.clone(), cut.table, Arc::clone(part)),
                        error => Trouble::Other(error),
                    })?;
                    PartCopy { path, bytes: part.bytes, xxh3: checksum::to_text(sum) }
                }
            };
            (report.parts, report.bytes) = (report.parts + 1, report.bytes + part.bytes);
            parts.push(copied);
        }
        let rows = cut.parts.iter().map(|part| part.rows).sum();
        let (tenant, table) = (cut.tenant.to_string(), cut.table.to_string());
        Ok(TableCopy { tenant, table, log_version: cut.version, rows, parts })
    }

    /// Brings a part into the repository; its checksum.
    fn copy_part(
        &self,
        ask: &BackupAsk,
        repository: &Repository,
        part: &Part,
        report: &mut BackupReport,
        tell: Tell<'_>,
    ) -> Result<u64, Error> {
        let to = Repository::part(part.location.as_ref());
        // What a backup left that did not finish is not trusted.
        repository.files.remove(&to).map_err(Error::io("remove", &repository.files.path(&to)))?;
        let from = self.files.path(&part.location);
        if !ask.copy
            && let Some(sum) = part.checksum
            && self.files.is_local()
            && repository.link(&from, &to)
        {
            report.parts_linked += 1;
            return Ok(sum);
        }
        let sum = copy(self.files.as_ref(), &part.location, &repository.files, &to, tell)?;
        if part.checksum.is_some_and(|told| told != sum) {
            repository.files.remove(&to).map_err(Error::io("remove", &repository.files.path(&to)))?;
            return Err(Error::Damaged { path: from, detail: "its checksum is not the committed one".to_owned() });
        }
        report.bytes_copied += part.bytes;
        Ok(sum)
    }
}

fn is_same(known: &PartCopy, part: &Part) -> bool {
    known.bytes == part.bytes && part.checksum.is_none_or(|sum| checksum::to_text(sum) == known.xxh3)
}

fn is_there(repository: &Repository, known: &PartCopy) -> bool {
    repository.files.open(&Repository::part(&known.path)).is_ok_and(|source| source.bytes() == known.bytes)
}

/// Copies a file from one place to another; its checksum. Durable when it returns.
pub(crate) fn copy(
    from: &dyn Files,
    at: &Location,
    to: &dyn Files,
    to_at: &Location,
    tell: Tell<'_>,
) -> Result<u64, Error> {
    let source = from.open(at).map_err(Error::io("open", &from.path(at)))?;
    let draft: Box<dyn Draft> = to.create(to_at).map_err(Error::io("make", &to.path(to_at)))?;
    let (mut summed, mut done) = (Summed::new(draft), 0);
    while done < source.bytes() {
        let piece = source.read_at(done, COPY_BYTES).map_err(Error::io("read", &from.path(at)))?;
        if piece.is_empty() {
            return Err(Error::Damaged { path: from.path(at), detail: "it ends early".to_owned() });
        }
        std::io::Write::write_all(&mut summed, &piece).map_err(Error::io("write", &to.path(to_at)))?;
        done += piece.len() as u64;
        if !tell(piece.len() as u64) {
            return Err(Error::Backup("stopped; what is there is no backup".to_owned()));
        }
    }
    summed.inner_mut().finish().map_err(Error::io("write", &to.path(to_at)))?;
    Ok(summed.sum())
}

/// Neither may lie in the other: a backup of backups, or one that retention knows nothing of.
fn apart(repository: &Path, data: &Path) -> Result<(), Error> {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (repository, data) = (whole(repository), whole(data));
    if repository.starts_with(&data) || data.starts_with(&repository) {
        let (repository, data) = (repository.display(), data.display());
        return Err(Error::Backup(format!(
            "{repository} and the data directory {data} lie in one another; choose another directory"
        )));
    }
    Ok(())
}

/// The time of a manifest.
pub(crate) fn time_of(manifest: &Manifest) -> UnixNano {
    UnixNano(manifest.at)
}
