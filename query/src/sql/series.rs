//! The view `traces_metrics`: requests, errors and durations of services and their operations as metric series, a point
//! a minute, out of the kept minutes.
//!
//! A minute that late spans change shows its newest figures and no other, so points never count twice; and since nothing
//! is written to `metrics`, that table holds what was sent to it and nothing else.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalMonthDayNano};
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast};
use datafusion::prelude::{col, lit};
use tracelake_model::column::{CALLS_ESTIMATED, ERRORS, ERRORS_ESTIMATED, KIND, LATENCY, NAME, SERVICE_NAME, SPANS};
use tracelake_model::{Table, column};
use tracelake_storage::Snapshot;

use crate::scan::provider::Scans;
use crate::sql::view;

/// The view's name.
pub(crate) const VIEW: &str = "traces_metrics";

/// Nanoseconds from the start of a point to its time.
const MINUTE_NS: i64 = 60_000_000_000;

/// A series of numbers: its name, the column of its values, and whether operations have it as services do.
const SUMS: [(&str, &str, bool); 5] = [
    ("traces_spans", SPANS, false),
    ("traces_calls", column::CALLS, true),
    ("traces_errors", ERRORS, true),
    ("traces_calls_estimated", CALLS_ESTIMATED, true),
    ("traces_errors_estimated", ERRORS_ESTIMATED, true),
];

/// The series of durations.
const DURATION: &str = "traces_duration";

/// One row for each series, minute and service, or operation.
pub(crate) fn view(snapshot: &Arc<Snapshot>, scans: &Arc<Scans>) -> Result<Arc<dyn TableProvider>> {
    let minutes = view::plan(snapshot, Table::ServiceMinutes, scans)?;
    let latency = minutes.schema().field_with_unqualified_name(LATENCY)?.data_type().clone();
    let mut all = LogicalPlanBuilder::from(durations(&minutes)?);
    for (name, values, of_operations) in SUMS {
        all = all.union(sums(&minutes, (name, values, of_operations), &latency)?)?;
    }
    Ok(Arc::new(ViewTable::new(all.build()?, None)))
}

fn sums(
    minutes: &LogicalPlan,
    (name, values, of_operations): (&str, &str, bool),
    latency: &DataType,
) -> Result<LogicalPlan> {
    let rows = LogicalPlanBuilder::from(minutes.clone());
    let rows = if of_operations { rows } else { rows.filter(col(NAME).is_null())? };
    let none = lit(ScalarValue::try_from(latency)?);
    let count = lit(ScalarValue::Int64(None));
    rows.project(point([name, "1", "sum"], cast(col(values), DataType::Float64), count, none))?.build()
}

fn durations(minutes: &LogicalPlan) -> Result<LogicalPlan> {
    let none = lit(ScalarValue::Float64(None));
    let rows = LogicalPlanBuilder::from(minutes.clone());
    rows.project(point([DURATION, "ns", "exponential_histogram"], none, col(column::CALLS), col(LATENCY)))?.build()
}

/// The columns of a point.
fn point([name, unit, kind]: [&str; 3], value: Expr, count: Expr, latency: Expr) -> Vec<Expr> {
    let minute = || col("minute");
    let length = lit(ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(0, 0, MINUTE_NS))));
    // None has the name of a column that it comes from: the optimizer cannot carry both where parts of one are read.
    let field = |name: &str, value: Expr| value.alias(name);
    vec![
        field("time", minute() + length),
        field("start_time", minute()),
        field("metric", lit(name)),
        field("unit", lit(unit)),
        field("type", lit(kind)),
        field("temporality", lit("delta")),
        field("service", col(SERVICE_NAME)),
        field("span_name", col(NAME)),
        field("span_kind", col(KIND)),
        field("value", value),
        field("count", count),
        field("histogram", latency),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tracelake_model::UnixNano;

    use super::*;
    use crate::fixture::{House, NOW};
    use crate::map::minute::keeper::{Haste, Keeper};

    /// A request to a service in a minute, which took so many milliseconds.
    fn request(number: u64, service: &str, minute: i64, ms: i64, failed: bool) -> Value {
        let start = UnixNano(NOW.0 - 3600 * 1_000_000_000).minute().0 + minute * MINUTE_NS;
        let duration = ms * 1_000_000;
        json!({
            "trace_id": format!("{number:032x}"), "span_id": format!("{number:016x}"), "service_name": service,
            "name": "GET /", "kind": 2, "start_unix_nano": start, "end_unix_nano": start + duration,
            "duration_ns": duration, "status_code": if failed { 2 } else { 0 },
        })
    }

    #[tokio::test]
    async fn minutes_are_points_of_series_and_a_late_span_counts_once() {
        let house = House::new();
        let mut keeper = Keeper::new(Arc::clone(&house.engine), Box::new(|_| true));
        let spans =
            [request(1, "cart", 0, 10, false), request(2, "cart", 0, 20, true), request(3, "cart", 1, 5, false)];
        house.append(Table::Spans, &spans).await;
        house.flush().await;
        keeper.round(Haste::All).await.expect("kept");
        house.append(Table::Spans, &[request(4, "cart", 0, 40, true)]).await;
        house.flush().await;
        keeper.round(Haste::All).await.expect("kept");
        let values = "SELECT extract(minute FROM start_time), extract(minute FROM time), metric, span_name, span_kind, value \
                      FROM traces_metrics WHERE service = 'cart' AND type = 'sum' \
                      AND metric NOT LIKE '%estimated' ORDER BY time, span_name NULLS FIRST, metric";
        let expected = [
            "13|14|traces_calls|||3.0",
            "13|14|traces_errors|||2.0",
            "13|14|traces_spans|||3.0",
            "13|14|traces_calls|GET /|SERVER|3.0",
            "13|14|traces_errors|GET /|SERVER|2.0",
            "14|15|traces_calls|||1.0",
            "14|15|traces_errors|||0.0",
            "14|15|traces_spans|||1.0",
            "14|15|traces_calls|GET /|SERVER|1.0",
            "14|15|traces_errors|GET /|SERVER|0.0",
        ];
        assert_eq!(house.cells(values).await, expected.join("; "));
        let durations = "SELECT count, histogram['scale'], histogram['counts'], value FROM traces_metrics \
                         WHERE metric = 'traces_duration' AND span_name IS NULL ORDER BY time";
        assert_eq!(house.cells(durations).await, "3|6|[\"1\",\"1\",\"1\"]|; 1|6|[\"1\"]|");
        assert_eq!(house.cells("SELECT count(*) FROM metrics").await, "0");
    }
}
