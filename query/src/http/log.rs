//! `GET /api/v1/logs` (search) and `GET /api/v1/logs/tail` (server-sent events, one record a `data:` line).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::StreamExt;
use serde_json::json;
use tracelake_model::{Caller, IdError, SpanId, Table, TimeRange, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::parameter::{Parameters, bad, cursor};
use crate::http::question::{RANGE_DEFAULT, begin};
use crate::http::reply::{Reply, json_warned};
use crate::view::log;
use crate::view::log_filter::{LogFilter, parse_terms};
use crate::view::log_tail::{Heard, listen};
use crate::view::name::parse_severity;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// Newest first. A question about one trace or span looks at all time unless it names a range.
pub(crate) async fn search(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let known = ["q", "service", "severity", "trace_id", "span_id", "start", "end", "limit", "cursor"];
    let parameters = begin(&engine, &caller, query.as_deref(), &known)?;
    let mut filter = filter(&parameters)?;
    let of_one = filter.trace_id.is_some() || filter.span_id.is_some();
    filter.range = if of_one { parameters.range_or_all()? } else { parameters.range(RANGE_DEFAULT)? };
    let limit = parameters.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let range = filter.range;
    let page = log::search(&engine, &caller.tenant, filter, limit, parameters.cursor()?).await?;
    let warnings = engine.warnings(&caller.tenant, &[Table::Logs], range);
    json_warned(json!({ "logs": page.logs, "next_cursor": page.next.map(|next| cursor(&next)) }), &warnings)
}

/// Records as they become durable. A listener that falls behind gets an event `missed` with `{"requests": n}`.
pub(crate) async fn tail(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Reply {
    let known = ["q", "service", "severity", "trace_id", "span_id"];
    let parameters = begin(&engine, &caller, query.as_deref(), &known)?;
    let heard = listen(engine.subscribe_logs(), caller.tenant, filter(&parameters)?);
    let events = heard.map(|heard| {
        let event = match heard {
            Heard::Log(row) => Event::default().json_data(row),
            Heard::Missed(requests) => Event::default().event("missed").json_data(json!({ "requests": requests })),
        };
        // A record is numbers, strings and maps of them, which serialise without fail.
        Ok::<_, Infallible>(event.unwrap_or_default())
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

fn filter(parameters: &Parameters) -> Result<LogFilter, Error> {
    let terms = parse_terms(parameters.text("q")?.unwrap_or_default()).map_err(|what| bad("q", &what))?;
    let severity = parameters.text("severity")?.map(|text| {
        let what = "must be TRACE, DEBUG, INFO, WARN, ERROR, FATAL or a number from 0 to 24";
        parse_severity(text).ok_or_else(|| bad("severity", what))
    });
    let fault = |name: &'static str| move |fault: IdError| bad(name, &format!("cannot be read: {fault}"));
    Ok(LogFilter {
        terms,
        service: parameters.text("service")?.map(str::to_owned),
        severity_min: severity.transpose()?,
        trace_id: parameters.text("trace_id")?.map(TraceId::parse).transpose().map_err(fault("trace_id"))?,
        span_id: parameters.text("span_id")?.map(SpanId::parse).transpose().map_err(fault("span_id"))?,
        range: TimeRange::ALL,
    })
}
