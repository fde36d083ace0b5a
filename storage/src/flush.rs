//! One step of the flusher: frozen rows to parts, parts into their tables, then the rows leave the tail and old
//! segments go.
//!
//! The commit of a table names the position it covers, so a crash between any two lines loses and doubles nothing:
//! replay applies a frame only to tables that are behind it.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tracelake_model::{Position, TenantId};

use crate::core::Core;
use crate::disk;
use crate::error::Error;
use crate::mover::Mover;
use crate::part::file::NewPart;
use crate::point::Point;
use crate::signal::FlushReport;

/// The file of hashes whose segments are gone.
pub(crate) const HASHES_FILE: &str = "hashes";

impl Core {
    /// Moves everything that is visible now to parts. On failure the rest stays in the tail for the next time.
    pub(crate) fn flush_step(&self) -> Result<FlushReport, Error> {
        let _one = self.flushing.lock();
        let begun = Instant::now();
        let mut report = FlushReport::default();
        let outcome = self.move_tail(&mut report).and_then(|()| self.drop_segments());
        self.counters.flushed_rows.fetch_add(report.rows, Ordering::Relaxed);
        self.counters.flushes.fetch_add(u64::from(report.parts > 0), Ordering::Relaxed);
        self.counters.flush_failures.fetch_add(u64::from(outcome.is_err()), Ordering::Relaxed);
        self.counters.stages.flush.add(begun.elapsed(), report.bytes, report.rows);
        *self.flush_failure.lock() = outcome.as_ref().err().map(ToString::to_string);
        outcome.map(|()| report)
    }

    /// Moves everything that is visible now to parts. Deliberately lets no segment go: taps may need them.
    pub(crate) fn move_tail(&self, report: &mut FlushReport) -> Result<(), Error> {
        let target = self.tail.lock().visible();
        let (files, clock, pass) = (self.files.as_ref(), self.clock.as_ref(), |point| self.pass(point));
        let made = |tenant: &TenantId, table, parts: &[NewPart]| {
            self.traces.insert_all(parts);
            self.erasing.note(tenant, table, parts);
        };
        let mover = Mover { files, logs: &self.logs, tail: &self.tail, clock, made: &made, pass: &pass };
        let mut outcome = Ok(());
        // Rows that a failed flush left behind go first, so the newest ones may need a second round.
        while outcome.is_ok() && self.tail.lock().first_needed() <= target {
            let frozen = self.tail.lock().freeze();
            // Tables are never ahead of a log that may lose what they hold.
            if let Err(error) = self.sync_log() {
                outcome = Err(Error::Flush(error.to_string()));
                break;
            }
            for mut work in frozen {
                outcome = outcome.and(mover.run(&mut work, report));
            }
        }
        outcome
    }

    /// Lets segments go that neither tables nor taps need; what they knew of payloads is saved first.
    pub(crate) fn drop_segments(&self) -> Result<(), Error> {
        let needed = self.tail.lock().first_needed();
        if let Some(last) = self.segments.droppable(needed, self.feed.taps_position()) {
            let hashes = self.dedup.lock().file_content(Position(last), self.clock.now());
            let path = self.wal_dir.join(HASHES_FILE);
            disk::replace(self.disk.as_ref(), &self.wal_dir, HASHES_FILE, &hashes)
                .map_err(Error::io("write", &path))?;
            self.pass(Point::HashesSaved)?;
            self.segments.drop_through(last).map_err(Error::io("recycle segments in", &self.wal_dir))?;
        }
        // After the writer found no space, a spare that can be made says that it is over.
        let pressed = self.write_failure.lock().is_some() && self.writer.lock().poisoned().is_none();
        match self.segments.prepare(pressed) {
            Ok(()) if pressed => *self.write_failure.lock() = None,
            Ok(()) => {}
            // The writer tries by itself when it needs one, and says so to clients.
            Err(error) => tracing::warn!(%error, "no spare segment could be made ahead"),
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn pass(&self, point: Point) -> Result<(), Error> {
        if *self.crash_at.lock() == Some(point) {
            return Err(Error::Flush(format!("stopped at {point:?}")));
        }
        Ok(())
    }

    #[cfg(not(test))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "tests stop here")]
    pub(crate) fn pass(&self, _point: Point) -> Result<(), Error> {
        Ok(())
    }
}
