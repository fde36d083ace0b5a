//! What a query reads: parts and tail of one tenant at one instant.
//!
//! Deliberately holds everything it names: a flush that ends meanwhile changes nothing in it.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use parking_lot::Mutex;
use tracelake_model::{Table, TenantId, UnixNano};

use crate::damage::{Gap, Register};
use crate::generation::Pieces;
use crate::part::file::Part;
use crate::table_set::TABLES;
use crate::traces::{TraceIndexes, TracePart};

/// Rows of the tail, table by table.
pub(crate) type Layer = [Pieces; TABLES];

/// Parts and tail of one instant: every durable row of the tenant exactly once.
#[derive(Debug)]
pub struct Snapshot {
    tenant: TenantId,
    parts: [Arc<[Arc<Part>]>; TABLES],
    layers: Vec<Layer>,
    tail: [OnceLock<Vec<RecordBatch>>; TABLES],
    gaps: [Arc<[Gap]>; TABLES],
    closed: [Option<Arc<str>>; TABLES],
    traces: Option<Arc<TraceIndexes>>,
    /// What whoever reads this was told to say.
    told: Mutex<BTreeSet<String>>,
}

impl Snapshot {
    pub(crate) fn new(tenant: TenantId, parts: [Arc<[Arc<Part>]>; TABLES], layers: Vec<Layer>) -> Self {
        let gaps = std::array::from_fn(|_| Arc::from([]));
        let (tail, closed, told) = Default::default();
        Self { tenant, parts, layers, tail, gaps, closed, told, traces: None }
    }

    /// The same with what is known to be missing. What is told may be missing already or about to.
    pub(crate) fn with_damage(mut self, register: &Register) -> Self {
        for table in Table::ALL {
            self.gaps[table as usize] = register.gaps(&self.tenant, table);
            self.closed[table as usize] = register.closed(&self.tenant, table);
        }
        self
    }

    /// Rows of a table that are missing here, because their files are damaged.
    pub fn gaps(&self, table: Table) -> &[Gap] {
        &self.gaps[table as usize]
    }

    /// Notes that rows of a table between two instants (both inside) are read: what is missing of them is a warning.
    pub fn read(&self, table: Table, first: UnixNano, last: UnixNano) {
        let missing = self.gaps(table).iter().filter(|gap| gap.time_min <= last.0 && gap.time_max >= first.0);
        self.told.lock().extend(missing.map(Gap::describe));
    }

    /// What is missing of all that was read through this, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.told.lock().iter().cloned().collect()
    }

    /// Why a table cannot be read at all, if it cannot: then its parts are not named here.
    pub fn out_of_service(&self, table: Table) -> Option<&str> {
        self.closed[table as usize].as_deref()
    }

    /// The same with the indexes that tell which parts may hold a trace.
    pub(crate) fn with_traces(mut self, traces: &Arc<TraceIndexes>) -> Self {
        self.traces = Some(Arc::clone(traces));
        self
    }

    /// The same with those parts of one table only that are wanted, and with its tail or without; no parts of other tables.
    #[must_use]
    pub fn narrowed(&self, table: Table, with_tail: bool, mut wanted: impl FnMut(&Part) -> bool) -> Self {
        let mut parts: [Arc<[Arc<Part>]>; TABLES] = std::array::from_fn(|_| Arc::from([]));
        parts[table as usize] = self.parts(table).iter().filter(|part| wanted(part)).map(Arc::clone).collect();
        let (tail, told) = Default::default();
        Self {
            tenant: self.tenant.clone(),
            parts,
            layers: if with_tail { self.layers.clone() } else { Vec::new() },
            tail,
            gaps: self.gaps.clone(),
            closed: self.closed.clone(),
            traces: self.traces.clone(),
            told,
        }
    }

    /// Whose rows these are.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The live parts of a table, in the order of their commits.
    pub fn parts(&self, table: Table) -> &[Arc<Part>] {
        &self.parts[table as usize]
    }

    /// The live parts that may hold rows whose trace id is one of `ids`, in the order of their commits. Parts that are
    /// left out hold none for sure; a table without such an index leaves none out.
    pub fn parts_with_traces(&self, table: Table, ids: &[&[u8]]) -> Vec<TracePart> {
        let parts = self.parts(table);
        match &self.traces {
            Some(traces) => traces.find(parts, ids),
            None => parts.iter().map(|part| TracePart { part: Arc::clone(part), rows: None }).collect(),
        }
    }

    /// Rows that are in no part yet, in WAL order, with the columns of [`Table::schema`].
    pub fn tail(&self, table: Table) -> &[RecordBatch] {
        self.tail[table as usize].get_or_init(|| {
            let pieces = self.layers.iter().flat_map(|layer| layer[table as usize].iter());
            pieces.map(|piece| piece.rows().clone()).collect()
        })
    }
}
