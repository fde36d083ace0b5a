//! What is known to be damaged: parts in quarantine, tables out of service, and what else was found. Health, figures
//! and answers read it.
//!
//! Holds knowledge only; deliberately moves and repairs nothing (`quarantine.rs` does).

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracelake_model::{Sample, Table, TenantId, UnixNano};

/// Other damage that is remembered at most; `tracelake check` lists all of it.
const NOTES_MAX: usize = 100;

/// Rows that are missing from answers, because their part is in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Whose.
    pub tenant: String,
    /// Of which table.
    pub table: String,
    /// The part as its table named it, relative to the data root.
    pub part: String,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of the file as it was committed.
    pub bytes: u64,
    /// The least value of the table's time column in it, Unix nanoseconds.
    pub time_min: i64,
    /// The greatest.
    pub time_max: i64,
    /// What is wrong with it.
    pub reason: String,
    /// When it was taken out of service, Unix nanoseconds.
    pub since: i64,
}

impl Gap {
    /// One sentence for people who ask questions.
    pub fn describe(&self) -> String {
        let (rows, table) = (self.rows, &self.table);
        if rows == 0 {
            return format!("rows of {table} are missing: its log was damaged, what it named is in quarantine");
        }
        let (first, last) = (UnixNano(self.time_min).to_rfc3339(), UnixNano(self.time_max).to_rfc3339());
        format!(
            "{rows} rows of {table} between {first} and {last} are missing: their file is damaged and in quarantine"
        )
    }
}

/// The register.
#[derive(Debug, Default)]
pub(crate) struct Register {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    gaps: BTreeMap<(TenantId, Table), Arc<[Gap]>>,
    closed: BTreeMap<(TenantId, Table), Arc<str>>,
    notes: Vec<String>,
}

impl Register {
    /// Remembers a part in quarantine; once, however often it is told.
    pub(crate) fn add_gap(&self, tenant: &TenantId, table: Table, gap: Gap) {
        let mut state = self.state.lock();
        let known = state.gaps.entry((tenant.clone(), table)).or_insert_with(|| Arc::from([]));
        if known.iter().all(|other| other.part != gap.part) {
            *known = known.iter().cloned().chain([gap]).collect();
        }
    }

    /// A table cannot be read, and why.
    pub(crate) fn close(&self, tenant: &TenantId, table: Table, reason: &str) {
        self.state.lock().closed.insert((tenant.clone(), table), Arc::from(reason));
    }

    /// A table can be read again.
    pub(crate) fn reopen(&self, tenant: &TenantId, table: Table) {
        self.state.lock().closed.remove(&(tenant.clone(), table));
    }

    /// Why a table cannot be read; `None` when it can.
    pub(crate) fn closed(&self, tenant: &TenantId, table: Table) -> Option<Arc<str>> {
        self.state.lock().closed.get(&(tenant.clone(), table)).cloned()
    }

    /// All gaps.
    pub(crate) fn all_gaps(&self) -> Vec<Gap> {
        self.state.lock().gaps.values().flat_map(|gaps| gaps.iter().cloned()).collect()
    }

    /// The gaps of a table.
    pub(crate) fn gaps(&self, tenant: &TenantId, table: Table) -> Arc<[Gap]> {
        let state = self.state.lock();
        state.gaps.get(&(tenant.clone(), table)).map_or_else(|| Arc::from([]), Arc::clone)
    }

    /// Remembers other damage, that of the log's small files say.
    pub(crate) fn note(&self, what: &str) {
        tracing::error!(what, "damage");
        let mut state = self.state.lock();
        if state.notes.len() < NOTES_MAX && state.notes.iter().all(|known| known != what) {
            state.notes.push(what.to_owned());
        }
    }

    /// Everything that is known, a sentence each, with the remedy.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let state = self.state.lock();
        let closed = state.closed.iter().map(|((tenant, table), why)| {
            format!("{tenant}/{table} is out of service: {why}; tracelake check --repair moves what is damaged aside")
        });
        let gaps = state.gaps.iter().flat_map(|((tenant, _), gaps)| {
            gaps.iter().map(move |gap| format!("tenant {tenant}: {}; a backup may have it", gap.describe()))
        });
        closed.chain(gaps).chain(state.notes.iter().cloned()).collect()
    }

    /// Figures for `/metrics`.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let state = self.state.lock();
        let mut totals: BTreeMap<Table, [u64; 3]> = BTreeMap::new();
        for ((_, table), gaps) in &state.gaps {
            let total = totals.entry(*table).or_default();
            for gap in gaps.iter() {
                *total = [total[0] + 1, total[1] + gap.rows, total[2] + gap.bytes];
            }
        }
        let figures = [
            ("tracelake_storage_quarantined_parts", "Damaged parts that are out of service."),
            ("tracelake_storage_quarantined_rows", "Rows of damaged parts that are out of service."),
            ("tracelake_storage_quarantined_bytes", "Bytes of damaged parts that are out of service."),
        ];
        let mut samples = Vec::new();
        for (number, (name, help)) in figures.into_iter().enumerate() {
            let of_table = totals.iter().map(|(table, total)| (table.as_str(), total[number]));
            samples.extend(of_table.map(|(table, value)| gauge(name, help, value).label("table", table)));
        }
        let closed = state.closed.len() as u64;
        let help = "Tables that cannot be read because their log is damaged.";
        samples.push(gauge("tracelake_storage_tables_out_of_service", help, closed));
        samples
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric's figure is a double by format")]
fn gauge(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample::gauge(name, help, value as f64)
}
