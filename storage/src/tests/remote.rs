//! Files in an object store keep the promises of files, while answers are lost and requests refused.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as Location;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tracelake_model::{DocumentError, DocumentStore, Expect, TenantId};

use crate::bucket::document::RemoteDocuments;
use crate::bucket::open::Bucket;
use crate::bucket::patience::Patience;
use crate::bucket::threads::Threads;
use crate::disk::RealDisk;
use crate::error::Error;
use crate::files::file::Files;
use crate::files::remote::RemoteFiles;
use crate::files::spool::Spool;
use crate::tests::flaky::{Faults, Flaky, ROUGH};

const SEED: u64 = 20_261_121;

/// Enough attempts for rough faults, without long pauses.
pub(crate) const QUICK: Patience = Patience {
    attempts_max: 12,
    pause_first: Duration::from_micros(200),
    pause_max: Duration::from_millis(2),
    attempt_max: Duration::from_secs(10),
    all_max: Duration::from_secs(30),
};

pub(crate) fn bucket(store: &Flaky) -> Bucket {
    let threads = Arc::new(Threads::start().unwrap());
    Bucket::over(Arc::new(store.clone()), threads, QUICK, "memory://test".to_owned())
}

pub(crate) fn files(store: &Flaky, dir: &TempDir) -> RemoteFiles {
    let spool = Spool::new(Arc::new(RealDisk), dir.path().join("spool"));
    RemoteFiles::new(bucket(store).root.below("data"), spool, "memory://test/data")
}

fn at(name: &str) -> Location {
    Location::from(name)
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    SmallRng::seed_from_u64(SEED).fill(content.as_mut_slice());
    content
}

#[test]
fn files_are_whole_listed_and_gone() {
    let (store, dir) = (Flaky::new(SEED, Faults::default()), TempDir::new().unwrap());
    let files = files(&store, &dir);
    assert_eq!(files.read(&at("a/b")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert!(files.open(&at("a/b")).is_err());
    assert!(files.list(&at("a")).unwrap().is_empty() && files.directories(&at("")).unwrap().is_empty());
    assert!(files.put_new(&at("a/b"), b"one").unwrap());
    assert!(!files.put_new(&at("a/b"), b"two").unwrap());
    assert!(!files.put_new(&at("a/b"), b"one").unwrap(), "the same bytes of another writer");
    assert_eq!(files.read(&at("a/b")).unwrap(), "one");
    files.replace(&at("a/b"), b"three").unwrap();
    files.replace(&at("a/date=2023-11-14/c"), b"").unwrap();
    let found = files.list(&at("a")).unwrap();
    assert_eq!((found.len(), found[0].name.as_str(), found[0].bytes), (1, "b", 5));
    assert!(found[0].modified.0 > 1_700_000_000_000_000_000);
    assert_eq!(files.directories(&at("a")).unwrap(), ["date=2023-11-14"]);
    assert_eq!(files.directories(&at("")).unwrap(), ["a"]);
    assert_eq!(files.open(&at("a/date=2023-11-14/c")).unwrap().bytes(), 0);
    files.remove(&at("a/b")).unwrap();
    files.remove(&at("a/b")).unwrap();
    assert!(files.list(&at("a")).unwrap().is_empty());
}

#[test]
fn of_rivals_for_one_name_exactly_one_wins_while_answers_are_lost() {
    println!("seed {SEED}");
    let (store, dir) = (Flaky::new(SEED, ROUGH), TempDir::new().unwrap());
    let rivals: Vec<_> = (0..6).map(|_| files(&store, &dir)).collect();
    for name in 0..60 {
        let place = at(&format!("log/{name:020}.json"));
        let wins = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for (number, files) in rivals.iter().enumerate() {
                let (place, wins) = (&place, &wins);
                scope.spawn(move || {
                    if files.put_new(place, format!("of {number}").as_bytes()).unwrap() {
                        wins.fetch_add(1 << (8 * number), Ordering::SeqCst);
                    }
                });
            }
        });
        let content = rivals[0].read(&place).unwrap();
        let winner: u32 = std::str::from_utf8(&content).unwrap()[3..].parse().unwrap();
        assert_eq!(wins.into_inner(), 1 << (8 * winner), "{place}: {content:?}");
    }
}

#[test]
fn a_request_is_not_tried_without_end() {
    let (store, dir) = (Flaky::new(SEED, Faults { before: 1000, ..Faults::default() }), TempDir::new().unwrap());
    let files = files(&store, &dir);
    let limit = u64::from(QUICK.attempts_max);
    let check = |what: &str, failed: bool| {
        let made = store.requests();
        assert!(failed && made <= limit, "{what}: {made} requests");
        store.requests_reset();
    };
    check("put_new", files.put_new(&at("a"), b"x").is_err());
    check("replace", files.replace(&at("a"), b"x").is_err());
    check("read", files.read(&at("a")).is_err());
    check("list", files.list(&at("a")).is_err());
    check("remove", files.remove(&at("a")).is_err());
    store.set(Faults { after: 1000, ..Faults::default() });
    assert!(files.put_new(&at("a"), b"x").is_err(), "all answers are lost");
    assert!(store.requests() <= 2 * limit, "{} requests", store.requests());
}

#[test]
fn a_large_object_is_written_in_pieces_and_one_that_is_dropped_is_given_up() {
    let (store, dir) = (Flaky::new(SEED, Faults::default()), TempDir::new().unwrap());
    let files = files(&store, &dir);
    let content = noise((20 << 20) + 12_345);
    let mut draft = files.create(&at("large")).unwrap();
    for chunk in content.chunks(1_234_567) {
        draft.write_all(chunk).unwrap();
    }
    assert!(files.read(&at("large")).is_err(), "nothing shows before it is finished");
    assert_eq!(draft.finish().unwrap(), content.len() as u64);
    assert!(files.read(&at("large")).unwrap() == content);
    // The answer to the last request is lost, the object is not.
    let mut draft = files.create(&at("lost")).unwrap();
    draft.write_all(&content[..8 << 20]).unwrap();
    draft.write_all(b"end").unwrap();
    store.lose_next_complete();
    assert_eq!(draft.finish().unwrap(), (8 << 20) + 3);
    assert_eq!((files.read(&at("lost")).unwrap().len(), store.given_up()), ((8 << 20) + 3, 0));
    let mut draft = files.create(&at("dropped")).unwrap();
    draft.write_all(&content[..9 << 20]).unwrap();
    drop(draft);
    let since = std::time::Instant::now();
    while store.given_up() == 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "the upload is not given up");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(files.read(&at("dropped")).is_err());
    let mut small = files.create(&at("small")).unwrap();
    small.write_all(b"few").unwrap();
    assert_eq!(small.finish().unwrap(), 3);
    assert_eq!(files.read(&at("small")).unwrap(), "few");
}

#[test]
fn an_open_object_is_read_in_blocks_each_asked_for_once() {
    println!("seed {SEED}");
    let (store, dir) = (Flaky::new(SEED, Faults::default()), TempDir::new().unwrap());
    let files = files(&store, &dir);
    let content = Bytes::from(noise((9 << 20) + 77));
    files.replace(&at("x"), &content).unwrap();
    let before = store.requests();
    let open = files.open(&at("x")).unwrap();
    assert_eq!(open.bytes(), content.len() as u64);
    let mut random = SmallRng::seed_from_u64(SEED);
    for _ in 0..500 {
        let start = random.random_range(0..content.len());
        let len = random.random_range(0..=(content.len() - start).min(100_000));
        assert!(open.read_at(start as u64, len).unwrap() == content[start..start + len]);
    }
    assert!(open.read_at(0, content.len()).unwrap() == content);
    assert!(open.read_at(content.len() as u64, 1).unwrap().is_empty());
    assert_eq!(open.read_at(content.len() as u64 - 3, 9).unwrap().len(), 3);
    assert_eq!(store.requests() - before, 4, "its end, and blocks of 4 MiB");
    assert_eq!(std::fs::read_dir(dir.path().join("spool")).unwrap().count(), 0, "the file has no name");
}

#[tokio::test]
async fn documents_keep_every_edit_of_writers_that_lose_answers() {
    println!("seed {SEED}");
    let store = Flaky::new(SEED, ROUGH);
    let open = || RemoteDocuments::open(bucket(&store).root);
    let (tenant, documents) = (TenantId::default(), open());
    documents.put(&tenant, "lists", "l", "", Expect::Absent).await.unwrap();
    let again = documents.put(&tenant, "lists", "l", "", Expect::Absent).await;
    assert!(matches!(again, Err(DocumentError::Conflict(_))), "the same text of another writer: {again:?}");
    let edit = |documents: Arc<dyn DocumentStore>, writer: u32| async move {
        for number in 0..25 {
            let (tenant, line) = (TenantId::default(), format!("{writer}/{number}\n"));
            loop {
                let read = documents.get(&tenant, "lists", "l").await.unwrap().unwrap();
                if read.body.contains(&line) {
                    break;
                }
                let body = read.body + &line;
                match documents.put(&tenant, "lists", "l", &body, Expect::Version(read.version)).await {
                    Ok(_) => break,
                    Err(DocumentError::Conflict(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    let writers: Vec<_> = (0..4).map(|writer| tokio::spawn(edit(open(), writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let body = documents.get(&tenant, "lists", "l").await.unwrap().unwrap().body;
    let mut lines: Vec<_> = body.lines().map(str::to_owned).collect();
    lines.sort();
    let mut want: Vec<_> = (0..4).flat_map(|writer| (0..25).map(move |number| format!("{writer}/{number}"))).collect();
    want.sort();
    assert_eq!(lines, want, "no edit is lost, none stands twice");
}

#[tokio::test]
async fn documents_are_listed_by_kind_and_tenant_and_deleted() {
    let documents = RemoteDocuments::open(bucket(&Flaky::new(SEED, Faults::default())).root);
    let (one, two) = (TenantId::default(), TenantId::new("other").unwrap());
    for (tenant, kind, id) in
        [(&one, "rules", "b"), (&one, "rules", "a.1"), (&two, "rules", "c"), (&one, "receivers", "d")]
    {
        documents.put(tenant, kind, id, id, Expect::Any).await.unwrap();
    }
    let listed = documents.list(&one, "rules").await.unwrap();
    let ids: Vec<_> = listed.iter().map(|document| (document.id.as_str(), document.body.as_str())).collect();
    assert_eq!(ids, [("a.1", "a.1"), ("b", "b")]);
    assert!(documents.delete(&one, "rules", "b").await.unwrap());
    assert!(!documents.delete(&one, "rules", "b").await.unwrap());
    let gone = documents.put(&one, "rules", "b", "x", Expect::Version(listed[1].version.clone())).await;
    assert!(matches!(gone, Err(DocumentError::Conflict(_))), "{gone:?}");
    assert!(documents.list(&one, "silences").await.unwrap().is_empty());
    let odd = documents.get(&one, "rules", "../x").await;
    assert!(matches!(odd, Err(DocumentError::BadId(_))), "{odd:?}");
}

#[test]
fn a_store_that_ignores_conditions_is_refused_and_a_good_one_is_marked() {
    let store = Flaky::new(SEED, ROUGH);
    bucket(&store).prove().unwrap();
    bucket(&store).mark("tracelake 1").unwrap();
    bucket(&store).mark("tracelake 1").unwrap();
    let newer = bucket(&store).mark("tracelake 0").unwrap_err();
    assert!(matches!(newer, Error::Format { .. }) && newer.to_string().contains("FORMAT"), "{newer}");
    store.ignore_conditions();
    let refused = bucket(&store).prove().unwrap_err();
    assert!(matches!(refused, Error::Unconditional { .. }), "{refused}");
    assert!(refused.to_string().contains("storage.url"), "{refused}");
    let root = bucket(&store).root;
    let left = root.clone();
    let left = root.wait(async move { left.list(&at("probe")).await }).unwrap().unwrap();
    assert!(left.objects.is_empty(), "{left:?}");
}
