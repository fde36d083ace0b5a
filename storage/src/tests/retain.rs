//! Parts go by age and for space, and no others.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracelake_model::{Table, TenantId};

use crate::core::Core;
use crate::tests::parts::{files, live, part, put, times};
use crate::tests::rig::{Rig, START};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const DAY_NS: i64 = 86_400_000_000_000;

/// A store that keeps logs for a day.
fn keeping_logs_a_day() -> Rig {
    let mut rig = Rig::closed();
    rig.config.retention.insert(Table::Logs, DAY);
    rig.reopen().expect("it opens");
    rig
}

fn bytes(core: &Core, table: Table) -> u64 {
    live(core, table).iter().map(|part| part.bytes).sum()
}

#[test]
fn age_counts_from_storing_also_for_what_is_late_or_ahead_of_its_time() {
    let mut rig = keeping_logs_a_day();
    let core = rig.core();
    // On time, ten days late, five days ahead, the last instant there is; three rows each.
    for first in [0, -10 * DAY_NS, 5 * DAY_NS, i64::MAX - START.0 - 3] {
        put(core, Table::Logs, &part(core, Table::Logs, &times(first, 3, 1), 1));
    }
    put(core, Table::Metrics, &part(core, Table::Metrics, &times(-100 * DAY_NS, 3, 1), 1));
    let check = |rig: &Rig, expected: u64, left: usize| {
        assert_eq!(rig.core().retain_by_age().unwrap(), expected);
        assert_eq!((live(rig.core(), Table::Logs).len(), live(rig.core(), Table::Metrics).len()), (left, 1));
    };
    check(&rig, 0, 4);
    rig.clock.advance(DAY - Duration::from_secs(1));
    check(&rig, 0, 4);
    put(rig.core(), Table::Logs, &part(rig.core(), Table::Logs, &times(0, 3, 1), 1));
    rig.reopen().expect("it opens");
    check(&rig, 0, 5);
    rig.clock.advance(Duration::from_secs(2));
    check(&rig, 4, 1);
    rig.clock.advance(DAY);
    check(&rig, 1, 0);
    assert_eq!(rig.core().counters.removed_by_age.rows.load(Ordering::Relaxed), 15);
}

#[test]
fn merging_makes_no_row_younger() {
    let rig = keeping_logs_a_day();
    let core = rig.core();
    for number in 0..8 {
        put(core, Table::Logs, &part(core, Table::Logs, &times(number, 3, 1), 1));
    }
    let newest = live(core, Table::Logs).last().map(|part| part.stored);
    rig.clock.advance(HOUR * 20);
    assert!(core.compact_step(&mut || true).unwrap());
    assert_eq!(live(core, Table::Logs).last().map(|part| part.stored), newest);
    rig.clock.advance(HOUR * 4 + Duration::from_secs(1));
    assert_eq!(core.retain_by_age().unwrap(), 1);
}

#[test]
fn removed_parts_are_read_by_who_holds_them_and_their_files_go_later() {
    let rig = keeping_logs_a_day();
    let core = rig.core();
    put(core, Table::Logs, &part(core, Table::Logs, &times(0, 3, 1), 1));
    rig.clock.advance(2 * DAY);
    let held = core.tail.lock().snapshot(&TenantId::default());
    assert_eq!(core.retain_by_age().unwrap(), 1);
    rig.clock.advance(2 * HOUR);
    assert_eq!(core.sweep_step(HOUR).unwrap(), 0);
    assert!(core.files.read(&held.parts(Table::Logs)[0].location).is_ok());
    drop(held);
    assert_eq!((core.sweep_step(HOUR).unwrap(), files(core, Table::Logs)), (1, 0));
}

/// Ten parts of logs, stored an hour after each other, and one of audit before them.
fn filled() -> Rig {
    let rig = Rig::new();
    let core = rig.core();
    put(core, Table::Audit, &part(core, Table::Audit, &times(0, 20, 1), 1));
    for number in 0..10 {
        rig.clock.advance(HOUR);
        // The newer, the older their events: what counts is when they were stored.
        put(core, Table::Logs, &part(core, Table::Logs, &times(-number * DAY_NS, 20, 1), 1));
    }
    rig
}

#[test]
fn what_was_stored_first_goes_when_the_disk_is_too_full_but_audit_never() {
    let rig = filled();
    let core = rig.core();
    let ours = bytes(core, Table::Logs) + bytes(core, Table::Audit);
    rig.disk.set_free(ours);
    assert_eq!(core.retain_by_share().unwrap(), 0, "half is less than the share");
    // Nine tenths are ours: an eighth of it must go, which two parts of logs have.
    rig.disk.set_free(ours / 9);
    let before = live(core, Table::Logs);
    assert_eq!(core.retain_by_share().unwrap(), 2);
    let mut by_storing = before;
    by_storing.sort_by_key(|part| part.stored);
    let mut after = live(core, Table::Logs);
    after.sort_by_key(|part| part.stored);
    assert_eq!(after, by_storing[2..]);
    drop((after, by_storing));
    assert_eq!(live(core, Table::Audit).len(), 1);
    assert_eq!(core.retain_by_share().unwrap(), 0, "their files will go, no more parts need to");
    rig.clock.advance(Duration::from_secs(121));
    assert_eq!(files(core, Table::Logs), 10);
    assert_eq!(core.retain_by_share().unwrap(), 0);
    assert_eq!(files(core, Table::Logs), 8, "wanted space is freed before removed_keep");
    assert_eq!(core.counters.removed_by_share.parts.load(Ordering::Relaxed), 2);
}

#[test]
fn a_disk_that_others_fill_empties_no_store_at_once_and_audit_alone_wedges_nothing() {
    let rig = filled();
    let core = rig.core();
    rig.disk.set_free(0);
    let removed = core.retain_by_share().unwrap();
    assert!((2..=3).contains(&removed), "a fifth of what is ours: {removed}");
    assert_eq!(files(core, Table::Logs) as u64, 10 - removed, "with nothing free their files go at once");
    for _ in 0..40 {
        core.retain_by_share().unwrap();
    }
    assert_eq!((live(core, Table::Logs).len(), files(core, Table::Logs)), (0, 0));
    assert_eq!((live(core, Table::Audit).len(), files(core, Table::Audit)), (1, 1));
}

#[test]
fn a_share_of_one_removes_nothing() {
    let mut rig = filled();
    rig.config.disk_share = 1.0;
    rig.reopen().expect("it opens");
    rig.disk.set_free(0);
    assert_eq!(rig.core().retain_by_share().unwrap(), 0);
    assert_eq!(live(rig.core(), Table::Logs).len(), 10);
}
