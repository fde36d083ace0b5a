//! One part of a walk from the newest rows backwards (`seek.rs`): the pieces that it is cut into, and reading some.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::compute::kernels::boolean::and;
use arrow::compute::kernels::cmp::{gt_eq, lt};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter, RowSelection,
};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use tracelake_model::{Table, TimeRange, UnixNano, column};
use tracelake_storage::Part;

use crate::scan::held::held;
use crate::scan::provider::{Scans, object_meta};
use crate::scan::prune::overlaps;
use crate::scan::wanted::Wanted;

/// Rows that come out at once.
const BATCH_ROWS: usize = 8 << 10;

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Seek {
    pub(crate) table: Table,
    /// Columns that come out, file columns by name.
    pub(crate) columns: Vec<&'static str>,
    /// What must be true of a row, over columns that come out.
    pub(crate) filter: Option<Expr>,
    /// Rows whose time lies inside.
    pub(crate) range: TimeRange,
    /// What a row must hold; rows that do not may come out all the same.
    pub(crate) wanted: Wanted,
}

/// What a walk looks for.
pub(crate) struct Sought {
    pub(crate) seek: Seek,
    /// Columns as they come out.
    pub(crate) schema: SchemaRef,
    /// [`Seek::filter`] over them.
    pub(crate) predicate: Option<Arc<dyn PhysicalExpr>>,
}

/// Rows of a part that stand together in time.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) part: Arc<Part>,
    /// In order and apart from each other.
    pub(crate) rows: Vec<Range<u64>>,
    /// No row of them is newer.
    pub(crate) newest: i64,
}

impl Piece {
    pub(crate) fn count(&self) -> u64 {
        self.rows.iter().map(|rows| rows.end - rows.start).sum()
    }

    pub(crate) fn first(&self) -> u64 {
        self.rows.first().map_or(0, |rows| rows.start)
    }
}

impl Sought {
    /// Rows for which the condition holds.
    pub(crate) fn test(&self, predicate: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<BooleanArray> {
        let found = predicate.evaluate(rows)?.into_array(rows.num_rows())?;
        let found = found.as_boolean_opt().cloned();
        found.ok_or_else(|| DataFusionError::Internal("a condition is no boolean".to_owned()))
    }
}

type Reader = Box<dyn AsyncFileReader>;

fn reader(readers: &Arc<dyn ParquetFileReaderFactory>, part: &Part) -> Result<Reader> {
    let file = PartitionedFile::new_from_meta(object_meta(part));
    let reader: Reader = readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new())?;
    Ok(reader)
}

fn options() -> ArrowReaderOptions {
    // Ids are bytes and texts are texts whatever an Arrow schema in the file says.
    ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(PageIndexPolicy::Optional)
}

/// Cuts a part into pieces that may hold what is sought.
pub(crate) async fn pieces(
    readers: Arc<dyn ParquetFileReaderFactory>,
    part: Arc<Part>,
    sought: Arc<Sought>,
    scans: Arc<Scans>,
) -> Result<Vec<Piece>> {
    let mut reader = reader(&readers, &part)?;
    let outline = scans.outlines.of(&mut reader, &part, sought.seek.table.time_column()).await?;
    let held = held(&mut reader, &outline.places, &sought.seek.wanted).await;
    if let Some(held) = &held {
        scans.count_groups(held.groups);
    }
    let range = sought.seek.range;
    let mut found = Vec::new();
    for (page, oldest, newest) in &outline.pages {
        let newest = *newest;
        if !overlaps(range, UnixNano(*oldest), UnixNano(newest)) {
            continue;
        }
        let rows = match &held {
            Some(held) => inside(&held.rows, page),
            None => vec![page.clone()],
        };
        if !rows.is_empty() {
            found.push(Piece { part: Arc::clone(&part), rows, newest });
        }
    }
    Ok(found)
}

/// What of `rows` lies inside `wanted`, which are in order.
fn inside(wanted: &[Range<u64>], rows: &Range<u64>) -> Vec<Range<u64>> {
    let from = wanted.partition_point(|one| one.end <= rows.start);
    let cut = |one: &Range<u64>| one.start.max(rows.start)..one.end.min(rows.end);
    wanted[from..].iter().map(cut).take_while(|one| !one.is_empty()).collect()
}

/// Reads rows of a part that pass the condition and lie in the range of time.
pub(crate) async fn read(
    readers: Arc<dyn ParquetFileReaderFactory>,
    part: Arc<Part>,
    rows: Vec<Range<u64>>,
    sought: Arc<Sought>,
) -> Result<Vec<RecordBatch>> {
    let mut reader = reader(&readers, &part)?;
    let metadata = reader.get_metadata(Some(&options())).await?;
    let (groups, selection) = selection(&metadata, &rows);
    let metadata = interned(ArrowReaderMetadata::try_new(metadata, options())?, &sought.schema)?;
    let columns = metadata.parquet_schema();
    let names = sought.schema.fields().iter().map(|field| field.name().as_str());
    let wanted = ProjectionMask::columns(columns, names);
    let mut predicates: Vec<Box<dyn ArrowPredicate>> = Vec::new();
    let (time, range) = (sought.seek.table.time_column(), sought.seek.range);
    if range != TimeRange::ALL {
        let mask = ProjectionMask::columns(columns, [time]);
        predicates.push(Box::new(ArrowPredicateFn::new(mask, move |rows| in_range(&rows, range))));
    }
    if let (Some(predicate), Some(filter)) = (&sought.predicate, &sought.seek.filter) {
        let needed: Vec<String> = filter.column_refs().into_iter().map(|column| column.name.clone()).collect();
        let mask = ProjectionMask::columns(columns, needed.iter().map(String::as_str));
        let (predicate, sought) = (Arc::clone(predicate), Arc::clone(&sought));
        let test = move |rows: RecordBatch| {
            let rows = widen(&rows, &sought.schema)?;
            sought.test(&predicate, &rows).map_err(|fault| ArrowError::ExternalError(Box::new(fault)))
        };
        predicates.push(Box::new(ArrowPredicateFn::new(mask, test)));
    }
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_row_groups(groups)
        .with_row_selection(selection)
        .with_projection(wanted)
        .with_batch_size(BATCH_ROWS)
        .with_row_filter(RowFilter::new(predicates));
    let (mut rows, mut found) = (builder.build()?, Vec::new());
    while let Some(batch) = rows.try_next().await? {
        if batch.num_rows() > 0 {
            found.push(widen(&batch, &sought.schema)?);
        }
        // Here a walk that nobody waits for ends.
        tokio::task::yield_now().await;
    }
    Ok(found)
}

fn in_range(rows: &RecordBatch, range: TimeRange) -> Result<BooleanArray, ArrowError> {
    let bound = |time: UnixNano| arrow::array::Int64Array::new_scalar(time.0);
    let from = gt_eq(rows.column(0), &bound(range.start))?;
    // The greatest instant is inside where nothing bounds the end.
    if range.end == UnixNano::MAX { Ok(from) } else { and(&from, &lt(rows.column(0), &bound(range.end))?) }
}

/// Row groups that hold some of the rows, and which of theirs.
fn selection(metadata: &ParquetMetaData, rows: &[Range<u64>]) -> (Vec<usize>, RowSelection) {
    let (mut groups, mut ranges, mut start, mut chosen) = (Vec::new(), Vec::new(), 0, 0);
    let index = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let count = u64::try_from(group.num_rows()).unwrap_or(0);
        let here = inside(rows, &(start..start + count));
        if !here.is_empty() {
            let place = |row: u64| index(row - start + chosen);
            ranges.extend(here.iter().map(|rows| place(rows.start)..place(rows.end)));
            groups.push(number);
            chosen += count;
        }
        start += count;
    }
    (groups, RowSelection::from_consecutive_ranges(ranges.into_iter(), index(chosen)))
}

/// The same metadata, where texts of resources are read interned.
fn interned(metadata: ArrowReaderMetadata, wanted: &SchemaRef) -> Result<ArrowReaderMetadata> {
    if wanted.column_with_name(column::RESOURCE_ATTRIBUTES).is_none() {
        return Ok(metadata);
    }
    let field = |field: &Arc<Field>| match field.name().as_str() {
        column::RESOURCE_ATTRIBUTES => {
            let interned = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(field.as_ref().clone().with_data_type(interned))
        }
        _ => Arc::clone(field),
    };
    let schema = Schema::new(metadata.schema().fields().iter().map(field).collect::<Vec<_>>());
    let options = options().with_schema(Arc::new(schema));
    Ok(ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)?)
}

/// The columns of `schema`, in its order and with its types; those that are not there as nulls, which nobody looks at.
fn widen(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| match rows.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => cast(column, field.data_type()),
        None => Ok(arrow::array::new_null_array(field.data_type(), rows.num_rows())),
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let nullable: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(nullable)), columns, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_inside_are_cut_to_both_ends() {
        let held = [0..10, 20..30, 40..50];
        assert_eq!(inside(&held, &(5..45)), [5..10, 20..30, 40..45]);
        assert_eq!(inside(&held, &(10..20)), []);
        assert_eq!(inside(&held, &(29..41)), [29..30, 40..41]);
        assert_eq!(inside(&[], &(0..30)), []);
    }
}
