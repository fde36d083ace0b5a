//! A table's log holds every committed row once: across restarts, rivals, and calls whose outcome was unknown.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltalake_core::DeltaTableBuilder;
use object_store::path::Path as Location;
use serde_json::{Value, json};
use tracelake_model::{Position, Table, TenantId, UnixNano, column};

use super::action::Keep;
use super::entry;
use super::log::TableLog;
use crate::disk::RealDisk;
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::{Files, Found};
use crate::part::file::{NewPart, Part};
use crate::part::sample;
use crate::part::writer::write_parts;

const NOON: i64 = 1_699_963_200_000_000_000;
const TABLE: Table = Table::Alerts;

/// The table's place below a data root.
fn place() -> Location {
    Location::from(format!("default/{TABLE}"))
}

fn files(data: &Path) -> Arc<dyn Files> {
    Arc::new(DiskFiles::new(Arc::new(RealDisk), data))
}

fn open(data: &Path, wal: &str) -> TableLog {
    TableLog::open(&files(data), &TenantId::default(), TABLE, wal).unwrap()
}

/// A part of `rows` rows; every part's times differ.
fn part(data: &Path, number: i64, rows: i64) -> Vec<NewPart> {
    let times: Vec<i64> = (0..rows).map(|row| NOON + number * 1_000_000 + row).collect();
    write_parts(files(data).as_ref(), &TenantId::default(), TABLE, &[sample::rows(TABLE, &times, 0)], UnixNano(NOON))
        .unwrap()
}

fn commit(log: &mut TableLog, data: &Path, number: i64) -> Vec<Arc<Part>> {
    let parts = part(data, number, 3);
    let flushed = Position(u64::try_from(number).unwrap());
    log.append(&parts, flushed, &[("exceptions", 10 + flushed.0)], UnixNano(NOON + number * 1_000_000)).unwrap()
}

fn log_path(data: &Path) -> PathBuf {
    data.join("default").join(TABLE.as_str()).join("_delta_log")
}

fn entry_path(data: &Path, version: u64) -> PathBuf {
    log_path(data).join(format!("{version:020}.json"))
}

fn found(data: &Path) -> Vec<Found> {
    entry::found(files(data).as_ref(), &place()).unwrap()
}

fn rows(log: &TableLog) -> u64 {
    log.live().iter().map(|part| part.rows).sum()
}

#[test]
fn a_table_begins_with_its_first_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    assert_eq!((log.live(), log.flushed(), log.derived("exceptions")), (vec![], Position(0), 0));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "opening makes nothing");
    let new = commit(&mut log, dir.path(), 7);
    assert_eq!((log.live(), log.flushed(), log.derived("exceptions")), (new, Position(7), 17));
    assert_eq!(log.derived("alerts"), 0);
}

#[test]
fn a_table_opened_again_is_the_same_at_every_version() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    for number in 1..=205 {
        commit(&mut log, dir.path(), number);
        if number < 4 || (98..105).contains(&number) || number > 203 {
            let again = open(dir.path(), "a");
            assert_eq!(again.live(), log.live(), "after commit {number}");
            assert_eq!((again.flushed(), again.derived("exceptions")), (log.flushed(), log.derived("exceptions")));
        }
    }
    let log_files: BTreeSet<String> = found(dir.path()).into_iter().map(|file| file.name).collect();
    assert!(log_files.contains("00000000000000000200.checkpoint.parquet"), "{log_files:?}");
    assert!(!log_files.iter().any(|name| name.ends_with(".tmp")), "{log_files:?}");
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_removed_while_the_entries_reach_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    for number in 1..=104 {
        commit(&mut log, dir.path(), number);
    }
    let checkpoint = log_path(dir.path()).join("00000000000000000100.checkpoint.parquet");
    fs::write(&checkpoint, b"").unwrap();
    assert_eq!(open(dir.path(), "a").live(), log.live());
    assert!(!checkpoint.exists(), "other readers would stumble over it");
    assert_eq!(open(dir.path(), "a").live(), log.live());
}

#[test]
fn a_checkpoint_carries_a_table_whose_entries_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    let mut sleeper = open(dir.path(), "b");
    for number in 1..=103 {
        commit(&mut log, dir.path(), number);
    }
    for version in 0..100 {
        fs::remove_file(entry_path(dir.path(), version)).unwrap();
    }
    assert_eq!(open(dir.path(), "a").live(), log.live());
    // A committer that slept must not take a number that was free only because it was cleaned away.
    commit(&mut sleeper, dir.path(), 500);
    assert_eq!(rows(&sleeper), 104 * 3);
    assert!(!entry_path(dir.path(), 0).exists());
    assert_eq!(open(dir.path(), "a").live(), sleeper.live());
}

#[test]
fn a_note_that_names_an_older_checkpoint_or_none_misleads_no_committer_that_slept() {
    for note in [None, Some(&br#"{"version":4,"size":1}"#[..]), Some(b"{")] {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let keep = Keep { checkpoint_every: 4, ..Keep::default() };
        let mut log = open(data, "a").keeping(keep);
        let mut sleeper = open(data, "b").keeping(keep);
        (1..=6).for_each(|number| drop(commit(&mut log, data, number)));
        commit(&mut sleeper, data, 500);
        (7..=14).for_each(|number| drop(commit(&mut log, data, number)));
        (0..12).for_each(|version| fs::remove_file(entry_path(data, version)).unwrap());
        let hint = log_path(data).join("_last_checkpoint");
        match note {
            None => fs::remove_file(&hint).unwrap(),
            Some(note) => fs::write(&hint, note).unwrap(),
        }
        commit(&mut sleeper, data, 501);
        assert_eq!(rows(&sleeper), 16 * 3, "{note:?}");
        assert_eq!(open(data, "a").live(), sleeper.live());
    }
}

#[test]
fn rivals_commit_every_row_once() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (open(dir.path(), "a"), open(dir.path(), "b"));
    let mut seen = 0;
    for number in 1..=20 {
        seen += commit(&mut one, dir.path(), number).len();
        let others = commit(&mut two, dir.path(), 1000 + number);
        assert_eq!(others.len(), 2, "the rival's part and our own became live");
    }
    assert_eq!(seen, 39, "the last part of the rival is not seen yet");
    let all = open(dir.path(), "a");
    assert_eq!(rows(&all), 40 * 3);
    assert_eq!(all.live(), two.live());
    assert_eq!((all.flushed(), open(dir.path(), "b").flushed()), (Position(20), Position(1020)));
}

#[test]
fn rivals_at_the_same_time_commit_every_row_once() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for rival in 0..4 {
            let data = dir.path();
            scope.spawn(move || {
                let mut log = open(data, &rival.to_string());
                for number in 1..=15 {
                    commit(&mut log, data, rival * 100 + number);
                }
            });
        }
    });
    let all = open(dir.path(), "0");
    assert_eq!(rows(&all), 4 * 15 * 3);
    let versions = entry::versions(&found(dir.path()));
    assert_eq!(versions, (0..60).collect::<Vec<_>>());
}

#[test]
fn a_part_without_commit_is_no_part() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    commit(&mut log, dir.path(), 1);
    part(dir.path(), 2, 5);
    assert_eq!(rows(&open(dir.path(), "a")), 3, "the power went before the commit");
}

#[test]
fn a_commit_whose_outcome_was_unknown_is_not_made_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    commit(&mut log, dir.path(), 1);
    // This committer heard an error, but its entry stands: another one of the same WAL made it, as far as the log tells.
    let stands = commit(&mut open(dir.path(), "a"), dir.path(), 2);
    assert_eq!(commit(&mut log, dir.path(), 2), stands, "the parts that stand, not those of the second call");
    assert_eq!(rows(&log), 6);
    commit(&mut open(dir.path(), "a"), dir.path(), 3);
    let other = log.append(&part(dir.path(), 4, 3), Position(4), &[], UnixNano(NOON));
    assert!(matches!(other, Err(Error::Flush(_))), "rows up to 3 would stand twice: {other:?}");
    assert_eq!((log.flushed(), rows(&log)), (Position(3), 9));
    commit(&mut log, dir.path(), 4);
    assert_eq!(rows(&open(dir.path(), "a")), 12);
}

#[test]
fn an_empty_last_commit_is_removed_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    for torn in [&b""[..], &[0; 512]] {
        let mut log = open(dir.path(), "a");
        let before = log.flushed().0;
        let first = i64::try_from(before).unwrap() + 1;
        commit(&mut log, dir.path(), first);
        let version = entry::versions(&found(dir.path())).len() as u64;
        fs::write(entry_path(dir.path(), version), torn).unwrap();
        let mut again = open(dir.path(), "a");
        assert_eq!(again.live(), log.live());
        commit(&mut again, dir.path(), first + 1);
        assert_eq!(open(dir.path(), "a").live(), again.live());
    }
}

#[test]
fn a_damaged_or_missing_commit_is_told_never_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    for number in 1..=3 {
        commit(&mut log, dir.path(), number);
    }
    let open = || TableLog::open(&files(dir.path()), &TenantId::default(), TABLE, "a");
    let path = entry_path(dir.path(), 1);
    let whole = fs::read(&path).unwrap();
    let check = |content: Option<&[u8]>| {
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        assert!(matches!(open(), Err(Error::Damaged { .. })), "{content:?}");
    };
    check(Some(b""));
    check(Some(&whole[..whole.len() - 10]));
    check(None);
    fs::write(&path, &whole).unwrap();
    assert_eq!(open().unwrap().live(), log.live());
}

#[test]
fn what_others_remove_is_gone_and_what_we_cannot_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), "a");
    let first = commit(&mut log, dir.path(), 1).remove(0);
    commit(&mut log, dir.path(), 2);
    let name = format!("date={}/{}", first.date, first.location.filename().unwrap());
    let remove = json!({ "remove": { "path": name, "dataChange": true, "deletionTimestamp": 1 } });
    assert!(entry::put(files(dir.path()).as_ref(), &place(), 2, remove.to_string().as_bytes()).unwrap());
    commit(&mut log, dir.path(), 3);
    assert_eq!(rows(&log), 6);
    assert!(!log.live().contains(&first));
    assert_eq!(open(dir.path(), "a").live(), log.live());
    let newer = json!({ "protocol": { "minReaderVersion": 2, "minWriterVersion": 5 } });
    assert!(entry::put(files(dir.path()).as_ref(), &place(), 4, newer.to_string().as_bytes()).unwrap());
    assert!(log.append(&[], Position(5), &[], UnixNano(NOON)).is_err());
    assert!(TableLog::open(&files(dir.path()), &TenantId::default(), TABLE, "a").is_err());
}

#[test]
fn a_column_that_came_later_is_added_to_the_table_and_foreign_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    commit(&mut open(dir.path(), "a"), dir.path(), 1);
    let path = entry_path(dir.path(), 0);
    let edited: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(rename_title).collect();
    fs::write(&path, edited.join("\n")).unwrap();
    let mut log = open(dir.path(), "a");
    commit(&mut log, dir.path(), 2);
    let second = fs::read_to_string(entry_path(dir.path(), 1)).unwrap();
    let metadata = second.lines().find(|line| line.contains("metaData")).expect("the schema changes");
    let metadata: Value = serde_json::from_str(metadata).unwrap();
    let schema: Value = serde_json::from_str(metadata["metaData"]["schemaString"].as_str().unwrap()).unwrap();
    let field = |name: &str| schema["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).cloned();
    assert_eq!(field("heading").unwrap()["nullable"], json!(false));
    assert_eq!(field(column::TITLE).unwrap()["nullable"], json!(true), "older files lack it");
    commit(&mut log, dir.path(), 3);
    let third = fs::read_to_string(entry_path(dir.path(), 2)).unwrap();
    assert!(!third.contains("metaData"), "nothing more to add");
}

fn rename_title(line: &str) -> String {
    // Edited as another program would have written it.
    let line = &line.replace(" (sealed)", "").replace(entry::SEAL, "other.seal");
    let mut action: Value = serde_json::from_str(line).unwrap();
    if let Some(text) = action["metaData"]["schemaString"].as_str() {
        action["metaData"]["schemaString"] = text.replace("\"title\"", "\"heading\"").into();
        return action.to_string();
    }
    line.to_owned()
}

/// With `TRACELAKE_KEEP_DIR` the tables stay there, so that readers in other languages can be pointed at them.
#[tokio::test(flavor = "multi_thread")]
async fn deltalake_reads_every_table_as_we_do() {
    let dir = tempfile::tempdir().unwrap();
    let kept = std::env::var_os("TRACELAKE_KEEP_DIR").map(PathBuf::from);
    let data = kept.as_deref().unwrap_or(dir.path());
    for table in Table::ALL {
        let tenant = TenantId::default();
        let mut log = TableLog::open(&files(data), &tenant, table, "a").unwrap();
        for number in 1..=102 {
            let day = 86_400_000_000_000 * (number % 2);
            let times: Vec<i64> = (0..5).map(|row| NOON + day + number * 1000 + row).collect();
            let batch = sample::rows(table, &times, usize::try_from(number).unwrap());
            let parts = write_parts(files(data).as_ref(), &tenant, table, &[batch], UnixNano(NOON)).unwrap();
            log.append(&parts, Position(number as u64), &[], UnixNano(NOON + number * 1_000_000)).unwrap();
        }
        let path = fs::canonicalize(data.join("default").join(table.as_str())).unwrap();
        let url = url::Url::from_directory_path(path).unwrap();
        let theirs = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
        assert_eq!(theirs.version(), Some(101));
        let files = theirs.snapshot().unwrap().log_data();
        let told: BTreeSet<(String, usize, i64)> =
            files.iter().map(|file| (file.path().into_owned(), file.num_records().unwrap(), file.size())).collect();
        let ours: BTreeSet<(String, usize, i64)> = log
            .live()
            .iter()
            .map(|part| {
                let name = part.location.filename().unwrap();
                (format!("date={}/{name}", part.date), part.rows as usize, part.bytes as i64)
            })
            .collect();
        assert_eq!(told, ours, "{table}");
        assert_eq!(log.live().len(), 102);
    }
}
