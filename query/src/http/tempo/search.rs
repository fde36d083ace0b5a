//! `GET /tempo/api/search`: by TraceQL (`q`), or by `tags`, `minDuration`, `maxDuration`; `limit`, `spss`, `start`, `end`.
//!
//! Exact and newest first, which is more than Tempo promises. Times and long numbers are text, as protobuf's JSON has them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use serde_json::{Map, Value, json};
use tracelake_model::{Caller, SpanId, Table, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::reply::json_warned;
use crate::http::tempo::legacy::pipeline;
use crate::http::tempo::question::Question;
use crate::http::tempo::reply::{TempoReply, key_values};
use crate::traceql::search::{self, Answer, Ask, FoundSet, FoundSpan, FoundTrace};

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 10_000;
const SPANS_DEFAULT: usize = 3;
const SPANS_MAX: usize = 1_000;

/// Shown where a trace has no root among its spans, in Tempo's words, which data sources know.
const NO_ROOT: &str = "<root span not yet received>";

/// Search.
pub(crate) async fn search(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let question = Question::begin(&engine, &caller, query.as_deref())?;
    let ask = ask(&question)?;
    let range = ask.range;
    let answer = search::search(&engine, &caller.tenant, ask).await?;
    let warnings = engine.warnings(&caller.tenant, &[Table::Spans], range);
    Ok(json_warned(shown(&answer), &warnings)?)
}

fn ask(question: &Question) -> Result<Ask, Error> {
    let asked = question.query()?;
    if asked.as_ref().is_some_and(|query| query.metric.is_some()) {
        return Err(Error::Invalid(
            "the query makes series, not traces; ask /api/metrics/query_range or leave the metrics function out"
                .to_owned(),
        ));
    }
    let (least, most) = (question.duration("minDuration")?, question.duration("maxDuration")?);
    let pipeline = match asked {
        Some(query) => query.pipeline,
        None => pipeline(question.text("tags"), least, most)?,
    };
    Ok(Ask {
        pipeline,
        range: question.range()?,
        limit: question.number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)?,
        spans_per_set: question.number("spss", SPANS_DEFAULT, 1, SPANS_MAX)?,
    })
}

fn shown(answer: &Answer) -> Value {
    json!({
        "traces": answer.traces.iter().map(trace).collect::<Vec<_>>(),
        "metrics": { "inspectedTraces": answer.inspected, "completedJobs": 1, "totalJobs": 1 },
    })
}

fn trace(found: &FoundTrace) -> Value {
    let (service, name) =
        found.root.as_ref().map_or((NO_ROOT, ""), |(service, name)| (service.as_str(), name.as_str()));
    let sets: Vec<Value> = found.sets.iter().map(set).collect();
    let services = found.services.iter().map(|(name, (spans, errors))| {
        let mut counts = json!({ "spanCount": spans });
        if *errors > 0 {
            counts["errorCount"] = json!(errors);
        }
        (name.clone(), counts)
    });
    let mut shown = json!({
        "traceID": TraceId(found.id).to_string(),
        "rootServiceName": service,
        "rootTraceName": name,
        "startTimeUnixNano": found.start.to_string(),
        "spanSet": sets.first(),
        "spanSets": sets,
        "serviceStats": services.collect::<Map<_, _>>(),
    });
    // Protobuf's JSON leaves zeros out, and data sources show what is left out as less than a millisecond.
    if found.duration >= 1_000_000 {
        shown["durationMs"] = json!(found.duration / 1_000_000);
    }
    shown
}

fn set(found: &FoundSet) -> Value {
    let mut shown = json!({ "spans": found.spans.iter().map(span).collect::<Vec<_>>(), "matched": found.matched });
    if !found.attributes.is_empty() {
        shown["attributes"] = key_values(found.attributes.iter().map(|(key, value)| (key.as_str(), value))).into();
    }
    shown
}

fn span(found: &FoundSpan) -> Value {
    let mut shown = json!({
        "spanID": SpanId(found.id.to_be_bytes()).to_string(),
        "name": found.name,
        "startTimeUnixNano": found.start.to_string(),
        "durationNanos": found.duration.to_string(),
    });
    if !found.attributes.is_empty() {
        shown["attributes"] = key_values(found.attributes.iter().map(|(key, value)| (key.as_str(), value))).into();
    }
    shown
}
