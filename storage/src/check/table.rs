//! One table: its log as a whole, then every live part.

use std::sync::Arc;

use object_store::path::Path as Location;
use tracelake_model::{Table, TenantId};

use crate::check::report::{Finding, FindingKind, TableReport};
use crate::check::run::Checker;
use crate::error::Error;
use crate::part::file::Part;
use crate::part::verify::{Depth, Verdict, verify};
use crate::table::inspect::{Flaw, FlawKind, Inspection, Known, inspect};

/// A table's log and what was found in it.
pub(crate) struct Seen {
    pub(crate) log: Inspection,
    /// Damaged parts and why.
    pub(crate) damaged: Vec<(Arc<Part>, String)>,
}

impl Checker<'_> {
    /// Looks at a table, and repairs it when asked.
    pub(crate) fn table(&mut self, tenant: &TenantId, table: Table) -> Result<(), Error> {
        // What is live now stays on disk while we read it.
        let _pinned = self.core.and_then(|core| Some(core.logs.get(tenant, table).ok()?.lock().live()));
        let log = inspect(self.files.as_ref(), &Location::from(format!("{tenant}/{table}")), table)?;
        let parts = || log.live.iter().map(|(part, _)| part);
        let mut line = TableReport {
            tenant: tenant.to_string(),
            table: table.to_string(),
            version: if log.is_readable { log.version } else { None },
            parts: log.live.len() as u64,
            rows: parts().map(|part| part.rows).sum(),
            bytes: parts().map(|part| part.bytes).sum(),
            log_files: log.read,
            damaged_parts: 0,
        };
        let mut seen = Seen { log, damaged: Vec::new() };
        for known in &seen.log.live {
            let Some(reason) = self.part(tenant, table, known)? else { continue };
            seen.damaged.push((Arc::clone(&known.0), reason));
            if self.report.stopped {
                break;
            }
        }
        line.damaged_parts = seen.damaged.len() as u64;
        self.report.tables.push(line);
        for at in self.findings(&seen) {
            self.report.push(at);
        }
        if self.ask.repair { self.repair(tenant, table, &seen) } else { Ok(()) }
    }

    /// Why a part is damaged; `None` when it is not, or is not live any more.
    fn part(&mut self, tenant: &TenantId, table: Table, (part, stats): &Known) -> Result<Option<String>, Error> {
        if self.report.stopped {
            return Ok(None);
        }
        self.progress.parts += 1;
        let depth = if self.ask.rows { Depth::Rows } else { Depth::Bytes };
        let (files, stats) = (Arc::clone(&self.files), stats.as_deref());
        let verdict = verify(files.as_ref(), table, part, stats, depth, &mut |bytes| self.go_on(bytes));
        let reason = match verdict {
            Ok(Verdict::Sound) => return Ok(None),
            Ok(Verdict::Stopped) => {
                self.report.stopped = true;
                return Ok(None);
            }
            Ok(Verdict::Damaged(reason)) => reason,
            Err(Error::Io { what, source, .. }) => format!("the disk would not {what} it: {source}"),
            Err(error) => return Err(error),
        };
        Ok(self.is_live(tenant, table, part).then_some(reason))
    }

    /// Whether a part that was live when we looked at the log still is.
    fn is_live(&self, tenant: &TenantId, table: Table, part: &Part) -> bool {
        let Some(shared) = self.core.and_then(|core| core.logs.get(tenant, table).ok()) else { return true };
        let mut log = shared.lock();
        log.catch_up().is_err() || log.can_replace(part)
    }

    fn findings(&mut self, seen: &Seen) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (part, reason) in &seen.damaged {
            let path = self.files.path(&part.location).display().to_string();
            let remedy = "--repair takes it out of service, a backup may have it";
            let mut finding = Finding::new(FindingKind::Part, path, reason.clone(), remedy);
            finding.rows = Some(part.rows);
            findings.push(finding);
        }
        findings.extend(seen.log.flaws.iter().map(|flaw| self.describe(flaw, seen.log.is_readable)));
        self.progress.findings += findings.len() as u64;
        findings
    }

    fn describe(&self, flaw: &Flaw, is_readable: bool) -> Finding {
        let kind = match flaw.kind {
            FlawKind::Entry => FindingKind::Entry,
            FlawKind::Checkpoint => FindingKind::Checkpoint,
            FlawKind::Hint => FindingKind::Hint,
        };
        let remedy = if is_readable {
            "the table is whole without it; --repair moves it to quarantine"
        } else {
            "the table cannot be read; restore a backup, or --repair moves the table to quarantine and begins it anew"
        };
        Finding::new(kind, self.files.path(&flaw.at).display().to_string(), flaw.detail.clone(), remedy)
    }
}
