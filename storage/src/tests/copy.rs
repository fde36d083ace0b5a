//! A copied data directory goes on under an id of its own, and taking one for a copy that is none costs nothing.

use std::sync::Arc;

use tracelake_model::{Table, Tap, TenantId};

use crate::disk::{Disk, RealDisk};
use crate::tests::rig::Rig;
use crate::tests::tap::Stuck;

fn id(rig: &Rig) -> String {
    rig.core().ids.current().to_text()
}

/// A store with rows in parts, in the log alone, and in both; 8 texts, 9 positions.
fn filled() -> Rig {
    let mut rig = Rig::closed();
    rig.disk.set_mark(Some("first"));
    rig.reopen().expect("it opens");
    rig.core().feed.attach(Stuck::at(0), 0);
    for number in 0..4 {
        rig.send(&format!("logs {number}{}\naudit {number}", "x".repeat(900))).expect("stored");
    }
    rig.core().flush_step().expect("flushed");
    rig.send_derived(1).expect("stored");
    for number in 4..8 {
        rig.send(&format!("logs {number}{}\naudit {number}", "x".repeat(900))).expect("stored");
    }
    rig
}

fn check(rig: &Rig, logs: u64, what: &str) {
    let texts: Vec<u64> = rig.texts(Table::Logs).iter().map(|text| text[..1].parse().expect("a number")).collect();
    assert_eq!(texts, (0..logs).collect::<Vec<_>>(), "{what}");
    let seqs: Vec<_> = rig.rows(Table::Audit).into_iter().map(|(_, seq)| seq).collect();
    assert_eq!(seqs, (1..=8).collect::<Vec<_>>(), "{what}");
    assert_eq!(rig.texts(Table::Exceptions), ["e1"], "{what}");
}

#[test]
fn a_copy_has_an_id_of_its_own_and_everything_goes_on() {
    let mut rig = filled();
    let first = id(&rig);
    rig.reopen().expect("it opens");
    assert_eq!(id(&rig), first, "nothing was copied");
    rig.disk.set_mark(Some("second"));
    rig.reopen().expect("it opens");
    let second = id(&rig);
    assert_ne!(second, first);
    check(&rig, 8, "after the copy");
    let tap = Stuck::at(2);
    rig.core().feed.attach(Arc::clone(&tap) as Arc<dyn Tap>, rig.core().tail.lock().visible());
    let retry = format!("logs 5{}\naudit 5", "x".repeat(900));
    assert!(rig.send(&retry).expect("known").duplicate, "the window goes along");
    assert!(rig.send_derived(1).expect("known").duplicate);
    assert_eq!(rig.send("logs 8").expect("stored").position.0, 10, "positions go on");
    while rig.core().feed_step(false) {}
    assert_eq!(tap.take(), [3, 4, 6, 7, 8, 9, 10], "frames of the first id are still read");
    rig.crash(1);
    assert_eq!(id(&rig), second, "once is enough");
    check(&rig, 9, "after a crash");
    rig.core().flush_step().expect("flushed");
    rig.reopen().expect("it opens");
    check(&rig, 9, "flushed under the second id");
    let log = rig.core().logs.get(&TenantId::default(), Table::Logs).expect("a table");
    assert_eq!(log.lock().flushed().0, 10);
}

#[test]
fn a_change_of_id_that_the_power_ends_anywhere_loses_and_doubles_nothing() {
    let mut changed = 0;
    for cut in 0..80 {
        let mut rig = filled();
        let first = id(&rig);
        rig.disk.set_mark(Some("second"));
        rig.disk.cut_after(cut);
        drop(rig.reopen());
        rig.crash(cut);
        check(&rig, 8, &format!("cut after {cut}"));
        assert_ne!(id(&rig), first, "cut after {cut}");
        rig.send("logs 8").expect("stored");
        rig.disk.cut_after(cut / 2);
        changed += u64::from(rig.core().flush_step().is_ok());
        rig.crash(cut + 1);
        check(&rig, 9, &format!("cut after {cut}, then once more"));
    }
    assert!(changed > 10, "the cuts came too early");
}

#[test]
fn a_directory_that_seems_a_copy_at_every_start_loses_and_doubles_nothing() {
    let mut rig = filled();
    for start in 0..12 {
        rig.disk.set_mark(Some(&format!("place {start}")));
        rig.reopen().expect("it opens");
        check(&rig, 8, &format!("start {start}"));
        assert!(rig.send_derived(1).expect("known").duplicate, "start {start}");
        // At first a tap that does not move holds the log, later nobody does.
        if start < 6 {
            rig.core().feed.attach(Stuck::at(0), rig.core().tail.lock().visible());
        }
        rig.core().flush_step().expect("flushed");
    }
    assert_eq!(rig.core().segments.count(), 1, "only the newest is left");
    assert_eq!(rig.core().tail.lock().visible(), 9, "positions went on");
}

#[test]
fn a_flush_that_fails_leaves_the_id_and_the_rows_for_the_next_start() {
    let mut rig = filled();
    let first = id(&rig);
    rig.disk.set_mark(Some("second"));
    rig.disk.set_full(true);
    rig.reopen().expect("a full disk must not keep it from opening");
    assert_eq!(id(&rig), first);
    check(&rig, 8, "on a full disk");
    rig.disk.set_full(false);
    rig.reopen().expect("it opens");
    assert_ne!(id(&rig), first);
    check(&rig, 8, "with space again");
}

#[test]
fn a_directory_of_this_machine_keeps_its_mark_where_it_moves_and_shares_it_with_no_other() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    std::fs::create_dir(&one).expect("made");
    let Some(mark) = RealDisk.mark(&one).expect("asked") else {
        println!("this file system does not tell when a directory was made");
        return;
    };
    std::fs::write(one.join("id"), "x").expect("written");
    assert_eq!(RealDisk.mark(&one).expect("asked"), Some(mark.clone()));
    std::fs::rename(&one, &two).expect("moved");
    assert_eq!(RealDisk.mark(&two).expect("asked"), Some(mark.clone()));
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::create_dir(&one).expect("made");
    assert_ne!(RealDisk.mark(&one).expect("asked"), Some(mark));
}
