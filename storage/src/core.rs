//! What the store's threads share, and the rules of admission.
//!
//! The work itself stands in `write.rs` (requests to disk), `flush.rs` (tail to parts) and `tap.rs`
//! (requests to taps); each is a step that the driver's threads repeat and that tests make one by one.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tracelake_model::{Clock, Decoder, Fault, Refusal};

use crate::config::Config;
use crate::counter::Counters;
use crate::damage::Register;
use crate::dedup::Dedup;
use crate::disk::{Disk, Lock};
use crate::erasing::Erasing;
use crate::feed::Feed;
use crate::files::file::Files;
use crate::gather_signal::GatherSignal;
use crate::keeper::Keeper;
use crate::logs::Logs;
use crate::queue::Queue;
use crate::signal::FlushSignal;
use crate::tail::Tail;
use crate::traces::TraceIndexes;
use crate::wal::id::Ids;
use crate::wal::segment::Segments;
use crate::wal::writer::Writer;

/// Segments that derived rows may use beyond the log's limit: a tap that must write before it can move on is never
/// stopped by the very log that waits for it.
const DERIVED_RESERVE_SEGMENTS: u64 = 4;
/// One part in so many of a limit of memory that they may use beyond it, for the same reason.
const DERIVED_ROOM_PART: u64 = 4;

/// The shared parts of a store.
pub(crate) struct Core {
    pub(crate) config: Config,
    /// Where the tables are.
    pub(crate) files: Arc<dyn Files>,
    /// Where the documents are.
    pub(crate) documents: Arc<dyn Files>,
    /// Where the log's files are.
    pub(crate) wal_dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) decoder: Arc<dyn Decoder>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) ids: Ids,
    pub(crate) segments: Arc<Segments>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) queue: Queue,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) dedup: Mutex<Dedup>,
    pub(crate) feed: Feed,
    pub(crate) gathering: GatherSignal,
    pub(crate) logs: Logs,
    pub(crate) traces: Arc<TraceIndexes>,
    /// One flush at a time.
    pub(crate) flushing: Mutex<()>,
    pub(crate) flush_signal: FlushSignal,
    pub(crate) keeper: Keeper,
    /// Which tables an erasure works on.
    pub(crate) erasing: Erasing,
    /// Read while parts are removed, written while a hold begins or ends.
    pub(crate) removing: RwLock<()>,
    pub(crate) counters: Counters,
    /// What is known to be damaged.
    pub(crate) register: Arc<Register>,
    /// Set between start and close.
    pub(crate) accepting: AtomicBool,
    /// Why the last flush failed.
    pub(crate) flush_failure: Mutex<Option<String>>,
    /// Why the log cannot be written, from the last group.
    pub(crate) write_failure: Mutex<Option<String>>,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
    #[cfg(test)]
    pub(crate) crash_at: Mutex<Option<crate::point::Point>>,
}

/// Who asks to append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client.
    Door,
    /// A wing of ours.
    Derived,
}

impl Core {
    /// Whether something of `payload_bytes` in the log and `rows_bytes` in memory may be appended now.
    pub(crate) fn admit(&self, origin: Origin, payload_bytes: u64, rows_bytes: u64) -> Result<(), Refusal> {
        if !self.accepting.load(Ordering::SeqCst) {
            return Err(unavailable("storage is not taking requests (starting or closing)", 1));
        }
        // Taps that cannot write hold back everything behind them: where doors find no room, they still do.
        let room = |bytes: u64| match origin {
            Origin::Door => bytes,
            Origin::Derived => bytes + bytes / DERIVED_ROOM_PART,
        };
        let waiting_bytes = self.queue.bytes();
        if waiting_bytes > 0 && waiting_bytes + payload_bytes + rows_bytes > room(self.config.queue_bytes_max) {
            return Err(overloaded("too much waits for the disk (queue_bytes_max)", 1));
        }
        let tail_bytes = self.tail.lock().bytes();
        if tail_bytes + waiting_bytes > room(2 * self.config.tail_bytes) {
            self.flush_signal.early();
            return Err(overloaded("rows in memory wait to be flushed (limits.tail_bytes)", 1));
        }
        let reserve = match origin {
            Origin::Door => 0,
            Origin::Derived => DERIVED_RESERVE_SEGMENTS * self.config.wal_segment_bytes,
        };
        if self.segments.used_bytes() + waiting_bytes + payload_bytes > self.config.wal_bytes_max + reserve {
            self.flush_signal.early();
            return Err(overloaded(
                "the log is full (wal_bytes_max) until rows are flushed and alerting is past them",
                2,
            ));
        }
        Ok(())
    }

    /// What an operator should know although appends are accepted.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let limits = [
            ("storage.disk_share", &self.counters.held_above_share),
            ("storage.bytes_max", &self.counters.held_above_bytes),
        ];
        let told = limits.into_iter().filter_map(|(limit, held)| {
            let held = held.load(Ordering::Relaxed);
            (held > 0).then(|| format!("holds keep {held} bytes of tables above {limit}; release some, or add space"))
        });
        told.collect()
    }

    /// Why appends cannot be accepted; `Ok` when they can.
    pub(crate) fn health(&self) -> Result<(), String> {
        if !self.accepting.load(Ordering::SeqCst) {
            return Err("storage is not taking requests (starting or closing)".to_owned());
        }
        if let Some(reason) = self.writer.lock().poisoned() {
            return Err(format!("the log's disk failed ({reason}); check the disk, then restart"));
        }
        if let Some(reason) = self.write_failure.lock().clone() {
            return Err(reason);
        }
        // A failing flush only matters to clients once the tail is full.
        let full = self.tail.lock().bytes() > 2 * self.config.tail_bytes;
        match self.flush_failure.lock().clone() {
            Some(reason) if full => Err(format!("rows in memory cannot be flushed: {reason}")),
            _ => Ok(()),
        }
    }
}

/// A refusal that passes.
pub(crate) fn unavailable(detail: &str, seconds: u64) -> Refusal {
    refusal(Fault::Unavailable, detail, seconds)
}

fn overloaded(detail: &str, seconds: u64) -> Refusal {
    refusal(Fault::Overloaded, detail, seconds)
}

fn refusal(fault: Fault, detail: &str, seconds: u64) -> Refusal {
    Refusal { fault, detail: detail.to_owned(), retry_after: Some(Duration::from_secs(seconds)) }
}
