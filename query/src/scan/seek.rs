//! Rows of a snapshot from the newest backwards, as far as somebody wants to read: what a search for the newest few needs.
//!
//! Parts are cut into pieces at the pages of their time column, whose bounds their footers tell, which are read in the
//! order of their newest rows, a few at first and more each time. Whoever asks stops when what is left is older than what
//! was found. The tail is one piece that comes first. Within what is read rows come in no order. Goes without a plan, as `pick.rs` does.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, kernels::boolean::and};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::execution::context::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::PhysicalExpr;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracelake_model::{TimeRange, UnixNano, column};
use tracelake_storage::{Part, Snapshot};

use crate::error::Error;
use crate::scan::provider::{DATA_URL, Scans};
use crate::scan::prune::overlaps;
use crate::scan::seek_part::{Piece, Seek, Sought, pieces, read};
use crate::scan::tail::plain;

/// Footers and indexes that are read at once.
const PARTS_AT_ONCE: usize = 8;

/// Rows of the pieces that are read at once, at first and at most: they are in memory together.
const ROWS_FIRST: u64 = 20_000;
const ROWS_MOST: u64 = 160_000;

/// Pieces of a part that one task reads; others read beside it.
const TASK_PIECES: usize = 4;

/// A walk through a snapshot. Texts of resources come out interned, everything else as files hold it.
pub(crate) struct Seeker {
    snapshot: Arc<Snapshot>,
    sought: Arc<Sought>,
    readers: Arc<dyn ParquetFileReaderFactory>,
    scans: Arc<Scans>,
    tail: Vec<RecordBatch>,
    /// Parts that are not cut into pieces yet, the newest last.
    parts: Vec<Arc<Part>>,
    /// What is left of the others, the newest last.
    pieces: Vec<Piece>,
    rows_next: u64,
    deadline: (Instant, u64),
}

impl Seeker {
    /// Begins a walk; `seconds` bound all of it.
    pub(crate) fn new(
        state: &SessionState,
        scans: &Arc<Scans>,
        snapshot: &Arc<Snapshot>,
        seek: Seek,
        seconds: u64,
    ) -> Result<Self> {
        snapshot.read(seek.table, seek.range.start, seek.range.end);
        let runtime = state.runtime_env();
        let url = ObjectStoreUrl::parse(DATA_URL)?;
        let readers: Arc<dyn ParquetFileReaderFactory> = Arc::new(CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        ));
        let schema = schema(&seek)?;
        let predicate = predicate(state, &seek, &schema)?;
        let all = snapshot.parts(seek.table);
        let inside = |part: &&Arc<Part>| overlaps(seek.range, part.time_min, part.time_max);
        let mut parts: Vec<Arc<Part>> = all.iter().filter(inside).map(Arc::clone).collect();
        parts.sort_by_key(|part| part.time_max);
        scans.count(0, all.len());
        let sought = Arc::new(Sought { seek, schema, predicate });
        Ok(Self {
            tail: tail(snapshot, &sought)?,
            snapshot: Arc::clone(snapshot),
            sought,
            readers,
            scans: Arc::clone(scans),
            parts,
            pieces: Vec::new(),
            rows_next: ROWS_FIRST,
            deadline: (Instant::now() + Duration::from_secs(seconds), seconds),
        })
    }

    /// No row that is left is newer than this; `None` when none is left.
    pub(crate) fn newest_left(&self) -> Option<i64> {
        if !self.tail.is_empty() {
            return Some(i64::MAX);
        }
        self.pieces.last().map(|piece| piece.newest).max(self.parts.last().map(|part| part.time_max.0))
    }

    /// The next rows; `None` when nothing is left.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        if !self.tail.is_empty() {
            return Ok(Some(std::mem::take(&mut self.tail)));
        }
        let (deadline, seconds) = self.deadline;
        let step = tokio::time::timeout_at(deadline, self.step()).await;
        step.map_err(|_| Error::Timeout(seconds).into_datafusion())?
    }

    async fn step(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        let (mut rows, mut taken) = (0, Vec::new());
        while rows < self.rows_next {
            self.cut().await?;
            let Some(piece) = self.pieces.pop() else { break };
            rows += piece.count();
            taken.push(piece);
        }
        if taken.is_empty() {
            return Ok(None);
        }
        self.rows_next = (self.rows_next * 2).min(ROWS_MOST);
        taken.sort_by(|a, b| (&a.part.location, a.first()).cmp(&(&b.part.location, b.first())));
        let mut running = JoinSet::new();
        let of_part = taken.chunk_by(|a, b| a.part.location == b.part.location);
        for pieces in of_part.flat_map(|pieces| pieces.chunks(TASK_PIECES)) {
            let rows: Vec<Range<u64>> = pieces.iter().flat_map(|piece| piece.rows.clone()).collect();
            let (readers, part) = (Arc::clone(&self.readers), Arc::clone(&pieces[0].part));
            // The snapshot is held while it is read: files of parts that it names are not deleted.
            let (sought, snapshot) = (Arc::clone(&self.sought), Arc::clone(&self.snapshot));
            running.spawn(async move {
                let read = read(readers, part, rows, sought).await;
                drop(snapshot);
                read
            });
        }
        let mut batches = Vec::new();
        while let Some(read) = running.join_next().await {
            batches.extend(read.map_err(|fault| DataFusionError::External(Box::new(fault)))??);
        }
        Ok(Some(batches))
    }

    /// Cuts parts into pieces until the newest row that is left is in a piece.
    async fn cut(&mut self) -> Result<()> {
        while let Some(part) = self.parts.last()
            && self.pieces.last().is_none_or(|piece| piece.newest <= part.time_max.0)
        {
            let from = self.parts.len().saturating_sub(PARTS_AT_ONCE);
            let next = self.parts.split_off(from);
            let cut = |part| {
                let (readers, sought) = (Arc::clone(&self.readers), Arc::clone(&self.sought));
                pieces(readers, part, sought, Arc::clone(&self.scans))
            };
            let found = stream::iter(next.into_iter().map(cut).collect::<Vec<_>>()).buffer_unordered(PARTS_AT_ONCE);
            let found: Vec<Vec<Piece>> = found.try_collect().await?;
            self.scans.read(found.iter().filter(|pieces| !pieces.is_empty()).count());
            self.pieces.extend(found.into_iter().flatten());
            self.pieces.sort_by_key(|piece| piece.newest);
        }
        Ok(())
    }
}

/// The wanted columns, with resources interned.
fn schema(seek: &Seek) -> Result<SchemaRef> {
    let all = seek.table.file_schema();
    let field = |name: &&str| -> Result<_> {
        let field = all.field_with_name(name)?.clone();
        Ok(match field.name().as_str() {
            column::RESOURCE_ATTRIBUTES => {
                field.with_data_type(DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))
            }
            _ => field,
        })
    };
    Ok(Arc::new(Schema::new(seek.columns.iter().map(field).collect::<Result<Vec<_>>>()?)))
}

fn predicate(state: &SessionState, seek: &Seek, schema: &SchemaRef) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(filter) = &seek.filter else { return Ok(None) };
    Ok(Some(state.create_physical_expr(filter.clone(), &DFSchema::try_from(Arc::clone(schema))?)?))
}

/// Rows in memory that are wanted.
fn tail(snapshot: &Snapshot, sought: &Sought) -> Result<Vec<RecordBatch>> {
    let seek = &sought.seek;
    let mut found = Vec::new();
    for batch in snapshot.tail(seek.table) {
        let place = |name: &&str| batch.schema_ref().index_of(name);
        let times =
            batch.column_by_name(seek.table.time_column()).and_then(|times| times.as_primitive_opt::<Int64Type>());
        let Some(times) = times else { continue };
        let inside: BooleanArray = times
            .values()
            .iter()
            .map(|time| Some(seek.range.contains(UnixNano(*time)) || seek.range == TimeRange::ALL))
            .collect();
        if inside.true_count() == 0 {
            continue;
        }
        let projection = seek.columns.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let rows = plain(batch, &projection, &sought.schema)?;
        let wanted = match &sought.predicate {
            Some(predicate) => and(&inside, &sought.test(predicate, &rows)?)?,
            None => inside,
        };
        if wanted.true_count() > 0 {
            found.push(filter_record_batch(&rows, &wanted)?);
        }
    }
    Ok(found)
}
