//! `GET /api/v1/traces` (search) and `GET /api/v1/traces/{trace_id}` (OTLP/JSON, protobuf by `Accept`, or a summary).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use datafusion::common::DataFusionError;
use http::{HeaderMap, header};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;
use serde_json::json;
use tracelake_model::{Caller, Table, TimeRange, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::parameter::{Parameters, bad, cursor};
use crate::http::question::begin;
use crate::http::reply::{Reply, json, json_warned, streamed, warn};
use crate::view::condition::{Condition, substring};
use crate::view::name::{parse_kind, parse_status};
use crate::view::otlp::{TRACES_JSON, elements_json};
use crate::view::related;
use crate::view::search::{self, Ask};
use crate::view::span_filter::SpanFilter;
use crate::view::summary::summarise;
use crate::view::trace::{self, Trace};

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 10_000;
const CONDITIONS_MAX: usize = 32;

/// Spans that are turned into OTLP at once.
const PIECE_SPANS: usize = 2_000;

const PROTOBUF: &str = "application/x-protobuf";

const KNOWN: [&str; 12] = [
    "service",
    "operation",
    "kind",
    "status",
    "min_duration",
    "max_duration",
    "attr",
    "q",
    "start",
    "end",
    "limit",
    "cursor",
];

/// Exact search.
pub(crate) async fn search(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let parameters = begin(&engine, &caller, query.as_deref(), &KNOWN)?;
    let limit = parameters.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let ask = Ask { filter: filter(&parameters)?, limit, after: parameters.cursor()? };
    let (range, is_first) = (ask.filter.range, ask.after.is_none());
    let page = search::search(&engine, &caller.tenant, ask).await?;
    let warnings = engine.warnings(&caller.tenant, &[Table::Spans], range);
    // How many there are is known where one page holds them all.
    let total = (is_first && page.next.is_none()).then_some(page.traces.len());
    let next = page.next.map(|next| cursor(&next));
    let answer = json!({ "traces": page.traces, "next_cursor": next, "more": next.is_some(), "total": total });
    json_warned(answer, &warnings)
}

/// One trace.
pub(crate) async fn one(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Reply {
    let parameters = begin(&engine, &caller, query.as_deref(), &["view"])?;
    let is_summary = parameters.choice("view", &[("summary", true), ("otlp", false)])?.unwrap_or(false);
    let id = TraceId::parse(&id).map_err(|fault| Error::Invalid(format!("trace id: {fault}")))?;
    let snapshot = Arc::new(engine.store().snapshot(&caller.tenant));
    let found = trace::read_at(&engine, &snapshot, id).await?;
    // Which trace a damaged part held nobody knows.
    let mut warnings = engine.warnings(&caller.tenant, &[Table::Spans], TimeRange::ALL);
    let missing = || warnings.first().map_or_else(String::new, |warning| format!("; {warning}"));
    let found = found.ok_or_else(|| Error::NotFound(format!("no span of trace {id} is stored{}", missing())))?;
    let mut response = if is_summary {
        let links = related::links(&engine, &snapshot, id, &found).await?;
        let records = related::records(&engine, &snapshot, id, &found).await?;
        warnings.extend(snapshot.warnings());
        let told = warnings.clone();
        // A hundred thousand spans take a moment.
        let text = tokio::task::spawn_blocking(move || {
            let mut summary = summarise(id, &found.outline, links, records);
            summary.warnings = told;
            json(&summary)
        });
        text.await.map_err(|fault| Error::Engine(DataFusionError::External(Box::new(fault))))??
    } else if wants_protobuf(&headers) {
        streamed(PROTOBUF, move |send| write_protobuf(&found, send))
    } else {
        streamed("application/json", move |send| write_json(&found, TRACES_JSON, send))
    };
    warn(&mut response, &warnings);
    Ok(response)
}

/// Pieces of a trace in the order of its spans' starts, as OTLP; each is whole by itself.
pub(crate) fn pieces(trace: &Trace) -> impl Iterator<Item = TracesData> {
    let order = trace.by_start();
    let count = order.len().div_ceil(PIECE_SPANS);
    (0..count).map(move |piece| {
        let from = piece * PIECE_SPANS;
        trace.otlp(&order[from..(from + PIECE_SPANS).min(order.len())])
    })
}

/// Messages of one type, one after the other, are one message with the lists of all.
pub(crate) fn write_protobuf(trace: &Trace, send: &dyn Fn(Vec<u8>) -> bool) {
    let _ = pieces(trace).all(|piece| send(piece.encode_to_vec()));
}

/// JSON with `around` before and after the elements of `resourceSpans`.
pub(crate) fn write_json(trace: &Trace, around: [&str; 2], send: &dyn Fn(Vec<u8>) -> bool) {
    let mut before = around[0];
    for piece in pieces(trace) {
        if !send([before, &elements_json(&piece)].concat().into_bytes()) {
            return;
        }
        before = ",";
    }
    send(around[1].into());
}

/// Whether `Accept` names protobuf before JSON.
pub(crate) fn wants_protobuf(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = |part: &str| part.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let first = accept.split(',').map(kind).find(|kind| {
        matches!(kind.as_str(), PROTOBUF | "application/protobuf" | "application/json" | "application/*" | "*/*")
    });
    first.is_some_and(|kind| kind.contains("protobuf"))
}

fn filter(parameters: &Parameters) -> Result<SpanFilter, Error> {
    let owned = |name: &str| Ok::<_, Error>(parameters.text(name)?.map(str::to_owned));
    let named = |name: &str, parse: fn(&str) -> Option<i8>, known: &str| {
        let Some(text) = parameters.text(name)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| bad(name, &format!("must be one of {known}")))
    };
    let conditions = parameters.all("attr");
    if conditions.len() > CONDITIONS_MAX {
        return Err(bad("attr", &format!("may be given at most {CONDITIONS_MAX} times")));
    }
    let conditions = conditions.into_iter().map(Condition::parse).collect::<Result<Vec<_>, _>>();
    let text = parameters.text("q")?.map(substring).transpose();
    Ok(SpanFilter {
        service: owned("service")?,
        operation: owned("operation")?,
        kind: named("kind", parse_kind, "SERVER, CLIENT, INTERNAL, PRODUCER, CONSUMER, UNSPECIFIED")?,
        status: named("status", parse_status, "UNSET, OK, ERROR")?,
        duration_min_ns: parameters.duration_ns("min_duration")?,
        duration_max_ns: parameters.duration_ns("max_duration")?,
        conditions: conditions.map_err(|what| bad("attr", &what))?,
        text: text.map_err(|what| bad("q", &what))?,
        range: parameters.range_or_all()?,
    })
}
