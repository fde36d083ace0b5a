//! One table of one snapshot as a DataFusion table: the parts that a predicate may touch, and the unflushed tail.
//!
//! Every row of the snapshot comes out exactly once. Predicates are pushed down inexactly: they prune parts, row groups
//! and pages and are checked again above where a source cannot promise more. Deliberately knows nothing of SQL names.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::kernels::aggregate;
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use futures::{StreamExt, stream};
use object_store::ObjectMeta;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::async_reader::AsyncFileReader;
use tracelake_model::{Table, TimeRange, UnixNano, column};
use tracelake_storage::{Part, Snapshot, TracePart};

use crate::scan::held::held;
use crate::scan::outline::Outlines;
use crate::scan::prune::{ids, overlaps, time_bounds};
use crate::scan::tail::TailStream;
use crate::scan::wanted::{Wanted, wanted};

/// The object store of parts, as DataFusion's registry names it.
pub(crate) const DATA_URL: &str = "tracelake://data";

/// With more trace ids than this every part is read: looking them all up would cost more than it saves.
const IDS_MAX: usize = 256;

/// Parts whose footers and value indexes are read at once.
const PARTS_AT_ONCE: usize = 8;

/// What all scans share: what they have cost so far, and what they know of parts.
#[derive(Debug, Default)]
pub(crate) struct Scans {
    /// Parts that a scan had to look into.
    pub(crate) parts_read: AtomicU64,
    /// Parts that a scan could leave aside by their times, traces and values.
    pub(crate) parts_pruned: AtomicU64,
    /// Row groups of which a value index left any rows.
    pub(crate) groups_read: AtomicU64,
    /// Row groups that it ruled out.
    pub(crate) groups_pruned: AtomicU64,
    pub(crate) outlines: Outlines,
}

/// One table of one snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    snapshot: Arc<Snapshot>,
    table: Table,
    stats: Arc<Scans>,
    /// What rows must hold besides what predicates say.
    wanted: Wanted,
}

impl SnapshotTable {
    pub(crate) fn new(snapshot: Arc<Snapshot>, table: Table, stats: Arc<Scans>) -> Self {
        Self { snapshot, table, stats, wanted: Wanted::default() }
    }

    /// The same, where rows that do not hold what is wanted may be left out.
    pub(crate) fn wanting(self, wanted: Wanted) -> Self {
        Self { wanted, ..self }
    }

    /// Which table this is.
    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// Parts whose times overlap `range` and that may hold one of the traces `ids`, in the order of their commits.
    fn parts(&self, range: TimeRange, ids: Option<&BTreeSet<Vec<u8>>>) -> Vec<TracePart> {
        self.snapshot.read(self.table, range.start, range.end);
        let mut parts = match ids {
            Some(ids) => {
                let ids: Vec<&[u8]> = ids.iter().map(Vec::as_slice).collect();
                self.snapshot.parts_with_traces(self.table, &ids)
            }
            None => {
                let whole = |part: &Arc<Part>| TracePart { part: Arc::clone(part), rows: None };
                self.snapshot.parts(self.table).iter().map(whole).collect()
            }
        };
        parts.retain(|found| overlaps(range, found.part.time_min, found.part.time_max));
        parts
    }

    /// Leaves out rows, and parts, that cannot hold what is wanted.
    async fn narrow(&self, parts: Vec<TracePart>, wanted: &Wanted, state: &dyn Session) -> Result<Vec<TracePart>> {
        let readers = readers(state)?;
        let mut asked = Vec::with_capacity(parts.len());
        for found in parts {
            let file = PartitionedFile::new_from_meta(object_meta(&found.part));
            let mut reader: Box<dyn AsyncFileReader> =
                readers.create_reader(0, file, None, &ExecutionPlanMetricsSet::new())?;
            asked.push(async move {
                let time = self.table.time_column();
                // What fails here fails again where rows are read, and is told there.
                let Ok(outline) = self.stats.outlines.of(&mut reader, &found.part, time).await else { return found };
                let Some(held) = held(&mut reader, &outline.places, wanted).await else { return found };
                self.stats.count_groups(held.groups);
                TracePart { rows: Some(held.rows), ..found }
            });
        }
        let mut parts: Vec<TracePart> = stream::iter(asked).buffered(PARTS_AT_ONCE).collect().await;
        parts.retain(|found| found.rows.as_ref().is_none_or(|rows| !rows.is_empty()));
        Ok(parts)
    }

    fn parquet(
        &self,
        parts: &[TracePart],
        group_count: usize,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (url, readers) = (ObjectStoreUrl::parse(DATA_URL)?, readers(state)?);
        let mut options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        if parts.iter().all(|found| found.rows.is_some()) {
            // The trace index, or that of values, has said more than the filters of row groups could.
            options.global.bloom_filter_on_read = false;
        }
        let source = ParquetSource::new(self.table.file_schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let mut groups = vec![Vec::new(); group_count];
        for (i, part) in parts.iter().enumerate() {
            groups[i % group_count].push(self.file(part));
        }
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// A part with what is known of it, so that it can be left out by a bound found while the query runs.
    fn file(&self, TracePart { part, rows }: &TracePart) -> PartitionedFile {
        let schema = self.table.file_schema();
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = Precision::Exact(usize::try_from(part.rows).unwrap_or(usize::MAX));
        if let Ok(at) = schema.index_of(self.table.time_column()) {
            let column = &mut statistics.column_statistics[at];
            column.min_value = Precision::Exact(ScalarValue::Int64(Some(part.time_min.0)));
            column.max_value = Precision::Exact(ScalarValue::Int64(Some(part.time_max.0)));
            column.null_count = Precision::Exact(0);
        }
        let file = PartitionedFile::new_from_meta(object_meta(part)).with_statistics(Arc::new(statistics));
        match rows {
            Some(rows) => file.with_extension(ParquetRowSelection::new(selection(rows, part.rows))),
            None => file,
        }
    }

    fn tail(
        &self,
        batches: &[RecordBatch],
        ids: Option<&BTreeSet<Vec<u8>>>,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let ids = ids.map(|ids| Arc::new(ids.clone()));
        let all = self.table.file_schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
        let schema = Arc::new(all.project(&projection)?);
        let share = batches.len().div_ceil(state.config().target_partitions().max(1)).max(1);
        let partitions = batches.chunks(share).map(|batches| {
            let stream = TailStream::new(batches.to_vec(), ids.clone(), projection.clone(), Arc::clone(&schema));
            Arc::new(stream) as Arc<dyn PartitionStream>
        });
        let exec = StreamingTableExec::try_new(Arc::clone(&schema), partitions.collect(), None, [], false, limit)?;
        Ok(Arc::new(exec))
    }

    /// A scan whose partitions, one after the other, give rows in the order in which they were stored.
    pub(crate) async fn scan_as_stored(
        &self,
        state: &dyn Session,
        projection: &Vec<usize>,
        filters: &[Expr],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.plan(state, Some(projection), filters, None, |parts| parts.len().max(1)).await
    }

    /// A scan; `arrange` puts the parts in order and says into how many partitions they are dealt in turn.
    async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        arrange: impl FnOnce(&mut Vec<TracePart>) -> usize + Send,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let range = time_bounds(filters, self.table.time_column());
        let ids = ids(filters, column::TRACE_ID).filter(|ids| ids.len() <= IDS_MAX);
        let mut plans = Vec::new();
        let mut parts = self.parts(range, ids.as_ref());
        let wanted = self.wanted.clone().and(wanted(self.table, filters));
        if ids.is_none() && !wanted.is_empty() {
            parts = self.narrow(parts, &wanted, state).await?;
        }
        self.stats.count(parts.len(), self.snapshot.parts(self.table).len());
        if !parts.is_empty() {
            let group_count = arrange(&mut parts);
            plans.push(self.parquet(&parts, group_count, state, projection, limit)?);
        }
        let batches = self.tail_batches(range);
        if !batches.is_empty() {
            plans.push(self.tail(&batches, ids.as_ref(), state, projection, limit)?);
        }
        match plans.len() {
            0 => {
                let schema = self.schema();
                let schema =
                    projection.map_or_else(|| Ok(Arc::clone(&schema)), |at| schema.project(at).map(Arc::new))?;
                Ok(Arc::new(EmptyExec::new(schema)))
            }
            1 => Ok(plans.swap_remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }

    /// Tail batches with rows in `range`.
    fn tail_batches(&self, range: TimeRange) -> Vec<RecordBatch> {
        let batches = self.snapshot.tail(self.table).iter();
        batches.filter(|batch| may_hold(batch, self.table.time_column(), range)).cloned().collect()
    }
}

/// What opens files of parts, with their footers kept.
fn readers(state: &dyn Session) -> Result<CachedParquetFileReaderFactory> {
    let runtime = state.runtime_env();
    let store = runtime.object_store(ObjectStoreUrl::parse(DATA_URL)?)?;
    Ok(CachedParquetFileReaderFactory::new(store, runtime.cache_manager.get_file_metadata_cache()))
}

impl Scans {
    /// Counts row groups that a value index left and ruled out.
    pub(crate) fn count_groups(&self, (read, pruned): (usize, usize)) {
        self.groups_read.fetch_add(read as u64, Ordering::Relaxed);
        self.groups_pruned.fetch_add(pruned as u64, Ordering::Relaxed);
    }

    /// Moves parts from those that were left aside to those that were read.
    pub(crate) fn read(&self, parts: usize) {
        self.parts_read.fetch_add(parts as u64, Ordering::Relaxed);
        self.parts_pruned.fetch_sub(parts as u64, Ordering::Relaxed);
    }

    /// Counts parts that are read, of all that there are.
    pub(crate) fn count(&self, read: usize, all: usize) {
        self.parts_read.fetch_add(read as u64, Ordering::Relaxed);
        self.parts_pruned.fetch_add((all - read) as u64, Ordering::Relaxed);
    }
}

/// A part as an object store tells of it.
pub(crate) fn object_meta(part: &Part) -> ObjectMeta {
    ObjectMeta {
        location: part.location.clone(),
        // A part never changes under its name; the cache of footers compares this time.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: part.bytes,
        e_tag: None,
        version: None,
    }
}

/// Some rows of so many.
fn selection(rows: &[Range<u64>], count: u64) -> RowSelection {
    let place = |row: u64| usize::try_from(row).unwrap_or(usize::MAX);
    RowSelection::from_consecutive_ranges(rows.iter().map(|rows| place(rows.start)..place(rows.end)), place(count))
}

/// Whether a batch may have rows in `range`.
fn may_hold(batch: &RecordBatch, time_column: &str, range: TimeRange) -> bool {
    use arrow::array::AsArray;
    if range == TimeRange::ALL {
        return batch.num_rows() > 0;
    }
    let times = batch.column_by_name(time_column).and_then(|column| column.as_primitive_opt::<Int64Type>());
    match times.map(|times| (aggregate::min(times), aggregate::max(times))) {
        Some((Some(min), Some(max))) => overlaps(range, UnixNano(min), UnixNano(max)),
        _ => batch.num_rows() > 0,
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        self.table.file_schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // Newest first, so that a search for the newest rows can stop early.
        let newest_first = |parts: &mut Vec<TracePart>| {
            let key = |found: &TracePart| (std::cmp::Reverse(found.part.time_max), found.part.location.clone());
            parts.sort_by_cached_key(key);
            state.config().target_partitions().min(parts.len()).max(1)
        };
        self.plan(state, projection, filters, limit, newest_first).await
    }
}
