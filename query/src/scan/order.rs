//! Partitions of a plan one after the other: a scan that has a partition for each part and for each piece of the tail
//! gives its rows in the order in which they were stored.
//!
//! A few partitions run ahead of the one that is read, each within a bounded buffer. Dropping the stream ends them.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use futures::{StreamExt, TryStreamExt, stream};

/// Batches of a partition that wait to be read.
const BATCHES_AHEAD: usize = 2;

/// The rows of all partitions of a plan, those of the first one first.
pub(crate) fn in_order(plan: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> SendableRecordBatchStream {
    let (schema, count) = (plan.schema(), plan.properties().output_partitioning().partition_count());
    let ahead = context.session_config().target_partitions().max(1);
    let begin = move |partition| {
        let (plan, context) = (Arc::clone(&plan), Arc::clone(&context));
        async move { run(&plan, partition, context) }
    };
    let rows = stream::iter(0..count).map(begin).buffered(ahead).try_flatten();
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

fn run(
    plan: &Arc<dyn ExecutionPlan>,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let mut rows = plan.execute(partition, context)?;
    let mut builder = RecordBatchReceiverStreamBuilder::new(plan.schema(), BATCHES_AHEAD);
    let sender = builder.tx();
    builder.spawn(async move {
        while let Some(batch) = rows.next().await {
            let is_last = batch.is_err();
            // Nobody listens any more when the query was dropped.
            if sender.send(batch).await.is_err() || is_last {
                break;
            }
        }
        Ok(())
    });
    Ok(builder.build())
}
