//! A value index never rules out what a row holds: in a part as it was written, merged, erased from, and in one whose row
//! groups were copied.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{Int8Type, Int64Type};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tracelake_model::semconv::{PromotedKind, RESOURCE, SPAN};
use tracelake_model::{Table, TenantId, TimeRange, Value, column};

use crate::core::Core;
use crate::part::file::Part;
use crate::part::filter;
use crate::part::merge::Merge;
use crate::part::sample;
use crate::part::splice::Splice;
use crate::part::value_index::{ValuePlace, places};
use crate::part::value_key;
use crate::part::writer::write_parts;
use crate::tests::compact::read;
use crate::tests::erase::thirds;
use crate::tests::parts::times;
use crate::tests::rig::{Rig, START};

/// A value that is easy to get wrong, from `n` distinct ones of each kind.
fn value(random: &mut StdRng, n: u64) -> Value {
    let number = random.random_range(0..n);
    match random.random_range(0..14) {
        0 => Value::Int(i64::try_from(number).unwrap()),
        1 => Value::Int(i64::MIN + i64::try_from(number).unwrap()),
        2 => Value::Double(number as f64 + 0.5),
        3 => Value::Double([f64::NAN, f64::INFINITY, -0.0, 1e300][usize::try_from(number % 4).unwrap()]),
        4 => Value::Bool(number.is_multiple_of(2)),
        5 => Value::Empty,
        6 => Value::Bytes(number.to_be_bytes().to_vec()),
        7 => Value::Array(vec![Value::Int(1), Value::String(format!("in {number}"))]),
        8 => Value::Map(vec![("$k".to_owned(), Value::String(format!("in {number}")))]),
        9 => Value::String(format!("\"quoted\\ {number}\n")),
        10 => Value::String(format!("{number}")),
        11 => Value::String("🛒".repeat(usize::try_from(number % 200).unwrap())),
        _ => Value::String(format!("x-{number}")),
    }
}

/// Rows of the sample with texts that are attributes, of which some stand in few rows.
fn rows(first: i64, count: i64, seed: u64) -> RecordBatch {
    let mut random = StdRng::seed_from_u64(seed);
    let base = sample::rows(Table::Spans, &times(first, count, 1_003), usize::try_from(first).unwrap());
    let n = base.num_rows();
    let mut text = |what: &dyn Fn(&mut StdRng) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter((0..n).map(|_| what(&mut random))))
    };
    let attributes = |some: Vec<(&str, Value)>| {
        let mut json = String::new();
        let some: Vec<(String, Value)> = some.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Value::push_attributes(&some, &mut json);
        Some(json)
    };
    let rest = text(&|random| {
        let id = Value::String(format!("order {}", random.random_range(0..1_u64 << 40)));
        match random.random_range(0..10) {
            0 => None,
            1 => attributes(Vec::new()),
            2 => attributes(vec![("order", id), ("odd\"", value(random, 9)), ("$key", value(random, 9))]),
            _ => attributes(vec![("k", value(random, 1 << 20)), ("order", id)]),
        }
    });
    let resource = text(&|random| attributes(vec![("host.name", value(random, 50)), ("zone", value(random, 3))]));
    let route =
        text(&|random| (random.random_range(0..3) > 0).then(|| format!("/{}", random.random_range(0..1_u64 << 40))));
    let url = text(&|random| (random.random_range(0..3) > 0).then(|| format!("/{}", random.random_range(0..90))));
    let threads = Int64Array::from_iter((0..n).map(|row| (row % 3 > 0).then(|| i64::try_from(row / 5).unwrap())));
    let statuses = Int8Array::from_iter_values((0..n).map(|row| if row % 19_998 < 2 { 2 } else { 0 }));
    let columns = base.columns().iter().zip(base.schema_ref().fields()).map(|(column, field)| {
        let new: ArrayRef = match field.name().as_str() {
            column::STATUS_CODE => Arc::new(statuses.clone()),
            column::ATTRIBUTES_REST => Arc::clone(&rest),
            column::RESOURCE_ATTRIBUTES => Arc::clone(&resource),
            "http_route" => Arc::clone(&route),
            "url_full" => Arc::clone(&url),
            "thread_id" => Arc::new(threads.clone()),
            _ => Arc::clone(column),
        };
        cast(&new, field.data_type()).unwrap()
    });
    RecordBatch::try_new(base.schema(), columns.collect()).unwrap()
}

fn part(core: &Core, first: i64, count: i64, seed: u64) -> Arc<Part> {
    let rows = rows(first, count, seed);
    let made = write_parts(core.files.as_ref(), &TenantId::default(), Table::Spans, &[rows], START).unwrap();
    Arc::new({ made }.remove(0).part)
}

/// What a row holds, as whoever asks names it.
fn hashes(rows: &RecordBatch, row: usize) -> Vec<u64> {
    let text = |name: &str| {
        let texts = rows.column_by_name(name).unwrap().as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let mut found: Vec<u64> = Vec::new();
    found.extend(text(column::SERVICE_NAME).map(|name| value_key::text("service.name", &name)));
    found.extend(text(column::NAME).map(|name| value_key::text("span:name", &name)));
    let status = rows.column_by_name(column::STATUS_CODE).unwrap().as_primitive::<Int8Type>();
    if status.value(row) == 2 {
        found.extend([value_key::failed(None), value_key::failed(text(column::SERVICE_NAME).as_deref())]);
    }
    for promoted in SPAN.iter().chain(RESOURCE) {
        if promoted.kind == PromotedKind::String {
            found.extend(text(promoted.column).map(|text| value_key::text(promoted.key, &text)));
        } else {
            let numbers = rows.column_by_name(promoted.column).unwrap().as_primitive::<Int64Type>();
            found.extend(numbers.is_valid(row).then(|| value_key::number(promoted.key, numbers.value(row) as f64)));
        }
    }
    for name in [column::ATTRIBUTES_REST, column::RESOURCE_ATTRIBUTES] {
        for (key, value) in text(name).map(|text| Value::parse_attributes(&text).unwrap()).unwrap_or_default() {
            match value {
                Value::Int(number) => found.push(value_key::number(&key, number as f64)),
                Value::Double(number) => found.push(value_key::number(&key, number)),
                Value::Bytes(_) | Value::Array(_) | Value::Map(_) => found.extend(value_key::odd(&key)),
                plain => found.push(value_key::text(&key, &plain.to_text())),
            }
        }
    }
    found
}

/// Rows that may hold a value, by the index alone.
fn may_hold(places: &[ValuePlace], content: &[u8], hash: u64) -> Vec<Range<u64>> {
    let at = |byte: u64| usize::try_from(byte).unwrap();
    let of = |place: &ValuePlace| {
        let run = if place.is_known() { place.run(hash) } else { 0..0 };
        place.rows(&place.chunks(&content[at(run.start)..at(run.end)], hash))
    };
    places.iter().flat_map(of).collect()
}

/// Everything that rows hold may be held by them; of what none holds little is thought to be.
fn check(core: &Core, part: &Part, known: &[bool]) {
    let content = core.files.read(&part.location).unwrap().to_vec();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content.clone())).unwrap();
    let places = places(reader.metadata());
    assert_eq!(places.iter().map(|place| place.is_known()).collect::<Vec<_>>(), known, "{}", part.location);
    if known.is_empty() {
        return;
    }
    let batches = read(core, part);
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    let mut left: BTreeSet<usize> = (0..rows.num_rows()).step_by(17).collect();
    // Both sides of chunks and row groups.
    left.extend((0..rows.num_rows()).filter(|row| row % 20_000 < 3 || row % 20_000 > 19_996));
    for row in left {
        for hash in hashes(&rows, row) {
            let found = may_hold(&places, &content, hash);
            assert!(found.iter().any(|rows| rows.contains(&(row as u64))), "row {row} of {}", part.location);
        }
    }
    let unknown: u64 =
        places.iter().filter(|place| !place.is_known()).flat_map(|place| place.rows(&[])).map(count).sum();
    let none = (0..50).map(|number| value_key::text("order", &format!("none {number}")));
    let vain: u64 = none.flat_map(|hash| may_hold(&places, &content, hash)).map(count).sum();
    assert!(vain - 50 * unknown < 50 * part.rows / 20, "{vain} rows may hold what none does");
}

fn count(rows: Range<u64>) -> u64 {
    rows.end - rows.start
}

#[test]
fn what_a_row_holds_is_never_ruled_out() {
    let rig = Rig::new();
    let core = rig.core();
    let parts = [part(core, 0, 41_000, 1), part(core, 50_000_000, 300, 2), part(core, 60_000_000, 17_000, 3)];
    check(core, &parts[0], &[true]);
    // Too few rows for an index.
    check(core, &parts[1], &[]);
    check(core, &parts[2], &[true]);
    let files = core.files.as_ref();
    let splice = Splice::open(files, Table::Spans, &parts, 1).unwrap().expect("to be spliced");
    let made = splice.run(files, &TenantId::default(), &mut || true).unwrap().expect("each span once");
    // Nothing is known of the small one's rows.
    let spliced = Arc::new(made.part);
    check(core, &spliced, &[true, false, true]);
    let again = [Arc::clone(&spliced), part(core, 90_000_000, 2_000, 4)];
    let splice = Splice::open(files, Table::Spans, &again, 1).unwrap().expect("to be spliced");
    let made = splice.run(files, &TenantId::default(), &mut || true).unwrap().expect("each span once");
    check(core, &made.part, &[true, false, true, true]);
    let merge = Merge::open(files, Table::Spans, &parts).unwrap();
    let made = merge.run(files, &TenantId::default(), &mut || true).unwrap();
    check(core, &made.part, &[true]);
    for (part, known) in [(&parts[0], &[true][..]), (&spliced, &[true, false, true])] {
        let rest = filter::find(files, part, &thirds(Table::Spans, TimeRange::ALL), &mut || true).unwrap();
        assert!(rest.gone > 0);
        let made = filter::write(files, &TenantId::default(), Table::Spans, part, &rest, &mut || true).unwrap();
        check(core, &made.expect("some rows stay").part, known);
    }
}

#[test]
fn texts_that_are_no_attributes_rule_nothing_out() {
    let rig = Rig::new();
    let core = rig.core();
    let rows = sample::rows(Table::Spans, &times(0, 3_000, 1_003), 0);
    let made = write_parts(core.files.as_ref(), &TenantId::default(), Table::Spans, &[rows], START).unwrap();
    let content = core.files.read(&made[0].part.location).unwrap().to_vec();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(content.clone())).unwrap();
    let places = places(reader.metadata());
    assert!(places.iter().all(|place| place.is_known()));
    for number in 0..100 {
        let hash = value_key::text("any", &number.to_string());
        assert_eq!(may_hold(&places, &content, hash).into_iter().map(count).sum::<u64>(), 3_000);
    }
}
