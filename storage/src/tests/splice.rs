//! Parts whose row groups are moved as they are hold the same rows, and everything that is known of them is right.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};
use parquet::file::metadata::PageIndexPolicy;
use tracelake_model::{Table, TenantId, TimeRange, column};

use crate::core::Core;
use crate::files::file::Chunks;
use crate::part::file::{NewPart, Part};
use crate::part::filter;
use crate::part::input::Opened;
use crate::part::merge::{Failure, Merge};
use crate::part::sort::{Order, Sorted};
use crate::part::splice::Splice;
use crate::part::trace_read;
use crate::part::verify::{Depth, Verdict, verify};
use crate::tests::compact::read;
use crate::tests::erase::thirds;
use crate::tests::parts::{part, times};
use crate::tests::rig::Rig;

fn parts(core: &Core, table: Table, seeds: &[usize]) -> Vec<Arc<Part>> {
    let make = |(number, seed): (i64, &usize)| part(core, table, &times(number * 977, 300, 1_000_003), *seed).remove(0);
    (0..).zip(seeds).map(make).map(|made| Arc::new(made.part)).collect()
}

fn splice(core: &Core, table: Table, parts: &[Arc<Part>], group_rows_min: u64) -> Option<NewPart> {
    let splice = Splice::open(core.files.as_ref(), table, parts, group_rows_min).unwrap()?;
    splice.run(core.files.as_ref(), &TenantId::default(), &mut || true).unwrap()
}

fn whole(core: &Core, part: &Part) -> RecordBatch {
    let batches = read(core, part);
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn sorted(core: &Core, table: Table, part: &Arc<Part>) -> Sorted {
    Opened::open(core.files.as_ref(), table, part).unwrap().sorted()
}

#[test]
fn a_spliced_part_holds_the_rows_of_its_parts_in_their_order_and_all_figures_of_it_are_right() {
    let rig = Rig::new();
    let core = rig.core();
    // Metric points and rows in generations are merged row by row.
    let is_spliced = |table: &Table| *table != Table::Metrics && !table.has_generations();
    for table in Table::ALL.into_iter().filter(is_spliced) {
        let parts = parts(core, table, &[0, 5000, 10_000]);
        let made = splice(core, table, &parts, 300).expect("large enough");
        let want: Vec<RecordBatch> = parts.iter().map(|part| whole(core, part)).collect();
        let want = concat_batches(&want[0].schema(), &want).unwrap();
        assert_eq!(whole(core, &made.part), want, "{table}");
        let files = core.files.as_ref();
        let verdict = verify(files, table, &made.part, Some(&made.stats), Depth::Rows, &mut |_| true).unwrap();
        assert_eq!(verdict, Verdict::Sound, "{table}");
        assert_eq!(made.part.rows, 900);
        assert_eq!(sorted(core, table, &Arc::new(made.part.clone())), Sorted::Groups, "{table}");
        if let Some(traces) = &made.traces {
            assert_eq!(**traces, trace_read::read(files, &made.part.location).unwrap(), "{table}");
            let ids = want.column_by_name(column::TRACE_ID).unwrap().as_binary::<i32>();
            for (row, id) in ids.iter().enumerate() {
                let Some(id) = id else { continue };
                let mut found = traces.rows(crate::part::trace_index::hash(id));
                assert!(found.any(|rows| rows.contains(&(row as u64))), "{table}: row {row}");
            }
        }
        // A reader that goes straight to pages finds them.
        let file = core.files.open(&made.part.location).map(Chunks).unwrap();
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 3, "{table}");
        let wanted = [RowSelector::skip(450), RowSelector::select(200), RowSelector::skip(250)];
        let rows = reader.with_row_selection(RowSelection::from(wanted.to_vec())).build().unwrap();
        let rows: Vec<RecordBatch> = rows.map(Result::unwrap).collect();
        let rows = concat_batches(&rows[0].schema(), &rows).unwrap();
        assert_eq!(rows, want.slice(450, 200), "{table}");
    }
}

#[test]
fn small_row_groups_points_and_spans_that_stand_twice_are_left_to_merges() {
    let rig = Rig::new();
    let core = rig.core();
    let small = parts(core, Table::Logs, &[0, 5000]);
    assert!(splice(core, Table::Logs, &small, 301).is_none());
    assert!(splice(core, Table::Logs, &small, 300).is_some());
    assert!(splice(core, Table::Metrics, &parts(core, Table::Metrics, &[0, 5000]), 1).is_none());
    let twice = parts(core, Table::Spans, &[0, 5000, 5299]);
    assert!(splice(core, Table::Spans, &twice[..2], 1).is_some());
    assert!(splice(core, Table::Spans, &twice, 1).is_none(), "one span is in two parts");
    let spliced = Arc::new(splice(core, Table::Logs, &small, 1).unwrap().part);
    let again = [Arc::clone(&spliced), Arc::clone(&small[0])];
    assert!(splice(core, Table::Logs, &again, 301).is_none(), "its groups count, not its rows");
    let again = splice(core, Table::Logs, &again, 300).unwrap();
    assert_eq!(again.part.rows, 900);
}

#[test]
fn a_damaged_part_is_not_copied_under_a_checksum_that_is_right() {
    let rig = Rig::new();
    let core = rig.core();
    let files = core.files.as_ref();
    let parts = parts(core, Table::Logs, &[0, 5000]);
    let mut content = files.read(&parts[1].location).unwrap().to_vec();
    content[777] ^= 4;
    files.replace(&parts[1].location, &content).unwrap();
    let splice = Splice::open(files, Table::Logs, &parts, 1).unwrap().unwrap();
    match splice.run(files, &TenantId::default(), &mut || true) {
        Err(Failure::Input(part, error)) => {
            assert_eq!(part, parts[1]);
            assert!(error.to_string().contains("checksum"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn row_groups_that_are_in_order_by_themselves_are_merged_as_streams_and_stay_so_when_rows_are_erased() {
    let rig = Rig::new();
    let core = rig.core();
    let (files, tenant) = (core.files.as_ref(), TenantId::default());
    for table in [Table::Spans, Table::Logs] {
        let parts = parts(core, table, &[0, 5000, 10_000, 15_000]);
        let spliced = Arc::new(splice(core, table, &parts[..3], 1).unwrap().part);
        let inputs = [Arc::clone(&spliced), Arc::clone(&parts[3])];
        let merged = Merge::open(files, table, &inputs).unwrap().run(files, &tenant, &mut || true).unwrap();
        assert_eq!(merged.part.rows, 1200, "{table}");
        assert_eq!(sorted(core, table, &Arc::new(merged.part.clone())), Sorted::Whole, "{table}");
        check_order(table, &whole(core, &merged.part));
        let erasure = thirds(table, TimeRange::ALL);
        let rest = filter::find(files, &spliced, &erasure, &mut || true).unwrap();
        assert!(rest.gone > 0, "{table}");
        let left = filter::write(files, &tenant, table, &spliced, &rest, &mut || true).unwrap().unwrap();
        let left = Arc::new(left.part);
        assert_eq!(sorted(core, table, &left), Sorted::Groups, "{table}");
        let ends = Opened::open(files, table, &left).unwrap().group_ends();
        assert_eq!((ends.len(), ends[2]), (3, usize::try_from(left.rows).unwrap()), "{table}");
        let rows = whole(core, &left);
        let mut from = 0;
        for end in ends {
            check_order(table, &rows.slice(from, end - from));
            from = end;
        }
    }
}

fn check_order(table: Table, rows: &RecordBatch) {
    let schema = table.schema();
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap()).collect();
    let rows = RecordBatch::try_new(schema, columns).unwrap();
    let keys = Order::new(table).unwrap().keys(&rows).unwrap();
    assert!((1..rows.num_rows()).all(|row| keys.row(row - 1) <= keys.row(row)), "{table}");
    // The check itself can fail.
    let backward = UInt64Array::from_iter_values((0..rows.num_rows() as u64).rev());
    let backward = Order::new(table).unwrap().keys(&take_record_batch(&rows, &backward).unwrap()).unwrap();
    assert!(backward.row(0) > backward.row(rows.num_rows() - 1), "{table}");
}
