//! A log that holds more rows than memory may is read again within the limit, and no row is lost or doubled by it.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{Table, TenantId};

use crate::tests::rig::Rig;

const SMALL_TAIL: u64 = 1 << 16;
const LARGE_TAIL: u64 = 1 << 30;

/// A closed store whose log holds `count` requests and whose tables hold nothing.
fn unflushed(count: usize) -> Rig {
    let mut rig = Rig::closed();
    rig.config.wal_bytes_max = 64 << 20;
    rig.config.tail_bytes = LARGE_TAIL;
    rig.reopen().expect("it opens");
    send(&rig, 0..count);
    rig.config.tail_bytes = SMALL_TAIL;
    rig
}

fn send(rig: &Rig, numbers: std::ops::Range<usize>) {
    for number in numbers {
        rig.send(&format!("logs {number:05}\naudit {number:05}")).expect("stored");
    }
}

fn check(rig: &Rig, count: usize) {
    let texts = (0..count).map(|number| format!("{number:05}"));
    assert_eq!(rig.texts(Table::Logs), texts.clone().collect::<Vec<_>>());
    assert_eq!(rig.rows(Table::Audit), texts.zip(1..).collect::<Vec<_>>());
}

fn parts(rig: &Rig) -> usize {
    rig.core().tail.lock().snapshot(&TenantId::default()).parts(Table::Logs).len()
}

#[test]
fn a_replay_moves_rows_to_parts_when_memory_is_full() {
    let mut rig = unflushed(400);
    rig.crash(1);
    assert!(parts(&rig) > 1, "{} parts", parts(&rig));
    let bytes = rig.core().tail.lock().bytes();
    assert!(bytes <= 2 * SMALL_TAIL, "{bytes} bytes are left in memory");
    check(&rig, 400);
    for number in [0, 200, 399] {
        let again = rig.send(&format!("logs {number:05}\naudit {number:05}")).expect("known");
        assert!(again.duplicate, "{number}");
    }
    rig.core().flush_step().expect("it flushes");
    send(&rig, 400..402);
    rig.crash(2);
    check(&rig, 402);
}

#[test]
fn a_power_cut_while_rows_move_during_a_replay_loses_and_doubles_nothing() {
    let mut distinct = BTreeSet::new();
    for seed in 0..8 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut rig = unflushed(150);
        for round in 0..3 {
            rig.disk.crash(seed * 10 + round);
            rig.disk.cut_after(random.random_range(0..120));
            drop(rig.reopen());
        }
        rig.crash(seed);
        check(&rig, 150);
        distinct.insert(parts(&rig));
    }
    eprintln!("seeds 0..8, parts after them {distinct:?}");
    assert!(distinct.len() > 1, "every power cut came too late: {distinct:?}");
}

#[test]
fn a_disk_that_takes_no_parts_during_a_replay_costs_memory_but_no_row() {
    let mut rig = unflushed(150);
    rig.disk.crash(5);
    rig.disk.set_full(true);
    rig.reopen().expect("it opens");
    assert_eq!(parts(&rig), 0);
    check(&rig, 150);
    rig.disk.set_full(false);
    rig.core().flush_step().expect("it flushes");
    rig.crash(6);
    check(&rig, 150);
}
