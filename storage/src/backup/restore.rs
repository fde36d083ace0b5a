//! A data directory made from a backup. Every file's checksum is taken on the way.
//!
//! The directory's log begins with a new id at a position past every one of the old: what remembers positions (alerting)
//! goes on. Until everything is there, `FORMAT` says so and nobody opens it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use object_store::path::Path as Location;
use serde::{Deserialize, Serialize};
use tracelake_model::{Clock, Table, TenantId, UnixNano};

use crate::backup::manifest::{Manifest, TableCopy};
use crate::backup::repository::Repository;
use crate::backup::take::{Tell, copy, time_of};
use crate::checksum;
use crate::disk::{Disk, RealDisk, replace};
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::Files;
use crate::open::{FORMAT, FORMAT_FILE};
use crate::table::log::TableLog;
use crate::wal::id::Ids;

/// What `FORMAT` says until a restore is done.
const UNFINISHED: &[u8] = b"a restore that did not finish\n";

/// What is restored where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreAsk {
    /// The repository.
    pub from: PathBuf,
    /// The newest backup made at this time or before; `None`: the newest.
    pub at: Option<UnixNano>,
    /// The new data directory; absent or empty.
    pub to: PathBuf,
    /// Leave out parts that are damaged in the repository; the server then says what is missing.
    pub skip_damaged: bool,
}

/// What a restore made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// The backup.
    pub id: String,
    /// Everything acknowledged before this is there.
    pub time: String,
    /// Rows, by tenant and table.
    pub rows: Vec<(String, u64)>,
    /// Parts.
    pub parts: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Parts that were left out.
    pub damaged: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The backups of a repository, oldest first, and what cannot be read beside them.
pub fn list_backups(from: &Path) -> Result<(Vec<Manifest>, Vec<String>), Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    Repository::open(&disk, from)?.backups()
}

/// Restores on this machine's disk. Blocks. `tell` hears of bytes and says whether to go on.
pub fn restore(ask: &RestoreAsk, clock: &dyn Clock, tell: &mut dyn FnMut(u64) -> bool) -> Result<RestoreReport, Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    restore_on(&disk, ask, clock, tell)
}

pub(crate) fn restore_on(
    disk: &Arc<dyn Disk>,
    ask: &RestoreAsk,
    clock: &dyn Clock,
    tell: Tell<'_>,
) -> Result<RestoreReport, Error> {
    let since = Instant::now();
    let repository = Repository::open(disk, &ask.from)?;
    let manifest = choose(&repository, ask)?;
    empty(disk.as_ref(), &ask.to)?;
    replace(disk.as_ref(), &ask.to, FORMAT_FILE, UNFINISHED).map_err(Error::io("write", &ask.to.join(FORMAT_FILE)))?;
    let whole: Arc<dyn Files> = Arc::new(DiskFiles::new(Arc::clone(disk), &ask.to));
    let data: Arc<dyn Files> = Arc::new(DiskFiles::new(Arc::clone(disk), &ask.to.join("data")));
    small_files(&repository, &manifest, whole.as_ref())?;
    let mut report = RestoreReport { id: manifest.id.clone(), time: manifest.time.clone(), ..Default::default() };
    for table in &manifest.tables {
        let rows = parts(&repository, table, data.as_ref(), ask.skip_damaged, &mut report, tell)?;
        report.rows.push((format!("{}/{}", table.tenant, table.table), rows));
    }
    let wal = ask.to.join("wal");
    disk.create_dir(&wal).map_err(Error::io("make the directory", &wal))?;
    let id = Ids::begin(disk.as_ref(), &wal, manifest.next_position)?;
    for table in &manifest.tables {
        let (Ok(tenant), Some(name)) = (TenantId::new(&table.tenant), Table::parse(&table.table)) else { continue };
        TableLog::open(&data, &tenant, name, &id.to_text())?.carry_streams(&manifest.wal, clock.now())?;
    }
    let format = format!("{FORMAT}\n");
    replace(disk.as_ref(), &ask.to, FORMAT_FILE, format.as_bytes())
        .map_err(Error::io("write", &ask.to.join(FORMAT_FILE)))?;
    report.seconds = since.elapsed().as_secs_f64();
    Ok(report)
}

fn choose(repository: &Repository, ask: &RestoreAsk) -> Result<Manifest, Error> {
    let (backups, odd) = repository.backups()?;
    let fits = |manifest: &Manifest| ask.at.is_none_or(|at| time_of(manifest) <= at);
    backups.into_iter().rev().find(fits).ok_or_else(|| {
        let wish =
            ask.at.map_or_else(|| "no backup".to_owned(), |at| format!("no backup of {} or before", at.to_rfc3339()));
        let odd = if odd.is_empty() { String::new() } else { format!(" ({})", odd.join("; ")) };
        Error::Backup(format!("there is {wish} in {}{odd}; --list shows what there is", ask.from.display()))
    })
}

/// The target must hold nothing.
fn empty(disk: &dyn Disk, to: &Path) -> Result<(), Error> {
    disk.create_dir(to).map_err(Error::io("make the directory", to))?;
    match disk.list(to).map_err(Error::io("list", to))?.first() {
        None => Ok(()),
        Some(name) => {
            let to = to.display();
            Err(Error::Backup(format!("{to} is not empty (it holds {name:?}); restore into a new directory")))
        }
    }
}

fn small_files(repository: &Repository, manifest: &Manifest, to: &dyn Files) -> Result<(), Error> {
    let at = Repository::small_of(&manifest.id);
    let path = repository.files.path(&at);
    let source = repository.files.open(&at).map_err(Error::io("open", &path))?;
    let mut from = 0;
    for file in &manifest.small {
        let bytes = usize::try_from(file.bytes).unwrap_or(usize::MAX);
        let content = source.read_at(from, bytes).map_err(Error::io("read", &path))?;
        if content.len() != bytes || checksum::to_text(checksum::of(&content)) != file.xxh3 {
            let detail = format!("{} in it is not what was written", file.path);
            return Err(Error::Damaged { path, detail });
        }
        let at = Location::parse(&file.path).map_err(|fault| Error::Backup(format!("{}: {fault}", file.path)))?;
        to.replace(&at, &content).map_err(Error::io("write", &to.path(&at)))?;
        from += file.bytes;
    }
    Ok(())
}

/// Copies a table's parts; the rows that are there now.
fn parts(
    repository: &Repository,
    table: &TableCopy,
    to: &dyn Files,
    skip_damaged: bool,
    report: &mut RestoreReport,
    tell: Tell<'_>,
) -> Result<u64, Error> {
    for part in &table.parts {
        let from = Repository::part(&part.path);
        let at = Location::parse(&part.path).map_err(|fault| Error::Backup(format!("{}: {fault}", part.path)))?;
        let copied = copy(&repository.files, &from, to, &at, tell).and_then(|sum| {
            let detail = "its checksum is not the one of the backup".to_owned();
            if checksum::to_text(sum) == part.xxh3 {
                Ok(())
            } else {
                Err(Error::Damaged { path: repository.files.path(&from), detail })
            }
        });
        match copied {
            Ok(()) => (report.parts, report.bytes) = (report.parts + 1, report.bytes + part.bytes),
            Err(error) if skip_damaged && (error.is_absence() || matches!(error, Error::Damaged { .. })) => {
                to.remove(&at).map_err(Error::io("remove", &to.path(&at)))?;
                report.damaged.push(part.path.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(table.rows)
}
