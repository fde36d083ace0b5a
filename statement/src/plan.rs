//! The logical plan of a statement. The second gate, after `permit.rs`: DataFusion's own options.

use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::Error;

/// Plans a statement over the tables of a session. Boxed: callers compile a call, not the planner.
///
/// # Errors
/// Names that do not exist, types that do not fit, statements that write.
pub fn plan(state: &SessionState, statement: Statement) -> BoxFuture<'_, Result<LogicalPlan, Error>> {
    async move {
        let plan = state.statement_to_plan(statement).await?;
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reading.verify_plan(&plan)?;
        Ok(plan)
    }
    .boxed()
}
