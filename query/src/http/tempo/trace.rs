//! `GET /tempo/api/traces/{id}` and `/tempo/api/v2/traces/{id}`: protobuf by `Accept`, else JSON.
//!
//! Both give the whole trace: `start` and `end` only say which traces are meant, never cut one. Version 1 is a `Trace`
//! (in JSON its `batches`), version 2 wraps it: `{"trace": {"resourceSpans": []}, "metrics": {}}`. JSON is OTLP's own:
//! ids in hex, kinds and codes as numbers. Great traces leave piece by piece.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use http::HeaderMap;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tracelake_model::{Caller, Table, TimeRange, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::reply::{streamed, warn};
use crate::http::tempo::question::Question;
use crate::http::tempo::reply::TempoReply;
use crate::http::trace::{pieces, wants_protobuf, write_json, write_protobuf};
use crate::view::trace::{self, Trace};

const PROTOBUF: &str = "application/protobuf";

/// `TraceByIDResponse` of Tempo's protocol: the trace stands in its first field.
#[derive(Clone, PartialEq, Message)]
struct TraceByIdResponse {
    #[prost(message, optional, tag = "1")]
    trace: Option<TracesData>,
}

/// Version 1.
pub(crate) async fn one(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> TempoReply {
    let (found, warnings) = find(&engine, &caller, &id, query.as_deref()).await?;
    let mut response = if wants_protobuf(&headers) {
        streamed(PROTOBUF, move |send| write_protobuf(&found, send))
    } else {
        streamed("application/json", move |send| write_json(&found, [r#"{"batches":["#, "]}"], send))
    };
    warn(&mut response, &warnings);
    Ok(response)
}

/// Version 2.
pub(crate) async fn one_v2(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> TempoReply {
    let (found, warnings) = find(&engine, &caller, &id, query.as_deref()).await?;
    let mut response = if wants_protobuf(&headers) {
        // Protobuf merges a message that comes several times, so each piece may stand by itself.
        let wrap = |piece: TracesData| TraceByIdResponse { trace: Some(piece) }.encode_to_vec();
        streamed(PROTOBUF, move |send| {
            let _ = pieces(&found).all(|piece| send(wrap(piece)));
        })
    } else {
        const AROUND: [&str; 2] = [r#"{"trace":{"resourceSpans":["#, r#"]},"metrics":{}}"#];
        streamed("application/json", move |send| write_json(&found, AROUND, send))
    };
    warn(&mut response, &warnings);
    Ok(response)
}

async fn find(engine: &Engine, caller: &Caller, id: &str, query: Option<&str>) -> Result<(Trace, Vec<String>), Error> {
    let range = Question::begin(engine, caller, query)?.range()?;
    let id = parse_id(id)?;
    let found = trace::read(engine, &caller.tenant, id).await?;
    let warnings = engine.warnings(&caller.tenant, &[Table::Spans], TimeRange::ALL);
    let missing = || warnings.first().map_or_else(String::new, |warning| format!("; {warning}"));
    let found = found.filter(|trace| range == TimeRange::ALL || touches(trace, range));
    let found = found.ok_or_else(|| Error::NotFound(format!("trace {id} not found{}", missing())))?;
    Ok((found, warnings))
}

/// Whether a span runs at some instant of the range.
fn touches(trace: &Trace, range: TimeRange) -> bool {
    let mut spans = trace.outline.spans.iter();
    spans.any(|span| span.start < range.end.0 && span.end >= range.start.0)
}

/// Ids may be written without their leading zeros.
fn parse_id(text: &str) -> Result<TraceId, Error> {
    TraceId::parse(&format!("{text:0>32}")).map_err(|_| {
        let text: String = text.chars().take(64).collect();
        Error::Invalid(format!("invalid trace id {text:?}: expected 1 to 32 hexadecimal digits that are not all zero"))
    })
}
