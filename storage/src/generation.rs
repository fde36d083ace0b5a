//! Rows of one tenant that are flushed together, table by table, and what the commit of each has to say.
//!
//! Rows stand in pieces in the order of the log: a request's batch, or many small ones gathered to one (`gather.rs`).
//! Every request is a batch of its own at first, and its 30 to 85 columns weigh more than the rows of a small one.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use tracelake_model::{Batch, Table, UnixNano};

use crate::arrival::Arrival;
use crate::table_set::{TABLES, TableSet};

/// Small pieces that are gathered at once; few in tests, so that it happens everywhere.
const RUN_PIECES: usize = if cfg!(test) { 4 } else { 32 };
/// A piece of so many rows or bytes is large: it stays as it is.
const LARGE_ROWS: usize = 512;
const LARGE_BYTES: u64 = 512 << 10;

/// Rows of one table, and what they hold in memory.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    batches: Arc<[Batch]>,
    /// Which of the batches it is.
    at: usize,
    pub(crate) bytes: u64,
}

/// The pieces of a table, oldest first.
pub(crate) type Pieces = Arc<Vec<Piece>>;

/// What a commit says besides the rows.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    /// The first position in it.
    pub(crate) first: u64,
    /// The last position in it.
    pub(crate) last: u64,
    /// When its first rows were received.
    pub(crate) received: UnixNano,
    tables: TableSet,
    /// How far each derived stream is in each table.
    derived: BTreeMap<(Table, Arc<str>), u64>,
    /// The `seq` of its last audit row; 0 when it has none.
    pub(crate) audit_seq: u64,
}

/// Rows that gather.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    pub(crate) extent: Extent,
    pub(crate) tables: [Gathering; TABLES],
}

/// Rows of one table that gather.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    pub(crate) pieces: Pieces,
    pub(crate) bytes: u64,
    /// Pieces before this one are not gathered again.
    settled: usize,
}

impl Piece {
    /// One batch of a request.
    pub(crate) fn of(batches: &Arc<[Batch]>, at: usize) -> Self {
        Self { bytes: batches[at].memory_bytes(), batches: Arc::clone(batches), at }
    }

    /// Its rows.
    pub(crate) fn rows(&self) -> &RecordBatch {
        self.batches[self.at].rows()
    }

    fn is_large(&self) -> bool {
        self.bytes >= LARGE_BYTES || self.rows().num_rows() >= LARGE_ROWS
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.batches, &other.batches) && self.at == other.at
    }
}

impl Extent {
    /// Whether there are rows of a table.
    pub(crate) fn has(&self, table: Table) -> bool {
        self.tables.contains(table)
    }

    /// How far each derived stream is in one table.
    pub(crate) fn derived(&self, table: Table) -> impl Iterator<Item = (&str, u64)> {
        let of_table = self.derived.iter().filter(move |((of, _), _)| *of == table);
        of_table.map(|((_, source), position)| (source.as_ref(), *position))
    }
}

impl Generation {
    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.extent.tables == TableSet::default()
    }

    /// Bytes of its rows in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.tables.iter().map(|rows| rows.bytes).sum()
    }

    /// Takes a request's rows in; tables that have enough small pieces now are told to `ripe`.
    pub(crate) fn push(&mut self, arrival: &Arrival, ripe: &mut impl FnMut(Table)) {
        if self.is_empty() {
            (self.extent.first, self.extent.received) = (arrival.position, arrival.received);
        }
        let extent = &mut self.extent;
        extent.last = arrival.position;
        extent.audit_seq = extent.audit_seq.max(arrival.audit_seq.unwrap_or(0));
        for (at, batch) in arrival.batches.iter().enumerate() {
            let table = batch.table();
            extent.tables.insert(table);
            if let Some((source, position)) = &arrival.derived {
                let far = extent.derived.entry((table, Arc::clone(source))).or_default();
                *far = (*far).max(*position);
            }
            let rows = &mut self.tables[table as usize];
            rows.push(Piece::of(&arrival.batches, at));
            if rows.pieces.len() == rows.settled + RUN_PIECES {
                ripe(table);
            }
        }
    }
}

impl Gathering {
    fn push(&mut self, piece: Piece) {
        self.bytes += piece.bytes;
        // A snapshot holds a copy of the list, never this one, so this is never shared while it grows.
        Arc::make_mut(&mut self.pieces).push(piece);
    }

    /// The oldest run of small pieces that is worth gathering. Large ones before it count as settled.
    pub(crate) fn run(&mut self) -> Option<(usize, Vec<Piece>)> {
        while self.pieces.len() >= self.settled + RUN_PIECES {
            let waiting = &self.pieces[self.settled..];
            let small = waiting.iter().take_while(|piece| !piece.is_large()).take(RUN_PIECES).count();
            if small >= 2 {
                return Some((self.settled, waiting[..small].to_vec()));
            }
            self.settled += 1;
        }
        None
    }

    /// Puts one piece in the place of a run, if that is still there. Without one the run stays as it is for good.
    pub(crate) fn settle(&mut self, from: usize, run: &[Piece], gathered: Option<Piece>) {
        let range: Range<usize> = from..from + run.len();
        let found = self.pieces.get(range.clone()).unwrap_or_default();
        if found.len() != run.len() || !found.iter().zip(run).all(|(found, piece)| found.is(piece)) {
            return;
        }
        let Some(gathered) = gathered else {
            self.settled = range.end;
            return;
        };
        self.bytes += gathered.bytes;
        self.bytes -= run.iter().map(|piece| piece.bytes).sum::<u64>();
        // A run that ended at a large piece may be small: it is not touched again all the same. One that was full is
        // gathered with the next.
        let settled = gathered.is_large() || run.len() < RUN_PIECES;
        Arc::make_mut(&mut self.pieces).splice(range, [gathered]);
        self.settled = from + usize::from(settled);
    }
}
