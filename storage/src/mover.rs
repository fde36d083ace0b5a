//! Frozen rows of the tail to parts and into their tables, table by table.
//!
//! The flusher moves rows so while the store runs, and a replay that outgrows its memory while it opens. Deliberately
//! freezes nothing and lets no segment of the log go.

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tracelake_model::{Clock, Position, Table, TenantId};

use crate::audit::AUDIT_SEQ;
use crate::error::Error;
use crate::files::file::Files;
use crate::logs::Logs;
use crate::part::file::NewPart;
use crate::part::writer::write_parts;
use crate::point::Point;
use crate::signal::FlushReport;
use crate::tail::{Tail, Work};

/// From where to where rows move.
pub(crate) struct Mover<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) logs: &'a Logs,
    pub(crate) tail: &'a Mutex<Tail>,
    pub(crate) clock: &'a dyn Clock,
    /// Hears of parts before they are committed, while their table's log is locked.
    pub(crate) made: &'a dyn Fn(&TenantId, Table, &[NewPart]),
    /// Where tests make it die.
    pub(crate) pass: &'a dyn Fn(Point) -> Result<(), Error>,
}

impl Mover<'_> {
    /// Moves what is left of a frozen generation. What fails stays in the tail.
    pub(crate) fn run(&self, work: &mut Work, report: &mut FlushReport) -> Result<(), Error> {
        let mut outcome = Ok(());
        for table in Table::ALL {
            if work.extent.has(table) && !work.flushed.contains(table) {
                // One table's failure must not hold up the others.
                outcome = outcome.and(self.table(work, table, report));
            }
        }
        outcome
    }

    fn table(&self, work: &mut Work, table: Table, report: &mut FlushReport) -> Result<(), Error> {
        let shared = self.logs.get(&work.tenant, table)?;
        let last = Position(work.extent.last);
        // Taken out, so that their memory is free as soon as the tail lets them go.
        let pieces = std::mem::take(&mut work.rows[table as usize]);
        let mut log = shared.lock();
        // What stands already is not written again; a commit that failed half-way is settled by the log itself.
        if log.flushed() < last {
            let rows: Vec<RecordBatch> = pieces.iter().map(|piece| piece.rows().clone()).collect();
            let parts = write_parts(self.files, &work.tenant, table, &rows, work.extent.received)?;
            (self.pass)(Point::PartsWritten)?;
            let streams = work.extent.derived(table).map(|(source, position)| (self.logs.stream(source), position));
            let mut derived: Vec<_> = streams.collect();
            if table == Table::Audit && work.extent.audit_seq > 0 {
                derived.push((AUDIT_SEQ.to_owned(), work.extent.audit_seq));
            }
            let derived: Vec<_> = derived.iter().map(|(source, position)| (source.as_str(), *position)).collect();
            (self.made)(&work.tenant, table, &parts);
            let live = log.append(&parts, last, &derived, self.clock.now())?;
            report.rows += rows.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
            report.parts += live.len() as u64;
            report.bytes += live.iter().map(|part| part.bytes).sum::<u64>();
        }
        (self.pass)(Point::Committed)?;
        // The log stays locked, so that nobody shows an older list of parts after this one.
        self.tail.lock().replace(&work.tenant, table, log.live());
        drop(log);
        (self.pass)(Point::Replaced)
    }
}
