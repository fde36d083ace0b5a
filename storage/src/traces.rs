//! The trace indexes of live parts, in memory: which parts may hold rows of a trace, and which of their rows.
//!
//! A part that is written here brings its index; others are read from their parts in the background, the newest first.
//! Only an index that is here rules a part out, so an answer is never too small: while one is not read yet, cannot be
//! read, or has no room, its part "may hold" every trace. Beyond `trace_index_bytes` the parts that were stored first
//! are without.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use object_store::path::Path as Location;
use parking_lot::Mutex;
use tracelake_model::UnixNano;

use crate::part::file::{NewPart, Part};
use crate::part::trace_index::{self, TraceIndex};

/// A part that may hold rows of the traces asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracePart {
    /// The part.
    pub part: Arc<Part>,
    /// The rows that may be theirs, in order and apart from each other; `None` when it may be any.
    pub rows: Option<Vec<Range<u64>>>,
}

/// The indexes in memory.
pub(crate) struct TraceIndexes {
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Location, Arc<TraceIndex>>,
    /// The known parts, the first stored first.
    by_age: BTreeSet<(UnixNano, Location)>,
    bytes: u64,
    /// Parts stored at this instant or before found no room.
    crowded: Option<UnixNano>,
    /// Parts whose index cannot be read.
    unreadable: HashSet<Location>,
}

/// What is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) parts: usize,
    pub(crate) bytes: u64,
}

impl TraceIndexes {
    /// No indexes yet, and room for so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    /// Takes in the index of a part.
    pub(crate) fn insert(&self, part: &Part, index: Arc<TraceIndex>) {
        let mut state = self.state.lock();
        let bytes = index.bytes();
        if state.known.insert(part.location.clone(), index).is_none() {
            state.by_age.insert((part.stored, part.location.clone()));
            state.bytes += bytes;
        }
        while state.bytes > self.bytes_max {
            let Some((stored, location)) = state.by_age.pop_first() else { break };
            let bytes = state.known.remove(&location).map_or(0, |index| index.bytes());
            state.bytes -= bytes;
            state.crowded = state.crowded.max(Some(stored));
        }
    }

    /// Takes in the indexes that new parts bring. One that is never committed is forgotten with the next round.
    pub(crate) fn insert_all(&self, parts: &[NewPart]) {
        for new in parts {
            if let Some(index) = &new.traces {
                self.insert(&new.part, Arc::clone(index));
            }
        }
    }

    /// Forgets all but the parts that are live.
    pub(crate) fn retain(&self, live: &[Arc<Part>]) {
        let live: HashSet<&Location> = live.iter().map(|part| &part.location).collect();
        let mut state = self.state.lock();
        let State { known, by_age, bytes, crowded, unreadable } = &mut *state;
        let before = by_age.len();
        by_age.retain(|(_, location)| live.contains(location));
        known.retain(|location, _| live.contains(location));
        unreadable.retain(|location| live.contains(location));
        *bytes = known.values().map(|index| index.bytes()).sum();
        if by_age.len() < before {
            // There may be room again for those that found none.
            *crowded = None;
        }
    }

    /// What is in memory.
    pub(crate) fn held(&self) -> Held {
        let state = self.state.lock();
        Held { parts: state.known.len(), bytes: state.bytes }
    }

    /// The parts of `parts` that may hold rows of traces with one of these ids, in the same order.
    pub(crate) fn find(&self, parts: &[Arc<Part>], ids: &[&[u8]]) -> Vec<TracePart> {
        let hashes: Vec<u32> = ids.iter().map(|id| trace_index::hash(id)).collect();
        let indexes: Vec<Option<Arc<TraceIndex>>> = {
            let state = self.state.lock();
            parts.iter().map(|part| state.known.get(&part.location).map(Arc::clone)).collect()
        };
        let find = |(part, index): (&Arc<Part>, Option<Arc<TraceIndex>>)| {
            let rows = index.map(|index| rows(&index, &hashes, part.rows));
            let part = Arc::clone(part);
            rows.as_ref().is_none_or(|rows| !rows.is_empty()).then_some(TracePart { part, rows })
        };
        parts.iter().zip(indexes).filter_map(find).collect()
    }

    /// Whether the index of a part is worth reading: it is not here, and would find room.
    pub(crate) fn wants(&self, part: &Part) -> bool {
        let state = self.state.lock();
        let is_out = state.crowded.is_some_and(|crowded| part.stored <= crowded);
        !is_out && !state.known.contains_key(&part.location) && !state.unreadable.contains(&part.location)
    }

    pub(crate) fn give_up(&self, part: &Part) {
        self.state.lock().unreadable.insert(part.location.clone());
    }
}

impl fmt::Debug for TraceIndexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceIndexes").field("held", &self.held()).finish_non_exhaustive()
    }
}

/// The rows of all hashes together, as ranges that neither overlap nor touch.
fn rows(index: &TraceIndex, hashes: &[u32], end: u64) -> Vec<Range<u64>> {
    let mut found: Vec<Range<u64>> = hashes.iter().flat_map(|hash| index.rows(*hash)).collect();
    found.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in found.into_iter().map(|range| range.start..range.end.min(end)).filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
