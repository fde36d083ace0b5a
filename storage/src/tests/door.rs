//! The whole store with its threads on a real disk.

use std::sync::Arc;
use std::time::Duration;

use tracelake_model::{Fault, Sink, SystemClock, Table, TenantId};

use crate::config::Config;
use crate::disk::RealDisk;
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::store::Store;
use crate::tests::rig::{LineDecoder, START, derived, request, rows};

fn config(dir: &std::path::Path) -> Config {
    Config { data_dir: dir.to_owned(), wal_segment_bytes: 1 << 16, ..Config::default() }
}

fn open(dir: &std::path::Path) -> Result<Arc<Store>, Error> {
    Store::open(config(dir), Arc::new(SystemClock), Arc::new(LineDecoder))
}

fn texts(dir: &std::path::Path, store: &Store) -> Vec<String> {
    let files = DiskFiles::new(Arc::new(RealDisk), &dir.join("data"));
    let found = rows(&files, &store.snapshot(&TenantId::default()), Table::Logs);
    found.into_iter().map(|(text, _)| text).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime").block_on(work)
}

#[test]
fn many_clients_at_once_are_stored_once_across_flush_drop_and_close() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let want: Vec<_> = (1000..1200).map(|number| number.to_string()).collect();
    let store = open(dir.path()).expect("it opens");
    store.start().expect("it starts");
    run(async {
        let sends = want.iter().map(|text| {
            let (store, text) = (Arc::clone(&store), format!("logs {text}"));
            tokio::spawn(async move { store.append(request(&text, START)).await })
        });
        for send in sends.collect::<Vec<_>>() {
            send.await.expect("no panic").expect("stored");
        }
        store.append_derived(derived(1)).await.expect("stored");
    });
    assert_eq!(texts(dir.path(), &store), want);
    assert_eq!(run(store.flush()).expect("it flushes").rows, 201);
    assert_eq!(texts(dir.path(), &store), want);
    run(store.append(request("logs 2000", START))).expect("stored");
    drop(store);

    let store = open(dir.path()).expect("the lock is free again");
    assert_eq!(texts(dir.path(), &store).len(), 201, "what was not flushed comes from the log");
    assert_eq!(store.tenants(), [TenantId::default()]);
    store.start().expect("it starts");
    run(store.close()).expect("it closes");
    assert_eq!(store.snapshot(&TenantId::default()).tail(Table::Logs).len(), 0, "closing flushes");
    assert_eq!(run(store.append(request("logs 3000", START))).expect_err("closed").fault, Fault::Unavailable);

    let again = open(dir.path()).expect("closing let go of the directory");
    assert_eq!(texts(dir.path(), &again).len(), 201);
}

#[test]
fn a_stopped_directory_can_be_read_and_flushed_without_start() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let store = open(dir.path()).expect("it opens");
    store.start().expect("it starts");
    run(store.append(request("logs a", START))).expect("stored");
    drop(store);
    let store = open(dir.path()).expect("it opens");
    assert!(store.health().is_err(), "it takes no appends");
    assert_eq!(texts(dir.path(), &store), ["a"]);
    assert_eq!(run(store.flush()).expect("it flushes").rows, 1);
    assert_eq!(texts(dir.path(), &store), ["a"]);
}

#[test]
fn a_directory_in_use_or_of_a_newer_version_is_refused_with_the_remedy() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let store = open(dir.path()).expect("it opens");
    let locked = open(dir.path()).expect_err("in use");
    assert!(matches!(locked, Error::Locked(_)) && locked.to_string().contains("--data-dir"), "{locked}");
    drop(store);
    std::fs::write(dir.path().join("FORMAT"), "tracelake 2\n").expect("written");
    let newer = open(dir.path()).expect_err("newer");
    assert!(matches!(newer, Error::Format { .. }) && newer.to_string().contains("start the version"), "{newer}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let blocked = open(&file.join("below")).expect_err("a file is in the way");
    assert!(blocked.to_string().contains("permissions"), "{blocked}");
}

#[test]
fn rows_become_parts_by_themselves_after_the_interval() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let config = Config { flush_interval: Duration::from_millis(20), ..config(dir.path()) };
    let store = Store::open(config, Arc::new(SystemClock), Arc::new(LineDecoder)).expect("it opens");
    store.start().expect("it starts");
    run(store.append(request("logs a", START))).expect("stored");
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while store.snapshot(&TenantId::default()).parts(Table::Logs).is_empty() {
        assert!(std::time::Instant::now() < end, "no flush in time");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(texts(dir.path(), &store), ["a"]);
}
