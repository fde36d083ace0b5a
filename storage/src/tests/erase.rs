//! What is erased is gone from everywhere, nothing else is, and nothing comes back, whoever merges, appends, reads or
//! dies meanwhile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use tracelake_model::{Table, Tap, TenantId, TimeRange, UnixNano, column};

use crate::core::Core;
use crate::disk::Disk;
use crate::erasure::{Condition, Erased, Erasure};
use crate::error::Error;
use crate::hold::Hold;
use crate::tests::compact::{compact, read};
use crate::tests::parts::{files, live, part, put, times};
use crate::tests::rig::{Rig, START, rows as texts_of};
use crate::tests::tap::Stuck;

const KEEP: Duration = Duration::from_secs(3600);

/// Log records whose text begins with `x`.
pub(crate) fn secrets() -> Erasure {
    let test = |rows: &arrow::array::RecordBatch| -> Result<BooleanArray, ArrowError> {
        let texts = rows.column(0).as_string::<i32>();
        Ok(texts.iter().map(|text| text.map(|text| text.starts_with('x'))).collect())
    };
    let condition = Condition::new(vec![column::BODY.to_owned()], Box::new(test));
    Erasure { table: Table::Logs, condition, range: TimeRange::ALL, dry_run: false }
}

/// Rows of a table whose time is a multiple of three.
pub(crate) fn thirds(table: Table, range: TimeRange) -> Erasure {
    let test = |rows: &arrow::array::RecordBatch| -> Result<BooleanArray, ArrowError> {
        let times = rows.column(0).as_primitive::<Int64Type>();
        // No answer means no.
        Ok(times.values().iter().map(|time| (time % 3 == 0).then_some(true)).collect())
    };
    let condition = Condition::new(vec![table.time_column().to_owned()], Box::new(test));
    Erasure { table, condition, range, dry_run: false }
}

pub(crate) fn erase(core: &Core, erasure: &Erasure) -> Result<Erased, Error> {
    core.erase(&TenantId::default(), erasure, &mut || true)
}

/// Every row as its time and all its columns, sorted.
fn content(core: &Core, table: Table) -> Vec<(i64, Vec<u8>)> {
    let fields = table.file_schema();
    let fields = fields.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let mut found = Vec::new();
    for batch in live(core, table).iter().flat_map(|part| read(core, part)) {
        let times = batch.column_by_name(table.time_column()).unwrap().as_primitive::<Int64Type>().clone();
        let rows = converter.convert_columns(batch.columns()).unwrap();
        found.extend(rows.iter().zip(times.values()).map(|(row, time)| (*time, row.data().to_vec())));
    }
    found.sort();
    found
}

/// Files of the log that hold a text, as anybody with the disk in hand would find it.
pub(crate) fn log_files_with(rig: &Rig, text: &str) -> Vec<String> {
    let directory = &rig.core().wal_dir;
    let names = rig.disk.list(directory).unwrap();
    let holds = |name: &String| {
        let content = rig.disk.read(&directory.join(name)).unwrap();
        content.windows(text.len()).any(|window| window == text.as_bytes())
    };
    names.into_iter().filter(holds).collect()
}

/// Eight parts with a secret each.
pub(crate) fn eight(rig: &Rig) -> Vec<String> {
    for number in 0..8 {
        rig.send(&format!("logs x{number}\nlogs {number}")).expect("stored");
        rig.core().flush_step().expect("flushed");
    }
    (0..8).map(|number| number.to_string()).collect()
}

#[test]
fn rows_go_from_parts_of_every_table_and_all_others_stay_as_they_were() {
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Audit) {
        let mut rig = Rig::new();
        let core = rig.core();
        for number in 0..12 {
            // Parts that repeat rows of others, some merged, in order and not.
            let first = i64::try_from(number % 9).unwrap() * 977;
            put(core, table, &part(core, table, &times(first, 150, 1_000_000_007), number % 9));
            if number == 8 {
                compact(core);
            }
        }
        let before = content(core, table);
        let parts = live(core, table);
        let mut counted = thirds(table, TimeRange::ALL);
        counted.dry_run = true;
        let told = erase(core, &counted).unwrap();
        assert!(content(core, table) == before, "{table}: counting changes nothing");
        let want: Vec<_> = before.iter().filter(|(time, _)| time % 3 != 0).cloned().collect();
        assert_eq!(told.rows as usize, before.len() - want.len(), "{table}");
        let parts_count = parts.len() as u64;
        drop(parts);
        let erased = erase(core, &thirds(table, TimeRange::ALL)).unwrap();
        assert_eq!((erased.rows, erased.parts_read), (told.rows, parts_count), "{table}");
        assert!(content(core, table) == want, "{table}");
        assert_eq!(files(core, table), live(core, table).len(), "{table}: no old file is left");
        assert_eq!((erased.files_waiting, erased.log_is_clear), (0, true), "{table}");
        let log = core.logs.read(&TenantId::default(), table).unwrap();
        assert_eq!(log.live(), live(core, table), "{table} opened again");
        assert_eq!(erase(core, &thirds(table, TimeRange::ALL)).unwrap().rows, 0, "{table}");
        // What is left is merged as any other part is, and comes back after a restart.
        for number in 20..28 {
            put(core, table, &part(core, table, &times(-977 * number, 150, 3), usize::try_from(number).unwrap()));
        }
        let distinct = |core: &Core| {
            let mut all = content(core, table);
            if table == Table::Spans {
                // Merging drops equal ones.
                all.dedup();
            }
            all
        };
        let all = distinct(core);
        assert!(compact(core) > 0, "{table}");
        assert!(distinct(core) == all, "{table}");
        rig.reopen().expect("it opens");
        assert!(distinct(rig.core()) == all, "{table}");
    }
}

#[test]
fn an_erased_part_keeps_its_day_its_age_and_its_order() {
    let rig = Rig::new();
    let core = rig.core();
    for (table, first) in [(Table::Logs, 0), (Table::Spans, 0)] {
        put(core, table, &part(core, table, &times(first, 3000, 7), 1));
        rig.clock.advance(Duration::from_secs(100));
        let before = live(core, table).remove(0);
        erase(core, &thirds(table, TimeRange::ALL)).unwrap();
        let after = live(core, table).remove(0);
        assert_eq!((&after.date, after.stored, after.rows), (&before.date, before.stored, 2000), "{table}");
        let opened = crate::part::input::Opened::open(core.files.as_ref(), table, &after).unwrap();
        assert_eq!(opened.sorted(), crate::part::sort::Sorted::Whole, "{table}");
    }
}

#[test]
fn rows_go_from_the_tail_from_parts_and_from_the_log() {
    let mut rig = Rig::new();
    for text in ["logs a", "logs x-one", "logs x-same", "logs b"] {
        rig.send(text).expect("stored");
    }
    rig.core().flush_step().expect("flushed");
    for number in 0..40 {
        rig.send(&format!("logs {number}{}", "y".repeat(300))).expect("stored");
    }
    rig.send_all(&["logs x-two\nlogs c", "logs x-same\naudit d"]);
    assert!(!log_files_with(&rig, "x-two").is_empty() && !log_files_with(&rig, "x-one").is_empty());
    let retry = "logs x-two\nlogs c";
    let erased = erase(rig.core(), &secrets()).unwrap();
    assert_eq!((erased.rows, erased.parts_with_rows, erased.log_is_clear), (4, 2, true), "{erased:?}");
    for text in ["x-one", "x-two", "x-same"] {
        assert_eq!(log_files_with(&rig, text), Vec::<String>::new(), "{text}");
    }
    let texts = |rig: &Rig| rig.texts(Table::Logs).into_iter().filter(|text| text.len() < 10).collect::<Vec<_>>();
    assert_eq!(texts(&rig), ["a", "b", "c"]);
    assert!(rig.send(retry).expect("known").duplicate, "a retry does not bring it back");
    rig.crash(7);
    assert_eq!(texts(&rig), ["a", "b", "c"]);
    assert_eq!(rig.rows(Table::Audit), [("d".to_owned(), 1)]);
    assert_eq!(rig.texts(Table::Logs).len(), 43);
    rig.send("logs d").expect("stored");
    assert_eq!(texts(&rig), ["a", "b", "c", "d"]);
}

#[test]
fn only_rows_in_the_range_go_and_parts_outside_are_not_opened() {
    let rig = Rig::new();
    let core = rig.core();
    let table = Table::Alerts;
    for number in 0..4 {
        put(core, table, &part(core, table, &times(number * 1000, 300, 3), 1));
    }
    let before = content(core, table);
    let range = TimeRange { start: UnixNano(START.0 + 1300), end: UnixNano(START.0 + 2600) };
    let erased = erase(core, &thirds(table, range)).unwrap();
    assert_eq!(erased.parts_read, 2);
    let goes = |time: i64| time % 3 == 0 && range.contains(UnixNano(time));
    let want: Vec<_> = before.into_iter().filter(|(time, _)| !goes(*time)).collect();
    assert!(content(core, table) == want);
    let last = TimeRange { start: UnixNano(i64::MAX - 3), end: UnixNano::MAX };
    let end = i64::MAX - i64::MAX % 3;
    put(core, table, &part(core, table, &[end], 1));
    assert_eq!(erase(core, &thirds(table, last)).unwrap().rows, 1, "the greatest instants are inside an open end");
}

#[test]
fn a_part_of_which_nothing_is_left_goes_without_another() {
    let rig = Rig::new();
    for text in ["logs x1\nlogs x2", "logs a"] {
        rig.send(text).expect("stored");
        rig.core().flush_step().expect("flushed");
    }
    assert_eq!(erase(rig.core(), &secrets()).unwrap().rows, 2);
    assert_eq!((files(rig.core(), Table::Logs), rig.texts(Table::Logs)), (1, vec!["a".to_owned()]));
}

#[test]
fn files_that_compaction_left_go_too_and_what_a_snapshot_reads_goes_right_after_it() {
    let rig = Rig::new();
    let want = eight(&rig);
    let core = rig.core();
    let held = core.tail.lock().snapshot(&TenantId::default());
    let before = texts_of(core.files.as_ref(), &held, Table::Logs);
    assert_eq!(compact(core), 1);
    let erased = erase(core, &secrets()).unwrap();
    assert_eq!((erased.rows, erased.files_deleted, erased.files_waiting), (8, 1, 8), "{erased:?}");
    assert_eq!(texts_of(core.files.as_ref(), &held, Table::Logs), before, "it reads what it began with");
    assert_eq!(core.sweep_step(KEEP).unwrap(), 0);
    drop(held);
    assert_eq!(core.sweep_step(KEEP).unwrap(), 8, "long before removed_keep");
    assert_eq!((files(core, Table::Logs), rig.texts(Table::Logs)), (1, want));
}

#[test]
fn the_log_keeps_what_a_tap_needs_and_says_so_and_then_it_goes() {
    let rig = Rig::new();
    let tap = Stuck::at(0);
    rig.core().feed.attach(Arc::clone(&tap) as Arc<dyn Tap>, 0);
    for number in 0..30 {
        rig.send(&format!("logs x{number:0>400}")).expect("stored");
    }
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        asked < 20
    };
    let erased = rig.core().erase(&TenantId::default(), &secrets(), &mut go_on).unwrap();
    assert_eq!((erased.rows, erased.log_is_clear), (30, false));
    while rig.core().feed_step(false) {}
    tap.move_to(30);
    rig.core().flush_step().expect("flushed");
    assert_eq!(log_files_with(&rig, "x000"), Vec::<String>::new(), "neither in segments nor in spares");
    rig.send("logs a").expect("stored");
    assert_eq!(rig.texts(Table::Logs), ["a"]);
}

#[test]
fn what_must_not_be_erased_is_refused_and_told_why() {
    let rig = Rig::new();
    let core = rig.core();
    eight(&rig);
    let tenant = TenantId::default();
    let refused = erase(core, &Erasure { table: Table::Audit, ..secrets() }).unwrap_err();
    assert!(refused.to_string().contains("storage.retention.audit"), "{refused}");
    let mut second = None;
    let mut go_on = || {
        second.get_or_insert_with(|| erase(core, &secrets()));
        true
    };
    let range = TimeRange { start: UnixNano(START.0 - 5), end: UnixNano(START.0) };
    core.erase(&tenant, &Erasure { range, dry_run: true, ..secrets() }, &mut go_on).unwrap();
    let all = core.erase(&tenant, &Erasure { dry_run: true, ..secrets() }, &mut go_on).unwrap();
    assert!(matches!(second, Some(Err(Error::Erasing(Table::Logs)))), "{second:?}");
    let hold = Hold {
        id: "case-7".to_owned(),
        tables: vec![Table::Logs],
        range: TimeRange { start: UnixNano(START.0 - 100), end: UnixNano(START.0 - 50) },
        reason: "the court asks".to_owned(),
        created: START,
    };
    core.begin_hold(&tenant, &hold).unwrap();
    let held = erase(core, &secrets()).unwrap_err();
    assert!(matches!(held, Error::Held(_)) && held.to_string().contains("case-7"), "{held}");
    assert_eq!(core.erase(&tenant, &Erasure { dry_run: true, ..secrets() }, &mut || true).unwrap(), all);
    let outside = TimeRange { start: UnixNano(START.0), end: UnixNano::MAX };
    assert_eq!(erase(core, &Erasure { range: outside, ..secrets() }).unwrap().rows, all.rows);
    let broken = Condition::new(Vec::new(), Box::new(|_| Err(ArrowError::DivideByZero)));
    let told = erase(core, &Erasure { condition: broken, range: outside, ..secrets() }).unwrap_err();
    assert!(matches!(told, Error::Condition(_)), "{told}");
}

#[test]
fn a_part_that_cannot_be_read_keeps_no_other_from_being_erased_and_is_named() {
    let rig = Rig::new();
    let want = eight(&rig);
    let core = rig.core();
    let damaged = live(core, Table::Logs)[2].location.clone();
    let path = core.files.path(&damaged);
    let content = rig.disk.read(&path).unwrap();
    let middle = content.len() - 20;
    for offset in middle..middle + 10 {
        rig.disk.flip(Path::new(&path), offset);
    }
    let told = erase(core, &secrets()).unwrap_err();
    assert!(told.to_string().contains(damaged.filename().unwrap()), "{told}");
    assert_eq!(live(core, Table::Logs).len(), 8);
    for offset in middle..middle + 10 {
        rig.disk.flip(Path::new(&path), offset);
    }
    let left = rig.texts(Table::Logs);
    assert_eq!(left.len(), 9, "{left:?}");
    assert_eq!(erase(core, &secrets()).unwrap().rows, 1);
    assert_eq!(rig.texts(Table::Logs), want);
    assert_eq!(core.counters.erased_rows.load(Ordering::Relaxed), 8);
}
