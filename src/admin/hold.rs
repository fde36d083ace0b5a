//! `/api/v1/admin/holds`: what must not be removed, by nobody and nothing, until it is released.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tracelake_model::{Caller, Fault, Table, TimeRange};
use tracelake_storage::Hold;

use crate::admin::record::{Deed, record};
use crate::admin::refuse::{Refused, body, need_admin, time};
use crate::house::House;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    id: String,
    tables: Option<Vec<String>>,
    start: Option<Value>,
    end: Option<Value>,
    reason: String,
}

/// All holds of the tenant.
pub(crate) async fn list(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, Refused> {
    need_admin(&caller, "seeing holds")?;
    let found = house.store.holds(&caller.tenant).await?;
    let holds: Vec<Value> = found.holds.iter().map(Hold::to_json).collect();
    Ok(Json(json!({ "holds": holds, "unreadable": found.unreadable })))
}

/// One hold.
pub(crate) async fn show(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refused> {
    need_admin(&caller, "seeing holds")?;
    let found = house.store.holds(&caller.tenant).await?;
    let hold = found.holds.iter().find(|hold| hold.id == id);
    hold.map(|hold| Json(hold.to_json())).ok_or_else(|| missing(&id))
}

/// Holds from now on: once this is answered, nothing that the hold covers is removed.
pub(crate) async fn create(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    need_admin(&caller, "holding")?;
    let ask: Ask = body(bytes, "the body {\"id\", \"tables\", \"start\", \"end\", \"reason\"}")?;
    let hold = read(ask, &house)?;
    house.store.hold(&caller.tenant, &hold).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, hold = hold.id, reason = hold.reason, "hold begins");
    record(&house, &caller, deed("hold", &hold.id, hold.to_json())).await;
    Ok((StatusCode::CREATED, Json(hold.to_json())))
}

/// Ends a hold.
pub(crate) async fn release(
    State(house): State<Arc<House>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    need_admin(&caller, "releasing a hold")?;
    if !house.store.release(&caller.tenant, &id).await? {
        return Err(missing(&id));
    }
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, hold = id, "hold released");
    record(&house, &caller, deed("release", &id, Value::Null)).await;
    Ok(StatusCode::NO_CONTENT)
}

fn read(ask: Ask, house: &House) -> Result<Hold, Refused> {
    let now = house.engine.clock().now();
    let invalid = |detail: String| Refused::new(Fault::Invalid, detail);
    let tables = ask.tables.unwrap_or_else(|| vec![Table::Audit.as_str().to_owned()]);
    let known = |name: &String| {
        let names = Table::ALL.map(Table::as_str).join(", ");
        Table::parse(name).ok_or_else(|| invalid(format!("tables: there is no {name:?}; the tables are {names}")))
    };
    let tables: Vec<Table> = tables.iter().map(known).collect::<Result<_, _>>()?;
    let start = time("start", ask.start.as_ref(), now)?.unwrap_or(TimeRange::ALL.start);
    let end = time("end", ask.end.as_ref(), now)?.unwrap_or(TimeRange::ALL.end);
    let hold = Hold { id: ask.id, tables, range: TimeRange { start, end }, reason: ask.reason, created: now };
    hold.check().map_err(invalid)?;
    Ok(hold)
}

fn missing(id: &str) -> Refused {
    Refused::new(Fault::NotFound, format!("there is no hold {id:?}"))
}

fn deed(action: &'static str, id: &str, detail: Value) -> Deed {
    Deed { action, target: id.to_owned(), target_type: "hold", succeeded: true, detail }
}
