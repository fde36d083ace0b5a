//! `POST /api/v1/sql` with `{"query": "...", "params": [...]}`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use http::HeaderMap;
use serde::Deserialize;
use tracelake_model::Caller;

use crate::engine::Engine;
use crate::error::Error;
use crate::http::parameter::Parameters;
use crate::http::reply::{Reply, may_read};
use crate::http::rows::{self, Form};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    query: String,
    #[serde(default)]
    params: Vec<serde_json::Value>,
}

/// Runs the statement of the body and writes its rows as `Accept` wishes.
pub(crate) async fn answer(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    may_read(&caller)?;
    Parameters::parse(query.as_deref(), &[], engine.clock().now())?;
    let form = Form::accepted(&headers)?;
    let limit = engine.config().sql_request_bytes;
    let bytes = axum::body::to_bytes(body, limit)
        .await
        .map_err(|_| Error::TooLarge(format!("the request's body is longer than {limit} bytes, or broke off")))?;
    let question: Question = serde_json::from_slice(&bytes).map_err(|fault| {
        Error::Invalid(format!("the body is not {{\"query\": \"...\", \"params\": [...]}}: {fault}"))
    })?;
    let answer = engine.sql(&caller, &question.query, &question.params).await?;
    let on_break = move || {
        let (engine, tenant) = (Arc::clone(&engine), caller.tenant.clone());
        tokio::spawn(async move { engine.store().suspect_recent(&tenant).await });
    };
    rows::write(answer, form, on_break).await
}
