//! The engine: a tenant and a question become a stream of batches, under limits, from one snapshot.
//!
//! Deliberately starts no threads of its own and fills no cache before the first question.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::catalog::TableProvider as _;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::datasource::provider_as_source;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule as _;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{SessionContext, col, lit};
use tokio::sync::broadcast;
use tracelake_model::{Clock, Durable, Sample, Table, Tap, TenantId, TimeRange, UnixNano};
use tracelake_storage::{Snapshot, Store};

use crate::config::Config;
use crate::error::Error;
use crate::limit::{Gate, bound};
use crate::map::minute::book::Books;
use crate::map::minute::sums::Sums;
use crate::scan::order::in_order;
use crate::scan::pick::pick;
use crate::scan::pick_part::Pick;
use crate::scan::provider::{DATA_URL, Scans, SnapshotTable};
use crate::scan::seek::Seeker;
use crate::scan::seek_part::Seek;
use crate::scan::wanted::Wanted;
use crate::sql::view::in_service;
use crate::tail_feed::TailFeed;

/// Which rows of a table are wanted.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Columns in the order wanted, named as files name them; empty wants all.
    pub columns: Vec<&'static str>,
    /// What must be true of a row, over file columns (also ones that are not wanted).
    pub filter: Option<Expr>,
    /// Rows whose time lies inside; parts outside are not opened.
    pub range: TimeRange,
    /// The order of the answer; none means any.
    pub order: Vec<Order>,
    /// At most so many rows, the first ones of the order.
    pub limit: Option<usize>,
    /// Without an order and a limit: rows come as they were stored, part by part in the order of commits (within a merged
    /// part by [`Table::sort_keys`], equal ones as they were stored), then the tail. Parts are then decoded one after the
    /// other.
    pub as_stored: bool,
    /// Seconds that the answer may take; none means those of the configuration.
    pub seconds: Option<u64>,
    /// What a row must hold; rows that do not may come out all the same.
    pub(crate) wanted: Wanted,
}

/// One column of an answer's order; nulls come last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// A file column.
    pub column: &'static str,
    /// Greatest first.
    pub descending: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            columns: Vec::new(),
            filter: None,
            range: TimeRange::ALL,
            order: Vec::new(),
            limit: None,
            as_stored: false,
            seconds: None,
            wanted: Wanted::default(),
        }
    }
}

/// Answers questions about stored and unflushed records.
pub struct Engine {
    store: Arc<Store>,
    config: Config,
    clock: Arc<dyn Clock>,
    /// State that every question starts from: functions, rules, settings; memory of our own routes.
    native: SessionState,
    /// The same with the memory of SQL statements.
    sql: SessionState,
    gate: Gate,
    scans: Arc<Scans>,
    feed: Arc<TailFeed>,
    /// What is known of the map's minutes.
    books: Books,
    /// What answers summed of them.
    sums: Sums,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Arc<Store>, config: Config, clock: Arc<dyn Clock>) -> Arc<Engine> {
        let native_runtime = runtime(&store, &config);
        let sql_pool = pool(config.sql_memory);
        let sql_runtime = RuntimeEnvBuilder::from_runtime_env(&native_runtime).with_memory_pool(sql_pool).build_arc();
        let sql_runtime = sql_runtime.expect("a runtime that spills nothing needs nothing that can fail");
        let native = crate::sql::session::base_state(&config, native_runtime);
        let sql = SessionStateBuilder::new_from_existing(native.clone()).with_runtime_env(sql_runtime).build();
        Arc::new(Engine {
            gate: Gate::new(config.sql_concurrent_max),
            feed: Arc::new(TailFeed::new(config.live_tail_requests)),
            scans: Arc::default(),
            books: Books::default(),
            sums: Sums::default(),
            store,
            config,
            clock,
            native,
            sql,
        })
    }

    /// Rows of one table of a tenant as files hold them (`Table::file_schema()`: times int64, ids binary), with the
    /// unflushed tail, from a snapshot taken now.
    pub async fn rows(&self, tenant: &TenantId, table: Table, ask: Scan) -> Result<SendableRecordBatchStream, Error> {
        self.rows_at(&Arc::new(self.store.snapshot(tenant)), table, ask).await
    }

    /// The same from a snapshot in hand, for questions of several steps that must agree with each other.
    pub async fn rows_at(
        &self,
        snapshot: &Arc<Snapshot>,
        table: Table,
        ask: Scan,
    ) -> Result<SendableRecordBatchStream, Error> {
        in_service(snapshot, table)?;
        let seconds = ask.seconds.unwrap_or(self.config.sql_seconds);
        let provider = SnapshotTable::new(Arc::clone(snapshot), table, Arc::clone(&self.scans));
        let provider = provider.wanting(ask.wanted.clone());
        let stream = if !ask.order.is_empty() || ask.limit.is_some() {
            let physical = self.native.create_physical_plan(&self.scan_plan(provider, ask)?).await?;
            execute_stream(physical, self.native.task_ctx())?
        } else if ask.as_stored {
            in_order(self.plain_plan(&provider, ask).await?, self.native.task_ctx())
        } else {
            execute_stream(self.plain_plan(&provider, ask).await?, self.native.task_ctx())?
        };
        Ok(bound(stream, snapshot, Duration::from_secs(seconds)))
    }

    /// Rows of some traces (ids as they are stored), in the order in which they were stored; `columns` as in [`Scan`].
    pub(crate) async fn rows_of_traces(
        &self,
        snapshot: &Arc<Snapshot>,
        table: Table,
        ids: BTreeSet<Vec<u8>>,
        columns: &[&str],
    ) -> Result<SendableRecordBatchStream, Error> {
        in_service(snapshot, table)?;
        let columns = Arc::new(places(table, columns)?);
        let wanted = Pick { table, ids: Arc::new(ids), columns };
        let stream = pick(self.native.runtime_env(), &self.scans, snapshot, wanted).await?;
        Ok(bound(stream, snapshot, Duration::from_secs(self.config.sql_seconds)))
    }

    /// A walk through a table's rows from the newest backwards.
    pub(crate) fn seek(&self, snapshot: &Arc<Snapshot>, seek: Seek) -> Result<Seeker, Error> {
        in_service(snapshot, seek.table)?;
        Ok(Seeker::new(&self.native, &self.scans, snapshot, seek, self.config.sql_seconds)?)
    }

    /// A session that sees the SQL views and functions of this tenant only, read-only, all at one snapshot.
    pub fn session(&self, tenant: &TenantId) -> Result<SessionContext, Error> {
        let snapshot = Arc::new(self.store.snapshot(tenant));
        Ok(SessionContext::new_with_state(self.session_at(&snapshot)?))
    }

    /// The same at a snapshot in hand, which must live as long as what is read through it.
    pub(crate) fn session_at(&self, snapshot: &Arc<Snapshot>) -> Result<SessionState, Error> {
        Ok(crate::sql::session::tenant_state(&self.sql, snapshot, &self.scans, self.clock.now())?)
    }

    /// What is missing of the rows of some tables in a range because files are damaged, a sentence each.
    pub(crate) fn warnings(&self, tenant: &TenantId, tables: &[Table], range: TimeRange) -> Vec<String> {
        let snapshot = self.store.snapshot(tenant);
        tables.iter().for_each(|table| snapshot.read(*table, range.start, range.end));
        snapshot.warnings()
    }

    /// The present, as every part of an answer sees it.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Where the records are.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The limits in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// What answers summed of the map's minutes.
    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The tap that feeds live tails; the binary attaches it to the store.
    pub fn tap(&self) -> Arc<dyn Tap> {
        Arc::clone(&self.feed) as Arc<dyn Tap>
    }

    /// Durable requests with log records of **all** tenants from now on; the listener keeps its own tenant's.
    pub fn subscribe_logs(&self) -> broadcast::Receiver<Durable> {
        self.feed.subscribe()
    }

    /// Figures for operators.
    pub fn stats(&self) -> Vec<Sample> {
        const PARTS: (&str, &str) = (
            "tracelake_query_parts_total",
            "Parts that scans looked into (read) or left aside by their times, traces and values (pruned).",
        );
        const GROUPS: (&str, &str) = (
            "tracelake_query_row_groups_total",
            "Row groups of which value indexes left rows to read (read) and those they ruled out (pruned).",
        );
        let parts = |result: &str, count: u64| Sample::counter(PARTS.0, PARTS.1, count).label("result", result);
        let groups = |result: &str, count: u64| Sample::counter(GROUPS.0, GROUPS.1, count).label("result", result);
        let reserved = |state: &SessionState| state.runtime_env().memory_pool.reserved() as f64;
        const MEMORY: (&str, &str) =
            ("tracelake_query_memory_bytes", "Memory that running queries hold in sorts, joins and aggregates.");
        let mut samples = self.books.samples();
        samples.extend([
            parts("read", self.scans.parts_read.load(Ordering::Relaxed)),
            parts("pruned", self.scans.parts_pruned.load(Ordering::Relaxed)),
            groups("read", self.scans.groups_read.load(Ordering::Relaxed)),
            groups("pruned", self.scans.groups_pruned.load(Ordering::Relaxed)),
            Sample::gauge(MEMORY.0, MEMORY.1, reserved(&self.sql)).label("pool", "sql"),
            Sample::gauge(MEMORY.0, MEMORY.1, reserved(&self.native)).label("pool", "native"),
            Sample::gauge("tracelake_query_sql_running", "SQL statements running now.", self.gate.running() as f64),
            Sample::counter("tracelake_query_sql_total", "SQL statements begun.", self.gate.admitted()),
            Sample::counter(
                "tracelake_query_sql_refused_total",
                "SQL statements sent away at the limit.",
                self.gate.refused(),
            ),
            Sample::gauge("tracelake_query_live_tails", "Live tails listening.", self.feed.listener_count() as f64),
        ]);
        samples
    }

    #[cfg(test)]
    pub(crate) fn runtime(&self) -> &Arc<RuntimeEnv> {
        self.native.runtime_env()
    }

    /// Functions, rules and settings of SQL, without any table.
    pub(crate) fn sql_state(&self) -> SessionState {
        self.sql.clone()
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// A scan that needs neither an order nor a limit, planned by hand: the optimizer would take longer than many scans.
    async fn plain_plan(&self, provider: &SnapshotTable, ask: Scan) -> Result<Arc<dyn ExecutionPlan>, Error> {
        let table = provider.table();
        let schema = table.file_schema();
        let mut columns = places(table, &ask.columns)?;
        let wanted = columns.len();
        let filter = ask.filter.into_iter().chain(time_filter(table.time_column(), ask.range)).reduce(Expr::and);
        for column in filter.iter().flat_map(Expr::column_refs) {
            let place = schema.index_of(&column.name).map_err(DataFusionError::from)?;
            if !columns.contains(&place) {
                columns.push(place);
            }
        }
        let scan = if ask.as_stored {
            provider.scan_as_stored(&self.native, &columns, filter.as_slice()).await?
        } else {
            provider.scan(&self.native, Some(&columns), filter.as_slice(), None).await?
        };
        let Some(filter) = filter else { return Ok(scan) };
        let predicate = self.native.create_physical_expr(filter, &DFSchema::try_from(scan.schema())?)?;
        let filtered =
            FilterExecBuilder::new(predicate, scan).apply_projection(Some((0..wanted).collect()))?.build()?;
        Ok(FilterPushdown::new().optimize(Arc::new(filtered), self.native.config_options())?)
    }

    fn scan_plan(&self, provider: SnapshotTable, ask: Scan) -> Result<LogicalPlan, Error> {
        let table = provider.table();
        let time = table.time_column();
        let mut plan = LogicalPlanBuilder::scan(table.as_str(), provider_as_source(Arc::new(provider)), None)?;
        if let Some(filter) = ask.filter.into_iter().chain(time_filter(time, ask.range)).reduce(Expr::and) {
            plan = plan.filter(filter)?;
        }
        // The order may name columns that are not wanted, so it comes before the projection.
        if !ask.order.is_empty() {
            let order: Vec<SortExpr> =
                ask.order.iter().map(|order| col(order.column).sort(!order.descending, false)).collect();
            plan = plan.sort_with_limit(order, ask.limit)?;
        }
        if !ask.columns.is_empty() {
            plan = plan.project(ask.columns.iter().map(|name| col(*name)))?;
        }
        if ask.limit.is_some() {
            plan = plan.limit(0, ask.limit)?;
        }
        Ok(plan.build()?)
    }
}

/// Places of columns in a table's files; all of them where none is named.
fn places(table: Table, columns: &[&str]) -> Result<Vec<usize>, Error> {
    let schema = table.file_schema();
    if columns.is_empty() {
        return Ok((0..schema.fields().len()).collect());
    }
    let places = columns.iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>();
    Ok(places.map_err(DataFusionError::from)?)
}

/// The comparisons that keep a time column inside `range`; none where it is open.
fn time_filter(column: &str, range: TimeRange) -> Option<Expr> {
    let start = (range.start > TimeRange::ALL.start).then(|| col(column).gt_eq(lit(range.start.0)));
    let end = (range.end < UnixNano::MAX).then(|| col(column).lt(lit(range.end.0)));
    start.into_iter().chain(end).reduce(Expr::and)
}

fn pool(bytes: u64) -> Arc<dyn MemoryPool> {
    Arc::new(FairSpillPool::new(usize::try_from(bytes).unwrap_or(usize::MAX)))
}

/// Memory and caches that all questions share. Nothing is spilled: a query past its memory is refused, so that no
/// statement can fill the disk that records need.
fn runtime(store: &Arc<Store>, config: &Config) -> Arc<RuntimeEnv> {
    let runtime = RuntimeEnvBuilder::new()
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .with_memory_pool(pool(config.native_memory))
        .with_metadata_cache_limit(config.metadata_cache_bytes)
        .build_arc()
        .expect("a runtime that spills nothing needs nothing that can fail");
    let url = ObjectStoreUrl::parse(DATA_URL).expect("the constant is a URL");
    runtime.register_object_store(url.as_ref(), store.object_store());
    runtime
}
