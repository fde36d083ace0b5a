//! The rows of some traces, in the order in which they were stored: out of the parts that may hold them, then out of the
//! tail.
//!
//! Goes without a plan, which would cost more than the rows: the index says where to read, and what is read is compared.
//! Deliberately knows one question only; all others are scans (`provider.rs`).

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt, stream};
use tracelake_storage::{Snapshot, TracePart};

use crate::scan::pick_part::{Pick, open};
use crate::scan::provider::{DATA_URL, ScanStats};
use crate::scan::tail::{of_traces, plain};

/// Parts that are opened ahead of the one that is read.
const PARTS_AHEAD: usize = 2;

/// The rows of a snapshot that belong to the traces.
pub(crate) async fn pick(
    runtime: &RuntimeEnv,
    scans: &ScanStats,
    snapshot: &Arc<Snapshot>,
    pick: Pick,
) -> Result<SendableRecordBatchStream> {
    let url = ObjectStoreUrl::parse(DATA_URL)?;
    let readers: Arc<dyn ParquetFileReaderFactory> = Arc::new(CachedParquetFileReaderFactory::new(
        runtime.object_store(&url)?,
        runtime.cache_manager.get_file_metadata_cache(),
    ));
    let schema = pick.schema()?;
    let parts = find(snapshot, &pick).await?;
    scans.count(parts.len(), snapshot.parts(pick.table).len());
    let read = {
        let pick = pick.clone();
        move |part: TracePart| open(Arc::clone(&readers), part, pick.clone())
    };
    let stored = stream::iter(parts).map(read).buffered(PARTS_AHEAD).try_flatten();
    let fresh = stream::iter(tail(snapshot, &pick, &schema)?.into_iter().map(Ok));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stored.chain(fresh))))
}

/// The parts to read. Thousands of lookups take a moment, so not on a thread that others wait for.
async fn find(snapshot: &Arc<Snapshot>, pick: &Pick) -> Result<Vec<TracePart>> {
    let (snapshot, table, ids) = (Arc::clone(snapshot), pick.table, Arc::clone(&pick.ids));
    let find = move || {
        let ids: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
        snapshot.parts_with_traces(table, &ids)
    };
    tokio::task::spawn_blocking(find).await.map_err(|fault| DataFusionError::External(fault.into()))
}

fn tail(snapshot: &Snapshot, pick: &Pick, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let wanted = snapshot.tail(pick.table).iter().filter_map(|rows| of_traces(rows, &pick.ids));
    wanted.map(|rows| plain(&rows, &pick.columns, schema)).collect()
}
