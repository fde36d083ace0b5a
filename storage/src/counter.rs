//! What the storage wing counts while it runs; `stats.rs` shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use tracelake_model::{Stage, StageName};

use crate::part::file::Part;
use crate::wal::reader::Damage;

/// What only grows.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) flush_failures: AtomicU64,
    pub(crate) flushed_rows: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) compaction_failures: AtomicU64,
    /// Parts that were merged.
    pub(crate) merged: Volume,
    /// Parts that they became.
    pub(crate) merged_to: Volume,
    /// Parts that were older than their table keeps them.
    pub(crate) removed_by_age: Volume,
    /// Parts for which the disk was too full.
    pub(crate) removed_by_share: Volume,
    pub(crate) removed_by_bytes: Volume,
    /// Parts whose checksum was taken again.
    pub(crate) scrubbed: Volume,
    pub(crate) erasures: AtomicU64,
    /// Parts that erasures looked into.
    pub(crate) erase_read: AtomicU64,
    pub(crate) erased_rows: AtomicU64,
    /// Parts, and their bytes, that are too old and held.
    pub(crate) held_parts: AtomicU64,
    pub(crate) held_bytes: AtomicU64,
    /// Bytes above the share of the disk, and above `bytes_max`, that may not go because of holds.
    pub(crate) held_above_share: AtomicU64,
    pub(crate) held_above_bytes: AtomicU64,
    pub(crate) deleted_files: AtomicU64,
    pub(crate) deleted_bytes: AtomicU64,
    pub(crate) damaged: AtomicU64,
    pub(crate) undecodable: AtomicU64,
    pub(crate) stages: Stages,
}

/// What the steps of the store's threads cost.
#[derive(Debug)]
pub(crate) struct Stages {
    /// Frames with their padding.
    pub(crate) wal: Stage,
    /// Batches in memory that became one.
    pub(crate) gather: Stage,
    /// Parts that were committed.
    pub(crate) flush: Stage,
    /// Parts that merges made and committed.
    pub(crate) compact: Stage,
}

impl Default for Stages {
    fn default() -> Self {
        Self {
            wal: Stage::new(StageName::Wal),
            gather: Stage::new(StageName::Gather),
            flush: Stage::new(StageName::Flush),
            compact: Stage::new(StageName::Compact),
        }
    }
}

/// Parts with their rows and bytes.
#[derive(Debug, Default)]
pub(crate) struct Volume {
    pub(crate) parts: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Volume {
    /// Counts a part.
    pub(crate) fn count(&self, part: &Part) {
        self.parts.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(part.rows, Ordering::Relaxed);
        self.bytes.fetch_add(part.bytes, Ordering::Relaxed);
    }
}

impl Counters {
    /// Notes what a replay could not bring back.
    pub(crate) fn set_losses(&self, damage: &[Damage], undecodable: u64) {
        let frames = |damage: &Damage| 1 + damage.positions.end() - damage.positions.start();
        self.damaged.store(damage.iter().map(frames).sum(), Ordering::Relaxed);
        self.undecodable.store(undecodable, Ordering::Relaxed);
    }
}
