//! What is known of each tenant's minutes: which are kept, which wait to be computed, how far spans were looked at.
//!
//! The keeper writes a page after what it tells of is visible; who reads takes the page first and the snapshot after it,
//! so the snapshot is never behind the page. About 100 bytes for each minute that is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tracelake_model::{Sample, TenantId, UnixNano};
use tracelake_storage::{Commits, Part};

/// A minute in nanoseconds.
pub(crate) const MINUTE_NS: i64 = 60_000_000_000;

/// Bits of a generation below the number of the commit: they tell apart who computed it.
pub(crate) const SALT_BITS: u32 = 20;

/// A minute that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Which computation of it.
    pub(crate) generation: i64,
    /// The commits of the parts that it was computed from.
    pub(crate) commits: Box<[Commits]>,
}

/// A minute that new spans touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The first commit of spans that touched it since it was computed.
    pub(crate) first: u64,
    /// The last one.
    pub(crate) last: u64,
    /// When the first was seen.
    pub(crate) since: UnixNano,
    /// When the last was seen.
    pub(crate) touched: UnixNano,
}

/// A tenant's minutes at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    /// The last commit of spans that was looked at.
    pub(crate) seen: u64,
    /// By start.
    pub(crate) kept: Arc<BTreeMap<i64, Kept>>,
    /// By start.
    pub(crate) waiting: Arc<BTreeMap<i64, Waiting>>,
    /// Traces that spans of kept minutes link to, but whose linked spans were not there.
    pub(crate) awaited: Arc<Awaited>,
}

/// Traces (their hashes, [`trace_hash`](crate::map::minute::spill::trace_hash)) and the minutes that they change when they
/// come. In memory only: what was awaited before a restart is not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(BTreeSet<(u64, i64)>);

/// Traces that are awaited at most, about 4 MB; of more those of the newest minutes.
const AWAITED_MAX: usize = 100_000;

impl Awaited {
    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The minutes that await a trace.
    pub(crate) fn by(&self, trace: u64) -> impl Iterator<Item = i64> {
        self.0.range((trace, i64::MIN)..=(trace, i64::MAX)).map(|(_, minute)| *minute)
    }

    /// Takes in what minutes that were computed await, in place of what they awaited before.
    pub(crate) fn replace(&mut self, minutes: &[i64], awaited: impl IntoIterator<Item = (u64, i64)>) {
        self.0.retain(|(_, minute)| !minutes.contains(minute));
        self.0.extend(awaited);
        if self.0.len() > AWAITED_MAX {
            let mut newest: Vec<i64> = self.0.iter().map(|(_, minute)| *minute).collect();
            newest.sort_unstable();
            let oldest = newest[newest.len() - AWAITED_MAX / 2];
            self.0.retain(|(_, minute)| *minute > oldest);
        }
    }
}

/// The pages of all tenants, and figures.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pages: Mutex<HashMap<TenantId, Page>>,
    /// Minutes that were computed and written.
    pub(crate) computed: AtomicU64,
    /// Passes over their spans: one for each block of minutes whose spans fit into memory.
    pub(crate) passes: AtomicU64,
    /// Time spent on it, in microseconds.
    pub(crate) busy_us: AtomicU64,
    /// Rounds that failed.
    pub(crate) failures: AtomicU64,
    /// Minutes that answers took from the tables.
    pub(crate) read_kept: AtomicU64,
    /// Half hours of them of which answers remembered the sum.
    pub(crate) read_sums: AtomicU64,
    /// Pieces of ranges that answers computed from spans.
    pub(crate) read_spans: AtomicU64,
}

impl Kept {
    /// The last commit of spans that it takes into account.
    pub(crate) fn seen(&self) -> u64 {
        seen(self.generation)
    }

    /// Whether spans that it was computed from are gone: then it is the only witness, and nothing replaces it.
    pub(crate) fn is_frozen(&self, minute: i64, parts: &[Arc<Part>]) -> bool {
        let holds =
            |part: &Part, commits: &Commits| part.commits.first <= commits.first && commits.last <= part.commits.last;
        let stands = |commits: &Commits| parts.iter().any(|part| overlaps(part, minute) && holds(part, commits));
        !self.commits.iter().all(stands)
    }
}

/// The last commit of spans that a generation takes into account.
pub(crate) fn seen(generation: i64) -> u64 {
    u64::try_from(generation >> SALT_BITS).unwrap_or(0)
}

/// Whether a part may hold spans that start in a minute.
pub(crate) fn overlaps(part: &Part, minute: i64) -> bool {
    part.time_min.0 < minute.saturating_add(MINUTE_NS) && part.time_max.0 >= minute
}

impl Books {
    /// What is known of a tenant; `None` until its spans were looked at once.
    pub(crate) fn page(&self, tenant: &TenantId) -> Option<Page> {
        self.pages.lock().get(tenant).cloned()
    }

    /// Tells what is known now.
    pub(crate) fn publish(&self, tenant: &TenantId, page: &Page) {
        self.pages.lock().insert(tenant.clone(), page.clone());
    }

    /// Figures for operators.
    #[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
    pub(crate) fn samples(&self) -> Vec<Sample> {
        const MINUTES: (&str, &str) =
            ("tracelake_map_minutes", "Minutes of the service map, by whether they are kept or wait.");
        const READ: (&str, &str) = (
            "tracelake_map_read_total",
            "Kept minutes, sums of half hours of them, and pieces of ranges read from spans, in answers.",
        );
        let (kept, waiting) = {
            let pages = self.pages.lock();
            pages.values().fold((0, 0), |(kept, waiting), page| (kept + page.kept.len(), waiting + page.waiting.len()))
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            Sample::gauge(MINUTES.0, MINUTES.1, kept as f64).label("state", "kept"),
            Sample::gauge(MINUTES.0, MINUTES.1, waiting as f64).label("state", "waiting"),
            Sample::counter(
                "tracelake_map_computed_total",
                "Minutes of the service map that were computed and written.",
                count(&self.computed),
            ),
            Sample::counter(
                "tracelake_map_passes_total",
                "Passes over the spans of minutes: one for each block of minutes whose spans fit into memory.",
                count(&self.passes),
            ),
            Sample::gauge(
                "tracelake_map_busy_seconds",
                "Time spent on computing and writing minutes since the start.",
                count(&self.busy_us) as f64 / 1e6,
            ),
            Sample::counter(
                "tracelake_map_failures_total",
                "Rounds of the map's keeper that failed.",
                count(&self.failures),
            ),
            Sample::counter(READ.0, READ.1, count(&self.read_kept)).label("from", "minutes"),
            Sample::counter(READ.0, READ.1, count(&self.read_sums)).label("from", "sums"),
            Sample::counter(READ.0, READ.1, count(&self.read_spans)).label("from", "spans"),
        ]
    }
}
