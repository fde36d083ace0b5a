//! A condition over a view, such as `service_name = 'x' AND start_time < now() - interval '90 days'`, becomes a test of
//! rows as files hold them.
//!
//! Names and types are those of SQL: each shown column is replaced by what it is made of, and the rule that brings
//! queries to stored columns does the same here. One table and no more: what would look elsewhere (subqueries), at
//! other rows (aggregates) or at chance (`random()`) is refused.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::builder::LogicalTableSource;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder, ScalarUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use tracelake_model::{Table, TimeRange};
use tracelake_storage::Condition;

use crate::engine::Engine;
use crate::error::Error;
use crate::function::now::Now;
use crate::scan::prune::time_bounds;
use crate::sql::{rewrite, view};

impl Engine {
    /// What `text` says of the rows of a table, and the times that it leaves open. `now()` is the present of this call.
    pub fn condition(&self, table: Table, text: &str) -> Result<(Condition, TimeRange), Error> {
        let parsed = tracelake_statement::condition(text)?;
        let mut state = self.sql_state();
        state.register_udf(Arc::new(ScalarUDF::from(Now::new(self.clock().now()))))?;
        let shown = shown_schema(table)?;
        let asked = state.create_logical_expr_from_sql_expr(parsed, &shown)?;
        check(&asked)?;
        let file = table.file_schema();
        let stored = DFSchema::try_from(Arc::clone(&file))?;
        let asked = to_stored(&state, table, asked, &stored)?;
        if asked.get_type(&stored)? != DataType::Boolean {
            return Err(Error::Invalid("the condition is neither true nor false of a row; compare something".into()));
        }
        let range = time_bounds(std::slice::from_ref(&asked), table.time_column());
        let test = state.create_physical_expr(asked, &stored)?;
        Ok((condition(&file, test)?, range))
    }
}

/// The columns of a view with their types.
fn shown_schema(table: Table) -> Result<DFSchema, DataFusionError> {
    let source = Arc::new(LogicalTableSource::new(table.file_schema()));
    let plan = LogicalPlanBuilder::scan("stored", source, None)?.project(view::columns(table)?)?.build()?;
    Ok(plan.schema().as_ref().clone())
}

fn check(asked: &Expr) -> Result<(), Error> {
    let other_rows = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_) | Expr::GroupingSet(_)
        ))
    };
    if asked.exists(other_rows)? {
        return Err(Error::Invalid("a condition looks at one row: no aggregate, no window".to_owned()));
    }
    if asked.exists(|expr| Ok(matches!(expr, Expr::Placeholder(_))))? {
        return Err(Error::Invalid("a condition has no parameters; write the values".to_owned()));
    }
    if asked.is_volatile() {
        return Err(Error::Invalid("a condition that is left to chance (random(), uuid()) means no rows".to_owned()));
    }
    Ok(())
}

/// The same question of stored columns, with constants computed.
fn to_stored(state: &SessionState, table: Table, asked: Expr, stored: &DFSchema) -> Result<Expr, DataFusionError> {
    let shown = view::columns(table)?.into_iter().filter_map(|shown| match shown {
        Expr::Alias(shown) => Some((shown.name, *shown.expr)),
        _ => None,
    });
    let made_of: HashMap<String, Expr> = shown.collect();
    let replaced = asked.transform_up(|expr| {
        let found = if let Expr::Column(column) = &expr { made_of.get(&column.name).cloned() } else { None };
        Ok(found.map_or_else(|| Transformed::no(expr), Transformed::yes))
    })?;
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(stored.clone()))
        .with_config_options(Arc::clone(state.config_options()))
        .with_current_time()
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(replaced.data, stored)?;
    let simple = simplifier.simplify(coerced)?;
    let stored = simple.transform_up(rewrite::to_stored)?.data;
    // Some functions run only in the form that this gives them.
    simplifier.simplify(stored)
}

/// A test that reads only the columns that it names.
fn condition(file: &Schema, test: Arc<dyn PhysicalExpr>) -> Result<Condition, DataFusionError> {
    let mut places: Vec<usize> = collect_columns(&test).iter().map(Column::index).collect();
    places.sort_unstable();
    places.dedup();
    let test = reassign_expr_columns(test, &file.project(&places)?)?;
    let columns = places.into_iter().map(|place| file.field(place).name().clone()).collect();
    let holds = move |rows: &RecordBatch| -> Result<BooleanArray, ArrowError> {
        let answer = test.evaluate(rows).and_then(|answer| answer.into_array(rows.num_rows()));
        let answer = answer.map_err(|fault| ArrowError::ComputeError(fault.strip_backtrace()))?;
        let answer = answer.as_boolean_opt().cloned();
        answer.ok_or_else(|| ArrowError::ComputeError("the condition is neither true nor false".to_owned()))
    };
    Ok(Condition::new(columns, Box::new(holds)))
}
