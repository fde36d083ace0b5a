//! Parts go when they are older than their table keeps them, when the disk is too full for all of them, or when they
//! have more bytes than are allowed.
//!
//! Whole parts only. A row's age counts from its storing: its own time may be long past (an import) or lie in the future
//! (a wrong clock, which must not keep it for ever). The share of the disk is taken of what others leave: a disk that
//! others fill does not empty the store. The audit table never goes for want of space, and nothing goes under a hold.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracelake_model::{Table, TenantId};

use crate::core::Core;
use crate::counter::Volume;
use crate::error::Error;
use crate::part::file::Part;

/// When space is wanted, a removed file still stays for so long: a query that began before may read it.
const PRESSED_KEEP: Duration = Duration::from_secs(120);
/// With less than this part of the space free, removed files do not even stay that long.
const LAST_SHARE: u64 = 20;
/// Space that is held back for the commit that frees space on a full disk.
const SPARE_BYTES: u64 = 1 << 20;
const SPARE_FILE: &str = "spare";

/// What the disk has for the store.
#[derive(Clone, Copy, Debug)]
struct Space {
    /// Bytes of live parts.
    live: u64,
    /// Bytes of removed files that are still there.
    removed: u64,
    /// Bytes that are free.
    free: u64,
}

/// Parts of each table that are to go.
type Chosen = BTreeMap<(TenantId, Table), Vec<Arc<Part>>>;

impl Space {
    /// Bytes above the share that the store may take.
    fn above(self, share: f64) -> u64 {
        let ours = self.live + self.removed;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share"
        )]
        let allowed = ((ours + self.free) as f64 * share) as u64;
        ours.saturating_sub(allowed)
    }

    fn is_last(self) -> bool {
        self.free < (self.live + self.removed + self.free) / LAST_SHARE
    }
}

impl Core {
    /// Removes parts that are older than `retention` of their table; how many.
    pub(crate) fn retain_by_age(&self) -> Result<u64, Error> {
        let now = self.clock.now();
        let (mut removed, mut held_parts, mut held_bytes) = (0, 0, 0);
        for (tenant, table, shared) in self.logs.all() {
            let Some(age) = self.config.retention.get(&table) else { continue };
            let parts = shared.lock().live();
            let old: Vec<_> = parts.into_iter().filter(|part| part.stored.plus(*age) <= now).collect();
            if old.is_empty() {
                continue;
            }
            let holds = self.holds(&tenant);
            let (held, old): (Vec<_>, Vec<_>) = old.into_iter().partition(|part| holds.on_part(table, part));
            held_parts += held.len() as u64;
            held_bytes += held.iter().map(|part| part.bytes).sum::<u64>();
            removed += self.remove(&tenant, table, &old, &self.counters.removed_by_age)?;
        }
        self.counters.held_parts.store(held_parts, Ordering::Relaxed);
        self.counters.held_bytes.store(held_bytes, Ordering::Relaxed);
        Ok(removed)
    }

    /// While the store takes more than its share of the disk: deletes removed files early, then removes the parts that
    /// were stored first; how many.
    pub(crate) fn retain_by_share(&self) -> Result<u64, Error> {
        let share = self.config.disk_share;
        let space = self.space()?;
        if space.above(share) == 0 {
            tell_held(&self.counters.held_above_share, 0);
            self.hold_spare();
            return Ok(0);
        }
        let keep = if space.is_last() { Duration::ZERO } else { PRESSED_KEEP.min(self.config.removed_keep) };
        if self.sweep_step(keep)? > 0 {
            // Whoever has a file open holds its space a moment longer: how much is free shows in the next round.
            return Ok(0);
        }
        // What is removed will be deleted without removing more.
        let wanted = space.above(share).saturating_sub(space.removed);
        let (chosen, held) = self.first_stored(wanted);
        tell_held(&self.counters.held_above_share, held);
        let mut removed = 0;
        for ((tenant, table), parts) in chosen {
            let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
            tracing::warn!(%tenant, %table, parts = parts.len(), bytes, "the disk is too full: the oldest parts go");
            removed += self.remove_pressed(&tenant, table, &parts)?;
        }
        if self.space()?.is_last() {
            self.sweep_step(Duration::ZERO)?;
        }
        Ok(removed)
    }

    /// While live parts have more than `bytes_max` together, removes those that were stored first; how many.
    pub(crate) fn retain_by_bytes(&self) -> Result<u64, Error> {
        let Some(max) = self.config.bytes_max else { return Ok(0) };
        let wanted = self.space()?.live.saturating_sub(max);
        let (chosen, held) = if wanted > 0 { self.first_stored(wanted) } else { (BTreeMap::new(), 0) };
        tell_held(&self.counters.held_above_bytes, held);
        let mut removed = 0;
        for ((tenant, table), parts) in chosen {
            removed += self.remove(&tenant, table, &parts, &self.counters.removed_by_bytes)?;
        }
        Ok(removed)
    }

    fn space(&self) -> Result<Space, Error> {
        let free = self.files.free_bytes().map_err(Error::io("measure the disk of", &self.config.data_dir))?;
        let mut space = Space { live: 0, removed: 0, free };
        for (_, _, shared) in self.logs.all() {
            let log = shared.lock();
            space.live += log.live().iter().map(|part| part.bytes).sum::<u64>();
            space.removed += log.removed_bytes();
        }
        Ok(space)
    }

    /// The parts that were stored first and have that many bytes together, by table, without those that are held; and
    /// how many bytes are missing because of these.
    fn first_stored(&self, bytes: u64) -> (Chosen, u64) {
        let (mut all, mut holds) = (Vec::new(), BTreeMap::new());
        for (tenant, table, shared) in self.logs.all() {
            if table != Table::Audit {
                holds.entry(tenant.clone()).or_insert_with(|| self.holds(&tenant));
                all.extend(shared.lock().live().into_iter().map(|part| (tenant.clone(), table, part)));
            }
        }
        all.sort_by(|a, b| (a.2.stored, &a.2.location).cmp(&(b.2.stored, &b.2.location)));
        let (mut chosen, mut freed, mut held) = (Chosen::new(), 0, 0);
        for (tenant, table, part) in all {
            if freed >= bytes {
                break;
            }
            if holds.get(&tenant).is_some_and(|holds| holds.on_part(table, &part)) {
                held += part.bytes;
                continue;
            }
            freed += part.bytes;
            chosen.entry((tenant, table)).or_default().push(part);
        }
        (chosen, held.min(bytes.saturating_sub(freed)))
    }

    /// On a full disk the commit that frees space needs some: it gets what is held back.
    fn remove_pressed(&self, tenant: &TenantId, table: Table, parts: &[Arc<Part>]) -> Result<u64, Error> {
        let counted = &self.counters.removed_by_share;
        match self.remove(tenant, table, parts, counted) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
                let path = self.config.data_dir.join(SPARE_FILE);
                self.disk.remove(&path).map_err(Error::io("remove", &path))?;
                self.remove(tenant, table, parts, counted)
            }
            outcome => outcome,
        }
    }

    fn remove(&self, tenant: &TenantId, table: Table, parts: &[Arc<Part>], counted: &Volume) -> Result<u64, Error> {
        if parts.is_empty() {
            return Ok(0);
        }
        let shared = self.logs.get(tenant, table)?;
        let _removing = self.removing.read();
        // A hold may have begun since the parts were chosen.
        let holds = self.holds(tenant);
        let mut log = shared.lock();
        let free = |part: &&Arc<Part>| log.can_replace(part) && !holds.on_part(table, part);
        let parts: Vec<_> = parts.iter().filter(free).map(Arc::clone).collect();
        let removed = !parts.is_empty() && log.replace(&parts, &[], self.clock.now())?;
        self.show(tenant, table, &log);
        if !removed {
            // Another committer was first; what is still too old or too much is found again.
            return Ok(0);
        }
        parts.iter().for_each(|part| counted.count(part));
        Ok(parts.len() as u64)
    }

    /// Holds a little space back for the day the disk is full.
    fn hold_spare(&self) {
        let path = self.config.data_dir.join(SPARE_FILE);
        if self.disk.open(&path).is_err()
            && let Err(error) = self.disk.create(&path, SPARE_BYTES)
        {
            tracing::debug!(%error, "no space is held back yet");
        }
    }
}

/// Says once that holds keep the tables above a limit, and once that they no longer do.
fn tell_held(gauge: &AtomicU64, bytes: u64) {
    let before = gauge.swap(bytes, Ordering::Relaxed);
    if bytes > 0 && before == 0 {
        tracing::warn!(bytes, "holds keep the tables larger than they may be");
    } else if bytes == 0 && before > 0 {
        tracing::info!("holds no longer keep the tables larger than they may be");
    }
}
