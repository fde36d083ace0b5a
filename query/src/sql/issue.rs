//! The view `issues`: exceptions by fingerprint.
//!
//! Deliberately without the state that people give an issue: that is documents, which SQL does not read.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::ViewTable;
use datafusion::functions_aggregate::expr_fn::{array_agg, count, first_value, max, min};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlanBuilder};
use datafusion::prelude::{col, lit};
use tracelake_model::{Table, column};
use tracelake_storage::Snapshot;

use crate::scan::provider::Scans;
use crate::sql::view;

/// The view's name.
pub(crate) const NAME: &str = "issues";

/// One row per fingerprint: type and message of the newest occurrence, services, versions, first and last time, count.
pub(crate) fn view(snapshot: &Arc<Snapshot>, scans: &Arc<Scans>) -> Result<Arc<dyn TableProvider>> {
    let exceptions = view::plan(snapshot, Table::Exceptions, scans)?;
    let newest = |name: &str| first_value(col(name), vec![col("time").sort(false, false)]).alias(name);
    let distinct = |name: &str, shown: &str| -> Result<Expr> {
        let known = array_agg(col(name)).distinct().filter(col(name).is_not_null());
        Ok(known.order_by(vec![col(name).sort(true, true)]).build()?.alias(shown))
    };
    let aggregates = vec![
        newest(column::TYPE),
        newest(column::MESSAGE),
        distinct(column::SERVICE_NAME, "services")?,
        distinct(column::SERVICE_VERSION, "versions")?,
        min(col("time")).alias("first_seen"),
        max(col("time")).alias("last_seen"),
        count(lit(ScalarValue::Int64(Some(1)))).alias("count"),
        newest(column::TRACE_ID),
    ];
    let plan = LogicalPlanBuilder::from(exceptions).aggregate(vec![col(column::FINGERPRINT)], aggregates)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
