//! The routes of our own API over services, the map, issues and metric names; traces and logs have files of their own.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Extension, Router};
use serde_json::json;
use tracelake_model::{Caller, Table};

use crate::engine::Engine;
use crate::http::parameter::cursor;
use crate::http::question::{RANGE_DEFAULT, begin};
use crate::http::reply::{Reply, json_warned};
use crate::http::{log, trace};
use crate::map::compare::compare;
use crate::map::graph::service_map;
use crate::view::{issue, metric, service};

const ISSUES_DEFAULT: usize = 100;
const ISSUES_MAX: usize = 10_000;

/// What the map and the figures are read from.
const MAP_TABLES: [Table; 3] = [Table::Spans, Table::ServiceEdges, Table::ServiceMinutes];

/// All routes of our own API that this wing answers, but SQL.
pub(crate) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/api/v1/services", get(services))
        .route("/api/v1/services/{service}/operations", get(operations))
        .route("/api/v1/service-map", get(map))
        .route("/api/v1/issues", get(issues))
        .route("/api/v1/metrics", get(metrics))
        .route("/api/v1/traces", get(trace::search))
        .route("/api/v1/traces/{trace_id}", get(trace::one))
        .route("/api/v1/logs", get(log::search))
        .route("/api/v1/logs/tail", get(log::tail))
}

async fn services(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let parameters = begin(&engine, &caller, query.as_deref(), &["start", "end"])?;
    let range = parameters.range(RANGE_DEFAULT)?;
    let services = service::services(&engine, &caller.tenant, range).await?;
    json_warned(json!({ "services": services }), &engine.warnings(&caller.tenant, &MAP_TABLES, range))
}

async fn operations(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let parameters = begin(&engine, &caller, query.as_deref(), &["start", "end"])?;
    let range = parameters.range(RANGE_DEFAULT)?;
    let operations = service::operations(&engine, &caller.tenant, &name, range).await?;
    json_warned(json!({ "operations": operations }), &engine.warnings(&caller.tenant, &MAP_TABLES, range))
}

async fn map(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let known = ["start", "end", "compare_start", "compare_end", "service"];
    let parameters = begin(&engine, &caller, query.as_deref(), &known)?;
    let (range, service) = (parameters.range(RANGE_DEFAULT)?, parameters.text("service")?);
    let before = parameters.other_range("compare_start", "compare_end", range)?;
    let mut map = service_map(&engine, &caller.tenant, range, service).await?;
    let mut warnings = engine.warnings(&caller.tenant, &MAP_TABLES, range);
    if let Some(before) = before {
        map = compare(map, service_map(&engine, &caller.tenant, before, service).await?);
        warnings.extend(engine.warnings(&caller.tenant, &MAP_TABLES, before));
        warnings.sort();
        warnings.dedup();
    }
    if map.torn {
        warnings.push(
            "a trace of the range has so many spans that its calls are not on the map; its services count".to_owned(),
        );
    }
    json_warned(serde_json::to_value(map).unwrap_or_default(), &warnings)
}

async fn issues(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let known = ["start", "end", "service", "limit", "cursor"];
    let parameters = begin(&engine, &caller, query.as_deref(), &known)?;
    let limit = parameters.limit(ISSUES_DEFAULT, ISSUES_MAX)?;
    let ask = issue::Ask {
        range: parameters.range(RANGE_DEFAULT)?,
        service: parameters.text("service")?.map(str::to_owned),
        limit,
        after: parameters.cursor()?,
    };
    let range = ask.range;
    let (issues, next) = issue::issues(&engine, &caller.tenant, ask).await?;
    let warnings = engine.warnings(&caller.tenant, &[Table::Exceptions], range);
    json_warned(json!({ "issues": issues, "next_cursor": next.map(|next| cursor(&next)) }), &warnings)
}

async fn metrics(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let parameters = begin(&engine, &caller, query.as_deref(), &["start", "end"])?;
    let range = parameters.range(RANGE_DEFAULT)?;
    let metrics = metric::metrics(&engine, &caller.tenant, range).await?;
    json_warned(json!({ "metrics": metrics }), &engine.warnings(&caller.tenant, &[Table::Metrics], range))
}
