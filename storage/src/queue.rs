//! Requests that wait for the log's writer, bounded by bytes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use tracelake_model::Batch;

use crate::dedup::Outcome;
use crate::wal::header::FrameHeader;

/// One append on its way to the log.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Header without `audit_seq`: the writer knows it.
    pub(crate) header: FrameHeader,
    /// What goes into the frame.
    pub(crate) payload: Bytes,
    /// What goes into the tail.
    pub(crate) batches: Vec<Batch>,
    /// Bytes of `batches` in memory.
    pub(crate) rows_bytes: u64,
    /// Who waits.
    pub(crate) done: oneshot::Sender<Outcome>,
}

impl Entry {
    /// What an entry counts for: what it holds in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.payload.len() as u64 + self.rows_bytes
    }
}

/// What a look into the queue found.
#[derive(Debug)]
pub(crate) enum Taken {
    /// These entries.
    Group(Vec<Entry>),
    /// Nothing came in time.
    Late,
    /// Nothing, and nothing will come: it is closed.
    Closed,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    bytes: u64,
    closed: bool,
}

impl Queue {
    /// Adds an entry unless the queue is closed; gives it back then.
    pub(crate) fn push(&self, entry: Entry) -> Result<(), Box<Entry>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Box::new(entry));
        }
        state.bytes += entry.bytes();
        state.entries.push_back(entry);
        self.ready.notify_one();
        Ok(())
    }

    /// Takes what waits, in order, up to `payload_bytes_max` (but at least one entry). Waits for the first as long as
    /// `patience` lasts, without one until the queue is closed.
    pub(crate) fn take(&self, payload_bytes_max: u64, patience: Option<Duration>) -> Taken {
        let mut state = self.state.lock();
        let idle = |state: &mut Waiting| state.entries.is_empty() && !state.closed;
        match patience {
            None => self.ready.wait_while(&mut state, idle),
            Some(at_most) => drop(self.ready.wait_while_for(&mut state, idle, at_most)),
        }
        let (mut group, mut payload_bytes) = (Vec::new(), 0);
        while let Some(entry) = state.entries.front() {
            payload_bytes += entry.payload.len() as u64;
            if !group.is_empty() && payload_bytes > payload_bytes_max {
                break;
            }
            state.bytes -= entry.bytes();
            group.extend(state.entries.pop_front());
        }
        match (group.is_empty(), state.closed) {
            (false, _) => Taken::Group(group),
            (true, false) => Taken::Late,
            (true, true) => Taken::Closed,
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Takes no more entries; those that wait are still handed out.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.ready.notify_all();
    }
}
