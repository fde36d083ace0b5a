//! The rows of some traces out of one part: only the row groups and pages that may hold them, and only columns that
//! hold anything there.
//!
//! A reader of a column costs about as much as the page that it reads, and most columns of a span are empty.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, RowFilter, RowSelection,
};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use tracelake_model::Table;
use tracelake_model::column::TRACE_ID;
use tracelake_storage::TracePart;

use crate::scan::provider::object_meta;

/// What is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub(crate) table: Table,
    /// Trace ids, as they are stored.
    pub(crate) ids: Arc<BTreeSet<Vec<u8>>>,
    /// Places of the wanted columns in the table's files.
    pub(crate) columns: Arc<Vec<usize>>,
}

impl Pick {
    /// Columns as they come out.
    pub(crate) fn schema(&self) -> Result<SchemaRef> {
        Ok(Arc::new(self.table.file_schema().project(&self.columns)?))
    }
}

/// Opens a part and begins to read; batches have the wanted columns in their order, with this schema of theirs.
pub(crate) async fn open(
    readers: Arc<dyn ParquetFileReaderFactory>,
    found: TracePart,
    pick: Pick,
    schema: SchemaRef,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let file = PartitionedFile::new_from_meta(object_meta(&found.part));
    let mut reader: Box<dyn AsyncFileReader> = readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new())?;
    // Ids are bytes and texts are texts whatever an Arrow schema in the file says.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let options = options.with_page_index_policy(PageIndexPolicy::Optional);
    let metadata = reader.get_metadata(Some(&options)).await?;
    let place = place(&metadata, found.rows.as_deref());
    let held = held(&metadata, &place.groups, &schema);
    let metadata = ArrowReaderMetadata::try_new(metadata, options)?;
    let columns = metadata.parquet_schema();
    let wanted = ProjectionMask::columns(columns, held.iter().map(String::as_str));
    let id = ProjectionMask::columns(columns, [TRACE_ID]);
    let ids = Arc::clone(&pick.ids);
    let belongs = ArrowPredicateFn::new(id, move |rows| belongs(&rows, &ids));
    let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata)
        .with_row_groups(place.groups)
        .with_projection(wanted)
        .with_row_filter(RowFilter::new(vec![Box::new(belongs)]));
    if let Some(selection) = place.selection {
        builder = builder.with_row_selection(selection);
    }
    let rows = builder.build()?.map_err(DataFusionError::from);
    Ok(rows.map(move |batch| conform(&batch?, &schema)).boxed())
}

/// Where to read.
struct Place {
    groups: Vec<usize>,
    /// Rows of these groups, counted from the first one's start.
    selection: Option<RowSelection>,
}

fn place(metadata: &ParquetMetaData, rows: Option<&[Range<u64>]>) -> Place {
    let Some(rows) = rows else {
        return Place { groups: (0..metadata.num_row_groups()).collect(), selection: None };
    };
    let (mut groups, mut ranges, mut start, mut chosen) = (Vec::new(), Vec::new(), 0, 0);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let count = u64::try_from(group.num_rows()).unwrap_or(0);
        let before = ranges.len();
        for range in rows {
            let inside = range.start.max(start)..range.end.min(start + count);
            if !inside.is_empty() {
                ranges.push(index(inside.start - start + chosen)..index(inside.end - start + chosen));
            }
        }
        start += count;
        if ranges.len() > before {
            groups.push(number);
            chosen += count;
        }
    }
    let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), index(chosen));
    Place { groups, selection: Some(selection) }
}

fn index(row: u64) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

/// The wanted columns that hold any value in these row groups.
fn held(metadata: &ParquetMetaData, groups: &[usize], wanted: &SchemaRef) -> BTreeSet<String> {
    let mut held = BTreeSet::new();
    for group in groups {
        for column in metadata.row_group(*group).columns() {
            // How many values stand at the level that says "nothing at all".
            let nothing = column.definition_level_histogram().and_then(|levels| levels.get(0));
            if nothing == Some(column.num_values()) {
                continue;
            }
            if let Some(root) = column.column_path().parts().first()
                && wanted.field_with_name(root).is_ok()
            {
                held.insert(root.clone());
            }
        }
    }
    held
}

fn belongs(rows: &RecordBatch, ids: &BTreeSet<Vec<u8>>) -> Result<BooleanArray, ArrowError> {
    let found = rows.column(0);
    let found =
        if found.data_type() == &DataType::Binary { Arc::clone(found) } else { cast(found, &DataType::Binary)? };
    let found = found.as_binary::<i32>();
    Ok(match ids.first() {
        // One id is common, and a comparison of whole columns is faster.
        Some(one) if ids.len() == 1 => {
            let one = arrow::array::BinaryArray::new_scalar(one);
            arrow::compute::kernels::cmp::eq(found, &one)?
        }
        _ => found.iter().map(|id| Some(id.is_some_and(|id| ids.contains(id)))).collect(),
    })
}

/// The columns of `schema`, those that were not read as nulls.
fn conform(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef, ArrowError> {
        match rows.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => cast(column, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
