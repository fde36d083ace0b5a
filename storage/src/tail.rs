//! Durable rows that are in no part yet, by tenant, and the parts beside them, so that both change at one instant.
//!
//! Rows gather in a tenant's active generation. A flush freezes it, and table by table its rows give way to parts.
//! Deliberately does no I/O: the flush does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tracelake_model::{Table, TenantId};

use crate::arrival::Arrival;
use crate::generation::{Extent, Generation, Piece, Pieces};
use crate::part::file::Part;
use crate::snapshot::{Layer, Snapshot};
use crate::table_set::{TABLES, TableSet};

/// The live parts of a tenant, by table.
pub(crate) type Parts = [Arc<[Arc<Part>]>; TABLES];

#[derive(Debug)]
struct Frozen {
    extent: Arc<Extent>,
    /// Without those of tables that are flushed.
    rows: Layer,
    bytes: [u64; TABLES],
    flushed: TableSet,
}

#[derive(Debug)]
struct Tenant {
    parts: Parts,
    frozen: Option<Frozen>,
    active: Generation,
    audit_seq: u64,
    derived: HashMap<Arc<str>, u64>,
}

/// All tenants' tails.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    tenants: BTreeMap<TenantId, Tenant>,
    visible: u64,
    /// Tables that have small pieces to gather.
    ripe: Vec<(TenantId, Table)>,
    /// Bytes of all rows.
    bytes: u64,
}

/// A frozen generation as a flush works on it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) tenant: TenantId,
    pub(crate) extent: Arc<Extent>,
    pub(crate) rows: Layer,
    pub(crate) flushed: TableSet,
}

/// Small pieces of one table that are gathered to one.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) tenant: TenantId,
    pub(crate) table: Table,
    pub(crate) pieces: Vec<Piece>,
    /// Where they stand, in the generation that begins at this position.
    from: usize,
    first: u64,
}

impl Default for Tenant {
    fn default() -> Self {
        Self {
            parts: std::array::from_fn(|_| Arc::from([])),
            frozen: None,
            active: Generation::default(),
            audit_seq: 0,
            derived: HashMap::new(),
        }
    }
}

impl Tail {
    /// Makes a frame's rows visible. Frames come in order of their positions; one without rows only counts as seen.
    pub(crate) fn push(&mut self, arrival: &Arrival) {
        self.visible = self.visible.max(arrival.position);
        let tenant = self.tenant(&arrival.tenant);
        tenant.audit_seq = tenant.audit_seq.max(arrival.audit_seq.unwrap_or(0));
        if let Some((source, position)) = &arrival.derived {
            let far = tenant.derived.entry(Arc::clone(source)).or_default();
            *far = (*far).max(*position);
        }
        if !arrival.batches.is_empty() {
            let before = tenant.active.bytes();
            let mut ripe = Vec::new();
            tenant.active.push(arrival, &mut |table| ripe.push((arrival.tenant.clone(), table)));
            let added = tenant.active.bytes() - before;
            self.bytes += added;
            self.ripe.append(&mut ripe);
        }
    }

    /// Tables that became worth gathering since the last call.
    pub(crate) fn take_ripe(&mut self) -> Vec<(TenantId, Table)> {
        std::mem::take(&mut self.ripe)
    }

    /// Small pieces of a table that are worth gathering.
    pub(crate) fn run(&mut self, tenant: &TenantId, table: Table) -> Option<Run> {
        let active = &mut self.tenants.get_mut(tenant)?.active;
        let (from, pieces) = active.tables[table as usize].run()?;
        Some(Run { tenant: tenant.clone(), table, pieces, from, first: active.extent.first })
    }

    /// Puts the gathered piece in the place of its run, unless that is being flushed already.
    pub(crate) fn settle(&mut self, run: &Run, gathered: Option<Piece>) {
        let Some(tenant) = self.tenants.get_mut(&run.tenant) else { return };
        let active = &mut tenant.active;
        if active.extent.first == run.first {
            let rows = &mut active.tables[run.table as usize];
            self.bytes -= rows.bytes;
            rows.settle(run.from, &run.pieces, gathered);
            self.bytes += rows.bytes;
        }
    }

    /// Counts every position up to this one as visible.
    pub(crate) fn see(&mut self, position: u64) {
        self.visible = self.visible.max(position);
    }

    fn tenant(&mut self, tenant: &TenantId) -> &mut Tenant {
        if !self.tenants.contains_key(tenant) {
            self.tenants.insert(tenant.clone(), Tenant::default());
        }
        self.tenants.get_mut(tenant).expect("it was just put there")
    }

    /// Shows the parts of a table whose log was read again, and which is flushed up to `flushed`. Rows that turn out to
    /// stand in these parts leave the tail at the same instant: a flush may have committed without hearing of it.
    pub(crate) fn show(&mut self, tenant: &TenantId, table: Table, parts: Vec<Arc<Part>>, flushed: u64) {
        let frozen = self.tenants.get(tenant).and_then(|tenant| tenant.frozen.as_ref());
        let waits = |frozen: &Frozen| frozen.extent.has(table) && !frozen.flushed.contains(table);
        if frozen.is_some_and(|frozen| waits(frozen) && frozen.extent.last <= flushed) {
            self.replace(tenant, table, parts);
        } else {
            self.set_parts(tenant, table, parts);
        }
    }

    /// Takes in what the tables of a tenant say at start.
    pub(crate) fn set_parts(&mut self, tenant: &TenantId, table: Table, parts: Vec<Arc<Part>>) {
        self.tenant(tenant).parts[table as usize] = Arc::from(parts);
    }

    /// The last position that is visible, of any tenant.
    pub(crate) fn visible(&self) -> u64 {
        self.visible
    }

    /// Bytes of rows in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The first position whose rows are not all in parts; the next one when there is none.
    pub(crate) fn first_needed(&self) -> u64 {
        let of_tenant = |tenant: &Tenant| {
            let frozen = tenant.frozen.as_ref().map(|frozen| frozen.extent.first);
            frozen.or_else(|| (!tenant.active.is_empty()).then_some(tenant.active.extent.first))
        };
        self.tenants.values().filter_map(of_tenant).min().unwrap_or(self.visible + 1)
    }

    /// The tenants that have rows, in order of their names.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        let has_rows = |tenant: &Tenant| {
            let waits = tenant.frozen.is_some() || !tenant.active.is_empty();
            waits || tenant.parts.iter().any(|parts| !parts.is_empty())
        };
        self.tenants.iter().filter(|(_, tenant)| has_rows(tenant)).map(|(id, _)| id.clone()).collect()
    }

    /// Of each table, how many parts are live and how many bytes they have, all tenants together.
    pub(crate) fn live_totals(&self) -> Vec<(Table, u64, u64)> {
        let total = |table: Table| {
            let parts = || self.tenants.values().flat_map(|tenant| tenant.parts[table as usize].iter());
            (table, parts().count() as u64, parts().map(|part| part.bytes).sum())
        };
        Table::ALL.into_iter().map(total).collect()
    }

    /// The `seq` of a tenant's last audit row; 0 when it has none.
    pub(crate) fn audit_seq(&self, tenant: &TenantId) -> u64 {
        self.tenants.get(tenant).map_or(0, |tenant| tenant.audit_seq)
    }

    /// Raises a tenant's last `seq` to what its table says.
    pub(crate) fn raise_audit_seq(&mut self, tenant: &TenantId, seq: u64) {
        let tenant = self.tenant(tenant);
        tenant.audit_seq = tenant.audit_seq.max(seq);
    }

    /// How far a derived stream is; `None` when the tail does not know it.
    pub(crate) fn derived(&self, tenant: &TenantId, source: &str) -> Option<u64> {
        self.tenants.get(tenant)?.derived.get(source).copied()
    }

    /// Raises a derived stream's position to what the tables say.
    pub(crate) fn raise_derived(&mut self, tenant: &TenantId, source: &str, position: u64) {
        let far = self.tenant(tenant).derived.entry(Arc::from(source)).or_default();
        *far = (*far).max(position);
    }

    /// Parts and tail of this instant.
    pub(crate) fn snapshot(&self, tenant: &TenantId) -> Snapshot {
        let none = Tenant::default();
        let found = self.tenants.get(tenant).unwrap_or(&none);
        let mut layers = Vec::new();
        if let Some(frozen) = &found.frozen {
            layers.push(frozen.rows.clone());
        }
        if !found.active.is_empty() {
            layers.push(std::array::from_fn(|at| Arc::new(found.active.tables[at].pieces.as_ref().clone())));
        }
        Snapshot::new(tenant.clone(), found.parts.clone(), layers)
    }

    /// Freezes what gathered, and names all that is frozen: what a failed flush left is flushed before newer rows.
    pub(crate) fn freeze(&mut self) -> Vec<Work> {
        let freeze = |(id, tenant): (&TenantId, &mut Tenant)| {
            if tenant.frozen.is_none() && !tenant.active.is_empty() {
                tenant.frozen = Some(Frozen::from(std::mem::take(&mut tenant.active)));
            }
            let frozen = tenant.frozen.as_ref()?;
            let (extent, rows) = (Arc::clone(&frozen.extent), frozen.rows.clone());
            Some(Work { tenant: id.clone(), extent, rows, flushed: frozen.flushed })
        };
        self.tenants.iter_mut().filter_map(freeze).collect()
    }

    /// One table of a frozen generation is committed: its rows give way to parts.
    pub(crate) fn replace(&mut self, tenant: &TenantId, table: Table, parts: Vec<Arc<Part>>) {
        self.set_parts(tenant, table, parts);
        let Some(tenant) = self.tenants.get_mut(tenant) else { return };
        let Some(frozen) = &mut tenant.frozen else { return };
        frozen.flushed.insert(table);
        frozen.rows[table as usize] = Pieces::default();
        self.bytes -= std::mem::take(&mut frozen.bytes[table as usize]);
        let flushed = frozen.flushed;
        if Table::ALL.into_iter().all(|table| flushed.contains(table) || !frozen.extent.has(table)) {
            tenant.frozen = None;
        }
    }
}

impl From<Generation> for Frozen {
    fn from(generation: Generation) -> Self {
        let bytes = std::array::from_fn(|at| generation.tables[at].bytes);
        let rows = generation.tables.map(|rows| rows.pieces);
        Self { extent: Arc::new(generation.extent), rows, bytes, flushed: TableSet::default() }
    }
}
