//! Receipts, duplicates, audit numbers, limits, and disks that fail.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracelake_model::{Batch, DecodeError, Decoder, Fault, Header, Position, Table};

use crate::tests::rig::Rig;

#[test]
fn what_is_acknowledged_is_seen_at_once_and_after_a_flush_once() {
    let rig = Rig::new();
    let outcomes = rig.send_all(&["logs a\nlogs b", "logs c", "audit d\nlogs e"]);
    let positions: Vec<_> = outcomes.into_iter().map(|outcome| outcome.expect("stored").position.0).collect();
    assert_eq!(positions, [1, 2, 3]);
    for _ in 0..2 {
        assert_eq!(rig.texts(Table::Logs), ["a", "b", "c", "e"]);
        assert_eq!(rig.rows(Table::Audit), [("d".to_owned(), 1)]);
        rig.core().flush_step().expect("it flushes");
    }
    let snapshot = rig.core().tail.lock().snapshot(&tracelake_model::TenantId::default());
    assert!(snapshot.tail(Table::Logs).is_empty() && snapshot.parts(Table::Logs).len() == 1);
}

#[test]
fn a_snapshot_keeps_its_instant_while_a_flush_goes_on() {
    let rig = Rig::new();
    rig.send("logs a").expect("stored");
    let before = rig.core().tail.lock().snapshot(&tracelake_model::TenantId::default());
    rig.core().flush_step().expect("it flushes");
    rig.send("logs b").expect("stored");
    assert_eq!(super::rig::rows(rig.core().files.as_ref(), &before, Table::Logs), [("a".to_owned(), 0)]);
}

#[test]
fn the_same_payload_is_stored_once_within_the_window_also_in_one_group_and_after_a_restart() {
    let mut rig = Rig::new();
    let outcomes = rig.send_all(&["logs a", "logs a"]);
    let told: Vec<_> = outcomes.into_iter().map(|outcome| outcome.expect("stored")).collect();
    assert_eq!((told[0].duplicate, told[1].duplicate), (false, true));
    assert_eq!(told[0].position, told[1].position);
    rig.reopen().expect("it opens");
    assert!(rig.send("logs a").expect("stored").duplicate);
    rig.core().flush_step().expect("it flushes");
    assert!(rig.send("logs a").expect("stored").duplicate);
    rig.clock.advance(rig.config.dedup_window + Duration::from_secs(1));
    assert!(!rig.send("logs a").expect("stored").duplicate, "the window is over");
    assert_eq!(rig.texts(Table::Logs), ["a", "a"]);
}

#[test]
fn hashes_outlive_their_segments() {
    let mut rig = Rig::new();
    let text = |number: usize| format!("logs {number:0>500}");
    for number in 0..40 {
        rig.send(&text(number)).expect("stored");
    }
    let before = rig.core().segments.count();
    rig.core().flush_step().expect("it flushes");
    assert!(before > 4 && rig.core().segments.count() < 3, "segments went: {before}");
    rig.crash(1);
    for number in 0..40 {
        assert!(rig.send(&text(number)).expect("stored").duplicate, "{number}");
    }
    assert_eq!(rig.texts(Table::Logs).len(), 40);
}

#[test]
fn audit_numbers_have_no_gap_across_refusals_flushes_and_restarts() {
    let mut rig = Rig::new();
    assert!(rig.send_all(&["audit a\naudit b", "logs x", "audit c"]).iter().all(Result::is_ok));
    rig.reopen().expect("it opens");
    rig.send("audit d").expect("stored");
    rig.disk.set_full(true);
    let long = format!("audit {}", "long".repeat(2000));
    assert!(rig.send(&long).is_err(), "a new segment finds no space");
    rig.disk.set_full(false);
    rig.core().flush_step().expect("it flushes");
    rig.crash(3);
    rig.send("audit e").expect("stored");
    let rows = rig.rows(Table::Audit);
    let want = ["a", "b", "c", "d", "e"].into_iter().zip(1..).map(|(text, seq)| (text.to_owned(), seq));
    assert_eq!(rows, want.collect::<Vec<_>>());
}

#[test]
fn a_full_disk_refuses_before_acknowledging_and_recovers_without_a_restart() {
    let rig = Rig::new();
    rig.send("logs a").expect("stored");
    rig.disk.set_full(true);
    let long = format!("logs {}", "b".repeat(5000));
    let refusal = rig.send(&long).expect_err("no segment can be made");
    assert_eq!(refusal.fault, Fault::Unavailable);
    assert!(refusal.retry_after.is_some() && rig.core().health().is_err());
    assert!(rig.send("logs c").is_ok(), "what still fits the segment is taken");
    rig.disk.set_full(false);
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while rig.send(&long).is_err() {
        assert!(std::time::Instant::now() < end, "it takes requests again once there is space");
        std::thread::yield_now();
    }
    assert!(rig.core().health().is_ok());
    assert_eq!(rig.texts(Table::Logs).len(), 3);
}

#[test]
fn a_failed_sync_refuses_everything_until_a_restart() {
    let mut rig = Rig::new();
    rig.send("logs a").expect("stored");
    rig.disk.fail_next_sync();
    assert_eq!(rig.send("logs b").expect_err("not synced").fault, Fault::Unavailable);
    assert_eq!(rig.send("logs c").expect_err("nobody knows what is on disk").fault, Fault::Unavailable);
    assert!(rig.core().health().expect_err("unhealthy").contains("restart"));
    rig.crash(5);
    rig.send("logs c").expect("stored");
    let texts = rig.texts(Table::Logs);
    assert!(texts == ["a", "c"] || texts == ["a", "b", "c"], "{texts:?}");
    let again = rig.send("logs b").expect("stored").duplicate;
    assert_eq!(again, texts.len() == 3, "a retry is stored unless the first one is there");
    assert_eq!(rig.texts(Table::Logs), ["a", "b", "c"]);
}

#[test]
fn a_full_tail_refuses_with_a_time_to_come_back_and_a_flush_helps() {
    let mut rig = Rig::closed();
    rig.config.tail_bytes = 1 << 16;
    rig.reopen().expect("it opens");
    let refusal = (0..100_000).find_map(|number| rig.send(&format!("logs {number}")).err()).expect("a limit");
    assert_eq!(refusal.fault, Fault::Overloaded);
    assert!(refusal.retry_after.is_some());
    rig.send_derived(1).expect("derived rows have room where clients have none");
    let refusal = (2..100_000).find_map(|position| rig.send_derived(position).err()).expect("a limit of theirs");
    assert_eq!(refusal.fault, Fault::Overloaded);
    rig.core().flush_step().expect("it flushes");
    rig.send("logs more").expect("stored");
}

#[test]
fn a_full_log_refuses_clients_but_not_the_taps_that_hold_it() {
    let mut rig = Rig::closed();
    rig.config.wal_bytes_max = 3 * rig.config.wal_segment_bytes;
    rig.reopen().expect("it opens");
    rig.core().feed.attach(super::tap::Stuck::at(0), 0);
    let mut flushed = 0;
    let refusal = (0..1000).find_map(|number| {
        flushed += rig.core().flush_step().expect("it flushes").rows;
        rig.send(&format!("logs {number:0>900}")).err()
    });
    assert_eq!(refusal.expect("the tap holds the log").fault, Fault::Overloaded);
    assert!(flushed > 3);
    rig.send_derived(1).expect("derived rows have a reserve");
}

#[test]
fn derived_rows_are_stored_once_by_their_position() {
    let mut rig = Rig::new();
    assert!(!rig.send_derived(5).expect("stored").duplicate);
    assert!(rig.send_derived(5).expect("known").duplicate);
    assert!(rig.send_derived(4).expect("known").duplicate);
    rig.reopen().expect("it opens");
    assert_eq!(rig.core().derived_position(&tracelake_model::TenantId::default(), "exceptions"), 5);
    rig.core().flush_step().expect("it flushes");
    rig.reopen().expect("it opens");
    assert!(rig.send_derived(5).expect("known").duplicate);
    assert!(!rig.send_derived(6).expect("stored").duplicate);
    assert_eq!(rig.texts(Table::Exceptions), ["e5", "e6"]);
}

#[test]
fn a_request_without_rows_is_acknowledged_and_not_stored() {
    let rig = Rig::new();
    let receipt = rig.send("nothing").expect("acknowledged");
    assert_eq!((receipt.position, receipt.duplicate), (Position(0), false));
    assert_eq!(rig.core().segments.count(), 0);
}

struct Forgetful;

impl Decoder for Forgetful {
    fn decode(&self, _header: &Header, _payload: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        Err(DecodeError { fault: Fault::Invalid, detail: "it knows nothing any more".into() })
    }
}

#[test]
fn a_frame_that_no_longer_decodes_is_told_and_set_aside_and_the_rest_goes_on() {
    let mut rig = Rig::new();
    rig.send("logs a").expect("stored");
    rig.decoder = Arc::new(Forgetful);
    rig.reopen().expect("it opens");
    let told = crate::stats::samples(rig.core());
    let told = told.iter().find(|sample| sample.name == "tracelake_storage_wal_undecodable_frames");
    assert!(told.is_some_and(|sample| sample.value > 0.5));
    let aside = crate::disk::Disk::read(&rig.disk, &rig.core().wal_dir.join("undecodable-0000000000000001.frame"));
    assert!(aside.expect("a file").ends_with(b"logs a"));
    rig.send("logs b").expect("stored");
    assert_eq!(rig.texts(Table::Logs), ["b"]);
}

#[test]
fn health_comes_back_by_itself_once_there_is_space() {
    let rig = Rig::new();
    rig.disk.set_full(true);
    assert!(rig.send("logs a").is_err() && rig.core().health().is_err());
    rig.core().flush_step().expect("nothing to flush");
    assert!(rig.core().health().is_err());
    rig.disk.set_full(false);
    rig.core().flush_step().expect("nothing to flush");
    assert!(rig.core().health().is_ok());
}

#[test]
fn what_a_restart_showed_survives_the_next_power_cut_although_its_sync_had_failed() {
    for seed in 0..8 {
        let mut rig = Rig::new();
        rig.send("logs a").expect("stored");
        rig.disk.fail_next_sync();
        assert!(rig.send("logs b").is_err());
        rig.reopen().expect("it opens");
        assert_eq!(rig.texts(Table::Logs), ["a", "b"], "the system's memory still has it");
        rig.crash(seed);
        assert_eq!(rig.texts(Table::Logs), ["a", "b"], "seed {seed}");
    }
}
