//! The one writer of a log: a group of frames, one write, one sync.
//!
//! A plain state machine: threads and queues are the driver's. Deliberately knows nothing of what frames mean.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wal::frame::{Place, WalId, frame_bytes, push_frame};
use crate::wal::segment::{Active, Segments};

/// After a segment could not be made, the disk is left alone for this long.
const BEGIN_PAUSE: Duration = Duration::from_millis(200);
/// A buffer that grew beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// One frame to write.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The encoded header.
    pub(crate) header: Vec<u8>,
    /// The payload.
    pub(crate) payload: Bytes,
    /// Whether taps see it.
    pub(crate) observable: bool,
}

/// Why a group was not written. None of it counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// No segment could be made, or the disk is full: may pass.
    #[error("the log cannot grow ({0}); free disk space")]
    NoSpace(String),
    /// A write or sync failed: only a restart finds out what is on disk.
    #[error("the log's disk failed ({0}); check the disk, then restart")]
    Poisoned(String),
}

/// Appends groups of frames.
#[derive(Debug)]
pub(crate) struct Writer {
    id: WalId,
    segments: Arc<Segments>,
    active: Option<Active>,
    offset: u64,
    next: u64,
    poisoned: Option<String>,
    begin_after: Option<Instant>,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer whose first frame gets position `next`. Touches no file before the first group.
    pub(crate) fn new(id: WalId, segments: Arc<Segments>, next: u64) -> Self {
        Self { id, segments, active: None, offset: 0, next, poisoned: None, begin_after: None, buffer: Vec::new() }
    }

    /// Why this log can never be written again before a restart.
    pub(crate) fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// Writes a group and syncs it; the position of its first frame, the others follow one by one.
    pub(crate) fn append(&mut self, frames: &[Frame]) -> Result<u64, WriteError> {
        if let Some(reason) = &self.poisoned {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        let bytes: usize = frames.iter().map(|frame| frame_bytes(frame.header.len(), frame.payload.len())).sum();
        self.make_room(bytes as u64)?;
        let Some(active) = &self.active else { return Err(WriteError::NoSpace("no segment".into())) };
        let generation = active.generation;
        self.buffer.clear();
        for (frame, sequence) in frames.iter().zip(self.next..) {
            let place = Place { id: self.id, generation, sequence, durable: self.next - 1 };
            push_frame(&mut self.buffer, place, &frame.header, &frame.payload);
        }
        let file = Arc::clone(&active.file);
        if let Err(error) = file.write_at(self.offset, &self.buffer) {
            return Err(self.write_failed(&error));
        }
        if let Err(error) = file.sync_data() {
            return Err(self.poison(&error));
        }
        let first = self.next;
        self.offset += self.buffer.len() as u64;
        self.next += frames.len() as u64;
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        let seen = frames.iter().zip(first..).filter(|(frame, _)| frame.observable).last();
        self.segments.advance(self.next - 1, seen.map(|(_, sequence)| sequence), self.offset);
        Ok(first)
    }

    fn make_room(&mut self, bytes: u64) -> Result<(), WriteError> {
        if self.active.as_ref().is_some_and(|active| self.offset + bytes <= active.bytes) {
            return Ok(());
        }
        if self.begin_after.is_some_and(|at| Instant::now() < at) {
            return Err(WriteError::NoSpace("a moment ago no segment could be made".into()));
        }
        match self.segments.begin(self.next, bytes) {
            Ok(active) => {
                (self.active, self.offset, self.begin_after) = (Some(active), 0, None);
                Ok(())
            }
            Err(error) => {
                self.begin_after = Some(Instant::now() + BEGIN_PAUSE);
                Err(WriteError::NoSpace(error.to_string()))
            }
        }
    }

    /// A full disk may pass: what was written of this group is void once the next segment begins at its position.
    fn write_failed(&mut self, error: &io::Error) -> WriteError {
        if error.kind() != io::ErrorKind::StorageFull {
            return self.poison(error);
        }
        self.active = None;
        WriteError::NoSpace(error.to_string())
    }

    fn poison(&mut self, error: &io::Error) -> WriteError {
        let reason = error.to_string();
        tracing::error!(%error, position = self.next, "the log failed, appends are refused until a restart");
        self.poisoned = Some(reason.clone());
        WriteError::Poisoned(reason)
    }
}
