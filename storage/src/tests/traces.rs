//! A trace is looked for in the parts that hold it, and never in too few: whatever happens to an index, an answer stays
//! whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracelake_model::{Table, TenantId, column};

use crate::config::Config;
use crate::core::Core;
use crate::files::file::{Chunks, Files};
use crate::part::file::{NewPart, Part};
use crate::part::sample;
use crate::part::trace_read;
use crate::tests::parts::{live, part, put, times};
use crate::tests::rig::Rig;
use crate::traces::TracePart;

/// Rows of each trace, by part.
type Truth = BTreeMap<Vec<u8>, BTreeMap<String, Vec<u64>>>;

fn read(files: &dyn Files, part: &Part) -> Vec<RecordBatch> {
    let file = files.open(&part.location).map(Chunks).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

fn truth(core: &Core, table: Table) -> Truth {
    let mut truth = Truth::new();
    for part in live(core, table) {
        let mut row = 0;
        for batch in read(core.files.as_ref(), &part) {
            for id in batch.column_by_name(column::TRACE_ID).unwrap().as_binary::<i32>() {
                if let Some(id) = id {
                    let parts = truth.entry(id.to_vec()).or_default();
                    parts.entry(part.location.to_string()).or_default().push(row);
                }
                row += 1;
            }
        }
    }
    truth
}

fn find(core: &Core, table: Table, ids: &[&[u8]]) -> Vec<TracePart> {
    let snapshot = core.tail.lock().snapshot(&TenantId::default()).with_traces(&core.traces);
    snapshot.parts_with_traces(table, ids)
}

fn load(core: &Core) {
    core.load_traces(&mut || true).expect("loaded");
}

/// Every trace is found where it is; nothing else is looked into where `exact`.
fn check(core: &Core, table: Table, exact: bool) {
    let truth = truth(core, table);
    assert!(truth.len() > 100, "the sample has traces");
    for (id, places) in &truth {
        let found = find(core, table, &[id]);
        let names: BTreeSet<String> = found.iter().map(|found| found.part.location.to_string()).collect();
        assert!(places.keys().all(|place| names.contains(place)), "{id:?} is in {places:?}, found {names:?}");
        assert!(!exact || names.len() == places.len(), "{id:?} is in {places:?} only, found {names:?}");
        for found in found {
            let Some(rows) = found.rows else { continue };
            assert!(rows.is_sorted_by(|a, b| a.end < b.start), "{rows:?}");
            assert!(rows.last().is_some_and(|last| last.end <= found.part.rows), "{rows:?}");
            let held = places.get(found.part.location.as_ref()).into_iter().flatten();
            for row in held {
                assert!(rows.iter().any(|range| range.contains(row)), "row {row} in {rows:?}");
            }
        }
    }
    assert!(!exact || find(core, table, &[b"none of them"]).is_empty());
    let three: Vec<&[u8]> = truth.keys().take(3).map(Vec::as_slice).collect();
    let names: BTreeSet<_> = find(core, table, &three).into_iter().map(|found| found.part.location.clone()).collect();
    let apart = three.iter().flat_map(|id| find(core, table, &[id])).map(|found| found.part.location.clone()).collect();
    assert_eq!(names, apart, "several at once are each alone together");
}

#[test]
fn a_trace_is_looked_for_where_it_is_after_flush_merge_and_restart() {
    for table in [Table::Spans, Table::Logs] {
        let mut rig = Rig::new();
        for number in 0..8 {
            put(
                rig.core(),
                table,
                &part(rig.core(), table, &times(number * 1_000_007, 3000, 77_777_777), number as usize * 3),
            );
        }
        let first = truth(rig.core(), table);
        let id = first.keys().next().unwrap();
        let unknown = find(rig.core(), table, &[id]);
        assert!(unknown.len() == 8 && unknown.iter().all(|found| found.rows.is_none()), "not read yet");
        load(rig.core());
        check(rig.core(), table, true);
        assert!(rig.core().compact_step(&mut || true).unwrap());
        check(rig.core(), table, true);
        assert_eq!(rig.core().traces.held().parts, 9, "the old ones are held until the next round");
        load(rig.core());
        assert_eq!(rig.core().traces.held().parts, 1);
        rig.reopen().expect("it opens");
        check(rig.core(), table, false);
        load(rig.core());
        check(rig.core(), table, true);
    }
}

#[test]
fn rows_that_a_flush_wrote_are_known_at_once() {
    let rig = Rig::new();
    rig.send("logs a").expect("stored");
    rig.core().flush_step().expect("flushed");
    assert_eq!(live(rig.core(), Table::Logs).len(), 1);
    assert!(find(rig.core(), Table::Logs, &[&[7; 16]]).is_empty(), "its only row has no trace");
}

#[test]
fn tables_without_an_index_are_read_whole() {
    let rig = Rig::new();
    put(rig.core(), Table::Exceptions, &part(rig.core(), Table::Exceptions, &times(0, 10, 1), 1));
    load(rig.core());
    let found = find(rig.core(), Table::Exceptions, &[b"any"]);
    assert!(found.len() == 1 && found[0].rows.is_none());
}

/// The same rows as another program writes them.
fn foreign(core: &Core, new: &NewPart) {
    let batches = read(core.files.as_ref(), &new.part);
    let mut content = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut content, batches[0].schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.close().unwrap();
    core.files.replace(&new.part.location, &content).unwrap();
}

#[test]
fn a_part_without_an_index_or_with_a_damaged_one_gets_one_from_its_rows() {
    let rig = Rig::new();
    let core = rig.core();
    let new = part(core, Table::Spans, &times(0, 5000, 1), 1).remove(0);
    let location = new.part.location.clone();
    let want = new.traces.as_deref().cloned().unwrap();
    assert_eq!(trace_read::read(core.files.as_ref(), &location).unwrap(), want);
    let whole = core.files.read(&location).unwrap();
    let at = whole.windows(4).position(|window| window == b"TLTX").expect("the index lies in the part");
    for offset in [0, 5, 9, 40, 5000] {
        let mut damaged = whole.to_vec();
        damaged[at + offset] ^= 1;
        core.files.replace(&location, &damaged).unwrap();
        assert_eq!(trace_read::read(core.files.as_ref(), &location).unwrap(), want, "byte {offset}");
    }
    foreign(core, &new);
    assert_eq!(trace_read::read(core.files.as_ref(), &location).unwrap(), want);
    core.files.replace(&location, &whole[..whole.len() / 2]).unwrap();
    assert!(trace_read::read(core.files.as_ref(), &location).is_err());
}

#[test]
fn a_part_that_cannot_be_read_may_hold_every_trace() {
    let rig = Rig::new();
    let core = rig.core();
    let new = part(core, Table::Spans, &times(0, 500, 1), 1);
    put(core, Table::Spans, &new);
    let whole = core.files.read(&new[0].part.location).unwrap();
    core.files.replace(&new[0].part.location, &whole[..100]).unwrap();
    load(core);
    load(core);
    let found = find(core, Table::Spans, &[b"any"]);
    assert!(found.len() == 1 && found[0].rows.is_none());
    assert_eq!(core.traces.held().parts, 0);
}

#[test]
fn beyond_its_memory_the_parts_stored_first_are_looked_into_always() {
    let mut rig = Rig::closed();
    let one = sample::rows(Table::Spans, &times(0, 1000, 1), 0);
    let bytes = 12 + 8 + 6 * one.num_rows() as u64;
    rig.config = Config { trace_index_bytes: 3 * bytes, ..rig.config };
    rig.reopen().expect("it opens");
    for number in 0..5_usize {
        rig.clock.advance(std::time::Duration::from_secs(1));
        let parts: Vec<NewPart> = part(rig.core(), Table::Spans, &times(0, 1000, 1), number * 10_000);
        let later = |new: NewPart| NewPart {
            part: Part { stored: tracelake_model::Clock::now(&rig.clock), ..new.part },
            ..new
        };
        put(rig.core(), Table::Spans, &parts.into_iter().map(later).collect::<Vec<_>>());
    }
    let core = rig.core();
    for _ in 0..2 {
        load(core);
        assert_eq!((core.traces.held().parts, core.traces.held().bytes <= 3 * bytes), (3, true));
        let found = find(core, Table::Spans, &[b"none of them"]);
        let oldest: Vec<Arc<Part>> = live(core, Table::Spans).into_iter().take(2).collect();
        assert_eq!(found.into_iter().map(|found| found.part).collect::<Vec<_>>(), oldest);
        check(core, Table::Spans, false);
    }
    // When newer ones go there is room again.
    let shared = core.logs.get(&TenantId::default(), Table::Spans).unwrap();
    let newest = live(core, Table::Spans).split_off(3);
    assert!(shared.lock().replace(&newest, &[], tracelake_model::Clock::now(&rig.clock)).unwrap());
    core.show(&TenantId::default(), Table::Spans, &shared.lock());
    load(core);
    check(core, Table::Spans, true);
}
