//! Wakes the flusher: on demand, early when the tail is large, or to end.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// What a flush moved from the tail to parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Rows written.
    pub rows: u64,
    /// Parts written.
    pub parts: u64,
    /// Bytes of these parts.
    pub bytes: u64,
}

/// Who asked for a flush and waits for its end.
pub(crate) type Waiter = oneshot::Sender<Result<FlushReport, String>>;

/// Why the flusher woke.
#[derive(Debug)]
pub(crate) enum Wake {
    /// The interval is over.
    Tick,
    /// The tail is large.
    Early,
    /// Somebody asked.
    Asked(Vec<Waiter>),
    /// The store closes.
    Stop(Vec<Waiter>),
}

/// The signal.
#[derive(Debug, Default)]
pub(crate) struct FlushSignal {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiters: Vec<Waiter>,
    early: bool,
    stopped: bool,
}

impl FlushSignal {
    /// Asks for a flush soon.
    pub(crate) fn early(&self) {
        self.state.lock().early = true;
        self.ready.notify_all();
    }

    /// Asks for a flush and its outcome.
    pub(crate) fn ask(&self, waiter: Waiter) {
        self.state.lock().waiters.push(waiter);
        self.ready.notify_all();
    }

    /// Ends the flusher.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.ready.notify_all();
    }

    /// Waits for a reason to flush, `interval` at most. With `calm` a large tail is no reason: the last flush failed.
    pub(crate) fn wait(&self, interval: Duration, calm: bool) -> Wake {
        let mut state = self.state.lock();
        let pressing = |state: &State| state.stopped || !state.waiters.is_empty() || (state.early && !calm);
        if !pressing(&state) {
            self.ready.wait_while_for(&mut state, |state| !pressing(state), interval);
        }
        let waiters = std::mem::take(&mut state.waiters);
        let early = std::mem::take(&mut state.early);
        match (state.stopped, waiters.is_empty(), early) {
            (true, ..) => Wake::Stop(waiters),
            (_, false, _) => Wake::Asked(waiters),
            (_, _, true) => Wake::Early,
            _ => Wake::Tick,
        }
    }
}
