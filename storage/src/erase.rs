//! Delete by query: the rows of one table for which a condition holds go for good, out of everything that was stored when
//! it was asked.
//!
//! The log begins a new segment and the tail is flushed; then each live part with such rows is written again without
//! them, and takes its place by a commit that stands only while the old one is live. What a merge made of parts meanwhile
//! is looked at too, so no row comes back; parts that flushes add meanwhile hold rows that came later, and stay. At the
//! end the table's removed files go at once, also those that compaction left, and so do the log's old segments; a file
//! that a snapshot here reads goes right after it.
//!
//! Deliberately leaves alone: the audit table, rows derived from erased ones, least and greatest values of removed files
//! in the table's log (they go with its entries, `delta_log_keep`), frames set aside as undecodable, and backups. After
//! a restart, files and segments that had to wait go as all others do.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use object_store::path::Path as Location;
use tracelake_model::{Table, TenantId, UnixNano};

use crate::core::Core;
use crate::erasing::Running;
use crate::erasure::{Erased, Erasure};
use crate::error::Error;
use crate::logs::SharedLog;
use crate::part::file::Part;
use crate::part::filter;
use crate::point::Point;

/// How often others may merge parts under our feet before we give up for this time.
const ROUNDS_MAX: usize = 100;
/// How long an erasure waits at its end for taps to let the log's segments go.
const LOG_WAIT: Duration = Duration::from_secs(5);
/// From one look at the taps to the next.
const LOG_LOOK: Duration = Duration::from_millis(20);
/// From one line of progress to the next.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// An erasure under way.
struct Work<'a> {
    core: &'a Core,
    tenant: &'a TenantId,
    erasure: &'a Erasure,
    shared: SharedLog,
    running: Running<'a>,
    /// Parts without any such row, or that cannot be read.
    seen: HashSet<Location>,
    /// Why the first part that could not be read was not.
    unread: Option<Error>,
    erased: Erased,
    told: Instant,
}

impl Core {
    /// Erases or counts. `go_on` is asked between parts and every few thousand rows of one; when it says no, what is
    /// erased by then stays erased.
    pub(crate) fn erase(
        &self,
        tenant: &TenantId,
        erasure: &Erasure,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Erased, Error> {
        let table = erasure.table;
        if table == Table::Audit {
            return Err(Error::AuditStays);
        }
        let running = self.erasing.begin(tenant, table).ok_or(Error::Erasing(table))?;
        self.check_holds(tenant, erasure)?;
        let last = if erasure.dry_run { 0 } else { self.turn_log()? };
        if let Err(error) = self.flush_step() {
            // Another table's trouble is not this one's.
            let unflushed = self.tail.lock().snapshot(tenant).tail(table).iter().any(|rows| rows.num_rows() > 0);
            if unflushed {
                return Err(error);
            }
        }
        let shared = self.logs.get(tenant, table)?;
        {
            let _log = shared.lock();
            running.forget_fresh();
        }
        let (seen, unread, erased) = (HashSet::new(), None, Erased::default());
        let mut work =
            Work { core: self, tenant, erasure, shared, running, seen, unread, erased, told: Instant::now() };
        let done = work.run(go_on);
        let Work { mut erased, shared, unread, .. } = work;
        if !erasure.dry_run {
            // Whatever stopped it: what went is gone for good.
            (erased.files_deleted, erased.files_waiting) = self.vacuum(&shared)?;
            self.counters.erasures.fetch_add(1, Ordering::Relaxed);
        }
        done?;
        if let Some(unread) = unread {
            return Err(unread);
        }
        if !erasure.dry_run {
            erased.log_is_clear = self.clear_log(last, go_on)?;
        }
        Ok(erased)
    }

    fn check_holds(&self, tenant: &TenantId, erasure: &Erasure) -> Result<(), Error> {
        let hold = if erasure.dry_run { None } else { self.holds(tenant).on_range(erasure.table, erasure.range) };
        hold.map_or(Ok(()), |hold| Err(Error::Held(hold)))
    }

    /// Has the log go on in a new file; the last position before. What stands up to there will be in no file that is
    /// used again.
    fn turn_log(&self) -> Result<u64, Error> {
        let last = self.writer.lock().last();
        self.segments.wipe(last).map_err(Error::io("remove spares in", &self.wal_dir))?;
        // Made before appends have to wait for it.
        self.segments.prepare(true).map_err(Error::io("make a segment in", &self.wal_dir))?;
        let turned = self.writer.lock().turn();
        let failed = |fault| Error::io("begin a segment in", &self.wal_dir)(io::Error::other(fault));
        // What the turn synced is shown to taps.
        turned.and_then(|()| self.sync_log()).map_err(failed)?;
        Ok(last)
    }

    /// Deletes the table's removed files, whoever removed them: how many, and how many wait for those who read them.
    fn vacuum(&self, shared: &SharedLog) -> Result<(u64, u64), Error> {
        let expired = {
            let mut log = shared.lock();
            log.hasten();
            log.expired(self.clock.now())?
        };
        let deleted = self.delete_expired(shared, expired)?;
        let waiting = shared.lock().removed_files() as u64;
        Ok((deleted, waiting))
    }

    /// Lets the log's segments up to `last` go; whether they are gone. Waits a moment for taps.
    fn clear_log(&self, last: u64, go_on: &mut dyn FnMut() -> bool) -> Result<bool, Error> {
        let began = Instant::now();
        loop {
            {
                let _one = self.flushing.lock();
                self.drop_segments()?;
            }
            if !self.segments.holds(last) {
                return Ok(true);
            }
            if began.elapsed() >= LOG_WAIT || !go_on() {
                tracing::info!("old segments of the log wait for alerting");
                return Ok(false);
            }
            std::thread::sleep(LOG_LOOK);
        }
    }
}

impl Work<'_> {
    fn run(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let parts = self.unseen()?;
            if parts.is_empty() {
                return Ok(());
            }
            for part in parts {
                if !go_on() {
                    return Err(Error::Stopped);
                }
                self.look(&part, go_on)?;
                self.tell();
            }
            // A count changes nothing, so there is nothing to look at again.
            if self.erasure.dry_run {
                return Ok(());
            }
        }
        Err(Error::Flush(format!("{} is merged by others all the time", self.erasure.table)))
    }

    /// Live parts that may hold such rows.
    fn unseen(&self) -> Result<Vec<Arc<Part>>, Error> {
        let mut log = self.shared.lock();
        log.catch_up()?;
        let range = self.erasure.range;
        let inside =
            |part: &Part| part.time_max >= range.start && (part.time_min < range.end || range.end == UnixNano::MAX);
        let wanted =
            |part: &Arc<Part>| inside(part) && !self.seen.contains(&part.location) && !self.running.is_fresh(part);
        Ok(log.live().into_iter().filter(wanted).collect())
    }

    fn look(&mut self, part: &Arc<Part>, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        match self.part(part, go_on) {
            Ok(()) => Ok(()),
            Err(error @ (Error::Io { .. } | Error::Damaged { .. } | Error::Arrow(_))) => self.pass_over(part, error),
            Err(error) => Err(error),
        }
    }

    fn part(&mut self, part: &Arc<Part>, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        let (core, table) = (self.core, self.erasure.table);
        let rest = filter::find(core.files.as_ref(), part, self.erasure, go_on)?;
        self.erased.parts_read += 1;
        core.counters.erase_read.fetch_add(1, Ordering::Relaxed);
        if rest.gone == 0 {
            self.seen.insert(part.location.clone());
            return Ok(());
        }
        if !self.erasure.dry_run {
            let left = filter::write(core.files.as_ref(), self.tenant, table, part, &rest, go_on)?;
            core.pass(Point::Rewritten)?;
            let _removing = core.removing.read();
            core.check_holds(self.tenant, self.erasure)?;
            let mut log = self.shared.lock();
            let committed = log.erase(std::slice::from_ref(part), left.as_slice(), core.clock.now())?;
            core.pass(Point::Erased)?;
            core.traces.insert_all(left.as_slice());
            core.show(self.tenant, table, &log);
            if !committed {
                // A merge was first: its part is looked at in the next round.
                left.iter().for_each(|left| core.discard(left));
                return Ok(());
            }
            self.seen.extend(left.map(|left| left.part.location));
            core.counters.erased_rows.fetch_add(rest.gone, Ordering::Relaxed);
        }
        self.erased.rows += rest.gone;
        self.erased.parts_with_rows += 1;
        Ok(())
    }

    /// A part that cannot be read must not keep the others from being erased; the answer tells of it at the end.
    fn pass_over(&mut self, part: &Arc<Part>, error: Error) -> Result<(), Error> {
        let mut log = self.shared.lock();
        log.catch_up()?;
        // Another server may have merged it and deleted its file; then nothing is wrong.
        if log.can_replace(part) {
            tracing::error!(%error, part = %part.location, "rows of this part cannot be erased");
            self.seen.insert(part.location.clone());
            self.unread.get_or_insert(error);
        }
        Ok(())
    }

    fn tell(&mut self) {
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            let Erased { rows, parts_read, .. } = self.erased;
            tracing::info!(tenant = %self.tenant, table = %self.erasure.table, rows, parts_read, "erasing goes on");
        }
    }
}
