//! A check from its first file to its report: of a directory that no server uses, or of a running store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use object_store::path::Path as Location;
use tracelake_model::{Clock, Table, TenantId, UnixNano};

use crate::check::report::{CheckAsk, CheckProgress, CheckReport, Finding, FindingKind};
use crate::core::Core;
use crate::damage::{Gap, Register};
use crate::disk::Disk;
use crate::error::Error;
use crate::files::file::Files;
use crate::wal::id::Ids;
use crate::{open, quarantine};

/// Told how far a check is; whether it goes on.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(CheckProgress) -> bool;

/// A check under way.
pub(crate) struct Checker<'a> {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) data_dir: PathBuf,
    /// The running store; `None` when no server uses the directory.
    pub(crate) core: Option<&'a Core>,
    /// The log's id, as table logs name it.
    pub(crate) wal: String,
    pub(crate) ask: CheckAsk,
    pub(crate) now: UnixNano,
    pub(crate) report: CheckReport,
    pub(crate) progress: CheckProgress,
    pub(crate) tell: Tell<'a>,
}

impl Checker<'_> {
    /// Counts bytes that were read; whether to go on.
    pub(crate) fn go_on(&mut self, bytes: u64) -> bool {
        self.progress.bytes += bytes;
        (self.tell)(self.progress)
    }

    fn run(mut self) -> Result<CheckReport, Error> {
        let since = Instant::now();
        self.small_files()?;
        self.write_ahead_log()?;
        for (tenant, table) in self.table_names()? {
            if self.report.stopped {
                break;
            }
            self.table(&tenant, table)?;
        }
        self.documents()?;
        for gap in self.gaps()? {
            let remedy = "restore a backup to have it again; delete the file once nobody wants it";
            let mut finding = Finding::new(FindingKind::Quarantined, gap.part.clone(), gap.reason, remedy);
            finding.rows = (gap.rows > 0).then_some(gap.rows);
            self.report.push(finding);
        }
        self.report.bytes = self.progress.bytes;
        self.report.seconds = since.elapsed().as_secs_f64();
        Ok(self.report)
    }

    /// Every table that has a directory.
    fn table_names(&self) -> Result<Vec<(TenantId, Table)>, Error> {
        let below = |dir: &Location| self.files.directories(dir).map_err(Error::io("list", &self.files.path(dir)));
        let mut names = Vec::new();
        for name in below(&Location::default())? {
            let Ok(tenant) = TenantId::new(&name) else { continue };
            let found = below(&Location::from(name))?;
            names.extend(found.iter().filter_map(|name| Some((tenant.clone(), Table::parse(name)?))));
        }
        names.sort();
        Ok(names)
    }

    /// What stands in quarantine.
    fn gaps(&self) -> Result<Vec<Gap>, Error> {
        let register = Register::default();
        quarantine::remember(self.files.as_ref(), &register)?;
        Ok(register.all_gaps())
    }
}

/// Checks a directory that no server uses; its lock is held meanwhile.
pub(crate) fn check_directory(
    (disk, files): (&Arc<dyn Disk>, &Arc<dyn Files>),
    data_dir: &Path,
    clock: &dyn Clock,
    ask: CheckAsk,
    tell: Tell<'_>,
) -> Result<CheckReport, Error> {
    let _lock = open::take_lock(disk.as_ref(), data_dir, &data_dir.join("wal"))?;
    let checker = Checker {
        disk: Arc::clone(disk),
        files: Arc::clone(files),
        data_dir: data_dir.to_owned(),
        core: None,
        wal: Ids::read(disk.as_ref(), &data_dir.join("wal")).map_or_else(String::new, |ids| ids.current().to_text()),
        ask,
        now: clock.now(),
        report: CheckReport::default(),
        progress: CheckProgress::default(),
        tell,
    };
    checker.run()
}

/// Checks one table of a directory, with its log alone named by `wal`.
#[cfg(test)]
pub(crate) fn check_table(
    (disk, files): (&Arc<dyn Disk>, &Arc<dyn Files>),
    (tenant, table): (&TenantId, Table),
    ask: CheckAsk,
) -> Result<CheckReport, Error> {
    let mut checker = Checker {
        disk: Arc::clone(disk),
        files: Arc::clone(files),
        data_dir: PathBuf::new(),
        core: None,
        wal: String::new(),
        ask,
        now: UnixNano(0),
        report: CheckReport::default(),
        progress: CheckProgress::default(),
        tell: &mut |_| true,
    };
    checker.table(tenant, table)?;
    Ok(checker.report)
}

impl Core {
    /// Checks a store while it runs. It goes on meanwhile: what is merged or deleted under the check is no damage.
    pub(crate) fn check(&self, ask: CheckAsk, tell: Tell<'_>) -> Result<CheckReport, Error> {
        let checker = Checker {
            disk: Arc::clone(&self.disk),
            files: Arc::clone(&self.files),
            data_dir: self.config.data_dir.clone(),
            core: Some(self),
            wal: self.ids.current().to_text(),
            ask,
            now: self.clock.now(),
            report: CheckReport::default(),
            progress: CheckProgress::default(),
            tell,
        };
        checker.run()
    }
}
