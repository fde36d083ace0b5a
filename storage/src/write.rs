//! One step of the log's writer: take what waits, number it, write and sync it, show it, answer.
//!
//! Only one thread makes this step, so positions, audit numbers and derived positions follow the order of the log
//! without gaps: they count only once the group is written, and synced where one of its requests asks for it. Taps see a
//! request once it is synced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracelake_model::{Durable, Fault, Position, Receipt, Refusal, TenantId};

use crate::arrival::Arrival;
use crate::audit;
use crate::config::Durability;
use crate::core::{Core, unavailable};
use crate::dedup::Outcome;
use crate::queue::{Entry, Taken};
use crate::tail::Tail;
use crate::wal::header::FrameHeader;
use crate::wal::writer::{Frame, WriteError};

/// An entry that is numbered and ready to be written.
struct Planned {
    header: FrameHeader,
    arrival: Arrival,
    /// Whether its answer waits for the disk.
    at_once: bool,
    done: oneshot::Sender<Outcome>,
}

/// Numbers given out to this group, ahead of the tail's.
#[derive(Default)]
struct Ahead {
    audit: HashMap<TenantId, u64>,
    derived: HashMap<(TenantId, Arc<str>), u64>,
}

impl Core {
    /// Writes one group; with `wait` waits for one, and syncs what must not wait longer. `false` when there is none (with
    /// `wait`: when none will come).
    pub(crate) fn write_step(&self, wait: bool) -> bool {
        let patience = if wait { self.writer.lock().patience() } else { Some(Duration::ZERO) };
        match self.queue.take(self.config.group_bytes_max, patience) {
            Taken::Group(group) => self.write_group(group),
            Taken::Late if !wait => return false,
            // A failure poisons the log, which the next append and health tell.
            Taken::Late => drop(self.sync_log()),
            Taken::Closed => {
                drop(self.sync_log());
                return false;
            }
        }
        true
    }

    fn write_group(&self, group: Vec<Entry>) {
        let begun = Instant::now();
        let (planned, frames) = self.plan(group);
        if planned.is_empty() {
            return;
        }
        let at_once = planned.iter().any(|plan| plan.at_once);
        let written = self.writer.lock().append(&frames, at_once);
        let (mut bytes, mut rows) = (0, 0);
        if written.is_ok() {
            bytes = frames.iter().map(|frame| frame.bytes() as u64).sum();
            rows =
                planned.iter().flat_map(|plan| plan.arrival.batches.iter()).map(|rows| rows.row_count() as u64).sum();
        }
        match written {
            Ok(first) => self.publish(planned, first),
            Err(error) => self.refuse(planned, &error),
        }
        self.counters.stages.wal.add(begun.elapsed(), bytes, rows);
    }

    /// Brings everything that is written to the disk, and what waited for that to taps.
    pub(crate) fn sync_log(&self) -> Result<(), WriteError> {
        self.writer.lock().sync()?;
        self.release();
        Ok(())
    }

    /// Shows taps what is on disk.
    fn release(&self) {
        let (durable, syncs) = {
            let writer = self.writer.lock();
            (writer.durable(), writer.syncs())
        };
        self.counters.syncs.store(syncs, Ordering::Relaxed);
        self.feed.release(durable);
    }

    fn plan(&self, group: Vec<Entry>) -> (Vec<Planned>, Vec<Frame>) {
        let (mut planned, mut frames) = (Vec::new(), Vec::new());
        let (tail, mut ahead) = (self.tail.lock(), Ahead::default());
        for entry in group {
            let Entry { mut header, payload, batches, rows_bytes, done } = entry;
            let (tenant, received) = (header.tenant().clone(), header.received());
            let (mut audit_seq, mut derived) = (None, None);
            let mut at_once = self.config.durability_of(&tenant) == Durability::Fsync;
            let mut batches = batches;
            match &mut header {
                FrameHeader::Request(request) => {
                    let rows = audit::count_rows(&batches);
                    if rows > 0 {
                        let first = ahead.audit(&tail, &tenant) + 1;
                        match audit::number(batches, first) {
                            Ok(numbered) => batches = numbered,
                            Err(error) => {
                                self.settle(&header, &Err(broken(&error.to_string())), done);
                                continue;
                            }
                        }
                        request.audit_seq = first;
                        audit_seq = Some(first + rows - 1);
                        at_once = true;
                        ahead.audit.insert(tenant.clone(), first + rows - 1);
                    }
                }
                FrameHeader::Derived(source) => {
                    let key = (tenant.clone(), Arc::clone(&source.source));
                    let far = ahead.derived.get(&key).copied();
                    let far = far.or_else(|| tail.derived(&tenant, &source.source)).unwrap_or(0);
                    if source.position <= far {
                        let receipt = Receipt { position: Position(tail.visible()), duplicate: true };
                        // A hung-up caller needs no answer.
                        let _ = done.send(Ok(receipt));
                        continue;
                    }
                    ahead.derived.insert(key, source.position);
                    derived = Some((Arc::clone(&source.source), source.position));
                    at_once = true;
                }
            }
            let mut encoded = Vec::with_capacity(128);
            header.encode(&mut encoded);
            frames.push(Frame { header: encoded, payload, observable: header.observable() });
            let batches = Arc::from(batches);
            let arrival = Arrival { position: 0, tenant, received, batches, bytes: rows_bytes, audit_seq, derived };
            planned.push(Planned { header, arrival, at_once, done });
        }
        (planned, frames)
    }

    /// The group counts: rows become visible, hashes known, callers get their receipts, taps their share once it is on
    /// disk. A hash may be known before: whoever sends the payload again is promised what the first sender was.
    fn publish(&self, mut planned: Vec<Planned>, first: u64) {
        for (plan, position) in planned.iter_mut().zip(first..) {
            plan.arrival.position = position;
        }
        let (tail_bytes, ripe) = {
            let mut tail = self.tail.lock();
            planned.iter().for_each(|plan| tail.push(&plan.arrival));
            (tail.bytes(), tail.take_ripe())
        };
        *self.write_failure.lock() = None;
        let observable = planned.iter().filter(|plan| plan.header.observable());
        self.feed.hold(observable.map(|plan| (durable(&plan.arrival), plan.arrival.bytes)).collect());
        self.release();
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        self.counters.requests.fetch_add(planned.len() as u64, Ordering::Relaxed);
        for plan in planned {
            let receipt = Receipt { position: Position(plan.arrival.position), duplicate: false };
            self.settle(&plan.header, &Ok(receipt), plan.done);
        }
        self.gathering.offer(ripe);
        if tail_bytes > self.config.tail_bytes {
            self.flush_signal.early();
        }
    }

    fn refuse(&self, planned: Vec<Planned>, error: &WriteError) {
        let detail = error.to_string();
        tracing::warn!(%error, requests = planned.len(), "requests refused");
        *self.write_failure.lock() = Some(detail.clone());
        self.counters.refused.fetch_add(planned.len() as u64, Ordering::Relaxed);
        let seconds = if matches!(error, WriteError::NoSpace(_)) { 5 } else { 30 };
        for plan in planned {
            self.settle(&plan.header, &Err(unavailable(&detail, seconds)), plan.done);
        }
    }

    /// Tells an append's outcome to the dedup window and to whoever waits.
    pub(crate) fn settle(&self, header: &FrameHeader, outcome: &Outcome, done: oneshot::Sender<Outcome>) {
        if let FrameHeader::Request(request) = header
            && let Some(hash) = request.hash
        {
            self.dedup.lock().settle(hash, request.received, outcome);
        }
        // A hung-up caller needs no answer: the request counts all the same.
        let _ = done.send(outcome.clone());
    }
}

impl Ahead {
    fn audit(&self, tail: &Tail, tenant: &TenantId) -> u64 {
        self.audit.get(tenant).copied().unwrap_or_else(|| tail.audit_seq(tenant))
    }
}

fn durable(arrival: &Arrival) -> Durable {
    Durable {
        position: Position(arrival.position),
        tenant: arrival.tenant.clone(),
        received: arrival.received,
        batches: Arc::clone(&arrival.batches),
    }
}

fn broken(detail: &str) -> Refusal {
    Refusal { fault: Fault::Internal, detail: format!("rows do not fit their table: {detail}"), retry_after: None }
}
