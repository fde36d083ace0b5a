//! A search: the newest traces of which a pipeline leaves spans, evaluated exactly.
//!
//! A trace is found when a span of the answer starts in the range; its spans outside take part all the same. Newest
//! first by the newest such span's start, then by trace id. Two steps, again and again from the newest window backwards:
//! traces with a row that might be of the answer; then these traces whole, which decides. It ends once no trace that is
//! left could come before the ones that were found.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use tracelake_model::{TenantId, TimeRange, UnixNano};
use tracelake_storage::Snapshot;

use crate::engine::Engine;
use crate::error::Error;
use crate::traceql::ast::Pipeline;
use crate::traceql::field::{Field, Scope};
use crate::traceql::literal::Static;
use crate::traceql::load::{candidates, traces};
use crate::traceql::pipeline::Set;
use crate::traceql::plan::Plan;
use crate::traceql::slot::{NAME, SERVICE, STATUS};
use crate::traceql::tree::Trace;
use crate::traceql::work::off_thread;
use crate::view::newest::Newest;
use crate::view::window::windows;

/// Candidates of one look at a window: the first, and what it grows to while too few of them are found.
const CANDIDATES_FIRST: usize = 256;
const CANDIDATES_MAX: usize = 65_536;

/// Traces that are read whole at once, from the first time to the last.
const CHUNK_FIRST: usize = 32;
const CHUNK_MAX: usize = 1_000;

/// Traces that one search reads whole; more are refused with the remedy.
const TRACES_MAX: usize = 1_000_000;

/// Spans shown in one answer.
const SPANS_MAX: usize = 1_000_000;

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) pipeline: Pipeline,
    pub(crate) range: TimeRange,
    pub(crate) limit: usize,
    /// Spans shown of each spanset.
    pub(crate) spans_per_set: usize,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Newest first.
    pub(crate) traces: Vec<FoundTrace>,
    /// Traces that were read whole.
    pub(crate) inspected: usize,
}

/// One trace found.
#[derive(Debug)]
pub(crate) struct FoundTrace {
    pub(crate) id: [u8; 16],
    /// Service and name of the root.
    pub(crate) root: Option<(String, String)>,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) sets: Vec<FoundSet>,
    /// Spans and errors of each service.
    pub(crate) services: BTreeMap<String, (usize, usize)>,
}

/// One spanset of it.
#[derive(Debug)]
pub(crate) struct FoundSet {
    pub(crate) matched: usize,
    /// The earliest ones.
    pub(crate) spans: Vec<FoundSpan>,
    pub(crate) attributes: Vec<(String, Static)>,
}

/// One span of it.
#[derive(Debug)]
pub(crate) struct FoundSpan {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) attributes: Vec<(String, Static)>,
}

/// Answers a question.
pub(crate) async fn search(engine: &Engine, tenant: &TenantId, ask: Ask) -> Result<Answer, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let plan = Arc::new(Plan::new(&ask.pipeline));
    let mut search = Search { engine, snapshot, plan, ask: Arc::new(ask), given: HashSet::new(), found: Vec::new() };
    for window in windows(search.ask.range, engine.clock().now()) {
        if search.window(window).await? {
            break;
        }
    }
    let Search { mut found, given, ask, .. } = search;
    found.sort_by_key(|(newest, trace)| (Reverse(*newest), trace.id));
    found.truncate(ask.limit);
    Ok(Answer { traces: found.into_iter().map(|(_, trace)| trace).collect(), inspected: given.len() })
}

struct Search<'a> {
    engine: &'a Engine,
    snapshot: Arc<Snapshot>,
    plan: Arc<Plan>,
    ask: Arc<Ask>,
    /// Traces that were read whole.
    given: HashSet<[u8; 16]>,
    /// Traces of the answer with their newest span's start.
    found: Vec<(i64, FoundTrace)>,
}

impl Search<'_> {
    /// Whether no trace whose newest candidate starts at `newest` or before could come into the answer.
    fn is_settled(&self, newest: i64) -> bool {
        self.found.iter().filter(|(start, _)| *start > newest).count() >= self.ask.limit
    }

    /// Looks through one window, newest candidates first; whether the search has ended.
    async fn window(&mut self, mut window: TimeRange) -> Result<bool, Error> {
        let (mut most, mut chunk) = (CANDIDATES_FIRST.max(self.ask.limit.saturating_mul(2)), CHUNK_FIRST);
        loop {
            let mut newest = Newest::new(most);
            let given = &self.given;
            candidates(self.engine, &self.snapshot, &self.plan, window, |trace, start| {
                if !given.contains(&trace) {
                    newest.see(trace, start);
                }
            })
            .await?;
            let found = newest.into_order();
            let mut rest = &found[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(chunk));
                self.read(now).await?;
                rest = later;
                chunk = (chunk * 2).min(CHUNK_MAX);
                if rest.first().is_some_and(|(start, _)| self.is_settled(*start)) {
                    return Ok(true);
                }
            }
            match found.last() {
                Some((last, _)) if found.len() == most => {
                    if self.is_settled(*last) {
                        return Ok(true);
                    }
                    window.end = UnixNano(last.saturating_add(1)).min(window.end);
                    most = (most * 4).min(CANDIDATES_MAX.max(most));
                }
                _ => return Ok(self.is_settled(window.start.0.saturating_sub(1))),
            }
        }
    }

    /// Reads some traces whole and keeps those of the answer.
    async fn read(&mut self, candidates: &[(i64, [u8; 16])]) -> Result<(), Error> {
        let ids: Vec<[u8; 16]> = candidates.iter().map(|(_, id)| *id).collect();
        if self.given.len() + ids.len() > TRACES_MAX {
            return Err(Error::TooLarge(format!(
                "the query had to read more than {TRACES_MAX} whole traces; narrow its time range or its filters"
            )));
        }
        let traces = traces(self.engine, &self.snapshot, &self.plan, &ids).await?;
        self.given.extend(ids);
        let (plan, ask) = (Arc::clone(&self.plan), Arc::clone(&self.ask));
        let work = move || traces.iter().filter_map(|trace| found(&plan, &ask, trace)).collect::<Vec<_>>();
        self.found.extend(off_thread(work).await?);
        // Only the first ones matter, however many more there are.
        if self.found.len() > self.ask.limit.saturating_mul(2) {
            self.found.sort_by_key(|(newest, trace)| (Reverse(*newest), trace.id));
            self.found.truncate(self.ask.limit);
        }
        let shown: usize = self.found.iter().flat_map(|(_, trace)| &trace.sets).map(|set| set.spans.len()).sum();
        if shown > SPANS_MAX {
            return Err(Error::TooLarge(format!(
                "the answer holds more than {SPANS_MAX} spans; ask for fewer traces (limit) or spans of each (spss)"
            )));
        }
        Ok(())
    }
}

/// A trace's place in the answer, if it has one.
fn found(plan: &Plan, ask: &Ask, trace: &Trace) -> Option<(i64, FoundTrace)> {
    let sets = plan.program.run(trace);
    let starts = sets.iter().flat_map(|set| &set.spans).map(|at| trace.spans[*at].start);
    let newest = starts.filter(|start| ask.range.contains(UnixNano(*start))).max()?;
    let words = |at: usize, place: usize| trace.spans[at].values[place].plain();
    let mut services: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for span in &trace.spans {
        let (spans, errors) = services.entry(span.values[SERVICE].plain()).or_default();
        *spans += 1;
        *errors += usize::from(span.values[STATUS] == Static::Status(crate::map::span::ERROR));
    }
    let found = FoundTrace {
        id: trace.id,
        root: trace.root.map(|at| (words(at, SERVICE), words(at, NAME))),
        start: trace.start(),
        duration: trace.duration(),
        sets: sets.into_iter().map(|set| found_set(plan, ask, trace, set)).collect(),
        services,
    };
    Some((newest, found))
}

fn found_set(plan: &Plan, ask: &Ask, trace: &Trace, set: Set) -> FoundSet {
    let matched = set.spans.len();
    let mut places = set.spans;
    places.sort_by_key(|at| (trace.spans[*at].start, trace.spans[*at].link));
    places.truncate(ask.spans_per_set);
    let span = |at: usize| {
        let span = &trace.spans[at];
        let shown = plan.shown.iter().filter(|place| span.values[**place] != Static::Nil);
        let shown = shown.map(|place| (label(&plan.slots.fields()[*place]), span.values[*place].clone()));
        FoundSpan {
            id: span.link.span,
            name: span.values[NAME].plain(),
            start: span.start,
            duration: span.duration,
            attributes: shown.collect(),
        }
    };
    FoundSet { matched, spans: places.into_iter().map(span).collect(), attributes: set.attributes }
}

/// How an answer names a field of a span: attributes without their scope.
fn label(field: &Field) -> String {
    match field {
        Field::Attribute { scope: Scope::Parent | Scope::ParentSpan | Scope::ParentResource, .. } => field.to_string(),
        Field::Attribute { name, .. } => name.to_string(),
        Field::Intrinsic { spelled, .. } => (*spelled).to_owned(),
    }
}
