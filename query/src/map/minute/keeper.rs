//! Keeps the map's minutes: looks at new parts of `spans`, computes the minutes that they touch from stored spans, writes
//! them as a new generation.
//!
//! A minute is computed from parts alone, so what is written is a function of one version of `spans`. The rows carry the
//! number of the last commit they take into account, and their source position begins with the number of the last commit
//! of which every minute is written: after a crash the work goes on there, and what is done twice is one more generation.
//! Deliberately leaves minutes alone whose spans are gone, and young ones: answers compute those from their spans.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use datafusion::common::DataFusionError;
use datafusion::prelude::col;
use futures::TryStreamExt;
use tracelake_model::column::{MINUTE_UNIX_NANO, SERVICE_NAME};
use tracelake_model::{Derived, Refusal, Sink, Source, Table, TenantId, TimeRange, UnixNano};
use tracelake_storage::{Commits, Part, Snapshot};
use tracing::warn;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::minute::book::{Kept, MINUTE_NS, Page, SALT_BITS, Waiting, overlaps};
use crate::map::minute::pace::Pace;
use crate::map::minute::pass::{self, Counted, MARGIN_MIN, PASS_BYTES, count};
use crate::map::minute::row::{HEAD_COLUMNS, Minute, edge_rows, heads, minute_rows};
use crate::map::minute::touch::{Ask, touched};
use crate::view::column::int;

/// The stream of the rows, as the tables' logs name it.
const SOURCE: &str = "service_map";
/// Bits of a source position below the number of the commit.
const POSITION_BITS: u32 = 24;

/// A minute is left alone so long after its end,
const SETTLE: Duration = Duration::from_secs(60);
/// and so long after it was last touched,
const QUIET: Duration = Duration::from_secs(20);
/// but it does not wait longer than this.
const PATIENCE: Duration = Duration::from_secs(300);
/// Minutes that are computed at once at most,
const BLOCK_MINUTES: usize = 30;
/// and about so many spans, which fit into one pass; one minute may have more.
const BLOCK_SPANS: u64 = 100_000;
/// Rows that are written at once, about.
const WRITE_ROWS: usize = 20_000;
/// Minutes that may wait; beyond, new parts are looked at later.
const WAITING_MAX: usize = 100_000;
/// Commits that a minute remembers; of more it remembers the first ones, which are the first to go.
const COMMITS_MAX: usize = 64;

/// Which minutes are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Haste {
    /// Those that are quiet.
    Settled,
    /// All that wait.
    #[cfg(test)]
    All,
}

/// Computes and writes minutes, step by step.
pub(crate) struct Keeper {
    engine: Arc<Engine>,
    desks: HashMap<TenantId, Desk>,
    /// Says between two blocks whether to go on; may wait.
    go_on: Box<dyn FnMut(Duration) -> bool + Send>,
    /// Bytes of spans that it holds in memory at a time, about.
    pub(crate) pass_bytes: usize,
}

/// What the keeper knows of a tenant.
#[derive(Debug, Default)]
struct Desk {
    page: Page,
    /// The last commit of `service_minutes` that was looked at.
    kept_seen: u64,
    /// The last source position.
    position: u64,
    /// A hash of the names of the parts of `service_minutes` among which it was last looked for minutes that are gone.
    looked_at: u64,
}

impl Keeper {
    /// A keeper that is asked `go_on` (with the time that the last block took) before each block.
    pub(crate) fn new(engine: Arc<Engine>, go_on: Box<dyn FnMut(Duration) -> bool + Send>) -> Self {
        Self { engine, desks: HashMap::new(), go_on, pass_bytes: PASS_BYTES }
    }

    /// Looks at what is new of all tenants and computes what is due.
    pub(crate) async fn round(&mut self, haste: Haste) -> Result<(), Error> {
        for tenant in self.engine.store().tenants() {
            self.tenant_round(&tenant, haste).await?;
        }
        Ok(())
    }

    async fn tenant_round(&mut self, tenant: &TenantId, haste: Haste) -> Result<(), Error> {
        let engine = Arc::clone(&self.engine);
        let desk = self.desks.entry(tenant.clone()).or_insert_with(|| Desk::open(&engine, tenant));
        let snapshot = Arc::new(engine.store().snapshot(tenant));
        desk.forget(&snapshot);
        desk.learn(&engine, &snapshot).await?;
        desk.look(&engine, &snapshot).await?;
        engine.books().publish(tenant, &desk.page);
        let mut took = Duration::ZERO;
        loop {
            let block = desk.due(engine.clock().now(), snapshot.parts(Table::Spans), haste);
            if block.is_empty() || !(self.go_on)(took) {
                return Ok(());
            }
            let mut pace = Pace { go_on: &mut *self.go_on, since: Instant::now(), busy: Duration::ZERO };
            let done = desk.compute(&engine, &snapshot, (block, self.pass_bytes), &mut pace).await?;
            took = pace.since.elapsed();
            let busy = pace.busy();
            let books = engine.books();
            books.busy_us.fetch_add(u64::try_from(busy.as_micros()).unwrap_or(0), Ordering::Relaxed);
            books.publish(tenant, &desk.page);
            if !done {
                return Ok(());
            }
        }
    }
}

impl Desk {
    fn open(engine: &Engine, tenant: &TenantId) -> Self {
        let position = engine.store().derived_position(tenant, SOURCE);
        let page = Page { seen: position >> POSITION_BITS, ..Page::default() };
        Self { page, kept_seen: 0, position, looked_at: 0 }
    }

    /// Forgets minutes whose rows are gone, by retention or erasure.
    fn forget(&mut self, snapshot: &Snapshot) {
        let table = Table::ServiceMinutes;
        let parts = snapshot.parts(table);
        let mut hasher = DefaultHasher::new();
        parts.iter().for_each(|part| part.location.hash(&mut hasher));
        if std::mem::replace(&mut self.looked_at, hasher.finish()) == hasher.finish() {
            return;
        }
        let in_tail: BTreeSet<i64> =
            snapshot.tail(table).iter().flat_map(|rows| int(rows, MINUTE_UNIX_NANO).values().iter().copied()).collect();
        let gone = gone(&self.page.kept, parts, &in_tail);
        if !gone.is_empty() {
            let kept = Arc::make_mut(&mut self.page.kept);
            gone.iter().for_each(|minute| drop(kept.remove(minute)));
        }
    }

    /// Learns which minutes are kept: at first all, then those that commits brought since.
    async fn learn(&mut self, engine: &Engine, snapshot: &Arc<Snapshot>) -> Result<(), Error> {
        let table = Table::ServiceMinutes;
        let newest = snapshot.parts(table).iter().map(|part| part.commits.last).max().unwrap_or(0);
        let first = self.kept_seen == 0 && self.page.kept.is_empty();
        if newest <= self.kept_seen && !first {
            return Ok(());
        }
        let seen = self.kept_seen;
        let fresh = Arc::new(snapshot.narrowed(table, first, |part| part.commits.last > seen));
        let filter = Some(col(SERVICE_NAME).is_null());
        let ask = Scan { columns: HEAD_COLUMNS.to_vec(), filter, ..Scan::default() };
        let mut stream = engine.rows_at(&fresh, table, ask).await?;
        while let Some(batch) = stream.try_next().await? {
            let kept = Arc::make_mut(&mut self.page.kept);
            for head in heads(&batch) {
                let newer = kept.get(&head.start).is_none_or(|known| known.generation < head.generation);
                if newer {
                    let minute = Kept { generation: head.generation, commits: head.commits.into() };
                    kept.insert(head.start, minute);
                }
            }
        }
        self.kept_seen = newest;
        Ok(())
    }

    /// Looks at parts of spans that came since, in the order of their commits.
    async fn look(&mut self, engine: &Engine, snapshot: &Arc<Snapshot>) -> Result<(), Error> {
        let parts = snapshot.parts(Table::Spans);
        let mut commits: Vec<u64> =
            parts.iter().map(|part| part.commits.last).filter(|last| *last > self.page.seen).collect();
        commits.sort_unstable();
        commits.dedup();
        for last in commits {
            if self.page.waiting.len() > WAITING_MAX {
                return Ok(());
            }
            let fresh = Arc::new(snapshot.narrowed(Table::Spans, false, |part| part.commits.last == last));
            let seen = self.page.seen;
            let before = snapshot.narrowed(Table::Spans, false, |part| part.commits.last <= seen);
            let (kept, waiting) = (&self.page.kept, &self.page.waiting);
            let matters = |range: std::ops::Range<i64>| {
                let mut kept = kept.range(range);
                kept.any(|(minute, _)| !waiting.contains_key(minute))
            };
            let ask = Ask { fresh: &fresh, before: &before, matters: &matters, awaited: &self.page.awaited };
            let minutes = touched(engine, &ask).await?;
            let now = engine.clock().now();
            for minute in minutes {
                self.touch(minute, last, now, parts);
            }
            self.page.seen = last;
        }
        Ok(())
    }

    fn touch(&mut self, minute: i64, commit: u64, now: UnixNano, parts: &[Arc<Part>]) {
        let known = self.page.kept.get(&minute);
        if known.is_some_and(|kept| kept.seen() >= commit || kept.is_frozen(minute, parts)) {
            return;
        }
        let fresh = Waiting { first: commit, last: commit, since: now, touched: now };
        let waiting = Arc::make_mut(&mut self.page.waiting).entry(minute).or_insert(fresh);
        (waiting.last, waiting.touched) = (commit, now);
    }

    /// The next minutes to compute, one after the other in time.
    fn due(&self, now: UnixNano, parts: &[Arc<Part>], haste: Haste) -> Vec<i64> {
        let is_due = |(minute, waiting): &(&i64, &Waiting)| {
            let over = UnixNano(**minute).plus(Duration::from_secs(60)).plus(SETTLE) <= now || **minute > now.0;
            let quiet = waiting.touched.plus(QUIET) <= now || waiting.since.plus(PATIENCE) <= now;
            haste != Haste::Settled || over && quiet
        };
        let mut block: Vec<i64> = Vec::new();
        let mut spans = 0;
        for (minute, _) in self.page.waiting.iter().filter(is_due) {
            spans += about_spans(*minute, parts);
            let follows = block.last().is_none_or(|last| last + MINUTE_NS == *minute);
            let fits = block.is_empty() || block.len() < BLOCK_MINUTES && spans <= BLOCK_SPANS;
            if !follows || !fits {
                break;
            }
            block.push(*minute);
        }
        block
    }

    /// Computes minutes that follow each other, within so many bytes, and writes them; whether it came to the end.
    async fn compute(
        &mut self,
        engine: &Engine,
        snapshot: &Arc<Snapshot>,
        (block, bytes_max): (Vec<i64>, usize),
        pace: &mut Pace<'_>,
    ) -> Result<bool, Error> {
        let settled = Arc::new(snapshot.narrowed(Table::Spans, false, |_| true));
        let parts = settled.parts(Table::Spans);
        let seen = parts.iter().map(|part| part.commits.last).max().unwrap_or(self.page.seen).max(self.page.seen);
        let (Some(first), Some(last)) = (block.first(), block.last()) else { return Ok(true) };
        let range = TimeRange { start: UnixNano(*first), end: UnixNano(last.saturating_add(MINUTE_NS)) };
        let ask = pass::Ask { engine, snapshot: &settled, range, bytes_max, margin_min: MARGIN_MIN };
        let Some(counted) = count(ask, pace).await? else {
            return Ok(false);
        };
        let Counted { mut tallies, unfound, passes } = counted;
        engine.books().passes.fetch_add(passes, Ordering::Relaxed);
        let minute = |&start: &i64| {
            let tally = tallies.remove(&start).unwrap_or_default();
            Minute { start, commits: commits_of(start, parts), tally }
        };
        let mut minutes: Vec<Minute> = block.iter().map(minute).collect();
        let salt = RandomState::new().hash_one(seen) & ((1 << SALT_BITS) - 1);
        let generation = i64::try_from((seen << SALT_BITS) | salt).unwrap_or(i64::MAX);
        while !minutes.is_empty() {
            let mut rows = 0;
            let size = |minute: &Minute| minute.tally.edges.len() + minute.tally.operations.len();
            let fits = |minute: &&Minute| {
                rows += size(minute);
                rows <= WRITE_ROWS
            };
            let count = minutes.iter().take_while(fits).count().max(1);
            let rest = minutes.split_off(count);
            self.write(engine, snapshot.tenant(), &minutes, generation).await?;
            minutes = rest;
        }
        if !unfound.is_empty() || !self.page.awaited.is_empty() {
            Arc::make_mut(&mut self.page.awaited).replace(&block, unfound);
        }
        Ok(true)
    }

    /// Writes minutes; once they are visible they wait no longer.
    async fn write(
        &mut self,
        engine: &Engine,
        tenant: &TenantId,
        minutes: &[Minute],
        generation: i64,
    ) -> Result<(), Error> {
        let failed = |fault| Error::Engine(DataFusionError::from(fault));
        let mut batches = vec![minute_rows(minutes, generation).map_err(failed)?];
        batches.extend(edge_rows(minutes, generation).map_err(failed)?);
        let mut waiting = Arc::clone(&self.page.waiting);
        for minute in minutes {
            Arc::make_mut(&mut waiting).remove(&minute.start);
        }
        let done = waiting.values().map(|waiting| waiting.first - 1).min().unwrap_or(self.page.seen);
        let position = (done << POSITION_BITS).max(self.position + 1);
        let source = Source { name: SOURCE, position };
        let written = engine.store().append_derived(Derived { tenant: tenant.clone(), source, batches }).await;
        written.map_err(|refusal| refused(&refusal))?;
        self.position = position;
        let kept = Arc::make_mut(&mut self.page.kept);
        for minute in minutes {
            kept.insert(minute.start, Kept { generation, commits: minute.commits.as_slice().into() });
        }
        self.page.waiting = waiting;
        engine.books().computed.fetch_add(minutes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Minutes that neither parts nor the tail may hold.
fn gone(kept: &BTreeMap<i64, Kept>, parts: &[Arc<Part>], in_tail: &BTreeSet<i64>) -> Vec<i64> {
    let mut held: Vec<(i64, i64)> = parts.iter().map(|part| (part.time_min.0, part.time_max.0)).collect();
    held.sort_unstable();
    let mut held = held.into_iter().peekable();
    let mut end = i64::MIN;
    let is_gone = |minute: &i64| {
        while let Some((_, last)) = held.next_if(|(first, _)| first <= minute) {
            end = end.max(last);
        }
        end < *minute && !in_tail.contains(minute)
    };
    kept.keys().copied().filter(is_gone).collect()
}

/// The commits of the parts that may hold spans of a minute.
fn commits_of(minute: i64, parts: &[Arc<Part>]) -> Vec<Commits> {
    let mut commits: Vec<Commits> =
        parts.iter().filter(|part| overlaps(part, minute)).map(|part| part.commits).collect();
    commits.sort_unstable();
    commits.dedup();
    commits.truncate(COMMITS_MAX);
    commits
}

/// About how many spans start in a minute, as if the spans of each part were spread evenly.
fn about_spans(minute: i64, parts: &[Arc<Part>]) -> u64 {
    let share = |part: &Arc<Part>| {
        let minutes = (part.time_max.0 / MINUTE_NS).abs_diff(part.time_min.0 / MINUTE_NS) + 1;
        part.rows / minutes
    };
    parts.iter().filter(|part| overlaps(part, minute)).map(share).sum()
}

fn refused(refusal: &Refusal) -> Error {
    warn!(%refusal, "minutes of the service map are refused for now, they are tried again");
    Error::OutOfService(format!("minutes of the service map cannot be written: {refusal}"))
}
