//! The few columns of a span that the map and the figures need: interned, 64 bytes a span, each span once.
//!
//! A span's identity is (trace, span, kind, service); of rows that share it the last stored one counts.
//! Deliberately knows nothing of scans: [`SpanSet::push`] takes batches from wherever they come.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use tracelake_model::column::{
    DURATION_NS, KIND, NAME, PARENT_SPAN_ID, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, STATUS_CODE, TRACE_ID,
};

use crate::map::node::{NodeKind, PeerAttributes, peer};
use crate::map::parent::{CLIENT, CONSUMER, Link, PRODUCER, SERVER, span_number};
use crate::view::column::{binary, bytes_at, int, small, text, text_at};

/// No name or no peer.
pub(crate) const NONE: u32 = u32::MAX;

/// OTLP number of `STATUS_CODE_ERROR`.
pub(crate) const ERROR: i8 = 2;

const BASE: [&str; 8] =
    [TRACE_ID, SPAN_ID, PARENT_SPAN_ID, SERVICE_NAME, KIND, START_UNIX_NANO, DURATION_NS, STATUS_CODE];

const PEER: [&str; 12] = [
    "db_system_name",
    "db_system",
    "db_namespace",
    "db_name",
    "messaging_destination_name",
    "messaging_operation_type",
    "peer_service",
    "server_address",
    "net_peer_name",
    "network_peer_address",
    "url_full",
    "http_url",
];

/// Which columns a question needs besides the base.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Detail {
    /// Span names.
    pub(crate) names: bool,
    /// What leaf spans talk to.
    pub(crate) peers: bool,
}

impl Detail {
    /// The columns to scan.
    pub(crate) fn columns(self) -> Vec<&'static str> {
        let mut columns = BASE.to_vec();
        columns.extend(self.names.then_some(NAME));
        columns.extend(PEER.iter().filter(|_| self.peers));
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
    /// OTLP number of the status code.
    pub(crate) status: i8,
    /// Whether it fulfils the conditions of a search.
    pub(crate) matched: bool,
}

impl Span {
    /// Whether its status is ERROR.
    pub(crate) fn is_error(&self) -> bool {
        self.status == ERROR
    }

    /// Whether it stands for a request that its service answered: SERVER and CONSUMER spans.
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.link.kind, SERVER | CONSUMER)
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
    /// Databases, queues and peers outside.
    pub(crate) peers: Interner<(NodeKind, String)>,
    detail: Detail,
}

impl SpanSet {
    /// An empty set that keeps what `detail` says.
    pub(crate) fn new(detail: Detail) -> Self {
        Self { detail, ..Self::default() }
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
        let peer = self.detail.peers.then(|| PeerColumns::new(batch));
        for (row, matched) in rows {
            let Ok(id) = <[u8; 16]>::try_from(trace.value(row)) else { continue };
            let link = Link {
                span: span_number(span.value(row)),
                parent: bytes_at(parent, row).map_or(0, span_number),
                kind: kind.value(row),
                service: self.services.intern_text(service.value(row)),
            };
            let peer = peer.as_ref().and_then(|columns| columns.peer(link.kind, row));
            self.spans.push(Span {
                trace: self.traces.intern(id),
                link,
                start: start.value(row),
                duration_ns: duration.value(row),
                name: name.map_or(NONE, |column| self.names.intern_text(column.value(row))),
                peer: peer.map_or(NONE, |peer| self.peers.intern(peer)),
                status: status.value(row),
                matched,
            });
        }
    }

    /// Orders the spans and keeps of each the row that came last.
    pub(crate) fn seal(&mut self) {
        let identity = |span: &Span| (span.trace, span.link.span, span.link.kind, span.link.service);
        self.spans.reverse();
        self.spans.sort_by_key(identity);
        self.spans.dedup_by_key(|span| identity(span));
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
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The number of a value.
    pub(crate) fn intern(&mut self, value: T) -> u32 {
        if let Some(place) = self.places.get(&value) {
            return *place;
        }
        let place = u32::try_from(self.values.len()).expect("fewer distinct values than spans in memory");
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

/// The columns that may name a peer, in the order in which they are believed.
struct PeerColumns<'a>([&'a StringArray; 12]);

impl<'a> PeerColumns<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        Self(PEER.map(|name| text(batch, name)))
    }

    fn peer(&self, kind: i8, row: usize) -> Option<(NodeKind, String)> {
        if !matches!(kind, CLIENT | PRODUCER | CONSUMER) {
            return None;
        }
        let first = |from: usize, to: usize| {
            let filled = |column: &&'a StringArray| text_at(column, row).filter(|text| !text.is_empty());
            self.0[from..to].iter().find_map(filled)
        };
        let attributes = PeerAttributes {
            db_system: first(0, 2),
            db_namespace: first(2, 4),
            messaging_destination: first(4, 5),
            messaging_operation: first(5, 6),
            peer_service: first(6, 7),
            address: first(7, 10),
            url: first(10, 12),
        };
        peer(kind, &attributes)
    }
}
