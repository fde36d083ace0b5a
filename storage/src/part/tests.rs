//! Rows go into parts and come back, whatever they hold.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaData;
use serde_json::{Value, json};
use tracelake_model::{Table, TenantId, UnixNano, column};

use super::file::NewPart;
use super::sample;
use super::writer::write_parts;
use crate::disk::RealDisk;
use crate::files::disk::DiskFiles;

const DAY: i64 = 86_400_000_000_000;
/// 2023-11-14T00:00:00Z.
const NOON: i64 = 1_699_963_200_000_000_000;

fn write(data: &Path, table: Table, batches: &[RecordBatch]) -> Vec<NewPart> {
    write_parts(&DiskFiles::new(Arc::new(RealDisk), data), &TenantId::default(), table, batches, UnixNano(NOON))
        .unwrap()
}

fn open(data: &Path, part: &NewPart) -> ParquetRecordBatchReaderBuilder<File> {
    let path: PathBuf = data.join(part.part.location.as_ref());
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap()
}

fn read(data: &Path, part: &NewPart) -> RecordBatch {
    let builder = open(data, part);
    let schema = Arc::clone(builder.schema());
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn by_time(table: Table, rows: &RecordBatch) -> RecordBatch {
    let order = sort_to_indices(rows.column_by_name(table.time_column()).unwrap(), None, None).unwrap();
    take_record_batch(rows, &order).unwrap()
}

fn plain(table: Table, rows: &RecordBatch) -> RecordBatch {
    let schema = table.file_schema();
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
    let columns = columns.map(Result::unwrap).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn metadata(data: &Path, part: &NewPart) -> ParquetMetaData {
    open(data, part).metadata().as_ref().clone()
}

#[test]
fn every_table_comes_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    for table in Table::ALL {
        let times: Vec<i64> = (0..200).map(|row| NOON + row * 1_000_003).collect();
        let batches = [sample::rows(table, &times[..130], 1), sample::rows(table, &times[130..], 2)];
        let parts = write(dir.path(), table, &batches);
        assert_eq!(parts.len(), 1, "{table}");
        let expected: Vec<RecordBatch> = batches.iter().map(|rows| plain(table, rows)).collect();
        let expected = concat_batches(&table.file_schema(), &expected).unwrap();
        let actual = by_time(table, &read(dir.path(), &parts[0]));
        assert_eq!(actual.schema().fields(), table.file_schema().fields(), "{table}");
        for (number, field) in expected.schema().fields().iter().enumerate() {
            assert_eq!(actual.column(number), expected.column(number), "{table}.{}", field.name());
        }
    }
}

#[test]
fn rows_go_to_the_day_of_their_time_and_rows_without_time_to_the_day_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let times = [NOON + DAY, NOON, 0, i64::MAX, NOON + DAY + 1, -5];
    let parts = write(dir.path(), Table::Logs, &[sample::rows(Table::Logs, &times, 0)]);
    let told: Vec<_> = parts.iter().map(|new| &new.part).collect();
    let told: Vec<_> = told.iter().map(|p| (p.date.as_str(), p.rows, p.time_min.0, p.time_max.0)).collect();
    assert_eq!(
        told,
        [
            ("2023-11-14", 3, -5, NOON),
            ("2023-11-15", 2, NOON + DAY, NOON + DAY + 1),
            ("2262-04-11", 1, i64::MAX, i64::MAX),
        ]
    );
    for new in &parts {
        let start = format!("default/logs/date={}/part-", new.part.date);
        assert!(new.part.location.as_ref().starts_with(&start), "{}", new.part.location);
        let length = std::fs::metadata(dir.path().join(new.part.location.as_ref())).unwrap().len();
        assert_eq!(new.part.bytes, length);
        assert_eq!(read(dir.path(), new).num_rows() as u64, new.part.rows);
    }
}

#[test]
fn no_rows_make_no_file() {
    let dir = tempfile::tempdir().unwrap();
    assert!(write(dir.path(), Table::Spans, &[]).is_empty());
    assert!(write(dir.path(), Table::Spans, &[sample::rows(Table::Spans, &[], 0)]).is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn rows_with_other_columns_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let logs = sample::rows(Table::Logs, &[NOON], 0);
    let files = DiskFiles::new(Arc::new(RealDisk), dir.path());
    assert!(write_parts(&files, &TenantId::default(), Table::Spans, &[logs], UnixNano(NOON)).is_err());
}

#[test]
fn fresh_rows_are_in_the_order_of_their_sort_keys_whatever_batches_they_came_in() {
    let dir = tempfile::tempdir().unwrap();
    let times: Vec<i64> = (0..300).map(|row| NOON + (row * 7919 % 300) * 1_000_000_000).collect();
    for (table, time) in [(Table::Logs, column::TIME_UNIX_NANO), (Table::Spans, column::START_UNIX_NANO)] {
        let batches = [&times[..7], &times[7..90], &times[90..]];
        let batches: Vec<_> = (3..).zip(batches).map(|(seed, times)| sample::rows(table, times, seed)).collect();
        let parts = write(dir.path(), table, &batches);
        let rows = read(dir.path(), &parts[0]);
        let times = rows.column_by_name(time).unwrap().as_primitive::<Int64Type>();
        let service = rows.column_by_name(column::SERVICE_NAME).unwrap().as_string::<i32>();
        let step = if table == Table::Spans { 1_000_000_000 } else { 60_000_000_000 };
        let keys: Vec<_> = (0..300).map(|row| (times.value(row).div_euclid(step), service.value(row))).collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}

#[test]
fn statistics_say_only_what_is_exactly_right() {
    let dir = tempfile::tempdir().unwrap();
    let times: Vec<i64> = (0..90).map(|row| NOON + row).collect();
    let batch = sample::rows(Table::Spans, &times, 0);
    let parts = write(dir.path(), Table::Spans, std::slice::from_ref(&batch));
    let stats: Value = serde_json::from_str(&parts[0].stats).unwrap();
    assert_eq!(stats["numRecords"], json!(90));
    let check = |name: &str, least: Value, greatest: Value| {
        let nulls = batch.column_by_name(name).unwrap().logical_null_count();
        assert_eq!(stats["minValues"][name], least, "{name}");
        assert_eq!(stats["maxValues"][name], greatest, "{name}");
        assert_eq!(stats["nullCount"][name], json!(nulls), "{name}");
    };
    check(column::START_UNIX_NANO, json!(NOON), json!(NOON + 89));
    check(column::DURATION_NS, json!(i64::MIN), json!(i64::MAX));
    check(column::STATUS_CODE, json!(-128), json!(127));
    // Some texts are longer than statistics hold, ids are bytes: silence, but for the nulls.
    check(column::SERVICE_NAME, Value::Null, Value::Null);
    check(column::TRACE_ID, Value::Null, Value::Null);
    assert_eq!(stats["minValues"].as_object().unwrap().keys().len(), stats["maxValues"].as_object().unwrap().len());
    let doubles = write(dir.path(), Table::Metrics, &[sample::rows(Table::Metrics, &times, 0)]);
    let stats: Value = serde_json::from_str(&doubles[0].stats).unwrap();
    assert_eq!(stats["minValues"].get(column::VALUE), None, "NaN has no place in a range");
}

#[test]
fn short_texts_have_a_range() {
    let dir = tempfile::tempdir().unwrap();
    let times: Vec<i64> = (0..9).map(|row| NOON + row).collect();
    let batch = sample::rows(Table::Notices, &times, 0);
    let titles = Arc::new(arrow::array::StringArray::from_iter_values((0..9).map(|n| format!("é{n}"))));
    let mut columns = batch.columns().to_vec();
    columns[batch.schema().index_of(column::TITLE).unwrap()] = titles;
    let parts = write(dir.path(), Table::Notices, &[RecordBatch::try_new(batch.schema(), columns).unwrap()]);
    let stats: Value = serde_json::from_str(&parts[0].stats).unwrap();
    assert_eq!((&stats["minValues"]["title"], &stats["maxValues"]["title"]), (&json!("é0"), &json!("é8")));
}

#[test]
fn other_readers_see_plain_text_and_can_skip_by_trace() {
    let dir = tempfile::tempdir().unwrap();
    let times: Vec<i64> = (0..90).map(|row| NOON + row).collect();
    let parts = write(dir.path(), Table::Spans, &[sample::rows(Table::Spans, &times, 0)]);
    let metadata = metadata(dir.path(), &parts[0]);
    let notes = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let notes: Vec<&str> = notes.map(|note| note.key.as_str()).collect();
    assert_eq!(notes, ["tracelake.order", "tracelake.traces"], "no Arrow schema that would bring dictionaries back");
    let column = |name: &str| {
        let group = metadata.row_group(0);
        group.columns().iter().find(|column| column.column_path().string() == name).unwrap()
    };
    assert!(column(column::TRACE_ID).bloom_filter_offset().is_some());
    assert!(column(column::SPAN_ID).bloom_filter_offset().is_none());
    let encoded = |name: &str, encoding: Encoding| column(name).encodings().any(|used| used == encoding);
    assert!(encoded(column::START_UNIX_NANO, Encoding::DELTA_BINARY_PACKED));
    assert!(encoded(column::SPAN_ID, Encoding::DELTA_LENGTH_BYTE_ARRAY));
    assert!(encoded("events.list.item.time", Encoding::DELTA_BINARY_PACKED));
    assert!(encoded(column::SERVICE_NAME, Encoding::RLE_DICTIONARY));
    let file = open(dir.path(), &parts[0]);
    assert_eq!(file.schema().field_with_name(column::SERVICE_NAME).unwrap().data_type(), &DataType::Utf8);
}

#[test]
fn a_flush_over_very_many_days_makes_few_files_and_loses_no_row() {
    let dir = tempfile::tempdir().unwrap();
    for table in [Table::Logs, Table::Spans] {
        // Forty days of a hundred rows, the later ones more, and a thousand days of one.
        let mut times: Vec<i64> = (0..40).flat_map(|day| (0..100 + day).map(move |n| NOON + day * DAY + n)).collect();
        times.extend((0..1000).map(|day| NOON - (day + 3) * DAY));
        let parts = write(dir.path(), table, &[sample::rows(table, &times, 1)]);
        assert_eq!(parts.len(), 32, "{table}");
        assert_eq!(parts.iter().map(|new| new.part.rows).sum::<u64>(), times.len() as u64, "{table}");
        let today = parts.iter().find(|new| new.part.date == "2023-11-14").expect("the day they came");
        let own: Vec<_> = parts.iter().filter(|new| new.part.date != "2023-11-14").map(|new| new.part.rows).collect();
        assert_eq!(own, (109..140).collect::<Vec<_>>(), "{table}: the days with the most rows have their own");
        let (least, greatest) = (NOON - 1002 * DAY, NOON + 8 * DAY + 107);
        assert_eq!((today.part.time_min.0, today.part.time_max.0), (least, greatest), "{table}");
        let rows = read(dir.path(), today);
        let column = rows.column_by_name(table.time_column()).unwrap();
        let mut stored = column.as_primitive::<Int64Type>().values().to_vec();
        stored.sort_unstable();
        stored.dedup();
        assert_eq!(stored.len() as u64, today.part.rows, "{table}: each once");
    }
}

#[test]
fn a_month_of_late_rows_lies_in_its_days() {
    let times: Vec<i64> = (0..32).map(|day| NOON - day * DAY).collect();
    let dir = tempfile::tempdir().unwrap();
    let parts = write(dir.path(), Table::Logs, &[sample::rows(Table::Logs, &times, 1)]);
    assert_eq!(parts.len(), 32);
    assert!(parts.iter().all(|new| new.part.date == new.part.time_min.date()));
}
