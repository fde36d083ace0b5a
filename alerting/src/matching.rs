//! The matching thread: durable requests in, journaled changes out, in WAL order.
//!
//! A transition is journaled at once, mere counting once a second. The tap's position advances with the journal, after
//! the exceptions of those requests are stored. Deliberately one thread: what a match does depends on those before it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{Batch, Clock, Durable, Sink, Source, Stage, StageName, Table, TenantId, UnixNano, column};
use tokio::runtime::Handle;
use tracelake_model as model;
use tracing::{error, warn};

use crate::derived;
use crate::exception::occurrence::{self, Occurrence, Occurrences};
use crate::keyword::Hit;
use crate::ledger::Change;
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::record::{LogRows, Records, id_hex, integer};
use crate::rule::definition::Rule;
use crate::rule::registry::{Registry, RuleSet};
use crate::state::{Sighting, Tracker};

const COMMIT_EVERY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);
const EXPIRE_EVERY: Duration = Duration::from_millis(500);
const IDLE: Duration = Duration::from_secs(600);
const RETRY: Duration = Duration::from_millis(250);
/// Requests older than this are a backlog: nothing is called quiet before it has been worked off.
const BACKLOG_AGE: Duration = Duration::from_secs(60);
const BACKLOG_PAUSE: Duration = Duration::from_secs(5);
const GROUP_VALUE_CHARS_MAX: usize = 256;

/// Figures of the matching thread.
#[derive(Debug)]
pub(crate) struct Counters {
    /// What it cost to look at rows, with their bytes in memory.
    pub stage: Stage,
    pub requests: AtomicU64,
    pub skipped: AtomicU64,
    pub matches: AtomicU64,
    pub exceptions: AtomicU64,
    pub panics: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            stage: Stage::new(StageName::Match),
            requests: zero(),
            skipped: zero(),
            matches: zero(),
            exceptions: zero(),
            panics: zero(),
        }
    }
}

/// What the thread works with.
pub(crate) struct Matching {
    pub queue: Arc<Queue>,
    pub outbox: Arc<Outbox>,
    pub registry: Arc<Registry>,
    pub sink: Arc<dyn Sink>,
    pub clock: Arc<dyn Clock>,
    pub counters: Arc<Counters>,
    pub runtime: Handle,
    pub tracker: Tracker,
}

/// One match, copied out of its batch.
struct Match {
    rule: Arc<Rule>,
    group: BTreeMap<String, String>,
    time: i64,
    service: String,
    body: String,
    trace_id: Option<String>,
}

/// The end was asked for while something had to be tried again: what is not journaled comes back after a restart.
struct Stopped;

impl Matching {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let started = Instant::now();
        let mut handled = self.outbox.position();
        let mut last_commit = started;
        let mut last_expire = started;
        let mut backlog_until = if handled > 0 { started + BACKLOG_PAUSE } else { started };
        loop {
            let taken = self.queue.take(self.patience(handled));
            for request in &taken.requests {
                if self.clock.now().0.saturating_sub(request.received.0) > nanos(BACKLOG_AGE) {
                    backlog_until = Instant::now() + BACKLOG_PAUSE;
                }
            }
            let Ok(reached) = self.handle(&taken.requests, handled) else { return };
            handled = reached;
            if Instant::now() >= backlog_until && last_expire.elapsed() >= EXPIRE_EVERY && self.queue.len() == 0 {
                last_expire = Instant::now();
                self.tracker.expire(self.clock.now());
            }
            let behind = self.tracker.is_dirty() || handled > self.outbox.position();
            let due = self.tracker.is_urgent() || taken.closed || last_commit.elapsed() >= COMMIT_EVERY;
            if behind && due {
                let changes = self.tracker.take_changes();
                if self.commit(handled, &changes).is_err() {
                    return;
                }
                last_commit = Instant::now();
            }
            if taken.closed && self.queue.len() == 0 {
                return;
            }
        }
    }

    /// How long the thread may sleep when nothing comes.
    fn patience(&self, handled: u64) -> Duration {
        let waiting = self.tracker.is_dirty() || self.tracker.may_be_open() || handled > self.outbox.position();
        if waiting { TICK } else { IDLE }
    }

    /// Takes requests into account; answers the position reached.
    fn handle(&mut self, requests: &[Durable], mut handled: u64) -> Result<u64, Stopped> {
        let mut exceptions: BTreeMap<TenantId, (u64, Vec<Occurrence>)> = BTreeMap::new();
        for request in requests {
            if request.position.0 <= handled {
                self.skip(request, handled);
                continue;
            }
            self.counters.requests.fetch_add(1, Ordering::Relaxed);
            let rules = self.rules(&request.tenant)?;
            let begun = Instant::now();
            let seen = catch_unwind(AssertUnwindSafe(|| look(request, &rules)));
            let (matches, occurrences) = seen.unwrap_or_else(|_| {
                self.counters.panics.fetch_add(1, Ordering::Relaxed);
                error!(position = %request.position, tenant = %request.tenant, "matching failed on a request, its alerts are lost");
                (Vec::new(), Vec::new())
            });
            self.observe(request, matches);
            self.counters.stage.add(begun.elapsed(), weigh(request, Batch::memory_bytes), weigh(request, count));
            if !occurrences.is_empty() {
                let stored = self.sink.derived_position(&request.tenant, "exceptions");
                if request.position.0 > stored {
                    let waiting = exceptions.entry(request.tenant.clone()).or_default();
                    waiting.0 = request.position.0;
                    waiting.1.extend(occurrences);
                }
            }
            handled = request.position.0;
        }
        for (tenant, (position, occurrences)) in exceptions {
            self.store(&tenant, position, &occurrences)?;
        }
        Ok(handled)
    }

    /// Everything up to `handled` is done already. Normal after a restart; for ever only if the WAL began anew.
    fn skip(&self, request: &Durable, handled: u64) {
        if self.counters.skipped.fetch_add(1, Ordering::Relaxed) == 0 {
            warn!(position = %request.position, handled, "request was handled before, skipping; if the WAL was replaced, move the alerting directory away");
        }
    }

    fn observe(&mut self, request: &Durable, matches: Vec<Match>) {
        let now = self.clock.now();
        self.counters.matches.fetch_add(matches.len() as u64, Ordering::Relaxed);
        for found in matches {
            let sighting = Sighting {
                tenant: request.tenant.as_str(),
                rule: &found.rule,
                group: found.group,
                time: if found.time == 0 { request.received.0 } else { found.time },
                received: request.received.0,
                position: request.position.0,
                service: &found.service,
                body: &found.body,
                trace_id: found.trace_id,
            };
            self.tracker.observe(sighting, now);
        }
    }

    fn rules(&self, tenant: &TenantId) -> Result<Arc<RuleSet>, Stopped> {
        self.persist(|| {
            let loaded = self.runtime.block_on(self.registry.load(tenant));
            loaded.map_err(|error| warn!(%error, %tenant, "rules could not be read, trying again"))
        })
    }

    fn store(&self, tenant: &TenantId, position: u64, occurrences: &[Occurrence]) -> Result<(), Stopped> {
        self.counters.exceptions.fetch_add(occurrences.len() as u64, Ordering::Relaxed);
        self.persist(|| {
            let source = Source { name: "exceptions", position };
            let rows = occurrence::rows(occurrences);
            let sink = self.sink.as_ref();
            self.runtime.block_on(derived::append(sink, tenant, source, Table::Exceptions, rows)).map_err(drop)
        })
    }

    fn commit(&self, position: u64, changes: &[Change]) -> Result<(), Stopped> {
        self.persist(|| {
            let outcome = self.outbox.commit(Some(position), changes.to_vec());
            outcome.map_err(|error| error!(%error, "alerts could not be journaled, trying again"))
        })
    }

    /// Tries until it works or the end is asked for.
    fn persist<T>(&self, attempt: impl Fn() -> Result<T, ()>) -> Result<T, Stopped> {
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(()) if self.queue.is_closed() => return Err(Stopped),
                Err(()) => std::thread::sleep(RETRY),
            }
        }
    }
}

/// A figure of a request's batches, all together.
fn weigh(request: &Durable, of: impl Fn(&Batch) -> u64) -> u64 {
    request.batches.iter().map(of).sum()
}

fn count(batch: &Batch) -> u64 {
    batch.row_count() as u64
}

/// Everything the rules and the exception finder see in one request. Pure.
fn look(request: &Durable, rules: &RuleSet) -> (Vec<Match>, Vec<Occurrence>) {
    let mut matches = Vec::new();
    let mut exceptions = Vec::new();
    for batch in request.batches.iter() {
        if batch.table() == Table::Logs {
            let logs = LogRows::new(batch.rows());
            for hit in rules.matcher.match_logs(&logs) {
                let time = integer(batch.rows(), column::TIME_UNIX_NANO, hit.row);
                let body = logs.field(hit.row, "body").unwrap_or_default().into_owned();
                let trace_id = id_hex(batch.rows(), column::TRACE_ID, hit.row);
                matches.push(copy(&logs, hit, time, body, trace_id));
            }
        }
        let found = occurrence::find(batch);
        let occurrences = Occurrences(&found);
        for hit in rules.matcher.match_exceptions(&occurrences) {
            let one = &found[hit.row];
            matches.push(copy(&occurrences, hit, one.time, one.line(), one.trace_id.clone()));
        }
        exceptions.extend(found);
    }
    (matches, exceptions)
}

fn copy(records: &impl Records, hit: Hit, time: i64, body: String, trace_id: Option<String>) -> Match {
    let value = |key: &String| {
        let text = records.field(hit.row, key).unwrap_or_default();
        (key.clone(), text.chars().take(GROUP_VALUE_CHARS_MAX).collect())
    };
    Match {
        group: hit.rule.group_by.iter().map(value).collect(),
        service: records.service(hit.row).to_owned(),
        rule: hit.rule,
        time,
        body,
        trace_id,
    }
}

fn nanos(duration: Duration) -> i64 {
    UnixNano(0).plus(duration).0
}
