//! Rows of every table and shape come back as they went in, and as the writer of `parquet` writes them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches, interleave_record_batch};
use arrow::datatypes::{DataType, Field};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{Table, column, null_column};

use super::group::Groups;
use crate::part::{encoding, sample};

type Rows = Vec<(usize, usize)>;

/// A file of these rows, a row group ended after each of `groups`.
fn written(table: Table, batches: &[RecordBatch], groups: &[&[(usize, usize)]]) -> Bytes {
    let properties = Arc::new(encoding::properties(table, &table.file_schema(), 1000).unwrap());
    let mut columns = Groups::new(table.schema(), Arc::clone(&properties)).unwrap();
    let root = columns.descriptor().root_schema_ptr();
    let mut file = SerializedFileWriter::new(Vec::new(), root, properties).unwrap();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    for rows in groups {
        let mut group = columns.begin().unwrap();
        for rows in rows.chunks(777) {
            columns.push(&mut group, &batches, rows).unwrap();
        }
        let mut out = file.next_row_group().unwrap();
        columns.finish(group, &mut out).unwrap();
        out.close().unwrap();
    }
    file.finish().unwrap();
    std::mem::take(file.inner_mut()).into()
}

fn open(file: &Bytes) -> ParquetRecordBatchReaderBuilder<Bytes> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap()
}

fn collect(reader: ParquetRecordBatchReaderBuilder<Bytes>) -> RecordBatch {
    let schema = Arc::clone(reader.schema());
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

fn plain(table: Table, batch: &RecordBatch) -> RecordBatch {
    let schema = table.file_schema();
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).unwrap()).collect();
    RecordBatch::try_new(schema, columns).unwrap()
}

fn picked(table: Table, batches: &[RecordBatch], rows: &[(usize, usize)]) -> RecordBatch {
    let plain: Vec<RecordBatch> = batches.iter().map(|batch| plain(table, batch)).collect();
    interleave_record_batch(&plain.iter().collect::<Vec<_>>(), rows).unwrap()
}

/// Texts of a kind that `shape` says: few, distinct, long, one, none.
fn texts(rows: usize, shape: usize, nulls: bool, random: &mut StdRng) -> StringArray {
    let text = |row: usize, random: &mut StdRng| match shape {
        0 => ["", "a", "shop", "Ünï¢ode 🛒", "a\u{0}b"][random.random_range(0..5)].to_owned(),
        1 => format!("{row}-{:x}", random.random::<u128>()),
        2 => "long ".repeat(random.random_range(0..700)),
        _ => "the same for all of them, and longer than what statistics hold of it, so that it is not told".to_owned(),
    };
    (0..rows).map(|row| (!nulls || random.random_range(0..4) > 0).then(|| text(row, random))).collect()
}

/// The sample with other texts and bytes, of a shape for each column.
fn random_batch(table: Table, rows: usize, random: &mut StdRng) -> RecordBatch {
    let times: Vec<i64> = (0..rows).map(|_| random.random()).collect();
    let batch = sample::rows(table, &times, random.random_range(0..1000));
    let column = |(column, field): (&ArrayRef, &Arc<Field>)| -> ArrayRef {
        let shape = random.random_range(0..6);
        match field.data_type() {
            kind if shape == 5 && field.is_nullable() => null_column(kind, rows),
            DataType::Utf8 => Arc::new(texts(rows, shape, field.is_nullable(), random)),
            DataType::Dictionary(..) => {
                cast(&texts(rows, shape, field.is_nullable(), random), field.data_type()).unwrap()
            }
            DataType::Binary => {
                let texts = texts(rows, shape, field.is_nullable(), random);
                Arc::new(texts.iter().map(|text| text.map(str::as_bytes)).collect::<BinaryArray>())
            }
            _ => Arc::clone(column),
        }
    };
    let columns = batch.columns().iter().zip(batch.schema_ref().fields()).map(column).collect();
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

fn some_rows(batches: &[RecordBatch], count: usize, random: &mut StdRng) -> Rows {
    let mut rows: Rows = Vec::new();
    while rows.len() < count {
        let batch = random.random_range(0..batches.len());
        let first = random.random_range(0..batches[batch].num_rows());
        // Runs of neighbours and single rows.
        let run = random.random_range(1..20).min(batches[batch].num_rows() - first);
        rows.extend((first..first + run).map(|row| (batch, row)));
    }
    rows.truncate(count);
    rows
}

/// What both say of each chunk, but for what ours does not say.
fn compare(table: Table, ours: &ParquetMetaData, theirs: &ParquetMetaData) {
    for (ours, theirs) in ours.row_groups().iter().zip(theirs.row_groups()) {
        assert_eq!(ours.num_rows(), theirs.num_rows(), "{table}");
        for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
            let name = ours.column_path().string();
            assert_eq!(ours.num_values(), theirs.num_values(), "{table}.{name}");
            let (ours, theirs) = (ours.statistics().unwrap(), theirs.statistics().unwrap());
            assert_eq!(ours.null_count_opt(), theirs.null_count_opt(), "{table}.{name}");
            let range = ours.min_bytes_opt().zip(ours.max_bytes_opt());
            if range.is_some() {
                assert_eq!(range, theirs.min_bytes_opt().zip(theirs.max_bytes_opt()), "{table}.{name}");
            } else if encoding::is_bounded(&ColumnPath::from(name.as_str()))
                && theirs.min_is_exact()
                && theirs.max_is_exact()
            {
                assert_eq!(theirs.min_bytes_opt(), None, "{table}.{name}: it could be told");
            }
        }
    }
}

#[test]
fn random_rows_of_every_table_come_back_as_the_other_writer_writes_them() {
    for (seed, table) in (0..3).flat_map(|seed| Table::ALL.map(|table| (seed, table))) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut batches: Vec<RecordBatch> =
            [300, 1, 90, 40].map(|rows| random_batch(table, rows, &mut random)).into_iter().collect();
        batches.push(batches[0].slice(100, 50));
        let rows = some_rows(&batches, 1500, &mut random);
        let (first, second) = rows.split_at(random.random_range(1..1500));
        let file = written(table, &batches, &[first, second]);
        let want = picked(table, &batches, &rows);
        let reader = open(&file);
        let metadata = Arc::clone(reader.metadata());
        let got = collect(reader);
        assert_eq!(got.schema().fields(), table.file_schema().fields(), "{table}");
        for (at, field) in table.file_schema().fields().iter().enumerate() {
            assert_eq!(got.column(at), want.column(at), "{table}.{}, seed {seed}", field.name());
        }
        let mut other = Vec::new();
        let properties = encoding::properties(table, &table.file_schema(), 1000).unwrap();
        let mut writer = ArrowWriter::try_new(&mut other, table.file_schema(), Some(properties)).unwrap();
        writer.write(&want.slice(0, first.len())).unwrap();
        writer.flush().unwrap();
        writer.write(&want.slice(first.len(), second.len())).unwrap();
        let theirs = writer.close().unwrap();
        compare(table, &metadata, &theirs);
    }
}

#[test]
fn a_dictionary_that_outgrows_its_page_goes_on_as_plain_values() {
    let mut random = StdRng::seed_from_u64(9);
    let base = sample::rows(Table::Spans, &vec![7; 70_000], 1);
    let place = |name: &str| base.schema().index_of(name).unwrap();
    let mut columns = base.columns().to_vec();
    // More values than 16 bits name; of the route, few and then many.
    let many = StringArray::from_iter_values((0..70_000).map(|row| format!("operation {row:09}")));
    columns[place(column::NAME)] = cast(&many, &base.schema().field(place(column::NAME)).data_type().clone()).unwrap();
    let route =
        (0..70_000).map(|row| if row < 50_000 { "/x".to_owned() } else { format!("{:0100}", random.random::<u64>()) });
    columns[place("http_route")] = Arc::new(StringArray::from_iter_values(route));
    let huge = (0..70_000).map(|row| if row == 40_000 { "🛒".repeat(1 << 20) } else { String::new() });
    columns[place("url_full")] = Arc::new(StringArray::from_iter_values(huge.clone()));
    columns[place(column::ATTRIBUTES_REST)] = Arc::new(StringArray::from_iter_values(huge));
    let batch = RecordBatch::try_new(base.schema(), columns).unwrap();
    let rows: Rows = (0..70_000).map(|row| (0, row)).collect();
    let file = written(Table::Spans, std::slice::from_ref(&batch), &[&rows]);
    let reader = open(&file);
    let chunks = reader.metadata().row_group(0).columns().to_vec();
    let chunk = |name: &str| chunks.iter().find(|chunk| chunk.column_path().string() == name).unwrap();
    for name in [column::NAME, "http_route", "url_full"] {
        let pages = chunk(name).page_encoding_stats_mask().unwrap();
        assert!(pages.is_set(Encoding::RLE_DICTIONARY) && pages.is_set(Encoding::PLAIN), "{name}");
        assert!(chunk(name).dictionary_page_offset().is_some(), "{name}");
    }
    assert_eq!(chunk(column::NAME).statistics().unwrap().max_bytes_opt(), Some(&b"operation 000069999"[..]));
    assert_eq!(chunk("url_full").statistics().unwrap().max_bytes_opt(), None, "too long to be told");
    let want = plain(Table::Spans, &batch);
    assert_eq!(collect(reader), want);
    // Straight to pages, as a lookup does.
    let wanted =
        [RowSelector::skip(39_990), RowSelector::select(20), RowSelector::skip(19_000), RowSelector::select(5)];
    let found = collect(open(&file).with_row_selection(RowSelection::from(wanted.to_vec())));
    assert_eq!(found, concat_batches(&want.schema(), &[want.slice(39_990, 20), want.slice(59_010, 5)]).unwrap());
}

#[test]
fn what_does_not_shrink_is_not_compressed_and_what_has_no_value_takes_few_bytes() {
    let mut random = StdRng::seed_from_u64(3);
    let base = sample::rows(Table::Spans, &vec![7; 20_000], 1);
    let columns = base.columns().iter().zip(base.schema_ref().fields()).map(|(column, field)| -> ArrayRef {
        match field.data_type() {
            DataType::Binary => {
                Arc::new(BinaryArray::from_iter_values((0..20_000).map(|_| random.random::<[u8; 8]>())))
            }
            kind if field.is_nullable() => null_column(kind, 20_000),
            _ => Arc::clone(column),
        }
    });
    let batch = RecordBatch::try_new(base.schema(), columns.collect()).unwrap();
    let rows: Rows = (0..20_000).map(|row| (0, row)).collect();
    let file = written(Table::Spans, std::slice::from_ref(&batch), &[&rows]);
    let reader = open(&file);
    for chunk in reader.metadata().row_group(0).columns() {
        let name = chunk.column_path().string();
        if name == column::SPAN_ID {
            assert_eq!(chunk.compression(), Compression::UNCOMPRESSED);
            assert!((160_000..161_000).contains(&chunk.compressed_size()), "{}", chunk.compressed_size());
        }
        if name == "http_route" {
            assert_eq!(chunk.compression(), Compression::UNCOMPRESSED);
            assert!(chunk.compressed_size() < 80, "{}", chunk.compressed_size());
        }
        if name == column::NAME {
            assert!(matches!(chunk.compression(), Compression::ZSTD(_)));
        }
    }
    assert_eq!(collect(reader), plain(Table::Spans, &batch));
}

#[test]
fn dictionaries_that_come_and_go_keep_their_numbers_apart() {
    // Each batch has a dictionary of its own, in another order, and is freed before the next one comes.
    let schema = Table::Logs.schema();
    let properties = Arc::new(encoding::properties(Table::Logs, &Table::Logs.file_schema(), 1000).unwrap());
    let mut columns = Groups::new(Arc::clone(&schema), Arc::clone(&properties)).unwrap();
    let mut file = SerializedFileWriter::new(Vec::new(), columns.descriptor().root_schema_ptr(), properties).unwrap();
    let mut group = columns.begin().unwrap();
    let mut random = StdRng::seed_from_u64(4);
    let mut want = Vec::new();
    for _ in 0..1500 {
        let base = sample::rows(Table::Logs, &[1, 2, 3], 0);
        let names: Vec<String> = (0..3).map(|_| format!("service {}", random.random_range(0..50))).collect();
        let mut arrays = base.columns().to_vec();
        let place = schema.index_of(column::SERVICE_NAME).unwrap();
        arrays[place] = cast(&StringArray::from(names.clone()), schema.field(place).data_type()).unwrap();
        want.extend(names);
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        columns.push(&mut group, &[&batch], &[(0, 0), (0, 1), (0, 2)]).unwrap();
    }
    let mut out = file.next_row_group().unwrap();
    columns.finish(group, &mut out).unwrap();
    out.close().unwrap();
    file.finish().unwrap();
    let file: Bytes = std::mem::take(file.inner_mut()).into();
    let got = collect(open(&file));
    let got = got.column_by_name(column::SERVICE_NAME).unwrap().as_string::<i32>().clone();
    assert!(got.iter().eq(want.iter().map(|name| Some(name.as_str()))));
    assert_eq!(got.len(), 4500);
}

#[test]
fn a_column_whose_first_rows_have_no_value_and_whose_next_ones_are_all_distinct_comes_back() {
    // Each batch is written whole, as an erasure does.
    let base = sample::rows(Table::Spans, &vec![7; 25_000], 1);
    let route = base.schema().index_of("http_route").unwrap();
    let with = |column: ArrayRef| {
        let mut columns = base.columns().to_vec();
        columns[route] = column;
        RecordBatch::try_new(base.schema(), columns).unwrap()
    };
    let distinct = |from: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((from..from + 25_000).map(|row| format!("/{row}"))))
    };
    let none = null_column(&DataType::Utf8, 25_000);
    for columns in
        [vec![none, distinct(0)], vec![distinct(0), distinct(7)], vec![distinct(3), distinct(60_000), distinct(90_000)]]
    {
        let batches: Vec<RecordBatch> = columns.into_iter().map(with).collect();
        let properties = Arc::new(encoding::properties(Table::Spans, &Table::Spans.file_schema(), 1000).unwrap());
        let mut groups = Groups::new(Table::Spans.schema(), Arc::clone(&properties)).unwrap();
        let root = groups.descriptor().root_schema_ptr();
        let mut file = SerializedFileWriter::new(Vec::new(), root, properties).unwrap();
        let mut group = groups.begin().unwrap();
        let rows: Rows = (0..25_000).map(|row| (0, row)).collect();
        batches.iter().for_each(|batch| groups.push(&mut group, &[batch], &rows).unwrap());
        let mut out = file.next_row_group().unwrap();
        groups.finish(group, &mut out).unwrap();
        out.close().unwrap();
        file.finish().unwrap();
        let got = collect(open(&std::mem::take(file.inner_mut()).into()));
        let want: Vec<RecordBatch> = batches.iter().map(|batch| plain(Table::Spans, batch)).collect();
        assert_eq!(got, concat_batches(&want[0].schema(), &want).unwrap());
    }
}
