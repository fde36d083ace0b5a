//! Tenants that do not wait for the disk lose at most what came after the last sync, and cost the others nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{Clock as _, Fault, Sink as _, SystemClock, Table, Tap, TenantId};

use crate::config::{Config, Durability};
use crate::dedup::Outcome;
use crate::store::Store;
use crate::tests::rig::{LineDecoder, Rig, START, request, rows};
use crate::tests::tap::Stuck;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a name")
}

/// A store in which the tenant `calm` does not wait for the disk and `sure` does. No sync comes by itself.
fn rig() -> Rig {
    let mut rig = Rig::closed();
    rig.config.durability_interval = Duration::from_secs(10);
    rig.config.tenant_durability.insert(tenant("calm"), Durability::Interval);
    rig.reopen().expect("it opens");
    rig
}

fn send(rig: &Rig, of: &str, text: &str) -> Outcome {
    let mut request = request(text, rig.clock.now());
    request.header.tenant = tenant(of);
    let mut append = Box::pin(rig.core().append(request));
    if let Some(ended) = (&mut append).now_or_never() {
        return ended;
    }
    while rig.core().write_step(false) {}
    append.now_or_never().expect("the step settles every append")
}

fn texts(rig: &Rig, of: &str) -> Vec<String> {
    let snapshot = rig.core().tail.lock().snapshot(&tenant(of));
    let found = rows(rig.core().files.as_ref(), &snapshot, Table::Logs);
    found.into_iter().map(|(text, _)| text).collect()
}

fn durable(rig: &Rig) -> u64 {
    rig.core().writer.lock().durable()
}

#[test]
fn a_power_cut_costs_only_the_last_unsynced_requests_of_tenants_that_chose_so() {
    let mut lost = 0;
    for seed in 0..60 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut rig = rig();
        // Tenant and text of everything acknowledged, in order, and how much of it a sync covered.
        let (mut told, mut synced): (Vec<(&str, String)>, usize) = (Vec::new(), 0);
        for round in 0..3 {
            for _ in 0..random.random_range(1..25) {
                match random.random_range(0..20) {
                    0 => drop(rig.core().flush_step().expect("flushed")),
                    1 => rig.core().sync_log().expect("synced"),
                    action => {
                        let of = if action < 5 { "sure" } else { "calm" };
                        let text = format!("{:03}{}", told.len(), "x".repeat(random.random_range(0..700)));
                        assert!(!send(&rig, of, &format!("logs {text}")).expect("acknowledged").duplicate);
                        told.push((of, text));
                    }
                }
                if durable(&rig) == rig.core().tail.lock().visible() {
                    synced = told.len();
                }
                let last_sure = told.iter().rposition(|(of, _)| *of == "sure").map_or(0, |at| at + 1);
                assert!(last_sure <= synced, "seed {seed}: acknowledged before its sync");
            }
            rig.crash(seed * 10 + round);
            assert!(rig.core().counters.damaged.load(std::sync::atomic::Ordering::Relaxed) == 0, "seed {seed}");
            let found: BTreeSet<_> = ["calm", "sure"].iter().flat_map(|of| texts(&rig, of)).collect();
            let kept = told.iter().take_while(|(_, text)| found.contains(text)).count();
            assert!(kept >= synced, "seed {seed}: {kept} of {synced} synced requests are left");
            for of in ["calm", "sure"] {
                let want = told[..kept].iter().filter(|(told, _)| *told == of).map(|(_, text)| text.clone());
                assert_eq!(texts(&rig, of), want.collect::<Vec<_>>(), "seed {seed}: {of} has others, or one twice");
            }
            for (at, (of, text)) in told.iter().enumerate() {
                let again = send(&rig, of, &format!("logs {text}")).expect("acknowledged");
                assert_eq!(again.duplicate, at < kept, "seed {seed}: the retry of number {at}, {kept} are left");
            }
            lost += told.len() - kept;
            rig.core().sync_log().expect("synced");
            synced = told.len();
        }
    }
    println!("60 runs from seed 0: {lost} requests lost by 180 power cuts");
    assert!(lost > 100, "the power cuts cost nothing: {lost}");
}

#[test]
fn the_end_of_the_process_loses_nothing() {
    let mut rig = rig();
    for number in 0..30 {
        send(&rig, "calm", &format!("logs {number:03}")).expect("acknowledged");
    }
    assert_eq!(durable(&rig), 0);
    rig.reopen().expect("it opens");
    assert_eq!(texts(&rig, "calm").len(), 30);
    rig.crash(1);
    assert_eq!(texts(&rig, "calm").len(), 30, "a start brings to the disk what it shows");
}

#[test]
fn taps_see_a_request_once_it_is_on_disk_and_in_order() {
    let rig = rig();
    let tap = Stuck::at(0);
    rig.core().feed.attach(Arc::clone(&tap) as Arc<dyn Tap>, 0);
    let see = || {
        while rig.core().feed_step(false) {}
        tap.take()
    };
    for number in 0..3 {
        send(&rig, "calm", &format!("logs {number}")).expect("acknowledged");
    }
    assert_eq!(see(), [0; 0], "the log may still lose them");
    send(&rig, "sure", "logs x").expect("acknowledged");
    assert_eq!(see(), [1, 2, 3, 4]);
    send(&rig, "calm", "logs y").expect("acknowledged");
    assert_eq!(see(), [0; 0]);
    rig.core().sync_log().expect("synced");
    assert_eq!(see(), [5]);
}

#[test]
fn tables_never_hold_what_the_log_may_lose() {
    let mut rig = rig();
    send(&rig, "sure", "logs a").expect("acknowledged");
    rig.core().flush_step().expect("flushed");
    send(&rig, "calm", "logs b").expect("acknowledged");
    rig.core().flush_step().expect("flushed");
    assert_eq!(durable(&rig), 2, "the sync comes before the flush");
    send(&rig, "calm", "logs c").expect("acknowledged");
    rig.disk.fail_next_sync();
    assert!(rig.core().flush_step().is_err(), "nobody knows what is on disk");
    let told = send(&rig, "calm", "logs d").expect_err("the log is poisoned");
    assert_eq!(told.fault, Fault::Unavailable);
    assert!(rig.core().health().expect_err("unhealthy").contains("restart"));
    assert!(rig.core().flush_step().is_err());
    assert_eq!(texts(&rig, "calm"), ["b", "c"], "queries go on");
    let log = rig.core().logs.get(&tenant("calm"), Table::Logs).expect("a table");
    assert_eq!(log.lock().flushed().0, 2);
    rig.crash(1);
    let left = texts(&rig, "calm");
    assert!(left == ["b"] || left == ["b", "c"], "{left:?}");
    assert_eq!(send(&rig, "sure", "logs e").expect("acknowledged").position.0, left.len() as u64 + 2);
}

#[test]
fn audit_records_and_rows_of_our_own_wait_for_the_disk_whatever_their_tenant_chose() {
    let mut rig = rig();
    rig.config.durability = Durability::Interval;
    rig.reopen().expect("it opens");
    send(&rig, "calm", "logs a").expect("acknowledged");
    assert_eq!(durable(&rig), 0);
    send(&rig, "calm", "audit b").expect("acknowledged");
    assert_eq!(durable(&rig), 2);
    rig.send("logs c").expect("acknowledged");
    assert_eq!(durable(&rig), 2, "the default tenant is named nowhere");
    rig.send_derived(1).expect("stored");
    assert_eq!(durable(&rig), 4);
}

#[test]
fn the_writer_syncs_by_itself_after_the_interval_and_at_the_end() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let mut config = Config {
        data_dir: dir.path().to_owned(),
        wal_segment_bytes: 1 << 16,
        durability: Durability::Interval,
        durability_interval: Duration::from_millis(20),
        ..Config::default()
    };
    let open = |config: &Config| {
        let store = Store::open(config.clone(), Arc::new(SystemClock), Arc::new(LineDecoder)).expect("it opens");
        store.start().expect("it starts");
        store
    };
    let figure = |store: &Store, name: &str| {
        let stats = store.stats();
        stats.iter().find(|sample| sample.name == name).map_or(-1.0, |sample| sample.value)
    };
    let store = open(&config);
    futures::executor::block_on(store.append(request("logs a", START))).expect("acknowledged");
    let end = Instant::now() + Duration::from_secs(10);
    while figure(&store, "tracelake_storage_wal_syncs_total") < 0.5 {
        assert!(Instant::now() < end, "no sync came");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(figure(&store, "tracelake_storage_wal_unsynced_frames").abs() < 0.5);
    drop(store);
    config.durability_interval = Duration::from_secs(10);
    let store = open(&config);
    futures::executor::block_on(store.append(request("logs b", START))).expect("acknowledged");
    assert!(figure(&store, "tracelake_storage_wal_unsynced_frames") > 0.5);
    futures::executor::block_on(store.close()).expect("it closes");
    assert!(figure(&store, "tracelake_storage_wal_unsynced_frames").abs() < 0.5);
}
