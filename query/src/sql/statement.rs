//! One statement from its text to its rows, under limits.

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement;
use tokio::time::Instant;
use tracelake_model::Caller;

use crate::engine::Engine;
use crate::error::Error;
use crate::limit::{Limit, limited};
use crate::sql::answer::SqlAnswer;
use crate::sql::session;

impl Engine {
    /// Runs one read-only SQL statement over the caller's tenant; `params` are `$1`, `$2` ...
    pub async fn sql(&self, caller: &Caller, query: &str, params: &[serde_json::Value]) -> Result<SqlAnswer, Error> {
        let place = self.gate().enter()?;
        let seconds = self.config().sql_seconds;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let statement = tracelake_statement::statement(query)?;
        let snapshot = Arc::new(self.store().snapshot(&caller.tenant));
        let state = self.session_at(&snapshot)?;
        let planned = tokio::time::timeout_at(deadline, plan(&state, statement, params)).await;
        let physical = planned.map_err(|_| Error::Timeout(seconds))??;
        let stream = execute_stream(physical, state.task_ctx())?;
        let (truncated, warnings) = (Arc::default(), snapshot.warnings());
        let limit = Limit {
            deadline,
            seconds,
            rows: Some(self.config().sql_rows),
            truncated: Arc::clone(&truncated),
            place: Some(place),
            snapshot,
        };
        Ok(SqlAnswer { schema: stream.schema(), stream: limited(stream, limit), truncated, warnings })
    }
}

async fn plan(
    state: &SessionState,
    statement: Statement,
    params: &[serde_json::Value],
) -> Result<Arc<dyn ExecutionPlan>, Error> {
    let plan = tracelake_statement::plan(state, statement).await.map_err(unknown_table)?;
    let plan = bind(plan, params)?;
    Ok(state.create_physical_plan(&plan).await?)
}

/// Puts values in the places of `$1`, `$2` ...
fn bind(plan: LogicalPlan, params: &[serde_json::Value]) -> Result<LogicalPlan, Error> {
    let wanted = plan.get_parameter_names()?.len();
    if wanted > params.len() {
        return Err(Error::Invalid(format!("the statement has {wanted} parameters, {} were given", params.len())));
    }
    if wanted == 0 {
        return Ok(plan);
    }
    let values = params.iter().map(value).collect::<Result<Vec<_>, Error>>()?;
    Ok(plan.with_param_values(ParamValues::from(values))?)
}

fn value(param: &serde_json::Value) -> Result<ScalarValue, Error> {
    use serde_json::Value;
    Ok(match param {
        Value::Null => ScalarValue::Null,
        Value::Bool(value) => ScalarValue::Boolean(Some(*value)),
        Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => ScalarValue::Int64(Some(integer)),
            None => ScalarValue::Float64(number.as_f64()),
        },
        Value::Array(_) | Value::Object(_) => {
            return Err(Error::Invalid("a parameter is a string, number, boolean or null".to_owned()));
        }
    })
}

/// Names the tables there are when a statement names one that is not.
fn unknown_table(error: tracelake_statement::Error) -> Error {
    match Error::from(error) {
        Error::Invalid(text) if text.contains("not found") && text.contains("table") => {
            let names: Vec<&str> = session::table_names().collect();
            let text = text.replace("tracelake.public.", "");
            Error::Invalid(format!("{text}; the tables are {}", names.join(", ")))
        }
        other => other,
    }
}
