//! Requests that wait for the log's writer, bounded by bytes.

use std::collections::VecDeque;

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

    /// Takes what waits, in order, up to `payload_bytes_max` (but at least one entry). Waits for the first if asked;
    /// `None` when nothing is there (with `wait`: when the queue is closed and empty).
    pub(crate) fn take(&self, payload_bytes_max: u64, wait: bool) -> Option<Vec<Entry>> {
        let mut state = self.state.lock();
        while wait && state.entries.is_empty() && !state.closed {
            self.ready.wait(&mut state);
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
        (!group.is_empty()).then_some(group)
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
