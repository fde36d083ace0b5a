//! Tail batches as a stream of plain columns: dictionaries become text in small slices, only for the columns asked for.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

/// Some batches of a tail, in the order of their arrival.
#[derive(Debug)]
pub(crate) struct TailStream {
    batches: Vec<RecordBatch>,
    /// Places of the asked columns within a batch.
    projection: Vec<usize>,
    /// The asked columns as they come out.
    schema: SchemaRef,
}

impl TailStream {
    pub(crate) fn new(batches: Vec<RecordBatch>, projection: Vec<usize>, schema: SchemaRef) -> Self {
        Self { batches, projection, schema }
    }
}

impl PartitionStream for TailStream {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let slice_rows = context.session_config().batch_size();
        let (projection, schema) = (self.projection.clone(), Arc::clone(&self.schema));
        let slices = self.batches.clone().into_iter().flat_map(move |batch| {
            let starts = (0..batch.num_rows()).step_by(slice_rows);
            starts.map(move |start| batch.slice(start, slice_rows.min(batch.num_rows() - start)))
        });
        let plain = slices.map(move |slice| plain(&slice, &projection, &schema));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::iter(plain)))
    }
}

/// The asked columns with the types of `schema`.
fn plain(rows: &RecordBatch, projection: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
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
