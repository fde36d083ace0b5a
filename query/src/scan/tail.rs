//! Tail batches as a stream of plain columns: dictionaries become text in small slices, only for the columns and traces
//! asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use tracelake_model::column;

/// Some batches of a tail, in the order of their arrival.
#[derive(Debug)]
pub(crate) struct TailStream {
    batches: Vec<RecordBatch>,
    /// Rows of these traces are wanted, or all.
    ids: Option<Arc<BTreeSet<Vec<u8>>>>,
    /// Places of the asked columns within a batch.
    projection: Vec<usize>,
    /// The asked columns as they come out.
    schema: SchemaRef,
}

impl TailStream {
    pub(crate) fn new(
        batches: Vec<RecordBatch>,
        ids: Option<Arc<BTreeSet<Vec<u8>>>>,
        projection: Vec<usize>,
        schema: SchemaRef,
    ) -> Self {
        Self { batches, ids, projection, schema }
    }
}

impl PartitionStream for TailStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let slice_rows = context.session_config().batch_size();
        let (projection, schema) = (self.projection.clone(), Arc::clone(&self.schema));
        let ids = self.ids.clone();
        let wanted = self.batches.clone().into_iter().filter_map(move |batch| match &ids {
            Some(ids) => of_traces(&batch, ids),
            None => Some(batch),
        });
        let slices = wanted.flat_map(move |batch| {
            let starts = (0..batch.num_rows()).step_by(slice_rows);
            starts.map(move |start| batch.slice(start, slice_rows.min(batch.num_rows() - start)))
        });
        let plain = slices.map(move |slice| plain(&slice, &projection, &schema));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(plain)))
    }
}

/// The rows of some traces; `None` when there are none.
pub(crate) fn of_traces(rows: &RecordBatch, ids: &BTreeSet<Vec<u8>>) -> Option<RecordBatch> {
    let found = rows.column_by_name(column::TRACE_ID)?.as_binary_opt::<i32>()?;
    let wanted: BooleanArray = found.iter().map(|id| Some(id.is_some_and(|id| ids.contains(id)))).collect();
    // The mask is as long as the batch, so this does not fail.
    let rows = (wanted.true_count() > 0).then(|| filter_record_batch(rows, &wanted).ok());
    rows.flatten()
}

/// The asked columns with the types of `schema`.
pub(crate) fn plain(rows: &RecordBatch, projection: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let picked = rows.project(projection)?;
    let columns = picked.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, field.data_type()),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
