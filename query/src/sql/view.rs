//! How SQL shows a table: times as timestamps, ids as lower-case hex, kinds and status codes by name, all attributes as
//! one JSON text.
//!
//! A view is a projection over the stored columns, so only what a query names is read or computed, and predicates move
//! through it to the scan.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, ScalarUDF, cast, when};
use datafusion::prelude::lit;
use tracelake_model::{Table, column, semconv};
use tracelake_storage::Snapshot;

use crate::error::Error;
use crate::function::attributes::{Attributes, Owner};
use crate::function::hex::Hex;
use crate::function::label::Label;
use crate::scan::provider::{Scans, SnapshotTable};

/// The view of one table.
pub(crate) fn view(snapshot: &Arc<Snapshot>, table: Table, scans: &Arc<Scans>) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(ViewTable::new(plan(snapshot, table, scans)?, None)))
}

/// The projection that a view is.
pub(crate) fn plan(snapshot: &Arc<Snapshot>, table: Table, scans: &Arc<Scans>) -> Result<LogicalPlan> {
    in_service(snapshot, table).map_err(Error::into_datafusion)?;
    let provider = SnapshotTable::new(Arc::clone(snapshot), table, Arc::clone(scans));
    let columns = columns(table)?;
    // Stored and shown columns often share a name; with different qualifiers the optimizer can carry both.
    let stored = format!("stored_{table}");
    let rows = LogicalPlanBuilder::scan(stored, provider_as_source(Arc::new(provider)), None)?;
    let rows = if table.has_generations() { current(table, rows)? } else { rows };
    rows.project(columns)?.build()
}

/// Of the rows of each minute those of its newest generation, and only rows that tell of anything but the minute itself.
fn current(table: Table, rows: LogicalPlanBuilder) -> Result<LogicalPlanBuilder> {
    let newest = Expr::from(WindowFunction::new(max_udaf(), vec![stored(column::GENERATION)]));
    let newest = newest.partition_by(vec![stored(column::MINUTE_UNIX_NANO)]).build()?;
    let rows = rows.window(vec![newest])?;
    // A window's columns come after those of its input, named as the planner likes.
    let name = rows.schema().fields().last().map(|field| field.name().clone()).unwrap_or_default();
    let rows = rows.filter(stored(column::GENERATION).eq(stored(&name)))?;
    match table {
        Table::ServiceMinutes => rows.filter(stored(column::SERVICE_NAME).is_not_null()),
        _ => Ok(rows),
    }
}

/// Refuses a table whose log is damaged: an answer without its parts would look whole.
pub(crate) fn in_service(snapshot: &Snapshot, table: Table) -> std::result::Result<(), Error> {
    snapshot.out_of_service(table).map_or(Ok(()), |why| {
        Err(Error::OutOfService(format!(
            "{table} is out of service: {why}; an operator can mend it with tracelake check --repair"
        )))
    })
}

/// The shown columns of a table, in the order of the stored ones.
pub(crate) fn columns(table: Table) -> Result<Vec<Expr>> {
    let schema = table.file_schema();
    let resource = schema.field_with_name(column::RESOURCE_SCHEMA_URL).is_ok();
    let hidden = |name: &str| {
        table.promoted().iter().any(|promoted| promoted.column == name)
            || (resource && semconv::RESOURCE.iter().any(|promoted| promoted.column == name))
    };
    // What only the map's keeper needs.
    let own =
        |name: &str| table.has_generations() && matches!(name, column::GENERATION | column::COMMITS | column::WHOLE);
    let shown = schema.fields().iter().filter(|field| !hidden(field.name()) && !own(field.name()));
    shown.map(|field| shown_as(table, field, resource)).collect()
}

fn shown_as(table: Table, field: &FieldRef, resource: bool) -> Result<Expr> {
    let stored = stored(field.name());
    let (name, shown) = match (table, field.name().as_str()) {
        (Table::Spans | Table::ServiceMinutes, column::KIND) => (column::KIND, call(Label::kind(), vec![stored])),
        (Table::Spans, column::STATUS_CODE) => (column::STATUS_CODE, call(Label::status(), vec![stored])),
        (_, column::ATTRIBUTES_REST) => (column::ATTRIBUTES, all_attributes(Owner::Record(table), stored)),
        (_, column::RESOURCE_ATTRIBUTES) if resource => {
            (column::RESOURCE_ATTRIBUTES, all_attributes(Owner::Resource, stored))
        }
        // Zero says that no time was sent.
        (_, column::OBSERVED_UNIX_NANO) => ("observed_time", unless_zero(stored)?),
        (Table::Metrics, column::START_UNIX_NANO) => ("start_time", unless_zero(stored)?),
        (_, name) => match (name.strip_suffix("_unix_nano"), field.data_type()) {
            (Some("start"), _) => ("start_time", cast(stored, timestamp())),
            (Some("end"), _) => ("end_time", cast(stored, timestamp())),
            (Some(prefix), _) => (prefix, cast(stored, timestamp())),
            (None, DataType::Binary) => (name, call(Hex::default(), vec![stored])),
            (None, DataType::List(_)) => (name, with_times(stored, field.data_type())),
            _ => (name, stored),
        },
    };
    Ok(shown.alias_qualified(Some(table.as_str()), name))
}

fn stored(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn call(function: impl Into<ScalarUDF>, args: Vec<Expr>) -> Expr {
    function.into().call(args)
}

fn all_attributes(owner: Owner, rest: Expr) -> Expr {
    let promoted = owner.promoted().iter().map(|promoted| stored(promoted.column));
    call(Attributes::new(owner), std::iter::once(rest).chain(promoted).collect())
}

/// The type of every time in SQL: UTC nanoseconds.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

fn unless_zero(nanos: Expr) -> Result<Expr> {
    let none = lit(ScalarValue::TimestampNanosecond(None, None));
    when(nanos.clone().eq(lit(0_i64)), none).otherwise(cast(nanos, timestamp()))
}

/// Lists of structs with a field `time` show it as a timestamp (events, exemplars).
fn with_times(list: Expr, stored: &DataType) -> Expr {
    let DataType::List(item) = stored else { return list };
    let DataType::Struct(fields) = item.data_type() else { return list };
    if fields.iter().all(|field| field.name() != "time") {
        return list;
    }
    let shown = fields.iter().map(|field| match field.name().as_str() {
        "time" => Arc::new(field.as_ref().clone().with_data_type(timestamp())),
        _ => Arc::clone(field),
    });
    let item = Field::new(item.name(), DataType::Struct(shown.collect::<Fields>()), item.is_nullable());
    cast(list, DataType::List(Arc::new(item)))
}
