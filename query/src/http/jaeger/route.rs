//! The routes of the Jaeger API below `/jaeger`.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Extension, Router};
use datafusion::common::DataFusionError;
use serde::Serialize;
use serde_json::json;
use tracelake_model::{Caller, Table, TimeRange, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::jaeger::answer::{Answer, Fault, answer, is_pretty};
use crate::http::jaeger::ask::{self, Traces};
use crate::http::jaeger::span::jaeger_trace;
use crate::http::parameter::{Parameters, bad};
use crate::http::reply::{may_read, warn};
use crate::map::graph::service_map;
use crate::view::name::{kind_name, parse_kind};
use crate::view::{known, search, trace};

/// All routes. `/api/traces` besides: releases of Grafana 12 drop the path of the data source's address in a search.
pub(crate) fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/jaeger/api/services", get(services))
        .route("/jaeger/api/services/{service}/operations", get(operation_names))
        .route("/jaeger/api/operations", get(operations))
        .route("/jaeger/api/traces", get(traces))
        .route("/jaeger/api/traces/{trace_id}", get(one))
        .route("/jaeger/api/dependencies", get(dependencies))
        .route("/api/traces", get(traces))
}

fn begin(engine: &Engine, caller: &Caller, query: Option<&str>) -> Result<Parameters, Error> {
    may_read(caller)?;
    Ok(Parameters::lenient(query, engine.clock().now()))
}

/// What is missing because files are damaged, in the headers: Jaeger's answers have no room for it.
fn warned(engine: &Engine, caller: &Caller, answer: Answer) -> Answer {
    let mut response = answer?;
    warn(&mut response, &engine.warnings(&caller.tenant, &[Table::Spans], TimeRange::ALL));
    Ok(response)
}

async fn services(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = begin(&engine, &caller, query.as_deref())?;
    let names = known::services(&engine, &caller.tenant).await?;
    warned(&engine, &caller, answer(&names, names.len(), Vec::new(), is_pretty(&parameters)))
}

async fn operation_names(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(service): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = begin(&engine, &caller, query.as_deref())?;
    let operations = known::operations(&engine, &caller.tenant, &service, None).await?;
    let mut names: Vec<String> = operations.into_iter().map(|(name, _)| name).collect();
    names.dedup();
    warned(&engine, &caller, answer(&names, names.len(), Vec::new(), is_pretty(&parameters)))
}

async fn operations(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = begin(&engine, &caller, query.as_deref())?;
    let text = |name: &str| parameters.all(name).first().copied().filter(|text| !text.is_empty());
    let service = text("service").ok_or_else(|| bad("service", "is required"))?;
    let kind = text("spanKind").map(|kind| parse_kind(kind).ok_or_else(|| bad("spanKind", "is no kind of span")));
    let operations = known::operations(&engine, &caller.tenant, service, kind.transpose()?).await?;
    let told: Vec<_> = operations
        .iter()
        .map(|(name, kind)| json!({ "name": name, "spanKind": kind_name(*kind).to_ascii_lowercase() }))
        .collect();
    warned(&engine, &caller, answer(&told, told.len(), Vec::new(), is_pretty(&parameters)))
}

async fn traces(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = begin(&engine, &caller, query.as_deref())?;
    let (ids, is_search) = match ask::traces(&parameters)? {
        Traces::ById(ids) => (ids, false),
        Traces::Search(ask) => {
            let page = search::search(&engine, &caller.tenant, *ask).await?;
            let ids = page.traces.iter().filter_map(|row| TraceId::parse(&row.trace_id).ok());
            (ids.collect(), true)
        }
    };
    let snapshot = Arc::new(engine.store().snapshot(&caller.tenant));
    let mut found = trace::read_many(&engine, &snapshot, &ids).await?;
    let missing = ids.iter().filter(|id| !is_search && !found.contains_key(*id)).map(|id| Fault {
        code: Some(404),
        msg: "trace not found".to_owned(),
        trace_id: Some(id.to_string()),
    });
    let faults = missing.collect();
    let found: Vec<_> = ids.iter().filter_map(|id| Some((*id, found.remove(id)?))).collect();
    let is_pretty = is_pretty(&parameters);
    let written = off_thread(move || {
        let told: Vec<_> = found.iter().map(|(id, trace)| jaeger_trace(*id, trace)).collect();
        answer(told, 0, faults, is_pretty)
    });
    warned(&engine, &caller, written.await?)
}

async fn one(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = begin(&engine, &caller, query.as_deref())?;
    let id = ask::trace_id(&id).map_err(|fault| Error::Invalid(format!("trace id: {fault}")))?;
    let found = trace::read(&engine, &caller.tenant, id).await?;
    let found = found.ok_or_else(|| Error::NotFound(format!("no span of trace {id} is stored")))?;
    let is_pretty = is_pretty(&parameters);
    let written = off_thread(move || answer([jaeger_trace(id, &found)], 0, Vec::new(), is_pretty));
    warned(&engine, &caller, written.await?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    parent: String,
    child: String,
    call_count: u64,
}

async fn dependencies(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = begin(&engine, &caller, query.as_deref())?;
    let range = ask::dependencies(&parameters)?;
    let service = parameters.all("service").first().copied().filter(|text| !text.is_empty());
    let map = service_map(&engine, &caller.tenant, range, service).await?;
    let name = |id: &str| id.strip_prefix("service:").map(str::to_owned);
    let calls = map.edges.iter().filter_map(|edge| {
        Some(Dependency { parent: name(&edge.source)?, child: name(&edge.target)?, call_count: edge.calls })
    });
    let calls: Vec<Dependency> = calls.collect();
    warned(&engine, &caller, answer(calls, 0, Vec::new(), is_pretty(&parameters)))
}

/// Many spans take a moment to write.
async fn off_thread(write: impl FnOnce() -> Answer + Send + 'static) -> Result<Answer, Error> {
    let written = tokio::task::spawn_blocking(write).await;
    written.map_err(|fault| Error::Engine(DataFusionError::External(Box::new(fault))))
}
