//! One table of one snapshot as a DataFusion table: the parts that a predicate may touch, and the unflushed tail.
//!
//! Every row of the snapshot comes out exactly once. Predicates are pushed down inexactly: they prune parts, row groups
//! and pages and are checked again above where a source cannot promise more. Deliberately knows nothing of SQL names.

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
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectMeta;
use tracelake_model::{Table, TimeRange, UnixNano};
use tracelake_storage::{Part, Snapshot};

use crate::scan::prune::{overlaps, time_bounds};
use crate::scan::tail::TailStream;

/// The object store of parts, as DataFusion's registry names it.
pub(crate) const DATA_URL: &str = "tracelake://data";

/// What scans have cost so far.
#[derive(Debug, Default)]
pub(crate) struct ScanStats {
    /// Parts that a scan had to look into.
    pub(crate) parts_read: AtomicU64,
    /// Parts that a scan could leave aside by their times.
    pub(crate) parts_pruned: AtomicU64,
}

/// One table of one snapshot.
#[derive(Debug)]
pub(crate) struct SnapshotTable {
    snapshot: Arc<Snapshot>,
    table: Table,
    stats: Arc<ScanStats>,
}

impl SnapshotTable {
    pub(crate) fn new(snapshot: Arc<Snapshot>, table: Table, stats: Arc<ScanStats>) -> Self {
        Self { snapshot, table, stats }
    }

    /// Which table this is.
    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// Parts whose times overlap `range`, newest first, so that a search for the newest rows can stop early.
    fn parts(&self, range: TimeRange) -> Vec<Arc<Part>> {
        let all = self.snapshot.parts(self.table);
        let mut parts: Vec<Arc<Part>> =
            all.iter().filter(|part| overlaps(range, part.time_min, part.time_max)).map(Arc::clone).collect();
        parts.sort_by(|a, b| b.time_max.cmp(&a.time_max).then_with(|| a.location.cmp(&b.location)));
        self.stats.parts_read.fetch_add(parts.len() as u64, Ordering::Relaxed);
        self.stats.parts_pruned.fetch_add((all.len() - parts.len()) as u64, Ordering::Relaxed);
        parts
    }

    fn parquet(
        &self,
        parts: &[Arc<Part>],
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::parse(DATA_URL)?;
        let runtime = state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        let options =
            TableParquetOptions { global: state.config_options().execution.parquet.clone(), ..Default::default() };
        let source = ParquetSource::new(self.table.file_schema())
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(readers));
        let group_count = state.config().target_partitions().min(parts.len()).max(1);
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
    fn file(&self, part: &Part) -> PartitionedFile {
        let meta = ObjectMeta {
            location: part.location.clone(),
            // A part never changes under its name; the cache of footers compares this time.
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: part.bytes,
            e_tag: None,
            version: None,
        };
        let schema = self.table.file_schema();
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = Precision::Exact(usize::try_from(part.rows).unwrap_or(usize::MAX));
        if let Ok(at) = schema.index_of(self.table.time_column()) {
            let column = &mut statistics.column_statistics[at];
            column.min_value = Precision::Exact(ScalarValue::Int64(Some(part.time_min.0)));
            column.max_value = Precision::Exact(ScalarValue::Int64(Some(part.time_max.0)));
            column.null_count = Precision::Exact(0);
        }
        PartitionedFile::new_from_meta(meta).with_statistics(Arc::new(statistics))
    }

    fn tail(
        &self,
        batches: &[RecordBatch],
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = self.table.file_schema();
        let projection = projection.cloned().unwrap_or_else(|| (0..all.fields().len()).collect());
        let schema = Arc::new(all.project(&projection)?);
        let share = batches.len().div_ceil(state.config().target_partitions().max(1)).max(1);
        let partitions = batches.chunks(share).map(|batches| {
            let stream = TailStream::new(batches.to_vec(), projection.clone(), Arc::clone(&schema));
            Arc::new(stream) as Arc<dyn PartitionStream>
        });
        let exec = StreamingTableExec::try_new(Arc::clone(&schema), partitions.collect(), None, [], false, limit)?;
        Ok(Arc::new(exec))
    }

    /// Tail batches with rows in `range`.
    fn tail_batches(&self, range: TimeRange) -> Vec<RecordBatch> {
        let batches = self.snapshot.tail(self.table).iter();
        batches.filter(|batch| may_hold(batch, self.table.time_column(), range)).cloned().collect()
    }
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
        let range = time_bounds(filters, self.table.time_column());
        let mut plans = Vec::new();
        let parts = self.parts(range);
        if !parts.is_empty() {
            plans.push(self.parquet(&parts, state, projection, limit)?);
        }
        let batches = self.tail_batches(range);
        if !batches.is_empty() {
            plans.push(self.tail(&batches, state, projection, limit)?);
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
}
