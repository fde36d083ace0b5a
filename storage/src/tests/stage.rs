//! The figures of each stage are what was really written, to the byte and the row.

use std::collections::BTreeMap;

use tracelake_model::Table;

use crate::core::Core;
use crate::tests::compact::compact;
use crate::tests::parts::{live, part, put, times};
use crate::tests::rig::Rig;

/// Bytes and rows of a stage; whether it took any time.
fn figures(core: &Core, stage: &str) -> (f64, f64, bool) {
    let samples = crate::stats::samples(core);
    let of_stage = |sample: &&tracelake_model::Sample| sample.labels == [("stage", stage.to_owned())];
    let found: BTreeMap<_, _> = samples.iter().filter(of_stage).map(|sample| (sample.name, sample.value)).collect();
    assert_eq!(found.len(), 3, "{stage}");
    let seconds = found["tracelake_stage_seconds_total"];
    (found["tracelake_stage_bytes_total"], found["tracelake_stage_rows_total"], seconds > 0.0)
}

#[test]
fn the_log_counts_frames_that_were_written_once() {
    // One segment, so that what is used of it is what was written.
    let mut rig = Rig::closed();
    rig.config.wal_segment_bytes = 64 << 10;
    rig.reopen().expect("an empty directory opens");
    assert_eq!(figures(rig.core(), "wal"), (0.0, 0.0, false));
    rig.send("logs a\nlogs b\naudit c").expect("stored");
    rig.send("logs a\nlogs b\naudit c").expect("known already");
    assert!(rig.send_all(&["logs d", "spans e"]).iter().all(Result::is_ok));
    rig.send_derived(1).expect("stored");
    rig.disk.fail_next_sync();
    rig.send("logs f").expect_err("not on disk");
    let written = rig.core().segments.used_bytes();
    assert!(written > 0);
    assert_eq!(figures(rig.core(), "wal"), (written as f64, 6.0, true));
}

#[test]
fn a_flush_counts_the_parts_it_committed_and_nothing_twice() {
    let rig = Rig::new();
    rig.send("logs a\nlogs b\nspans c").expect("stored");
    rig.core().flush_step().expect("flushed");
    rig.core().flush_step().expect("nothing to flush");
    let bytes = |table| live(rig.core(), table).iter().map(|part| part.bytes).sum::<u64>();
    let written = bytes(Table::Logs) + bytes(Table::Spans);
    assert!(written > 0);
    assert_eq!(figures(rig.core(), "flush"), (written as f64, 3.0, true));
}

#[test]
fn a_merge_counts_the_part_it_made_without_the_rests_between() {
    let rig = Rig::new();
    let core = rig.core();
    for (seed, first) in [0, 977, 1954, 2931, 3908, 4885, 5862, 6839].into_iter().enumerate() {
        put(core, Table::Logs, &part(core, Table::Logs, &times(first, 150, 1_000_000_007), seed));
    }
    assert_eq!(figures(core, "compact"), (0.0, 0.0, false));
    assert_eq!(compact(core), 1);
    let merged = live(core, Table::Logs);
    assert_eq!(figures(core, "compact"), (merged[0].bytes as f64, 1200.0, true));
}

#[test]
fn gathering_counts_the_rows_that_it_gathered() {
    let rig = Rig::new();
    for number in 0..4 {
        rig.send(&format!("logs a{number}\nlogs b{number}")).expect("stored");
    }
    while rig.core().gather_step(false) {}
    let (bytes, rows, took) = figures(rig.core(), "gather");
    assert!(bytes > 0.0 && took);
    assert_eq!(rows, 8.0);
}
