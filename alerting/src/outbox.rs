//! The outbox: a change counts once it is in the journal, and only then does anybody see it.
//!
//! Holds the journal and the ledger together, wakes whoever delivers notices or stores rows. Deliberately decides
//! nothing: the matching thread and the courier bring the changes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Clock;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracelake_model as model;
use tracing::{error, warn};

use crate::error::Error;
use crate::journal::{Journal, image};
use crate::ledger::{Change, Ended, Ledger, Row, Snapshot};
use crate::notice::NoticeStatus;

/// Limits of the outbox.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutboxLimits {
    pub notices_pending_max: usize,
    pub notices_kept_max: usize,
    pub journal_bytes_max: u64,
}

/// One line of the journal: either a whole ledger or a step of it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Entry {
    seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot: Option<Snapshot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
}

struct Writer {
    journal: Journal,
    /// Of the newest entry.
    seq: u64,
    /// Size at which the next rewrite is due.
    rewrite_at: u64,
}

/// The durable state of alerting.
pub(crate) struct Outbox {
    /// Taken before `ledger` by everybody who changes something, so that entries and steps have one order.
    writer: Mutex<Writer>,
    ledger: Mutex<Ledger>,
    limits: OutboxLimits,
    position: AtomicU64,
    clock: Arc<dyn Clock>,
    /// Rings when a notice may be due.
    pub due: Notify,
    /// Rings when there are rows to store.
    pub rows: Notify,
}

impl Outbox {
    /// Opens the journal of a directory and makes its ledger.
    pub(crate) fn open(dir: &Path, limits: OutboxLimits, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let (journal, entries) = Journal::open(dir)?;
        let mut ledger = Ledger::new(Snapshot::default(), limits.notices_kept_max);
        // A journal that had to be begun anew must not reuse sequence numbers: rows are stored once by them.
        let mut seq = u64::try_from(clock.now().0 / 1_000_000).unwrap_or(0);
        for (i, bytes) in entries.iter().enumerate() {
            let entry: Entry = serde_json::from_slice(bytes).map_err(|error| {
                error!(%error, entry = i, "alerting journal has an entry of another version");
                Error::Format(dir.join("journal"))
            })?;
            if let Some(snapshot) = entry.snapshot {
                ledger = Ledger::new(snapshot, limits.notices_kept_max);
            }
            ledger.apply(entry.seq, entry.position, entry.changes);
            seq = if i == 0 { entry.seq } else { seq.max(entry.seq) };
        }
        ledger.hasten(clock.now().0);
        let rewrite_at = limits.journal_bytes_max.max(2 * journal.len());
        Ok(Self {
            position: AtomicU64::new(ledger.position),
            writer: Mutex::new(Writer { journal, seq, rewrite_at }),
            ledger: Mutex::new(ledger),
            limits,
            clock,
            due: Notify::new(),
            rows: Notify::new(),
        })
    }

    /// How far the tap's outcomes are durable.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// The ledger, to read. Held for as short as possible.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }

    /// Makes changes durable, and then true. Blocks for one fsync.
    pub(crate) fn commit(&self, position: Option<u64>, changes: Vec<Change>) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        self.commit_locked(&mut writer, position, changes)
    }

    /// Records how an attempt ended. Blocks for one fsync.
    pub(crate) fn record_attempt(&self, notice_id: &str, ended: Ended) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        let changes = self.ledger.lock().attempt_changes(notice_id, ended);
        match changes {
            Some(changes) => self.commit_locked(&mut writer, None, changes.into()),
            None => Ok(()),
        }
    }

    /// Makes a finished notice pending again. Blocks for one fsync.
    pub(crate) fn redeliver(&self, tenant: &str, notice_id: &str) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        let status = self.ledger.lock().notices.get(notice_id).filter(|n| n.tenant == tenant).map(|n| n.status);
        match status {
            None => Err(Error::Missing { kind: "notice", id: notice_id.to_owned() }),
            Some(NoticeStatus::Pending) => {
                Err(Error::Conflict(format!("notice {notice_id:?} is still being delivered; wait for its outcome")))
            }
            Some(_) => {
                let change = Change::Redeliver { notice_id: notice_id.to_owned(), at: self.clock.now().0 };
                self.commit_locked(&mut writer, None, vec![change])
            }
        }
    }

    /// A journal that would open to what is durable now.
    pub(crate) fn image(&self) -> Vec<u8> {
        let writer = self.writer.lock();
        let snapshot = self.ledger.lock().snapshot();
        image(&encode(&Entry { seq: writer.seq, snapshot: Some(snapshot), ..Entry::default() }))
    }

    /// The oldest rows that are not known to be stored, whole entries at a time.
    pub(crate) fn waiting_rows(&self, rows_max: usize) -> Vec<(u64, Row)> {
        let ledger = self.ledger.lock();
        let last = ledger.rows.get(rows_max.saturating_sub(1)).or(ledger.rows.back()).map(|(seq, _)| *seq);
        ledger.rows.iter().take_while(|(seq, _)| Some(*seq) <= last).cloned().collect()
    }

    /// Forgets rows that are stored. Not journaled: after a kill the sink knows which ones it has.
    pub(crate) fn rows_stored(&self, up_to_seq: u64) {
        let mut ledger = self.ledger.lock();
        while ledger.rows.front().is_some_and(|(seq, _)| *seq <= up_to_seq) {
            ledger.rows.pop_front();
        }
    }

    fn commit_locked(&self, writer: &mut Writer, position: Option<u64>, mut changes: Vec<Change>) -> Result<(), Error> {
        if writer.journal.is_broken() {
            self.rewrite(writer)?;
        }
        changes.extend(self.overflow(&changes));
        let entry = Entry { seq: writer.seq + 1, snapshot: None, position, changes };
        writer.journal.append(&encode(&entry))?;
        writer.seq = entry.seq;
        let rows = entry.changes.iter().any(|change| matches!(change, Change::Row(_)));
        {
            let mut ledger = self.ledger.lock();
            ledger.apply(entry.seq, entry.position, entry.changes);
            self.position.store(ledger.position, Ordering::Release);
        }
        self.due.notify_one();
        if rows {
            self.rows.notify_one();
        }
        if writer.journal.len() > writer.rewrite_at {
            // The entry is durable already: a failed rewrite is tried again with the next one.
            if let Err(error) = self.rewrite(writer) {
                warn!(%error, "alerting journal could not be rewritten");
            }
        }
        Ok(())
    }

    fn rewrite(&self, writer: &mut Writer) -> Result<(), Error> {
        let snapshot = self.ledger.lock().snapshot();
        let entry = Entry { seq: writer.seq, snapshot: Some(snapshot), ..Entry::default() };
        writer.journal.rewrite(&encode(&entry))?;
        writer.rewrite_at = self.limits.journal_bytes_max.max(2 * writer.journal.len());
        Ok(())
    }

    /// The oldest pending notices are given up when new ones would be too many: a dead receiver never stops the rest.
    fn overflow(&self, changes: &[Change]) -> Vec<Change> {
        let added = changes.iter().filter(|change| matches!(change, Change::Notice(_))).count();
        let ledger = self.ledger.lock();
        let excess = (ledger.due.len() + added).saturating_sub(self.limits.notices_pending_max);
        if added == 0 || excess == 0 {
            return Vec::new();
        }
        warn!(given_up = excess, limit = self.limits.notices_pending_max, "too many notices are waiting for delivery");
        let mut oldest: Vec<(i64, &String)> =
            ledger.due.iter().filter_map(|(_, id)| Some((ledger.notices.get(id)?.created, id))).collect();
        oldest.sort_unstable();
        let time = self.clock.now().0;
        let given_up = |id: &String| {
            let answer = "given up: too many notices are waiting for delivery (notices_pending_max)".to_owned();
            ledger.attempt_changes(id, Ended { status: NoticeStatus::Dead, time, next_attempt: None, answer })
        };
        oldest.into_iter().take(excess).filter_map(|(_, id)| given_up(id)).flatten().collect()
    }
}

fn encode(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(entry).expect("an entry is plain data with text keys")
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
