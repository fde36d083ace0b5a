//! Damaged files to quarantine, so that everything else is served. Deletes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::path::Path as Location;
use tracelake_model::{Table, TenantId};

use crate::check::run::Checker;
use crate::check::table::Seen;
use crate::error::Error;
use crate::quarantine::{move_log_file, move_table, take_out};
use crate::table::inspect::FlawKind;
use crate::table::log::TableLog;

impl Checker<'_> {
    /// Puts a table right, as far as that can be.
    pub(crate) fn repair(&mut self, tenant: &TenantId, table: Table, seen: &Seen) -> Result<(), Error> {
        if !seen.log.is_readable {
            return self.begin_anew(tenant, table, seen);
        }
        for flaw in &seen.log.flaws {
            // A note that is wrong costs nothing: readers list the directory when there is none.
            if flaw.kind == FlawKind::Hint {
                self.files.remove(&flaw.at).map_err(Error::io("remove", &self.files.path(&flaw.at)))?;
            } else {
                move_log_file(self.files.as_ref(), (tenant, table), &flaw.at)?;
            }
            self.mark(&flaw.at, "moved out of the way");
        }
        if seen.damaged.is_empty() {
            return Ok(());
        }
        if let Some(core) = self.core {
            let shared = core.logs.get(tenant, table)?;
            for (part, reason) in &seen.damaged {
                core.quarantine(&shared, (tenant, table), part, reason)?;
                self.mark(&part.location, "moved to quarantine; a backup may have it");
            }
            return Ok(());
        }
        let mut log = TableLog::open(&self.files, tenant, table, &self.wal)?;
        for (part, reason) in &seen.damaged {
            take_out(self.files.as_ref(), &mut log, (tenant, table), part, reason, self.now)?;
            self.mark(&part.location, "moved to quarantine; a backup may have it");
        }
        Ok(())
    }

    fn begin_anew(&mut self, tenant: &TenantId, table: Table, seen: &Seen) -> Result<(), Error> {
        let files = Arc::clone(&self.files);
        match self.core {
            Some(core) => core.begin_anew(tenant, table, &seen.log)?,
            None => drop(move_table(&files, (tenant, table), &seen.log, &self.wal, self.now)?),
        }
        for flaw in &seen.log.flaws {
            self.mark(&flaw.at, "the table was moved to quarantine, a new one begins; a backup may have its rows");
        }
        Ok(())
    }

    /// Notes what was done about a finding.
    fn mark(&mut self, at: &Location, done: &str) {
        let path: PathBuf = self.files.path(at);
        let path = path.display().to_string();
        for finding in self.report.findings.iter_mut().filter(|finding| finding.path == path) {
            (finding.repaired, finding.remedy) = (true, done.to_owned());
        }
    }
}
