//! Hands durable requests to taps, in order, without ever holding up the log's writer.
//!
//! A request that is written and not synced yet is held until it is: a tap's position never passes the durable end of
//! the log. What does not fit the bounded queue is noted as missed and read from the log again. One thread feeds all
//! taps.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tracelake_model::{Durable, Position, Tap};

/// Bytes that are handed to taps at a time, about: what is handed out is held until taps have seen all of it.
const HANDED_BYTES: u64 = 1 << 20;

/// A tap and where its work begins.
struct Attached {
    tap: Arc<dyn Tap>,
    from: Position,
}

/// What the feeder does next.
#[derive(Debug)]
pub(crate) enum Job {
    /// Hand these on.
    Live(Vec<Durable>),
    /// Read these positions from the log and hand them on.
    Missed(RangeInclusive<u64>),
}

#[derive(Debug, Default)]
struct Waiting {
    /// Written, not durable; the log's writer syncs before there are too many.
    held: VecDeque<(Durable, u64)>,
    queue: VecDeque<(Durable, u64)>,
    /// Of the queue and of what was handed out last.
    bytes: u64,
    handed_bytes: u64,
    missed: Option<RangeInclusive<u64>>,
    stopped: bool,
    delivered: u64,
}

/// The taps and what waits for them.
pub(crate) struct Feed {
    requests_max: usize,
    bytes_max: u64,
    taps: Mutex<Vec<Attached>>,
    state: Mutex<Waiting>,
    ready: Condvar,
}

impl Feed {
    pub(crate) fn new(requests_max: usize, bytes_max: u64) -> Self {
        let (taps, state) = (Mutex::default(), Mutex::default());
        Self { requests_max, bytes_max, taps, state, ready: Condvar::new() }
    }

    /// Adds a tap; `visible` is the last durable position. A tap with a position sees everything past it again.
    pub(crate) fn attach(&self, tap: Arc<dyn Tap>, visible: u64) {
        let position = tap.position();
        let from = position.unwrap_or(Position(visible));
        self.taps.lock().push(Attached { tap, from });
        let mut state = self.state.lock();
        if from.0 < visible {
            let first = state.missed.as_ref().map_or(from.0 + 1, |missed| (*missed.start()).min(from.0 + 1));
            state.missed = Some(first..=visible);
        }
        state.delivered = state.delivered.max(visible);
    }

    /// The position of the slowest tap that wants the log kept for it.
    pub(crate) fn taps_position(&self) -> Option<u64> {
        let taps: Vec<_> = self.taps.lock().iter().map(|attached| Arc::clone(&attached.tap)).collect();
        taps.iter().filter_map(|tap| tap.position()).map(|position| position.0).min()
    }

    /// Written requests, with their bytes in memory, from the writer, in order. Never waits.
    pub(crate) fn hold(&self, requests: Vec<(Durable, u64)>) {
        if !self.taps.lock().is_empty() {
            self.state.lock().held.extend(requests);
        }
    }

    /// Everything up to `durable` is on disk: what was held up to there may be seen. Never waits.
    pub(crate) fn release(&self, durable: u64) {
        let mut state = self.state.lock();
        let count = state.held.partition_point(|(held, _)| held.position.0 <= durable);
        if count == 0 {
            return;
        }
        let released: Vec<_> = state.held.drain(..count).collect();
        for (durable, bytes) in released {
            let full = state.queue.len() >= self.requests_max || state.bytes + bytes > self.bytes_max;
            match state.missed.take() {
                Some(missed) => state.missed = Some(*missed.start()..=durable.position.0),
                None if full && !state.queue.is_empty() => {
                    tracing::info!(position = durable.position.0, "taps fall behind, they read from the log");
                    state.missed = Some(durable.position.0..=durable.position.0);
                }
                None => {
                    state.bytes += bytes;
                    state.queue.push_back((durable, bytes));
                }
            }
        }
        self.ready.notify_one();
    }

    /// The next job. With `wait` it waits for one; `None` when there is none, or when stopped and drained.
    pub(crate) fn next(&self, wait: bool) -> Option<Job> {
        let mut state = self.state.lock();
        while wait && state.queue.is_empty() && state.missed.is_none() && !state.stopped {
            self.ready.wait(&mut state);
        }
        // Whoever asks has delivered what it got before.
        state.bytes -= std::mem::take(&mut state.handed_bytes);
        let mut handed = Vec::new();
        while let Some((_, bytes)) = state.queue.front()
            && (handed.is_empty() || state.handed_bytes + bytes <= HANDED_BYTES)
            && let Some((durable, bytes)) = state.queue.pop_front()
        {
            state.handed_bytes += bytes;
            handed.push(durable);
        }
        if !handed.is_empty() {
            return Some(Job::Live(handed));
        }
        // After a stop the log keeps what is missed for the next start.
        if state.stopped { None } else { state.missed.take().map(Job::Missed) }
    }

    /// Shows one request to every tap that has not seen it.
    pub(crate) fn deliver(&self, durable: &Durable) {
        let taps: Vec<_> = {
            let taps = self.taps.lock();
            let due = taps.iter().filter(|attached| attached.from < durable.position);
            due.map(|attached| Arc::clone(&attached.tap)).collect()
        };
        for tap in taps {
            if catch_unwind(AssertUnwindSafe(|| tap.observe(durable))).is_err() {
                tracing::error!(tap = tap.name(), position = durable.position.0, "a tap panicked on a request");
            }
        }
        let mut state = self.state.lock();
        state.delivered = state.delivered.max(durable.position.0);
    }

    /// Requests that wait in memory, and whether taps read from the log.
    pub(crate) fn waiting(&self) -> (usize, bool) {
        let state = self.state.lock();
        (state.held.len() + state.queue.len(), state.missed.is_some())
    }

    /// Ends the feeder once the queue is empty.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.ready.notify_all();
    }
}
