//! Which tables an erasure works on, and the parts that appeared there meanwhile.
//!
//! While one runs, nothing new is merged in its table, so rows that came before it and rows that came after it stay in
//! different parts.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use object_store::path::Path as Location;
use parking_lot::{Condvar, Mutex};
use tracelake_model::{Table, TenantId};

use crate::part::file::{NewPart, Part};

type Place = (TenantId, Table);

/// Erasures that run.
#[derive(Debug, Default)]
pub(crate) struct Erasing {
    /// By table, the parts that flushes of this process added since it began to look at parts.
    running: Mutex<HashMap<Place, HashSet<Location>>>,
    ended: Condvar,
}

/// A running erasure; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    erasing: &'a Erasing,
    place: Place,
}

impl Erasing {
    /// Begins one; `None` while another works on the same table.
    pub(crate) fn begin(&self, tenant: &TenantId, table: Table) -> Option<Running<'_>> {
        let place = (tenant.clone(), table);
        let mut running = self.running.lock();
        if running.contains_key(&place) {
            return None;
        }
        running.insert(place.clone(), HashSet::new());
        Some(Running { erasing: self, place })
    }

    /// Whether one works on a table.
    pub(crate) fn has(&self, tenant: &TenantId, table: Table) -> bool {
        self.running.lock().contains_key(&(tenant.clone(), table))
    }

    /// How many run.
    pub(crate) fn count(&self) -> usize {
        self.running.lock().len()
    }

    /// A flush made these parts live. Called while the table's log is locked.
    pub(crate) fn note(&self, tenant: &TenantId, table: Table, parts: &[NewPart]) {
        if let Some(fresh) = self.running.lock().get_mut(&(tenant.clone(), table)) {
            fresh.extend(parts.iter().map(|new| new.part.location.clone()));
        }
    }

    /// Waits until none runs, for so long at most; they are told to end by other means.
    pub(crate) fn wait(&self, at_most: Duration) {
        let mut running = self.running.lock();
        self.ended.wait_while_for(&mut running, |running| !running.is_empty(), at_most);
    }
}

impl Running<'_> {
    /// From now on parts that flushes add hold rows that came later. Called while the table's log is locked.
    pub(crate) fn forget_fresh(&self) {
        self.erasing.running.lock().insert(self.place.clone(), HashSet::new());
    }

    /// Whether a part holds only rows that came later.
    pub(crate) fn is_fresh(&self, part: &Part) -> bool {
        self.erasing.running.lock().get(&self.place).is_some_and(|fresh| fresh.contains(&part.location))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.erasing.running.lock().remove(&self.place);
        self.erasing.ended.notify_all();
    }
}
