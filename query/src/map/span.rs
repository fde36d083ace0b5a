//! The few columns of a span that the map and the figures need: interned, 64 bytes a span, each span once.
//! Links and sidecars are settled when all spans are there ([`SpanSet::seal`]).
//!
//! A span's identity is (trace, span, kind, service); of rows that share it the last stored one counts.
//! Deliberately knows nothing of scans: [`SpanSet::push`] takes batches from wherever they come.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, AsArray, ListArray, RecordBatch, StringArray};
use tracelake_model::column::{
    ATTRIBUTES_REST, DURATION_NS, KIND, LINKS, NAME, PARENT_SPAN_ID, SERVICE_NAME, SPAN_ID, START_UNIX_NANO,
    STATUS_CODE, TRACE_ID, TRACE_STATE,
};
use tracelake_model::{SpanId, TraceId};

use crate::map::attribute::{About, AttributeColumns, PROMOTED};
use crate::map::fold::folded;
use crate::map::node::{NodeKind, TIMER, USER, peer};
use crate::map::parent::{CONSUMER, INTERNAL, Link, Parent, SERVER, in_order, parent_of, span_number};
use crate::map::role::Role;
use crate::map::sampling::adjusted_count;
use crate::view::column::{binary, bytes_at, int, list, small, text, text_at};

/// No name, no peer or no links.
pub(crate) const NONE: u32 = u32::MAX;

/// OTLP number of `STATUS_CODE_ERROR`.
pub(crate) const ERROR: i8 = 2;

const BASE: [&str; 8] =
    [TRACE_ID, SPAN_ID, PARENT_SPAN_ID, SERVICE_NAME, KIND, START_UNIX_NANO, DURATION_NS, STATUS_CODE];

/// Which columns a question needs besides the base.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detail {
    /// Span names.
    pub(crate) names: bool,
    /// What the map's rules need: peers, roles, links, sampling.
    pub(crate) peers: bool,
}

impl Detail {
    /// The columns to scan.
    pub(crate) fn columns(self) -> Vec<&'static str> {
        let mut columns = BASE.to_vec();
        columns.extend(self.names.then_some(NAME));
        if self.peers {
            columns.extend(PROMOTED);
            columns.extend([ATTRIBUTES_REST, TRACE_STATE, LINKS]);
        }
        columns
    }
}

/// One span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// Place in [`SpanSet::traces`].
    pub(crate) trace: u32,
    /// Ids, kind and service (place in [`SpanSet::services`]).
    pub(crate) link: Link,
    /// Start, Unix nanoseconds.
    pub(crate) start: i64,
    /// Duration in nanoseconds.
    pub(crate) duration_ns: i64,
    /// Place in [`SpanSet::names`], or [`NONE`].
    pub(crate) name: u32,
    /// Place in [`SpanSet::peers`], or [`NONE`].
    pub(crate) peer: u32,
    /// Place in [`SpanSet::links`], or [`NONE`].
    pub(crate) links: u32,
    /// How many spans it stands for, by how it was sampled; 1 when nothing is known.
    pub(crate) adjusted: f32,
    /// OTLP number of the status code.
    pub(crate) status: i8,
    /// The part it plays.
    pub(crate) role: Role,
    /// A sidecar's span that is as good as its application's; settled by [`SpanSet::seal`].
    pub(crate) is_folded: bool,
    /// Whether it fulfils the conditions of a search.
    pub(crate) matched: bool,
}

/// What a span links to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    /// Place in [`SpanSet::traces`].
    pub(crate) trace: u32,
    /// The span's id.
    pub(crate) span: u64,
}

impl Span {
    /// End, Unix nanoseconds.
    pub(crate) fn end(&self) -> i64 {
        self.start.saturating_add(self.duration_ns)
    }

    /// Whether its status is ERROR.
    pub(crate) fn is_error(&self) -> bool {
        self.status == ERROR
    }

    /// Whether it stands for a request that its service answered: SERVER and CONSUMER spans, but those of sidecars that
    /// fold or that pass on what their service asks of others.
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.link.kind, SERVER | CONSUMER) && !self.is_folded && self.role != Role::Outbound
    }
}

/// Spans with what they name.
#[derive(Debug, Default)]
pub(crate) struct SpanSet {
    /// After [`SpanSet::seal`]: in order of trace and span id, each once.
    pub(crate) spans: Vec<Span>,
    /// Trace ids.
    pub(crate) traces: Interner<[u8; 16]>,
    /// Service names.
    pub(crate) services: Interner<Arc<str>>,
    /// Span names.
    pub(crate) names: Interner<Arc<str>>,
    /// Databases, queues and peers outside; the first two are [`SpanSet::USER`] and [`SpanSet::TIMER`].
    pub(crate) peers: Interner<(NodeKind, String)>,
    /// What single spans link to.
    pub(crate) links: Vec<Box<[Target]>>,
    /// What spans that are not here worked on, by their service; for sets that hold some traces of many.
    pub(crate) processed_elsewhere: Vec<(u32, Target)>,
    /// By trace: whether it is here for the sake of others only.
    guests: Vec<bool>,
    detail: Detail,
}

impl SpanSet {
    /// Place of the client that calls a SERVER span without parent.
    pub(crate) const USER: u32 = 0;
    /// Place of the client that starts what runs by a schedule.
    pub(crate) const TIMER: u32 = 1;

    /// An empty set that keeps what `detail` says.
    pub(crate) fn new(detail: Detail) -> Self {
        let mut set = Self { detail, ..Self::default() };
        for name in [USER, TIMER] {
            set.peers.intern((NodeKind::Client, name.to_owned()));
        }
        set
    }

    /// About the bytes that it takes, with what sealing needs.
    pub(crate) fn bytes(&self) -> usize {
        const LINKS_BYTES: usize = size_of::<Box<[Target]>>() + 2 * size_of::<Target>();
        self.spans.len() * size_of::<Span>() * 3 / 2
            + self.links.len() * LINKS_BYTES
            + self.processed_elsewhere.len() * size_of::<(u32, Target)>()
            + self.traces.bytes()
            + self.services.bytes()
            + self.names.bytes()
            + self.peers.bytes()
    }

    /// Forgets the spans and their traces; texts stay, and room that was made stays.
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.traces = Interner::default();
        self.links = Vec::new();
        self.processed_elsewhere = Vec::new();
        self.guests = Vec::new();
    }

    /// Says of each trace that is here whether it is here for the sake of others only: it draws nothing and counts nowhere.
    pub(crate) fn mark_guests(&mut self, guests: Vec<bool>) {
        self.guests = guests;
    }

    /// Notes what a span that is not here worked on.
    pub(crate) fn note_processed(&mut self, service: u32, (trace, span): ([u8; 16], u64)) {
        let trace = self.traces.intern(trace);
        self.processed_elsewhere.push((service, Target { trace, span }));
    }

    /// Whether a trace is here for the sake of others only.
    pub(crate) fn is_guest(&self, trace: u32) -> bool {
        usize::try_from(trace).is_ok_and(|place| self.guests.get(place) == Some(&true))
    }

    /// Takes in all rows of a batch that has [`Detail::columns`].
    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        self.push_rows(batch, (0..batch.num_rows()).map(|row| (row, false)));
    }

    /// Takes in some rows of a batch, each with whether it matched.
    pub(crate) fn push_rows(&mut self, batch: &RecordBatch, rows: impl Iterator<Item = (usize, bool)>) {
        let (trace, span, parent) = (binary(batch, TRACE_ID), binary(batch, SPAN_ID), binary(batch, PARENT_SPAN_ID));
        let (service, kind, status) = (text(batch, SERVICE_NAME), small(batch, KIND), small(batch, STATUS_CODE));
        let (start, duration) = (int(batch, START_UNIX_NANO), int(batch, DURATION_NS));
        let name = self.detail.names.then(|| text(batch, NAME));
        let clues = self.detail.peers.then(|| ClueColumns::new(batch));
        for (row, matched) in rows {
            let Ok(id) = <[u8; 16]>::try_from(trace.value(row)) else { continue };
            let link = Link {
                span: span_number(span.value(row)),
                parent: bytes_at(parent, row).map_or(0, span_number),
                kind: kind.value(row),
                service: self.services.intern_text(service.value(row)),
            };
            let mut made = Span {
                trace: self.traces.intern(id),
                link,
                start: start.value(row),
                duration_ns: duration.value(row),
                name: name.map_or(NONE, |column| self.names.intern_text(column.value(row))),
                peer: NONE,
                links: NONE,
                adjusted: 1.0,
                status: status.value(row),
                role: Role::of_kind(link.kind),
                is_folded: false,
                matched,
            };
            if let Some(clues) = &clues {
                self.tell(&mut made, service.value(row), clues, row);
            }
            self.spans.push(made);
        }
    }

    /// Adds what the map's rules need to know.
    fn tell(&mut self, span: &mut Span, service: &str, clues: &ClueColumns<'_>, row: usize) {
        span.adjusted = adjusted_count(text_at(clues.trace_state, row));
        // Below the root, work inside a service says nothing about what stands around it.
        if span.link.kind == INTERNAL && span.link.parent != 0 {
            return;
        }
        let about = About { kind: span.link.kind, is_root: span.link.parent == 0, service };
        let attributes = clues.attributes.row(row, about);
        span.role = Role::of(span.link.kind, service, &attributes.clues());
        if let Some(found) = peer(span.link.kind, span.role, &attributes.peer()) {
            span.peer = self.peers.intern(found);
        }
        if let Some(name) = attributes.canonical_service().filter(|_| span.role.is_sidecar()) {
            span.link.service = self.services.intern_text(name);
        }
        if matches!(span.role, Role::Send | Role::Receive | Role::Process) {
            span.links = self.intern_links(clues.links, row);
        }
    }

    fn intern_links(&mut self, column: &ListArray, row: usize) -> u32 {
        if column.is_null(row) {
            return NONE;
        }
        let links = column.value(row);
        let field = |name| links.as_struct_opt().and_then(|all| all.column_by_name(name)?.as_string_opt::<i32>());
        let (Some(traces), Some(spans)) = (field("trace_id"), field("span_id")) else { return NONE };
        let target = |at| {
            let trace = TraceId::parse(text_at(traces, at)?).ok()?;
            let span = SpanId::parse(text_at(spans, at)?).ok()?;
            Some(Target { trace: self.traces.intern(trace.0), span: u64::from_be_bytes(span.0) })
        };
        let mut targets: Vec<Target> = (0..links.len()).filter_map(target).collect();
        targets.sort_unstable();
        targets.dedup();
        self.link_to(targets)
    }

    /// The place in [`SpanSet::links`] of what one span links to, each once.
    pub(crate) fn link_to(&mut self, targets: Vec<Target>) -> u32 {
        if targets.is_empty() {
            return NONE;
        }
        self.links.push(targets.into());
        u32::try_from(self.links.len() - 1).expect("fewer lists of links than spans in memory")
    }

    /// What a span links to.
    pub(crate) fn links_of(&self, span: &Span) -> &[Target] {
        usize::try_from(span.links).ok().and_then(|place| self.links.get(place)).map_or(&[], |links| links)
    }

    /// Orders the spans, keeps of each the row that came last, and settles which sidecars fold. May be called again.
    pub(crate) fn seal(&mut self) {
        let identity = |span: &Span| (span.trace, span.link.span, span.link.kind, span.link.service);
        self.spans.reverse();
        self.spans.sort_by_key(identity);
        self.spans.dedup_by_key(|span| identity(span));
        if self.spans.iter().any(|span| span.role.is_sidecar()) {
            self.spans.chunk_by_mut(|a, b| a.trace == b.trace).for_each(fold);
        }
    }

    /// The spans of each trace; after [`SpanSet::seal`].
    pub(crate) fn by_trace(&self) -> impl Iterator<Item = &[Span]> {
        self.spans.chunk_by(|a, b| a.trace == b.trace)
    }
}

/// Distinct values, each with a small number.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    places: HashMap<T, u32>,
    values: Vec<T>,
    /// Bytes that the values hold beside themselves.
    beside: usize,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), values: Vec::new(), beside: 0 }
    }
}

/// What a value of an interner holds beside itself, in bytes.
pub(crate) trait Weigh {
    /// All that it and its copy hold.
    fn beside(&self) -> usize;
}

impl Weigh for [u8; 16] {
    fn beside(&self) -> usize {
        0
    }
}

impl Weigh for Arc<str> {
    fn beside(&self) -> usize {
        self.len() + 2 * size_of::<usize>()
    }
}

impl Weigh for (NodeKind, String) {
    fn beside(&self) -> usize {
        2 * self.1.len()
    }
}

impl Weigh for (String, String) {
    fn beside(&self) -> usize {
        2 * (self.0.len() + self.1.len())
    }
}

impl<const N: usize> Weigh for [String; N] {
    fn beside(&self) -> usize {
        2 * self.iter().map(String::len).sum::<usize>()
    }
}

impl<T: Clone + Eq + Hash + Weigh> Interner<T> {
    /// The values by their numbers.
    pub(crate) fn values(&self) -> &[T] {
        &self.values
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// About the bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        // Tables and lists have room for half as much again.
        self.values.len() * (2 * size_of::<T>() + size_of::<u32>()) * 3 / 2 + self.beside
    }

    /// Forgets all but the first values.
    pub(crate) fn truncate(&mut self, count: usize) {
        for value in self.values.drain(count.min(self.values.len())..) {
            self.beside -= value.beside();
            self.places.remove(&value);
        }
        if self.places.capacity() > 4 * self.values.len() {
            self.places.shrink_to_fit();
            self.values.shrink_to_fit();
        }
    }

    /// The number of a value.
    pub(crate) fn intern(&mut self, value: T) -> u32 {
        if let Some(place) = self.places.get(&value) {
            return *place;
        }
        let place = u32::try_from(self.values.len()).expect("fewer distinct values than spans in memory");
        self.beside += value.beside();
        self.values.push(value.clone());
        self.places.insert(value, place);
        place
    }

    /// The value of a number that [`Interner::intern`] gave.
    pub(crate) fn get(&self, place: u32) -> &T {
        &self.values[usize::try_from(place).unwrap_or(usize::MAX)]
    }

    /// The number of a value that was seen.
    pub(crate) fn find<Q: ?Sized + Eq + Hash>(&self, value: &Q) -> Option<u32>
    where
        T: std::borrow::Borrow<Q>,
    {
        self.places.get(value).copied()
    }
}

impl Interner<Arc<str>> {
    /// The number of a text; copies it only when it is new.
    pub(crate) fn intern_text(&mut self, text: &str) -> u32 {
        self.find(text).unwrap_or_else(|| self.intern(Arc::from(text)))
    }
}

fn fold(group: &mut [Span]) {
    if group.iter().any(|span| span.role.is_sidecar()) {
        let parents: Vec<Parent> = (0..group.len()).map(|at| parent_of(group, at, |span| span.link)).collect();
        let folded = folded(&parents, &in_order(&parents), |at| group[at].role);
        group.iter_mut().zip(folded).for_each(|(span, is_folded)| span.is_folded = is_folded);
    }
}

/// The columns that the map's rules read besides the base.
struct ClueColumns<'a> {
    attributes: AttributeColumns<'a>,
    trace_state: &'a StringArray,
    links: &'a ListArray,
}

impl<'a> ClueColumns<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        Self {
            attributes: AttributeColumns::new(batch),
            trace_state: text(batch, TRACE_STATE),
            links: list(batch, LINKS),
        }
    }
}
