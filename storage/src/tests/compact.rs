//! Merging parts changes no row, whoever reads, appends, merges or dies meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::{AsArray, DictionaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use object_store::path::Path as Location;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracelake_model::{Clock as _, ManualClock, Position, SystemClock, Table, TenantId, UnixNano, column};

use crate::core::Core;
use crate::files::file::Chunks;
use crate::open;
use crate::part::file::{Commits, NewPart, Part};
use crate::part::sample;
use crate::part::sort::{ORDER_KEY, Order};
use crate::part::writer::{PartWriter, write_parts};
use crate::point::Point;
use crate::seam::Seams;
use crate::simulation::SimDisk;
use crate::sweep::ORPHAN_AGE;
use crate::tests::parts::{files, live, part, put, times};
use crate::tests::rig::{LineDecoder, Rig, START, documents, rows as texts_of};

const KEEP: Duration = Duration::from_secs(3600);

pub(crate) fn compact(core: &Core) -> usize {
    (0..).take_while(|_| core.compact_step(&mut || true).unwrap()).count()
}

pub(crate) fn read(core: &Core, part: &Part) -> Vec<RecordBatch> {
    let file = core.files.open(&part.location).map(Chunks).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

/// Every row with all its columns, as bytes, sorted.
fn content(core: &Core, table: Table) -> Vec<Vec<u8>> {
    let fields = table.file_schema();
    let fields = fields.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
    let converter = RowConverter::new(fields).unwrap();
    let mut found = Vec::new();
    for part in live(core, table) {
        for batch in read(core, &part) {
            let rows = converter.convert_columns(batch.columns()).unwrap();
            found.extend(rows.iter().map(|row| row.data().to_vec()));
        }
    }
    found.sort();
    found
}

#[test]
fn every_table_keeps_its_rows_and_equal_spans_become_one() {
    for table in Table::ALL {
        let rig = Rig::new();
        let core = rig.core();
        for number in 0..8 {
            // Two parts in eight repeat others.
            let seed = number % 6;
            put(core, table, &part(core, table, &times(i64::try_from(seed).unwrap() * 977, 150, 1_000_000_007), seed));
        }
        let before = content(core, table);
        assert_eq!(before.len(), 8 * 150);
        assert_eq!(compact(core), 1, "{table}");
        let mut expected = before;
        if table == Table::Spans {
            expected.dedup();
            assert_eq!(expected.len(), 6 * 150, "the sample repeats rows");
        }
        assert!(content(core, table) == expected, "{table}");
        let parts = live(core, table);
        assert_eq!((parts.len(), parts[0].rows), (1, expected.len() as u64), "{table}");
        let rows = read(core, &parts[0]);
        check_order(table, &rows);
        let log = core.logs.read(&TenantId::default(), table).unwrap();
        assert_eq!((log.live(), log.flushed()), (parts, Position(8)), "{table} opened again");
    }
}

#[test]
fn a_minutes_older_generations_go_with_a_merge_and_other_minutes_stay() {
    let rig = Rig::new();
    let (core, table) = (rig.core(), Table::ServiceEdges);
    for generation in [3, 1, 8, 2, 8, 5, 4, 6] {
        // Two rows of a minute that all have, one of a minute of its own.
        let rows = sample::rows(table, &[60, 60, 60 * (generation + 10)], 7);
        let place = rows.schema().index_of(column::GENERATION).unwrap();
        let mut columns = rows.columns().to_vec();
        columns[place] = Arc::new(Int64Array::from_value(generation, rows.num_rows()));
        let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
        let tenant = TenantId::default();
        put(core, table, &write_parts(core.files.as_ref(), &tenant, table, &[rows], core.clock.now()).unwrap());
    }
    assert_eq!(compact(core), 1);
    let mut found = Vec::new();
    for batch in read(core, &live(core, table)[0]) {
        let numbers = |name| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().values().to_vec();
        found.extend(numbers(column::MINUTE_UNIX_NANO).into_iter().zip(numbers(column::GENERATION)));
    }
    let others = [1, 2, 3, 4, 5, 6, 8, 8].map(|generation| (60 * (generation + 10), generation));
    assert_eq!(found, [vec![(60, 8); 4], others.to_vec()].concat());
}

fn check_order(table: Table, batches: &[RecordBatch]) {
    let order = Order::new(table).unwrap();
    let typed = |batch: &RecordBatch| {
        let schema = table.schema();
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap()).collect();
        RecordBatch::try_new(schema, columns).unwrap()
    };
    let keys: Vec<_> = batches.iter().map(|batch| order.keys(&typed(batch)).unwrap()).collect();
    let keys: Vec<&[u8]> = keys.iter().flat_map(|rows| rows.iter().map(|row| row.data())).collect();
    assert!(keys.is_sorted(), "{table}");
}

/// The sample's spans, all called the same.
fn named(core: &Core, times: &[i64], name: &str) -> Vec<NewPart> {
    let rows = sample::rows(Table::Spans, times, 7);
    let place = rows.schema().index_of(column::NAME).unwrap();
    let mut columns = rows.columns().to_vec();
    columns[place] = Arc::new(std::iter::repeat_n(Some(name), rows.num_rows()).collect::<DictionaryArray<Int32Type>>());
    let rows = RecordBatch::try_new(rows.schema(), columns).unwrap();
    write_parts(core.files.as_ref(), &TenantId::default(), Table::Spans, &[rows], core.clock.now()).unwrap()
}

#[test]
fn rows_of_one_span_stay_in_the_order_they_were_stored_in_through_every_merge() {
    let rig = Rig::new();
    let core = rig.core();
    let mut want = Vec::new();
    for number in 0..70 {
        rig.clock.advance(Duration::from_secs(1));
        // Every fifth row was stored before: it is dropped there, as it came last here. Sizes are of several tiers.
        let name = if number % 5 == 4 { number - 4 } else { number };
        want.retain(|known| *known != name);
        want.push(name);
        let rows = if number % 10 == 3 { 700 } else { 40 };
        put(core, Table::Spans, &named(core, &times(0, rows, 1_000_003), &format!("op{name:02}")));
        compact(core);
    }
    rig.clock.advance(KEEP * 2);
    compact(core);
    let parts = live(core, Table::Spans);
    assert_eq!(parts.len(), 1);
    let mut names: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for batch in parts.iter().flat_map(|part| read(core, part)) {
        let ids = batch.column_by_name(column::SPAN_ID).unwrap().as_binary::<i32>();
        let name = batch.column_by_name(column::NAME).unwrap().as_string::<i32>();
        for row in 0..batch.num_rows() {
            names.entry(ids.value(row).to_vec()).or_default().push(name.value(row).to_owned());
        }
    }
    let want: Vec<String> = want.into_iter().map(|number| format!("op{number:02}")).collect();
    let first = names.values().next().unwrap();
    assert!(names.len() >= 700 && first.ends_with(&want[want.len() - 3..]), "{first:?}");
    for (id, names) in names {
        let last = names.last().unwrap();
        let stood: Vec<&String> = want.iter().filter(|name| names.contains(name)).collect();
        assert_eq!(stood, names.iter().collect::<Vec<_>>(), "{id:?} ends with {last}");
    }
}

#[test]
fn merges_of_many_batches_and_chunks_keep_order_and_rows() {
    for table in [Table::Spans, Table::Alerts] {
        let rig = Rig::new();
        let core = rig.core();
        for number in 0..8 {
            // All within a minute and with few keys: groups are long and cross every boundary.
            put(core, table, &part(core, table, &times(number / 2, 5000, 3), 5));
        }
        let before = content(core, table);
        assert_eq!(compact(core), 1);
        let after = content(core, table);
        if table == Table::Spans {
            let distinct = before.iter().collect::<BTreeSet<_>>();
            assert!(distinct.len() < before.len(), "the sample repeats rows");
            assert!(after.iter().collect::<BTreeSet<_>>() == distinct, "no row is lost");
            assert!(after.len() == distinct.len(), "{} of {}", after.len(), distinct.len());
        } else {
            assert!(after == before);
        }
        check_order(table, &read(core, &live(core, table)[0]));
    }
}

#[test]
fn a_merge_that_dies_at_any_point_changes_no_row_and_leaves_no_file() {
    for (point, restart) in
        [(Point::Merged, false), (Point::Merged, true), (Point::Swapped, false), (Point::Swapped, true)]
    {
        let mut rig = Rig::new();
        for number in 0..8 {
            rig.send(&format!("logs {number}")).expect("stored");
            rig.core().flush_step().expect("flushed");
        }
        let want = rig.texts(Table::Logs);
        *rig.core().crash_at.lock() = Some(point);
        assert!(rig.core().compact_step(&mut || true).is_err(), "{point:?}");
        assert_eq!(files(rig.core(), Table::Logs), 9);
        assert_eq!(rig.texts(Table::Logs), want, "{point:?} while it fails");
        if restart {
            rig.crash(3);
        }
        *rig.core().crash_at.lock() = None;
        assert_eq!(rig.texts(Table::Logs), want, "{point:?} {restart}");
        rig.send("logs 9").expect("stored");
        rig.core().flush_step().expect("flushed");
        let want = [want, vec!["9".to_owned()]].concat();
        compact(rig.core());
        assert_eq!(rig.texts(Table::Logs), want, "{point:?} {restart}");
        // The files are as old as the machine's clock says, the store's clock is the test's.
        rig.clock.set(UnixNano(i64::MAX / 2));
        rig.core().sweep_step(KEEP).expect("swept");
        rig.core().sweep_orphans().expect("swept");
        assert_eq!(files(rig.core(), Table::Logs), live(rig.core(), Table::Logs).len(), "{point:?} {restart}");
        assert_eq!(rig.texts(Table::Logs), want, "{point:?} {restart}");
    }
}

#[test]
fn a_held_snapshot_reads_its_files_and_they_go_when_it_is_dropped_and_old() {
    let rig = Rig::new();
    let core = rig.core();
    for number in 0..8 {
        rig.send(&format!("logs {number}")).expect("stored");
        core.flush_step().expect("flushed");
    }
    let want = rig.rows(Table::Logs);
    let held = core.tail.lock().snapshot(&TenantId::default());
    assert_eq!(compact(core), 1);
    assert_eq!(core.sweep_step(Duration::ZERO).unwrap(), 0, "the snapshot holds them");
    rig.clock.advance(KEEP * 2);
    assert_eq!(core.sweep_step(KEEP).unwrap(), 0, "the snapshot still holds them");
    assert_eq!(texts_of(core.files.as_ref(), &held, Table::Logs), want);
    drop(held);
    assert_eq!(core.sweep_step(KEEP).unwrap(), 8);
    assert_eq!((rig.rows(Table::Logs), files(core, Table::Logs)), (want, 1));
    assert_eq!(core.sweep_step(Duration::ZERO).unwrap(), 0, "once is enough");
}

#[test]
fn removed_files_stay_for_other_readers_and_go_later_also_after_a_restart() {
    let mut rig = Rig::new();
    for number in 0..8 {
        rig.send(&format!("logs {number}")).expect("stored");
        rig.core().flush_step().expect("flushed");
    }
    let want = rig.rows(Table::Logs);
    assert_eq!(compact(rig.core()), 1);
    rig.clock.advance(KEEP / 2);
    assert_eq!(rig.core().sweep_step(KEEP).unwrap(), 0);
    rig.reopen().expect("it opens");
    assert_eq!(rig.core().sweep_step(KEEP).unwrap(), 0);
    rig.core().sweep_orphans().expect("swept");
    assert_eq!(files(rig.core(), Table::Logs), 9, "removed is not without a commit");
    rig.clock.advance(KEEP / 2);
    assert_eq!(rig.core().sweep_step(KEEP).unwrap(), 8);
    assert_eq!(rig.rows(Table::Logs), want);
}

#[test]
fn removed_files_are_known_from_a_checkpoint_too() {
    let mut rig = Rig::new();
    // Checkpoints leave out what was removed long ago by the machine's own clock.
    rig.clock.set(SystemClock.now());
    for number in 0..104 {
        rig.send(&format!("logs {number}")).expect("stored");
        rig.core().flush_step().expect("flushed");
        compact(rig.core());
    }
    let (log, files_of) = (Location::from("default/logs/_delta_log"), Arc::clone(&rig.core().files));
    assert!(files_of.read(&log.clone().join("00000000000000000100.checkpoint.parquet")).is_ok());
    for version in 0..100 {
        assert!(files_of.remove(&log.clone().join(format!("{version:020}.json"))).unwrap());
    }
    let want = rig.rows(Table::Logs);
    let all = files(rig.core(), Table::Logs);
    rig.reopen().expect("it opens");
    assert_eq!(rig.rows(Table::Logs), want);
    let parts = live(rig.core(), Table::Logs).len();
    assert!(parts < 20, "{parts}");
    rig.clock.advance(KEEP);
    assert_eq!(rig.core().sweep_step(KEEP).unwrap(), (all - parts) as u64);
    assert_eq!(rig.rows(Table::Logs), want);
}

#[test]
fn readers_see_every_row_once_while_others_append_flush_merge_and_delete() {
    let rig = Rig::new();
    let core = Arc::clone(rig.core());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                core.compact_step(&mut || true).expect("merged");
                core.sweep_step(Duration::ZERO).expect("swept");
                core.sweep_orphans().expect("swept");
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                core.flush_step().expect("flushed");
            }
        });
        let merges = || core.counters.compactions.load(Ordering::SeqCst);
        for number in 0..1000 {
            if number >= 60 && merges() >= 3 {
                break;
            }
            rig.send(&format!("logs {number:04}\naudit {number:04}")).expect("stored");
            let snapshot = core.tail.lock().snapshot(&TenantId::default());
            let want: Vec<_> = (0..=number).map(|number| format!("{number:04}")).collect();
            for table in [Table::Logs, Table::Audit] {
                let found: Vec<_> =
                    texts_of(core.files.as_ref(), &snapshot, table).into_iter().map(|(text, _)| text).collect();
                assert_eq!(found, want, "{table}");
            }
        }
        over.store(true, Ordering::SeqCst);
    });
    assert!(core.counters.compactions.load(Ordering::SeqCst) >= 3, "too little was merged");
    let seqs: Vec<_> = rig.rows(Table::Audit).into_iter().map(|(_, seq)| seq).collect();
    assert!(seqs.len() >= 60 && seqs.iter().copied().eq(1..=seqs.len() as i64), "{seqs:?}");
}

/// Another server of the same directory, as on shared storage: its own log, the same tables.
pub(crate) fn rival(rig: &Rig) -> Core {
    let seams = Seams {
        clock: Arc::new(ManualClock::new(START)),
        decoder: Arc::new(LineDecoder),
        disk: Arc::new(SimDisk::default()),
        files: rig.files(),
        documents: documents(Arc::new(SimDisk::default()), &rig.config),
    };
    open::open(rig.config.clone(), &seams).expect("it opens")
}

#[test]
fn two_servers_that_merge_the_same_table_double_and_lose_nothing() {
    let rig = Rig::new();
    let table = Table::Alerts;
    for number in 0..64 {
        put(rig.core(), table, &part(rig.core(), table, &times(number * 1000, 20, 1), 1));
    }
    let want = content(rig.core(), table);
    let rivals = [rival(&rig), rival(&rig), rival(&rig)];
    std::thread::scope(|scope| {
        for rival in &rivals {
            scope.spawn(|| compact(rival));
        }
    });
    let merges: u64 = rivals.iter().map(|rival| rival.counters.compactions.load(Ordering::SeqCst)).sum();
    assert!(merges > 0);
    for core in rivals.iter().chain([rig.core().as_ref()]) {
        core.sweep_orphans().expect("caught up");
        assert!(content(core, table) == want, "{} rows", content(core, table).len());
    }
    let again = rival(&rig);
    assert!(content(&again, table) == want);
    assert_eq!(files(&again, table) as u64, 64 + merges, "losers leave no files");
}

#[test]
fn a_server_that_slept_cannot_bring_back_what_others_merged() {
    let rig = Rig::new();
    for number in 0..8 {
        put(rig.core(), Table::Logs, &part(rig.core(), Table::Logs, &times(number, 10, 1), 1));
    }
    let want = content(rig.core(), Table::Logs);
    let sleeper = rival(&rig);
    assert_eq!(compact(rig.core()), 1);
    let before = live(&sleeper, Table::Logs);
    assert_eq!(before.len(), 8, "it does not know yet");
    let tenant = TenantId::default();
    let shared = sleeper.logs.get(&tenant, Table::Logs).unwrap();
    assert!(!shared.lock().replace(&before, &[], START).unwrap(), "what it removes is not live any more");
    assert!(!shared.lock().replace(&before[..1], &[], START).unwrap());
    sleeper.show(&tenant, Table::Logs, &shared.lock());
    assert!(content(&sleeper, Table::Logs) == want);
    assert!(content(&rival(&rig), Table::Logs) == want);
}

#[test]
fn rows_of_a_flush_that_committed_unheard_are_shown_once_by_whoever_reads_the_log_first() {
    let rig = Rig::new();
    rig.send("logs a").expect("stored");
    *rig.core().crash_at.lock() = Some(Point::Committed);
    assert!(rig.core().flush_step().is_err());
    *rig.core().crash_at.lock() = None;
    assert_eq!(rig.texts(Table::Logs), ["a"]);
    rig.core().sweep_orphans().expect("swept");
    assert_eq!(rig.texts(Table::Logs), ["a"]);
    rig.send("logs b").expect("stored");
    rig.core().flush_step().expect("flushed");
    assert_eq!(rig.texts(Table::Logs), ["a", "b"]);
}

#[test]
fn a_part_that_cannot_be_merged_is_left_alone_and_the_others_are_merged() {
    let rig = Rig::new();
    let core = rig.core();
    let table = Table::Alerts;
    for number in 0..9 {
        put(core, table, &part(core, table, &times(number * 100, 20, 1), 1));
    }
    let damaged = live(core, table)[3].location.clone();
    // It says that it is in order, and is not.
    let mut writer = PartWriter::create(core.files.as_ref(), &TenantId::default(), table, &START.date(), 20).unwrap();
    writer.note_order(ORDER_KEY);
    let backwards: Vec<i64> = times(5000, 20, 1).into_iter().rev().collect();
    writer.write_all(&sample::rows(table, &backwards, 1)).unwrap();
    put(core, table, &[writer.finish(START, Commits::UNKNOWN).unwrap()]);
    let want = content(core, table);
    let whole = core.files.read(&damaged).unwrap();
    core.files.replace(&damaged, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(compact(core), 3, "two that fail, then the rest");
    assert_eq!(live(core, table).len(), 2, "the damaged one is in quarantine");
    assert_eq!(core.counters.compaction_failures.load(Ordering::SeqCst), 1);
    let gaps = core.register.gaps(&TenantId::default(), table);
    assert_eq!((gaps.len(), gaps[0].rows), (1, 20));
    let after = content(core, table);
    assert_eq!(after.len(), want.len() - 20);
    assert!(after.iter().all(|row| want.contains(row)));
}

#[test]
fn a_merge_that_is_told_to_stop_leaves_nothing_behind() {
    let rig = Rig::new();
    let core = rig.core();
    for number in 0..8 {
        put(core, Table::Alerts, &part(core, Table::Alerts, &times(number * 1000, 5000, 1), 1));
    }
    assert!(core.compact_step(&mut || false).unwrap());
    assert_eq!((live(core, Table::Alerts).len(), files(core, Table::Alerts)), (8, 8));
}

#[test]
fn a_file_whose_commit_may_be_on_its_way_is_not_deleted() {
    let rig = Rig::new();
    let core = rig.core();
    put(core, Table::Logs, &part(core, Table::Logs, &times(0, 3, 1), 1));
    let waits = part(core, Table::Logs, &times(5, 3, 1), 1);
    rig.clock.advance(ORPHAN_AGE.checked_sub(Duration::from_secs(1)).unwrap());
    assert_eq!(core.sweep_orphans().unwrap(), 0);
    put(core, Table::Logs, &waits);
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(core.sweep_orphans().unwrap(), 0, "its commit came");
    let never = part(core, Table::Logs, &times(9, 3, 1), 1);
    assert!(core.files.put_new(&"default/logs/date=2023-11-14/part-of-others.parquet".into(), b"x").unwrap());
    rig.clock.advance(ORPHAN_AGE);
    assert_eq!(core.sweep_orphans().unwrap(), 1);
    assert!(core.files.read(&waits[0].part.location).is_ok() && core.files.read(&never[0].part.location).is_err());
}
