//! Memory of a replay: a thread beside it moves rows to parts while further frames are decoded.
//!
//! A log may hold more rows than memory may, whatever the limits were when it was written. Deliberately gives up at the
//! first failure: rows then stay in memory as well as in the log, and the flusher tries again once the store runs.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;

use parking_lot::{Condvar, Mutex};
use tracelake_model::Clock;

use crate::error::Error;
use crate::files::file::Files;
use crate::logs::Logs;
use crate::mover::Mover;
use crate::seam::Seams;
use crate::signal::FlushReport;
use crate::tail::{Tail, Work};

/// The tail of a replay and what keeps it small.
pub(crate) struct Relief<'a> {
    pub(crate) tail: Mutex<Tail>,
    /// Bytes at which rows begin to move; at twice as many the replay waits for them.
    tail_bytes: u64,
    files: &'a dyn Files,
    logs: &'a Logs,
    clock: &'a dyn Clock,
    state: Mutex<State>,
    rested: Condvar,
}

#[derive(Debug, Default)]
struct State {
    busy: bool,
    failed: bool,
}

impl<'a> Relief<'a> {
    /// Rows move from `tail` to the tables of `logs`.
    pub(crate) fn new(seams: &'a Seams, logs: &'a Logs, tail: Tail, tail_bytes: u64) -> Self {
        let (files, clock) = (seams.files.as_ref(), seams.clock.as_ref());
        let (state, rested) = (Mutex::default(), Condvar::default());
        Self { tail: Mutex::new(tail), tail_bytes, files, logs, clock, state, rested }
    }

    /// Runs `replay`, which hands on what is frozen, with the thread beside it.
    pub(crate) fn beside<T>(
        &self,
        replay: impl FnOnce(&SyncSender<Vec<Work>>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (hand_on, frozen) = sync_channel(1);
        std::thread::scope(|scope| {
            let thread = Builder::new().name("storage-replay".to_owned()).spawn_scoped(scope, || self.move_all(frozen));
            let thread = thread.map_err(Error::io("start the thread", std::path::Path::new("storage-replay")))?;
            let done = replay(&hand_on);
            drop(hand_on);
            let ended = thread.join();
            if ended.is_err() { Err(Error::Flush("moving rows of the log to parts panicked".to_owned())) } else { done }
        })
    }

    /// Hands on what gathered, where that is much. Everything in the tail must be known to be on disk.
    pub(crate) fn relieve(&self, hand_on: &SyncSender<Vec<Work>>) {
        let bytes = self.tail.lock().bytes();
        if bytes < self.tail_bytes {
            return;
        }
        let mut state = self.state.lock();
        if state.busy && bytes < 2 * self.tail_bytes {
            return;
        }
        self.rested.wait_while(&mut state, |state| state.busy);
        if state.failed {
            return;
        }
        let frozen = self.tail.lock().freeze();
        // The thread only ends after the sender does.
        state.busy = !frozen.is_empty() && hand_on.send(frozen).is_ok();
    }

    fn move_all(&self, frozen: Receiver<Vec<Work>>) {
        let (files, logs, tail, clock) = (self.files, self.logs, &self.tail, self.clock);
        let mover = Mover { files, logs, tail, clock, made: &|_, _, _| {}, pass: &|_| Ok(()) };
        for works in frozen {
            // Whoever waits is told even by a panic.
            let rest = Rest(self);
            for mut work in works {
                if let Err(error) = mover.run(&mut work, &mut FlushReport::default()) {
                    tracing::warn!(%error, "rows of the log stay in memory, they cannot be flushed while it is read");
                    self.state.lock().failed = true;
                }
            }
            drop(rest);
        }
    }
}

struct Rest<'a, 'b>(&'a Relief<'b>);

impl Drop for Rest<'_, '_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.busy = false;
        state.failed |= std::thread::panicking();
        self.0.rested.notify_all();
    }
}
