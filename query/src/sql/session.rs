//! Settings, functions and rules of every session, and the catalog of one tenant.
//!
//! A session sees the tables of its tenant at one snapshot and nothing else: no files, no other tenant.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider};
use datafusion::catalog::{CatalogProviderList, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionConfig;
use tracelake_model::{Table, UnixNano};
use tracelake_storage::Snapshot;

use crate::config::Config;
use crate::function::attr::{Attr, AttrType};
use crate::function::now::Now;
use crate::scan::provider::Scans;
use crate::sql::{issue, rewrite, series, view};

const CATALOG: &str = "tracelake";
const SCHEMA: &str = "public";

/// What every session starts from.
pub(crate) fn base_state(config: &Config, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut session = SessionConfig::new()
        .with_target_partitions(config.partition_count())
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, SCHEMA);
    let options = session.options_mut();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.sql_parser.collect_spans = true;
    let mut builder = SessionStateBuilder::new()
        .with_config(session)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_optimizer_rules(rewrite::optimizer_rules());
    let functions = builder.scalar_functions().get_or_insert_default();
    functions.extend(AttrType::ALL.map(|result| Arc::new(ScalarUDF::from(Attr::new(result)))));
    builder.build()
}

/// A session of one tenant at one snapshot.
pub(crate) fn tenant_state(
    base: &SessionState,
    snapshot: &Arc<Snapshot>,
    scans: &Arc<Scans>,
    now: UnixNano,
) -> Result<SessionState> {
    let schema = TenantSchema { snapshot: Arc::clone(snapshot), scans: Arc::clone(scans) };
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(schema))?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    let mut state = SessionStateBuilder::new_from_existing(base.clone()).with_catalog_list(Arc::new(catalogs)).build();
    state.register_udf(Arc::new(ScalarUDF::from(Now::new(now))))?;
    Ok(state)
}

/// Names of all tables and views, in the order they are shown.
pub(crate) fn table_names() -> impl Iterator<Item = &'static str> {
    Table::ALL.into_iter().map(Table::as_str).chain([issue::NAME, series::VIEW])
}

/// The views of one tenant, made when a statement names them.
#[derive(Debug)]
struct TenantSchema {
    snapshot: Arc<Snapshot>,
    scans: Arc<Scans>,
}

#[async_trait]
impl SchemaProvider for TenantSchema {
    fn table_names(&self) -> Vec<String> {
        table_names().map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if name == issue::NAME {
            return issue::view(&self.snapshot, &self.scans).map(Some);
        }
        if name == series::VIEW {
            return series::view(&self.snapshot, &self.scans).map(Some);
        }
        Table::parse(name).map(|table| view::view(&self.snapshot, table, &self.scans)).transpose()
    }

    fn table_exist(&self, name: &str) -> bool {
        table_names().any(|known| known == name)
    }
}
