//! An erasure beside everything else: merges, other servers, appends, power cuts, callers who hang up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::BooleanArray;
use arrow::error::ArrowError;
use tracelake_model::{Sink, SystemClock, Table, TenantId, TimeRange, UnixNano};

use crate::config::Config;
use crate::erasure::{Condition, Erasure};
use crate::error::Error;
use crate::hold::Hold;
use crate::point::Point;
use crate::store::Store;
use crate::tests::compact::{compact, rival};
use crate::tests::erase::{eight, erase, log_files_with, secrets};
use crate::tests::parts::{files, live};
use crate::tests::rig::{LineDecoder, Rig, START, request};

/// How many times as much a longer run does.
fn soak() -> u64 {
    std::env::var("TRACELAKE_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

#[test]
fn a_merge_under_way_brings_nothing_back() {
    let rig = Rig::new();
    let want = eight(&rig);
    let core = rig.core();
    let mut erased = None;
    // The merge has read its inputs and written its part; then they go.
    *core.crash_at.lock() = Some(Point::Merged);
    assert!(core.compact_step(&mut || true).is_err());
    *core.crash_at.lock() = None;
    assert_eq!(rig.texts(Table::Logs).len(), 16);
    let merge = Arc::clone(core);
    let chosen = live(core, Table::Logs);
    let shared = core.logs.get(&TenantId::default(), Table::Logs).unwrap();
    let output = crate::part::merge::Merge::open(core.files.as_ref(), Table::Logs, &chosen)
        .and_then(|merge| {
            merge.run(core.files.as_ref(), &TenantId::default(), &mut || {
                erased.get_or_insert_with(|| erase(core, &secrets()).unwrap());
                true
            })
        })
        .unwrap();
    if erased.is_none() {
        erased = Some(erase(core, &secrets()).unwrap());
    }
    let committed = shared.lock().replace(&chosen, std::slice::from_ref(&output), START).unwrap();
    assert!(!committed, "its inputs are gone");
    merge.discard(&output);
    assert_eq!(erased.unwrap().rows, 8);
    assert_eq!(rig.texts(Table::Logs), want);
    drop(chosen);
    compact(core);
    assert_eq!(rig.texts(Table::Logs), want);
}

#[test]
fn another_server_that_merges_meanwhile_brings_nothing_back() {
    let mut merged = 0;
    for when in 0..12 {
        let rig = Rig::new();
        let want = eight(&rig);
        let other = rival(&rig);
        let (mut asked, mut merges) = (0, 0);
        let mut go_on = || {
            if asked == when {
                merges += compact(&other);
            }
            asked += 1;
            true
        };
        let erased = rig.core().erase(&TenantId::default(), &secrets(), &mut go_on).unwrap();
        assert_eq!(erased.rows, 8, "{when}");
        assert_eq!(rig.texts(Table::Logs), want, "{when}");
        let again = rival(&rig);
        assert_eq!(live(&again, Table::Logs), live(rig.core(), Table::Logs), "{when}");
        merged += merges;
    }
    assert!(merged > 3, "the other server came in between: {merged}");
}

#[test]
fn rows_that_come_later_stay_also_when_they_are_flushed_meanwhile() {
    let rig = Rig::new();
    let mut want = eight(&rig);
    let core = rig.core();
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        if asked == 3 {
            rig.send("logs x-later").expect("stored");
            core.flush_step().expect("flushed");
            assert!(!core.compact_step(&mut || true).unwrap(), "old and new rows must not meet in one part");
        }
        true
    };
    assert_eq!(core.erase(&TenantId::default(), &secrets(), &mut go_on).unwrap().rows, 8);
    want.push("x-later".to_owned());
    assert_eq!(rig.texts(Table::Logs), want);
    assert!(compact(core) > 0, "merging goes on after");
    assert_eq!(rig.texts(Table::Logs), want);
}

#[test]
fn an_erasure_that_dies_at_any_point_is_repeated_and_leaves_nothing_behind() {
    for point in [Point::Rewritten, Point::Erased] {
        for restart in [false, true] {
            let mut rig = Rig::new();
            let want = eight(&rig);
            *rig.core().crash_at.lock() = Some(point);
            assert!(erase(rig.core(), &secrets()).is_err(), "{point:?}");
            if restart {
                rig.crash(11);
            }
            *rig.core().crash_at.lock() = None;
            let left = rig.texts(Table::Logs);
            let plain: Vec<_> = left.iter().filter(|text| !text.starts_with('x')).cloned().collect();
            assert_eq!(plain, want, "{point:?} {restart}");
            let secrets_left = left.len() - plain.len();
            assert!((7..=8).contains(&secrets_left), "{point:?} {restart}: {left:?}");
            erase(rig.core(), &secrets()).unwrap();
            assert_eq!(rig.texts(Table::Logs), want, "{point:?} {restart}");
            rig.clock.set(UnixNano(i64::MAX / 2));
            rig.core().sweep_orphans().expect("swept");
            assert_eq!(files(rig.core(), Table::Logs), live(rig.core(), Table::Logs).len(), "{point:?} {restart}");
        }
    }
}

#[test]
fn a_power_cut_anywhere_in_an_erasure_loses_no_other_row_and_brings_nothing_back_that_was_told_gone() {
    for seed in 0..30 * soak() {
        let mut rig = Rig::new();
        let want = eight(&rig);
        rig.send("logs x-tail\nlogs 8").expect("stored");
        let want = [want, vec!["8".to_owned()]].concat();
        rig.disk.cut_after(seed * 7 % 181);
        let told = erase(rig.core(), &secrets()).is_ok();
        rig.crash(seed);
        let left = rig.texts(Table::Logs);
        let plain: Vec<_> = left.iter().filter(|text| !text.starts_with('x')).cloned().collect();
        assert_eq!(plain, want, "seed {seed}");
        assert!(!told || plain.len() == left.len(), "seed {seed}: {left:?}");
        erase(rig.core(), &secrets()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(rig.texts(Table::Logs), want, "seed {seed}");
        assert_eq!(log_files_with(&rig, "x-tail"), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn whoever_hangs_up_stops_it_between_parts() {
    let rig = Rig::new();
    let want = eight(&rig);
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        asked < 8
    };
    let stopped = rig.core().erase(&TenantId::default(), &secrets(), &mut go_on);
    assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
    let left = rig.texts(Table::Logs);
    assert!(left.len() > 8 && left.len() < 16 && want.iter().all(|text| left.contains(text)), "{left:?}");
    assert_eq!(files(rig.core(), Table::Logs), live(rig.core(), Table::Logs).len(), "what went is gone for good");
    erase(rig.core(), &secrets()).unwrap();
    assert_eq!(rig.texts(Table::Logs), want);
}

#[test]
fn a_hold_that_begins_meanwhile_stops_it_before_the_next_part() {
    let rig = Rig::new();
    eight(&rig);
    let core = rig.core();
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        if asked == 7 {
            let hold = Hold {
                id: "late".to_owned(),
                tables: vec![Table::Logs],
                range: TimeRange::ALL,
                reason: "wait".to_owned(),
                created: START,
            };
            core.begin_hold(&TenantId::default(), &hold).unwrap();
        }
        true
    };
    let held = core.erase(&TenantId::default(), &secrets(), &mut go_on);
    assert!(matches!(held, Err(Error::Held(_))), "{held:?}");
    let secrets_left = rig.texts(Table::Logs).iter().filter(|text| text.starts_with('x')).count();
    assert!((1..8).contains(&secrets_left), "{secrets_left}");
    assert_eq!(core.erasing.count(), 0);
}

#[test]
fn an_erasure_goes_on_beside_appends_flushes_and_merges() {
    let rig = Rig::new();
    let mut want = eight(&rig);
    let core = Arc::clone(rig.core());
    let over = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let core = &core;
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                core.compact_step(&mut || true).expect("merged");
                core.sweep_step(Duration::ZERO).expect("swept");
            }
        });
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                core.flush_step().expect("flushed");
            }
        });
        for number in 10..40 {
            rig.send(&format!("logs x{number}\nlogs {number}")).expect("stored");
            want.push(number.to_string());
            want.sort();
            if number % 3 == 0 {
                erase(core, &secrets()).expect("erased");
                assert_eq!(rig.texts(Table::Logs), want, "{number}");
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    erase(&core, &secrets()).expect("erased");
    assert_eq!(rig.texts(Table::Logs), want);
    assert!(core.tail.lock().bytes() == 0 && live(&core, Table::Logs).iter().all(|part| part.rows > 0));
}

#[test]
fn a_caller_who_no_longer_waits_stops_it() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let config = Config { data_dir: dir.path().to_owned(), wal_segment_bytes: 1 << 16, ..Config::default() };
    let store = Store::open(config, Arc::new(SystemClock), Arc::new(LineDecoder)).expect("it opens");
    store.start().expect("it starts");
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let slow = move |rows: &arrow::array::RecordBatch| -> Result<BooleanArray, ArrowError> {
        counted.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        Ok(BooleanArray::from(vec![true; rows.num_rows()]))
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for number in 0..40 {
            store.append(request(&format!("logs {number}"), START)).await.expect("stored");
            store.flush().await.expect("flushed");
        }
        let erasure = Erasure { condition: Condition::new(Vec::new(), Box::new(slow)), ..secrets() };
        let tenant = TenantId::default();
        let erase = store.erase(&tenant, erasure);
        assert!(tokio::time::timeout(Duration::from_millis(300), erase).await.is_err(), "it takes two seconds");
        let end = std::time::Instant::now() + Duration::from_secs(20);
        let running = || store.stats().iter().any(|s| s.name.ends_with("erasures_running") && s.value > 0.5);
        while running() {
            assert!(std::time::Instant::now() < end, "it goes on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let left = texts_of_store(&store, &tenant);
        assert!(asked.load(Ordering::SeqCst) < 30 && left > 0, "{asked:?} {left}");
        // Closing ends one too.
        let slow = |rows: &arrow::array::RecordBatch| -> Result<BooleanArray, ArrowError> {
            std::thread::sleep(Duration::from_millis(50));
            Ok(BooleanArray::from(vec![true; rows.num_rows()]))
        };
        let erasure = Erasure { condition: Condition::new(Vec::new(), Box::new(slow)), ..secrets() };
        let (erased, closed) = tokio::join!(store.erase(&tenant, erasure), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            store.close().await
        });
        assert!(matches!(erased, Err(Error::Stopped)) && closed.is_ok(), "{erased:?} {closed:?}");
        assert!(!running());
    });
}

fn texts_of_store(store: &Store, tenant: &TenantId) -> u64 {
    store.snapshot(tenant).parts(Table::Logs).iter().map(|part| part.rows).sum()
}
