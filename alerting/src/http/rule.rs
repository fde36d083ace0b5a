//! Rules: list, show, create, replace, remove.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use model::{Caller, Permission};
use serde_json::{Value, json};
use tracelake_model as model;

use crate::error::Error;
use crate::http::reply::{body, need, parameters};
use crate::rule::definition::Rule;
use crate::rule::registry::{Origin, Registry, RuleSet};

/// What an answer shows besides the rule itself.
const SHOWN: &[&str] = &["origin"];

fn view(rule: &Rule, origin: Origin) -> Value {
    let mut value = json!(rule);
    value["origin"] = origin.as_str().into();
    value
}

fn view_of(set: &RuleSet, id: &str) -> Result<Json<Value>, Error> {
    let found = set.rules.get(id).map(|(rule, origin)| Json(view(rule, *origin)));
    found.ok_or_else(|| Error::Missing { kind: "rule", id: id.to_owned() })
}

pub(crate) async fn list_rules(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Read)?;
    parameters(query.as_deref(), &[])?;
    let set = registry.load(&caller.tenant).await?;
    let rules: Vec<Value> = set.rules.values().map(|(rule, origin)| view(rule, *origin)).collect();
    Ok(Json(json!({ "rules": rules })))
}

pub(crate) async fn show_rule(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Read)?;
    parameters(query.as_deref(), &[])?;
    view_of(&*registry.load(&caller.tenant).await?, &id)
}

pub(crate) async fn create_rule(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    let rule: Rule = body(bytes, "rule", None, SHOWN)?;
    let set = registry.create_rule(&caller.tenant, &rule).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, rule = rule.id, "rule created");
    Ok((StatusCode::CREATED, view_of(&set, &rule.id)?))
}

pub(crate) async fn put_rule(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    let rule: Rule = body(bytes, "rule", Some(&id), SHOWN)?;
    let set = registry.replace_rule(&caller.tenant, &rule).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, rule = id, "rule replaced");
    view_of(&set, &id)
}

pub(crate) async fn delete_rule(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    registry.delete_rule(&caller.tenant, &id).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, rule = id, "rule removed");
    Ok(StatusCode::NO_CONTENT)
}
