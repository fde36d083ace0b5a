//! `POST /api/v1/admin/erase`: removes the rows for which a SQL condition holds, for good.
//!
//! Answers when it is done. Whoever hangs up stops it between two parts; what is erased by then stays erased.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tracelake_model::{Caller, Fault, Table, TimeRange};
use tracelake_storage::{Erased, Erasure};

use crate::admin::record::{Deed, record};
use crate::admin::refuse::{Refused, body, need_admin, time};
use crate::house::House;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    table: String,
    #[serde(rename = "where")]
    condition: String,
    start: Option<Value>,
    end: Option<Value>,
    #[serde(default)]
    dry_run: bool,
}

/// Counts or removes.
pub(crate) async fn erase(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refused> {
    need_admin(&caller, "erasing")?;
    let ask: Ask = body(bytes, "the body {\"table\", \"where\", \"start\", \"end\", \"dry_run\"}")?;
    let invalid = |detail: String| Refused::new(Fault::Invalid, detail);
    let table = Table::parse(&ask.table).ok_or_else(|| {
        let names = Table::ALL.map(Table::as_str).join(", ");
        invalid(format!("there is no table {:?}; the tables are {names}", ask.table))
    })?;
    let now = house.engine.clock().now();
    let start = time("start", ask.start.as_ref(), now)?.unwrap_or(TimeRange::ALL.start);
    let end = time("end", ask.end.as_ref(), now)?.unwrap_or(TimeRange::ALL.end);
    if start >= end {
        return Err(invalid(format!("start ({start}) must lie before end ({end})")));
    }
    let (condition, open) = house.engine.condition(table, &ask.condition)?;
    let range = TimeRange { start: start.max(open.start), end: end.min(open.end) };
    let erasure = Erasure { table, condition, range, dry_run: ask.dry_run };
    let outcome = house.store.erase(&caller.tenant, erasure).await;
    if !ask.dry_run {
        let rows = outcome.as_ref().map_or(0, |erased| erased.rows);
        let deed = Deed {
            action: "erase",
            target: table.as_str().to_owned(),
            target_type: "table",
            succeeded: outcome.is_ok(),
            detail: json!({ "where": ask.condition, "rows": rows }),
        };
        record(&house, &caller, deed).await;
    }
    let erased = outcome?;
    tracing::info!(
        tenant = %caller.tenant, subject = %caller.subject, %table, dry_run = ask.dry_run, rows = erased.rows,
        "rows erased by query"
    );
    Ok(Json(answer(table, ask.dry_run, &erased)))
}

fn answer(table: Table, dry_run: bool, erased: &Erased) -> Value {
    json!({
        "table": table.as_str(),
        "dry_run": dry_run,
        "rows": erased.rows,
        "parts_read": erased.parts_read,
        "parts_with_rows": erased.parts_with_rows,
        "files_deleted": erased.files_deleted,
        "files_waiting": erased.files_waiting,
        "log_is_clear": erased.log_is_clear,
    })
}
