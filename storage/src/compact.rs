//! Small parts become large ones, one merge at a time, while everything else goes on.
//!
//! Rows are the same before and after, but for spans that are equal in all columns. The commit stands only while all
//! parts that it removes are live; whoever holds a snapshot reads the old files, which stay for a while (`sweep.rs`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tracelake_model::{Table, TenantId};

use crate::core::Core;
use crate::error::Error;
use crate::logs::SharedLog;
use crate::part::file::{NewPart, Part};
use crate::part::merge::{Failure, Merge};
use crate::part::splice::{GROUP_ROWS_MIN, Splice};
use crate::plan;
use crate::point::Point;
use crate::table::log::TableLog;

impl Core {
    /// Merges the parts that most deserve it, of any table; whether there was anything to do. `go_on` is asked every
    /// few thousand rows.
    pub(crate) fn compact_step(&self, go_on: &mut dyn FnMut() -> bool) -> Result<bool, Error> {
        for (tenant, table, shared) in self.logs.all() {
            // Rows that came before an erasure and rows that came after must not meet in one part.
            if self.erasing.has(&tenant, table) {
                continue;
            }
            let chosen = {
                let log = shared.lock();
                let live: Vec<_> = log.live().into_iter().filter(|part| log.can_replace(part)).collect();
                plan::choose(&live, &self.keeper.left_alone.lock(), self.clock.now())
            };
            if let Some(chosen) = chosen {
                return self.merge(&tenant, table, &shared, &chosen, go_on).map(|()| true);
            }
        }
        Ok(false)
    }

    fn merge(
        &self,
        tenant: &TenantId,
        table: Table,
        shared: &SharedLog,
        chosen: &[Arc<Part>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let (begun, mut rested) = (Instant::now(), Duration::ZERO);
        let mut rest = || {
            let begun = Instant::now();
            let goes_on = go_on();
            rested += begun.elapsed();
            goes_on
        };
        let merged = self.join(tenant, table, chosen, &mut rest);
        self.counters.stages.compact.add(begun.elapsed().saturating_sub(rested), 0, 0);
        let (inputs, output) = match merged {
            Ok(merged) => merged,
            Err(Failure::Stopped) => return Ok(()),
            Err(Failure::Output(error)) => {
                self.counters.compaction_failures.fetch_add(1, Ordering::Relaxed);
                return Err(error);
            }
            Err(Failure::Input(part, error)) => {
                if self.suspect(tenant, table, &part)? {
                    return Ok(());
                }
                return self.leave_alone(shared, &part, &error);
            }
        };
        self.pass(Point::Merged)?;
        let mut log = shared.lock();
        self.traces.insert_all(std::slice::from_ref(&output));
        let committed = log.replace(&inputs, std::slice::from_ref(&output), self.clock.now())?;
        self.pass(Point::Swapped)?;
        self.show(tenant, table, &log);
        drop(log);
        self.count(committed.then_some(&inputs), &output);
        Ok(())
    }

    /// Writes the first of `chosen` as one part, as many as memory allows: spliced where rows can stay as they are
    /// encoded, merged row by row where not.
    fn join(
        &self,
        tenant: &TenantId,
        table: Table,
        chosen: &[Arc<Part>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<(Vec<Arc<Part>>, NewPart), Failure> {
        let files = self.files.as_ref();
        if let Some(splice) = Splice::open(files, table, chosen, GROUP_ROWS_MIN)?
            && let Some(output) = splice.run(files, tenant, go_on)?
        {
            return Ok((chosen.to_vec(), output));
        }
        let merge = Merge::open(files, table, chosen)?;
        Ok((merge.parts(), merge.run(files, tenant, go_on)?))
    }

    /// A part that cannot be merged stays as it is, and is not tried again before a restart.
    fn leave_alone(&self, shared: &SharedLog, part: &Part, error: &Error) -> Result<(), Error> {
        let mut log = shared.lock();
        log.catch_up()?;
        // Another committer may have removed it meanwhile; then its file may be gone, and nothing is wrong.
        if log.can_replace(part) {
            tracing::warn!(%error, part = %part.location, "a part cannot be merged, it stays as it is");
            self.counters.compaction_failures.fetch_add(1, Ordering::Relaxed);
        }
        self.keeper.left_alone.lock().insert(part.location.clone());
        Ok(())
    }

    /// Shows what a table's log says; the log is locked, so that nobody shows an older list after this one.
    pub(crate) fn show(&self, tenant: &TenantId, table: Table, log: &TableLog) {
        self.tail.lock().show(tenant, table, log.live(), log.flushed().0);
    }

    /// Another committer was first: the file has no name in any commit, so it can go at once.
    pub(crate) fn discard(&self, output: &NewPart) {
        // A sweep finds what this leaves.
        let _ = self.files.remove(&output.part.location);
    }

    fn count(&self, inputs: Option<&Vec<Arc<Part>>>, output: &NewPart) {
        let Some(inputs) = inputs else {
            self.discard(output);
            return;
        };
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        inputs.iter().for_each(|part| self.counters.merged.count(part));
        self.counters.merged_to.count(&output.part);
        self.counters.stages.compact.add(Duration::ZERO, output.part.bytes, output.part.rows);
    }
}
