//! Durable rows that are in no part yet, by tenant, and the parts beside them, so that both change at one instant.
//!
//! Rows gather in a tenant's active generation. A flush freezes it, and table by table its rows give way to parts.
//! Deliberately does no I/O: the flush does.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use tracelake_model::{Batch, Table, TenantId, UnixNano};

use crate::part::file::Part;
use crate::snapshot::{Layer, Snapshot, TABLES, TableSet};

/// The live parts of a tenant, by table.
pub(crate) type Parts = [Arc<[Arc<Part>]>; TABLES];

/// One durable frame's rows.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Its place in the log.
    pub(crate) position: u64,
    /// Whose.
    pub(crate) tenant: TenantId,
    /// When it was received.
    pub(crate) received: UnixNano,
    /// Its rows.
    pub(crate) batches: Arc<[Batch]>,
    /// Bytes of them in memory.
    pub(crate) bytes: u64,
    /// The `seq` of its last audit row.
    pub(crate) audit_seq: Option<u64>,
    /// The derived stream and its position.
    pub(crate) derived: Option<(Arc<str>, u64)>,
}

/// Rows of one tenant that are flushed together.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    batches: Arc<Vec<Arc<[Batch]>>>,
    /// The first position in it.
    pub(crate) first: u64,
    /// The last position in it.
    pub(crate) last: u64,
    /// When its first rows were received.
    pub(crate) received: UnixNano,
    bytes: u64,
    tables: TableSet,
    /// How far each derived stream is in each table.
    derived: BTreeMap<(Table, Arc<str>), u64>,
    /// The `seq` of its last audit row; 0 when it has none.
    pub(crate) audit_seq: u64,
}

#[derive(Debug)]
struct Frozen {
    generation: Arc<Generation>,
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
    bytes: u64,
    visible: u64,
}

/// A frozen generation as a flush works on it.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) tenant: TenantId,
    pub(crate) generation: Arc<Generation>,
    pub(crate) flushed: TableSet,
}

impl Generation {
    fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Whether it has rows of a table.
    pub(crate) fn has(&self, table: Table) -> bool {
        self.tables.contains(table)
    }

    /// Its rows of one table.
    pub(crate) fn rows(&self, table: Table) -> Vec<RecordBatch> {
        let batches = self.batches.iter().flat_map(|batches| batches.iter());
        batches.filter(|batch| batch.table() == table).map(|batch| batch.rows().clone()).collect()
    }

    /// How far each derived stream is in one table.
    pub(crate) fn derived(&self, table: Table) -> impl Iterator<Item = (&str, u64)> {
        let of_table = self.derived.iter().filter(move |((of, _), _)| *of == table);
        of_table.map(|((_, source), position)| (source.as_ref(), *position))
    }

    fn push(&mut self, arrival: &Arrival) {
        if self.is_empty() {
            (self.first, self.received) = (arrival.position, arrival.received);
        }
        self.last = arrival.position;
        self.bytes += arrival.bytes;
        for batch in arrival.batches.iter() {
            self.tables.insert(batch.table());
            if let Some((source, position)) = &arrival.derived {
                let far = self.derived.entry((batch.table(), Arc::clone(source))).or_default();
                *far = (*far).max(*position);
            }
        }
        self.audit_seq = self.audit_seq.max(arrival.audit_seq.unwrap_or(0));
        // A snapshot holds a copy of the list, never this one, so this is never shared while it grows.
        Arc::make_mut(&mut self.batches).push(Arc::clone(&arrival.batches));
    }
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
            tenant.active.push(arrival);
            self.bytes += arrival.bytes;
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
        let waits = |frozen: &Frozen| frozen.generation.has(table) && !frozen.flushed.contains(table);
        if frozen.is_some_and(|frozen| waits(frozen) && frozen.generation.last <= flushed) {
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
            let frozen = tenant.frozen.as_ref().map(|frozen| frozen.generation.first);
            frozen.or_else(|| (!tenant.active.is_empty()).then_some(tenant.active.first))
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
            layers.push(Layer { batches: Arc::clone(&frozen.generation.batches), flushed: frozen.flushed });
        }
        if !found.active.is_empty() {
            let batches = Arc::new(found.active.batches.as_ref().clone());
            layers.push(Layer { batches, flushed: TableSet::default() });
        }
        Snapshot::new(tenant.clone(), found.parts.clone(), layers)
    }

    /// Freezes what gathered, and names all that is frozen: what a failed flush left is flushed before newer rows.
    pub(crate) fn freeze(&mut self) -> Vec<Work> {
        let freeze = |(id, tenant): (&TenantId, &mut Tenant)| {
            if tenant.frozen.is_none() && !tenant.active.is_empty() {
                let generation = Arc::new(std::mem::take(&mut tenant.active));
                tenant.frozen = Some(Frozen { generation, flushed: TableSet::default() });
            }
            let frozen = tenant.frozen.as_ref()?;
            let generation = Arc::clone(&frozen.generation);
            Some(Work { tenant: id.clone(), generation, flushed: frozen.flushed })
        };
        self.tenants.iter_mut().filter_map(freeze).collect()
    }

    /// One table of a frozen generation is committed: its rows give way to parts.
    pub(crate) fn replace(&mut self, tenant: &TenantId, table: Table, parts: Vec<Arc<Part>>) {
        let tenant = self.tenant(tenant);
        tenant.parts[table as usize] = Arc::from(parts);
        let Some(frozen) = &mut tenant.frozen else { return };
        frozen.flushed.insert(table);
        let flushed = frozen.flushed;
        if Table::ALL.into_iter().all(|table| flushed.contains(table) || !frozen.generation.has(table)) {
            let bytes = frozen.generation.bytes;
            tenant.frozen = None;
            self.bytes -= bytes;
        }
    }
}
