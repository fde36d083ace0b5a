//! The rows of some traces, in the order in which they were stored: out of the parts that may hold them, then out of the
//! tail.
//!
//! Goes without a plan, which would cost more than the rows: the index says where to read, and what is read is compared.
//! What is known of when a batch's rows were stored travels in the metadata of its schema ([`stored_of`]).
//! Deliberately knows one question only; all others are scans (`provider.rs`).

use std::collections::HashMap;
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
use tracelake_model::Table;
use tracelake_storage::{Part, Snapshot, TracePart};

use crate::scan::pick_part::{Pick, open};
use crate::scan::provider::{DATA_URL, Scans};
use crate::scan::tail::{of_traces, plain};

/// Keys of a schema's metadata: rows were stored after one instant and not after another, Unix nanoseconds.
const STORED_AFTER: &str = "stored_after";
const STORED_UNTIL: &str = "stored_until";

/// Parts that are opened ahead of the one that is read.
const PARTS_AHEAD: usize = 2;

/// When a row was stored: after one instant and not after another, each where it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) after: Option<i64>,
    pub(crate) until: Option<i64>,
}

/// The rows of a snapshot that belong to the traces.
pub(crate) async fn pick(
    runtime: &RuntimeEnv,
    scans: &Scans,
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
        let (pick, snapshot) = (pick.clone(), Arc::clone(snapshot));
        move |part: TracePart| {
            let schema = noted(&schema, stored(&snapshot, pick.table, &part.part));
            open(Arc::clone(&readers), part, pick.clone(), schema)
        }
    };
    let schema = pick.schema()?;
    let fresh = tail(snapshot, &pick, &noted(&schema, stored_last(snapshot, pick.table)))?;
    let fresh = stream::iter(fresh.into_iter().map(Ok));
    let stored = stream::iter(parts).map(read).buffered(PARTS_AHEAD).try_flatten();
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

/// When the rows of a batch were stored, where its schema tells.
pub(crate) fn stored_of(batch: &RecordBatch) -> Stored {
    let schema = batch.schema_ref();
    let instant = |key: &str| schema.metadata().get(key).and_then(|text| text.parse().ok());
    Stored { after: instant(STORED_AFTER), until: instant(STORED_UNTIL) }
}

fn noted(schema: &SchemaRef, stored: Stored) -> SchemaRef {
    let note = |key: &str, instant: Option<i64>| instant.map(|instant| (key.to_owned(), instant.to_string()));
    let notes: HashMap<String, String> =
        [note(STORED_AFTER, stored.after), note(STORED_UNTIL, stored.until)].into_iter().flatten().collect();
    Arc::new(schema.as_ref().clone().with_metadata(notes))
}

/// A merged part knows the newest instant only; but its rows came after those of the part before it of the same day,
/// because merges take neighbours.
fn stored(snapshot: &Snapshot, table: Table, part: &Part) -> Stored {
    let before = snapshot.parts(table).iter().take_while(|other| other.location != part.location);
    let before = before.filter(|other| other.date == part.date && other.stored < part.stored);
    Stored { after: before.last().map(|other| other.stored.0), until: Some(part.stored.0) }
}

/// Rows in memory came after those in parts.
fn stored_last(snapshot: &Snapshot, table: Table) -> Stored {
    Stored { after: snapshot.parts(table).iter().map(|part| part.stored.0).max(), until: None }
}

fn tail(snapshot: &Snapshot, pick: &Pick, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let wanted = snapshot.tail(pick.table).iter().filter_map(|rows| of_traces(rows, &pick.ids));
    wanted.map(|rows| plain(&rows, &pick.columns, schema)).collect()
}
