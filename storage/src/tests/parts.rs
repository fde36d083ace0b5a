//! Parts put into a store without its log, and what then lies on the disk.

use std::sync::Arc;

use object_store::path::Path as Location;
use tracelake_model::{Position, Table, TenantId};

use crate::core::Core;
use crate::part::file::{NewPart, Part};
use crate::part::sample;
use crate::part::writer::write_parts;
use crate::tests::rig::START;

/// Makes a part live beside the log, as a flush of another server would.
pub(crate) fn put(core: &Core, table: Table, parts: &[NewPart]) {
    let tenant = TenantId::default();
    let shared = core.logs.get(&tenant, table).unwrap();
    let mut log = shared.lock();
    let position = Position(log.flushed().0 + 1);
    log.append(parts, position, &[], core.clock.now()).unwrap();
    core.show(&tenant, table, &log);
}

/// Rows of the sample, as files without a commit.
pub(crate) fn part(core: &Core, table: Table, times: &[i64], seed: usize) -> Vec<NewPart> {
    write_parts(core.files.as_ref(), &TenantId::default(), table, &[sample::rows(table, times, seed)], START).unwrap()
}

/// The parts that snapshots show.
pub(crate) fn live(core: &Core, table: Table) -> Vec<Arc<Part>> {
    core.tail.lock().snapshot(&TenantId::default()).parts(table).to_vec()
}

/// Files of a table, live or not.
pub(crate) fn files(core: &Core, table: Table) -> usize {
    let place = Location::from(format!("default/{table}"));
    let days = core.files.directories(&place).unwrap().into_iter().filter(|name| name.starts_with("date="));
    days.map(|day| core.files.list(&place.clone().join(day)).unwrap().len()).sum()
}

/// Times of one day, `step` nanoseconds apart.
pub(crate) fn times(first: i64, rows: i64, step: i64) -> Vec<i64> {
    (0..rows).map(|row| START.0 + first + row * step).collect()
}
