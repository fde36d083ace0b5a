//! Damaged files out of service: nothing is deleted, the rest is served, and it is said what is missing.
//!
//! ```text
//! data/_quarantine/<tenant>/<table>/<date>-<part>.parquet        a damaged part, as it was found
//! data/_quarantine/<tenant>/<table>/<date>-<part>.parquet.json   what is missing with it, and why
//! data/_quarantine/<tenant>/<table>/log/<file>                   a damaged entry or checkpoint that nobody needs
//! data/_quarantine/<tenant>/<table>/<when>/...                   a table whose log could not be read, all of it
//! ```
//! A part gets its second name first, then a commit removes it, then its first name goes: a crash in between leaves it
//! in service or in quarantine, never nowhere. Retention and sweeps know nothing of the directory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use object_store::path::Path as Location;
use tracelake_model::{Position, Table, TenantId, UnixNano};

use crate::core::Core;
use crate::damage::{Gap, Register};
use crate::error::Error;
use crate::files::file::{Files, walk};
use crate::logs::SharedLog;
use crate::part::file::Part;
use crate::part::verify::{Depth, Verdict, verify};
use crate::table::inspect::Inspection;
use crate::table::log::TableLog;

/// The directory, below the data root; no tenant is named so.
const DIRECTORY: &str = "_quarantine";
const RECORD_END: &str = ".json";
/// The record of a table that was moved as a whole.
const TABLE_RECORD: &str = "table.json";

/// Where a table's damaged files go.
fn directory(tenant: &TenantId, table: Table) -> Location {
    Location::from(format!("{DIRECTORY}/{tenant}/{table}"))
}

/// Takes a part out of service, if it is live; what is missing from now on. The log must be that of the part's table.
pub(crate) fn take_out(
    files: &dyn Files,
    log: &mut TableLog,
    (tenant, table): (&TenantId, Table),
    part: &Arc<Part>,
    reason: &str,
    now: UnixNano,
) -> Result<Option<Gap>, Error> {
    log.catch_up()?;
    // A directory that is not there (a disk that is not mounted) says nothing about the files in it.
    if !log.can_replace(part) {
        return Ok(None);
    }
    if !log.stands()? {
        let path = files.path(&part.location);
        return Err(Error::io("find the log of the table of", &path)(io::ErrorKind::NotFound.into()));
    }
    let gap = Gap {
        tenant: tenant.to_string(),
        table: table.to_string(),
        part: part.location.to_string(),
        rows: part.rows,
        bytes: part.bytes,
        time_min: part.time_min.0,
        time_max: part.time_max.0,
        reason: reason.to_owned(),
        since: now.0,
    };
    let name = part.location.filename().unwrap_or_default();
    let to = directory(tenant, table).join(format!("{}-{name}", part.date));
    copy(files, &part.location, &to)?;
    let record = record_of(&to);
    let text = serde_json::to_vec_pretty(&gap).map_err(|fault| Error::Flush(format!("no record of {to}: {fault}")))?;
    files.replace(&record, &text).map_err(Error::io("write", &files.path(&record)))?;
    if !log.quarantine(std::slice::from_ref(part), reason, now)? {
        // Another committer removed it meanwhile: then nothing is missing.
        for at in [&record, &to] {
            files.remove(at).map_err(Error::io("remove", &files.path(at)))?;
        }
        return Ok(None);
    }
    files.remove(&part.location).map_err(Error::io("remove", &files.path(&part.location)))?;
    tracing::error!(%tenant, %table, part = %part.location, rows = part.rows, reason, "a damaged part is in quarantine");
    Ok(Some(gap))
}

fn record_of(part: &Location) -> Location {
    Location::from(format!("{part}{RECORD_END}"))
}

/// A second name for a file; a missing file has none, and one that has it already keeps it.
fn copy(files: &dyn Files, from: &Location, to: &Location) -> Result<(), Error> {
    match files.copy(from, to) {
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => Ok(()),
        outcome => outcome.map_err(Error::io("copy to quarantine", &files.path(from))),
    }
}

/// Moves a file of a table's log that nobody needs out of the way of readers.
pub(crate) fn move_log_file(
    files: &dyn Files,
    (tenant, table): (&TenantId, Table),
    from: &Location,
) -> Result<(), Error> {
    let to = directory(tenant, table).join("log").join(from.filename().unwrap_or_default());
    copy(files, from, &to)?;
    files.remove(from).map_err(Error::io("remove", &files.path(from)))?;
    tracing::error!(%tenant, %table, file = %from, "a damaged file of a table's log is in quarantine");
    Ok(())
}

/// Moves a table whose log cannot be read aside as a whole, and begins it anew with the positions of derived streams
/// that are known, so that numbers go on; all rows that are still in the write-ahead log come in again. Answers what is
/// missing from now on.
pub(crate) fn move_table(
    files: &Arc<dyn Files>,
    (tenant, table): (&TenantId, Table),
    seen: &Inspection,
    wal: &str,
    now: UnixNano,
) -> Result<Gap, Error> {
    let from = Location::from(format!("{tenant}/{table}"));
    let to = directory(tenant, table).join(now.0.to_string());
    let reason = seen.flaws.iter().map(|flaw| format!("{}: {}", flaw.at, flaw.detail)).collect::<Vec<_>>().join("; ");
    let mut gap = Gap {
        tenant: tenant.to_string(),
        table: table.to_string(),
        part: to.to_string(),
        rows: 0,
        bytes: 0,
        time_min: i64::MIN,
        time_max: i64::MAX,
        reason,
        since: now.0,
    };
    let mut all = walk(files.as_ref(), &from).map_err(Error::io("list", &files.path(&from)))?;
    gap.bytes = all.iter().map(|(_, file)| file.bytes).sum();
    // As long as a flawed file stands, the table is known as damaged: these go last, after a crash the rest is moved.
    let flawed = |at: &Location| seen.flaws.iter().any(|flaw| flaw.at == *at);
    let is_log = |at: &Location| at.as_ref().contains("/_delta_log/");
    all.sort_by_key(|(at, _)| (flawed(at), is_log(at)));
    let record = to.clone().join(TABLE_RECORD);
    let text = serde_json::to_vec_pretty(&gap).map_err(|fault| Error::Flush(format!("no record of {to}: {fault}")))?;
    files.replace(&record, &text).map_err(Error::io("write", &files.path(&record)))?;
    for (at, _) in all {
        let rest = at.as_ref().strip_prefix(from.as_ref()).unwrap_or_default();
        copy(files.as_ref(), &at, &Location::from(format!("{to}{rest}")))?;
        files.remove(&at).map_err(Error::io("remove", &files.path(&at)))?;
    }
    let derived = seen.txns.iter().filter_map(|(id, far)| Some((id.strip_prefix("derived/")?, *far)));
    let derived: Vec<_> = derived.collect();
    if !derived.is_empty() {
        TableLog::open(files, tenant, table, wal)?.append(&[], Position(0), &derived, now)?;
    }
    tracing::error!(%tenant, %table, to = %to, reason = gap.reason, "a table is in quarantine, a new one begins");
    Ok(gap)
}

/// Reads what is in quarantine since earlier starts. A record that cannot be read is told, and stops nothing.
pub(crate) fn remember(files: &dyn Files, register: &Register) -> Result<(), Error> {
    let root = Location::from(DIRECTORY);
    let below = |dir: &Location| files.directories(dir).map_err(Error::io("list", &files.path(dir)));
    for name in below(&root)? {
        let Ok(tenant) = TenantId::new(&name) else { continue };
        for table in Table::ALL {
            let dir = directory(&tenant, table);
            let found = files.list(&dir).map_err(Error::io("list", &files.path(&dir)))?;
            let parts = found.iter().filter(|file| file.name.ends_with(RECORD_END));
            let mut records: Vec<_> = parts.map(|file| dir.clone().join(file.name.as_str())).collect();
            records.extend(below(&dir)?.iter().map(|name| dir.clone().join(name.as_str()).join(TABLE_RECORD)));
            for at in records {
                match files.read(&at).map(|text| serde_json::from_slice::<Gap>(&text)) {
                    Ok(Ok(gap)) => register.add_gap(&tenant, table, gap),
                    Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                    _ => register.note(&format!("{} cannot be read", show(files, &at))),
                }
            }
        }
    }
    Ok(())
}

fn show(files: &dyn Files, at: &Location) -> String {
    let path: &Path = &files.path(at);
    path.display().to_string()
}

impl Core {
    /// Looks at a part that somebody could not read. True: it is out of service from now on, or was not live any more. An
    /// error says that the disk did not answer, or that the commit could not be made.
    pub(crate) fn suspect(&self, tenant: &TenantId, table: Table, part: &Arc<Part>) -> Result<bool, Error> {
        let shared = self.logs.get(tenant, table)?;
        match verify(self.files.as_ref(), table, part, None, Depth::Bytes, &mut |_| true)? {
            Verdict::Damaged(reason) => self.quarantine(&shared, (tenant, table), part, &reason).map(|_| true),
            Verdict::Sound | Verdict::Stopped => Ok(false),
        }
    }

    /// Moves a table whose log cannot be read aside, and begins it anew.
    pub(crate) fn begin_anew(&self, tenant: &TenantId, table: Table, seen: &Inspection) -> Result<(), Error> {
        if self.register.closed(tenant, table).is_none() {
            // It was read at the start and is known in memory: only a restart would need the files.
            return Err(Error::Backup(format!(
                "{tenant}/{table} is served from memory, its log cannot be read again; stop the server, then check --repair"
            )));
        }
        let _one = self.flushing.lock();
        let gap = move_table(&self.files, (tenant, table), seen, &self.ids.current().to_text(), self.clock.now())?;
        self.register.add_gap(tenant, table, gap);
        let shared = self.logs.reopen(tenant, table)?;
        self.show(tenant, table, &shared.lock());
        Ok(())
    }

    /// Takes a part out of service; false when it was not live any more.
    pub(crate) fn quarantine(
        &self,
        shared: &SharedLog,
        (tenant, table): (&TenantId, Table),
        part: &Arc<Part>,
        reason: &str,
    ) -> Result<bool, Error> {
        let mut log = shared.lock();
        let gap = take_out(self.files.as_ref(), &mut log, (tenant, table), part, reason, self.clock.now())?;
        let is_out = gap.is_some();
        if let Some(gap) = gap {
            self.register.add_gap(tenant, table, gap);
        }
        self.show(tenant, table, &log);
        Ok(is_out)
    }
}
