//! The one writer of a log: a group of frames, one write, one sync.
//!
//! A group whose clients chose not to wait for the disk is written without a sync of its own; the next sync covers it.
//! A plain state machine: threads and queues are the driver's. Deliberately knows nothing of what frames mean.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::wal::frame::{Place, WalId, frame_bytes, push_frame};
use crate::wal::segment::{Active, Segments};

/// After a segment could not be made, the disk is left alone for this long.
const BEGIN_PAUSE: Duration = Duration::from_millis(if cfg!(test) { 2 } else { 200 });
/// A buffer that grew beyond this is given back.
const BUFFER_BYTES_KEPT: usize = 16 << 20;
/// Bytes that are written and not synced, at most.
const BEHIND_BYTES_MAX: u64 = 8 << 20;
/// Frames that are written and not synced, at most: taps wait for each of them.
const BEHIND_FRAMES_MAX: u64 = 1024;

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

impl Frame {
    /// Bytes that it takes in the log.
    pub(crate) fn bytes(&self) -> usize {
        frame_bytes(self.header.len(), self.payload.len())
    }
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

/// What is written and not synced yet.
#[derive(Clone, Copy, Debug)]
struct Behind {
    since: Instant,
    bytes: u64,
}

/// Appends groups of frames.
#[derive(Debug)]
pub(crate) struct Writer {
    id: WalId,
    segments: Arc<Segments>,
    /// How long the disk may be behind.
    lag: Duration,
    active: Option<Active>,
    offset: u64,
    next: u64,
    /// The newest position that is on disk.
    durable: u64,
    behind: Option<Behind>,
    syncs: u64,
    poisoned: Option<String>,
    begin_after: Option<Instant>,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer whose first frame gets position `next`; everything before it is on disk. What is not synced at once is
    /// synced after `lag`. Touches no file before the first group.
    pub(crate) fn new(id: WalId, segments: Arc<Segments>, next: u64, lag: Duration) -> Self {
        Self {
            id,
            segments,
            lag,
            active: None,
            offset: 0,
            next,
            durable: next.saturating_sub(1),
            behind: None,
            syncs: 0,
            poisoned: None,
            begin_after: None,
            buffer: Vec::new(),
        }
    }

    /// Why this log can never be written again before a restart.
    pub(crate) fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    /// The newest position that is on disk.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// How many frames are written and not synced.
    pub(crate) fn unsynced(&self) -> u64 {
        self.next - 1 - self.durable
    }

    /// How many syncs were made.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// How long [`Writer::sync`] may wait; `None` when there is nothing that it could do.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let behind = self.behind.filter(|_| self.poisoned.is_none())?;
        Some(self.lag.saturating_sub(behind.since.elapsed()))
    }

    /// Syncs what was written without a sync. After an error nobody knows how much of it is on disk.
    pub(crate) fn sync(&mut self) -> Result<(), WriteError> {
        let (Some(active), Some(_)) = (&self.active, self.behind) else { return Ok(()) };
        if let Some(reason) = &self.poisoned {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        if let Err(error) = active.file.sync_data() {
            return Err(self.poison(&error));
        }
        self.synced();
        Ok(())
    }

    fn synced(&mut self) {
        (self.durable, self.behind) = (self.next - 1, None);
        self.syncs += 1;
    }

    /// Writes a group; the position of its first frame, the others follow one by one. With `at_once` the group and all
    /// before it are on disk when this returns, else after the lag or the next sync, whatever comes first.
    pub(crate) fn append(&mut self, frames: &[Frame], at_once: bool) -> Result<u64, WriteError> {
        if let Some(reason) = &self.poisoned {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        let bytes: usize = frames.iter().map(Frame::bytes).sum();
        self.make_room(bytes as u64)?;
        let Some(active) = &self.active else { return Err(WriteError::NoSpace("no segment".into())) };
        let generation = active.generation;
        self.buffer.clear();
        for (frame, sequence) in frames.iter().zip(self.next..) {
            let place = Place { id: self.id, generation, sequence, durable: self.durable };
            push_frame(&mut self.buffer, place, &frame.header, &frame.payload);
        }
        let file = Arc::clone(&active.file);
        if let Err(error) = file.write_at(self.offset, &self.buffer) {
            return Err(self.write_failed(&error));
        }
        let written = self.buffer.len() as u64;
        let behind = self.behind.unwrap_or(Behind { since: Instant::now(), bytes: 0 });
        let behind = Behind { bytes: behind.bytes + written, ..behind };
        let sync = at_once || self.is_too_far(behind, frames.len() as u64);
        if sync && let Err(error) = file.sync_data() {
            return Err(self.poison(&error));
        }
        let first = self.next;
        self.offset += written;
        self.next += frames.len() as u64;
        if sync {
            self.synced();
        } else {
            self.behind = Some(behind);
        }
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = Vec::new();
        }
        let seen = frames.iter().zip(first..).filter(|(frame, _)| frame.observable).last();
        self.segments.advance(self.next - 1, seen.map(|(_, sequence)| sequence), self.offset);
        Ok(first)
    }

    fn is_too_far(&self, behind: Behind, frames: u64) -> bool {
        let frames = self.next + frames - 1 - self.durable;
        behind.since.elapsed() >= self.lag || behind.bytes > BEHIND_BYTES_MAX || frames > BEHIND_FRAMES_MAX
    }

    /// The last position written.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Goes on in a new segment, unless nothing stands in the present one.
    pub(crate) fn turn(&mut self) -> Result<(), WriteError> {
        if let Some(reason) = &self.poisoned {
            return Err(WriteError::Poisoned(reason.clone()));
        }
        if self.active.is_some() && self.offset == 0 { Ok(()) } else { self.begin(0) }
    }

    fn make_room(&mut self, bytes: u64) -> Result<(), WriteError> {
        if self.active.as_ref().is_some_and(|active| self.offset + bytes <= active.bytes) {
            return Ok(());
        }
        self.begin(bytes)
    }

    /// Begins a segment that has room for so many bytes.
    fn begin(&mut self, bytes: u64) -> Result<(), WriteError> {
        if self.begin_after.is_some_and(|at| Instant::now() < at) {
            return Err(WriteError::NoSpace("a moment ago no segment could be made".into()));
        }
        // The name of the next segment says that everything before it is on disk.
        self.sync()?;
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
        if let Err(error) = self.sync() {
            return error;
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
