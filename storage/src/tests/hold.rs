//! What is held stays, whoever wants it gone, and holds up nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use object_store::path::Path as Location;
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};

use crate::core::Core;
use crate::error::Error;
use crate::hold::Hold;
use crate::tests::parts::{files, live, part, put, times};
use crate::tests::rig::{Rig, START};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_NS: i64 = 86_400_000_000_000;

fn hold(id: &str, table: Table, range: TimeRange) -> Hold {
    Hold { id: id.to_owned(), tables: vec![table], range, reason: "case 7".to_owned(), created: START }
}

/// Between these days after the start.
fn days(start: i64, end: i64) -> TimeRange {
    TimeRange { start: UnixNano(START.0 + start * DAY_NS), end: UnixNano(START.0 + end * DAY_NS) }
}

/// A store that keeps logs and audit for a day, with parts of three days of both.
fn filled() -> Rig {
    let mut rig = Rig::closed();
    for table in [Table::Logs, Table::Audit] {
        rig.config.retention.insert(table, DAY);
    }
    rig.reopen().expect("it opens");
    for day in 0..3 {
        for table in [Table::Logs, Table::Audit] {
            put(rig.core(), table, &part(rig.core(), table, &times(day * DAY_NS, 20, 1), 1));
        }
        rig.clock.advance(DAY / 24);
    }
    rig
}

fn count(core: &Core) -> (usize, usize) {
    (live(core, Table::Logs).len(), live(core, Table::Audit).len())
}

#[test]
fn what_is_too_old_stays_while_it_is_held_and_everything_else_goes() {
    let mut rig = filled();
    let tenant = TenantId::default();
    rig.core().begin_hold(&tenant, &hold("logs-day-1", Table::Logs, days(1, 2))).expect("held");
    rig.core().begin_hold(&tenant, &hold("all-audit", Table::Audit, TimeRange::ALL)).expect("held");
    rig.clock.advance(10 * DAY);
    assert_eq!(rig.core().retain_by_age().unwrap(), 2);
    assert_eq!(count(rig.core()), (1, 3));
    assert_eq!(live(rig.core(), Table::Logs)[0].time_min.0, START.0 + DAY_NS);
    assert_eq!(rig.core().counters.held_parts.load(Ordering::Relaxed), 4);
    // It holds across a restart and a power cut.
    rig.crash(5);
    assert_eq!(rig.core().holds(&tenant).holds.len(), 2);
    assert_eq!((rig.core().retain_by_age().unwrap(), count(rig.core())), (0, (1, 3)));
    assert!(rig.core().end_hold(&tenant, "all-audit").unwrap());
    assert!(!rig.core().end_hold(&tenant, "all-audit").unwrap());
    rig.crash(6);
    assert_eq!((rig.core().retain_by_age().unwrap(), count(rig.core())), (3, (1, 0)));
    assert!(rig.core().end_hold(&tenant, "logs-day-1").unwrap());
    assert_eq!((rig.core().retain_by_age().unwrap(), count(rig.core())), (1, (0, 0)));
    assert_eq!(rig.core().counters.held_parts.load(Ordering::Relaxed), 0);
}

#[test]
fn a_full_disk_takes_what_is_not_held_and_says_when_that_is_not_enough() {
    let rig = filled();
    let core = rig.core();
    let tenant = TenantId::default();
    core.begin_hold(&tenant, &hold("first", Table::Logs, days(0, 1))).expect("held");
    rig.disk.set_free(0);
    for _ in 0..40 {
        core.retain_by_share().unwrap();
    }
    let left = live(core, Table::Logs);
    assert_eq!((left.len(), left[0].time_min, files(core, Table::Logs)), (1, START, 1), "the oldest is held");
    let told = core.warnings();
    assert!(told.len() == 1 && told[0].contains("storage.disk_share"), "{told:?}");
    assert!(core.counters.held_above_share.load(Ordering::Relaxed) > 0);
    drop(left);
    assert!(core.end_hold(&tenant, "first").unwrap());
    for _ in 0..40 {
        core.retain_by_share().unwrap();
    }
    assert_eq!((count(core), core.warnings()), ((0, 3), Vec::<String>::new()));
}

#[test]
fn a_hold_that_cannot_be_read_holds_everything_of_its_tenant() {
    let rig = filled();
    let core = rig.core();
    rig.clock.advance(10 * DAY);
    let at = Location::from("default/holds/torn.json");
    for text in ["{\"id\":\"torn\",", "{\"id\":\"other\",\"reason\":\"x\",\"created\":\"5\"}", "\u{0}"] {
        core.documents.replace(&at, text.as_bytes()).unwrap();
        assert_eq!((core.retain_by_age().unwrap(), count(core)), (0, (3, 3)), "{text:?}");
        assert_eq!(core.holds(&TenantId::default()).unreadable, ["torn"]);
    }
    let held = crate::tests::erase::erase(core, &crate::tests::erase::secrets()).unwrap_err();
    assert!(held.to_string().contains("cannot be read"), "{held}");
    assert!(core.end_hold(&TenantId::default(), "torn").unwrap(), "it can be released");
    assert_eq!((core.retain_by_age().unwrap(), count(core)), (6, (0, 0)));
}

#[test]
fn holds_of_other_tenants_and_tables_hold_nothing_here() {
    let rig = filled();
    let core = rig.core();
    let other = TenantId::new("other").unwrap();
    core.begin_hold(&other, &hold("all", Table::Logs, TimeRange::ALL)).expect("held");
    core.begin_hold(&TenantId::default(), &hold("spans", Table::Spans, TimeRange::ALL)).expect("held");
    core.documents.replace(&Location::from("other/holds/torn.json"), b"{").unwrap();
    rig.clock.advance(10 * DAY);
    assert_eq!((core.retain_by_age().unwrap(), count(core)), (6, (0, 0)));
}

#[test]
fn a_hold_stands_once_and_its_id_never_becomes_another_path() {
    let rig = Rig::new();
    let core = rig.core();
    let tenant = TenantId::default();
    core.begin_hold(&tenant, &hold("a", Table::Audit, TimeRange::ALL)).expect("held");
    let again = core.begin_hold(&tenant, &hold("a", Table::Logs, TimeRange::ALL));
    assert!(matches!(again, Err(Error::HoldStands(_))), "{again:?}");
    for id in ["", ".", "..", ".x", "a/b", "../a", "é", "a b", &"x".repeat(129)] {
        let refused = core.begin_hold(&tenant, &hold(id, Table::Audit, TimeRange::ALL));
        assert!(matches!(refused, Err(Error::Hold(_))), "{id:?}");
        assert!(!core.end_hold(&tenant, id).unwrap(), "{id:?}");
    }
    let backwards = hold("b", Table::Audit, days(2, 1));
    assert!(matches!(core.begin_hold(&tenant, &backwards), Err(Error::Hold(_))));
    assert_eq!(core.holds(&tenant).holds, [hold("a", Table::Audit, TimeRange::ALL)]);
}
