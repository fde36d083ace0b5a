//! `GET /tempo/api/search/tags`, `/tempo/api/search/tag/{tag}/values` and their second versions.
//!
//! `scope`, `q` (a spanset filter; of one that is half written, as editors send them, the comparisons that stand),
//! `start`, `end`, `limit`. Without times the last hour counts. What is cut is said in `warnings` and in a header.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Value, json};
use tracelake_model::{Caller, Table};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::reply::json_warned;
use crate::http::tempo::question::Question;
use crate::http::tempo::reply::TempoReply;
use crate::traceql::field::{Field, INTRINSICS, Intrinsic, Scope};
use crate::traceql::lenient::pipeline;
use crate::traceql::parse::parse;
use crate::traceql::plan::{RowTest, single_condition};
use crate::traceql::tags::{self, SCOPES, Told, Where};

/// The range of a question that names none: an hour.
const RANGE_DEFAULT: i64 = 3_600_000_000_000;

const LIMIT_DEFAULT: usize = 5_000;
const LIMIT_MAX: usize = 100_000;

/// Names of attributes, all scopes in one list.
pub(crate) async fn names(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let question = Question::begin(&engine, &caller, query.as_deref())?;
    let (scopes, intrinsics) = scopes(&question)?;
    let (asked, told) = ask_names(&engine, &caller, &question, &scopes).await?;
    let mut names: Vec<String> = told.found.into_values().flatten().collect();
    names.extend(intrinsics.into_iter().map(str::to_owned));
    names.sort_unstable();
    names.dedup();
    let answer = json!({ "tagNames": names, "metrics": {} });
    Ok(json_warned(answer, &warnings(&engine, &caller, &asked, told.warning))?)
}

/// Names of attributes by scope.
pub(crate) async fn names_v2(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let question = Question::begin(&engine, &caller, query.as_deref())?;
    let (scopes, intrinsics) = scopes(&question)?;
    let (asked, told) = ask_names(&engine, &caller, &question, &scopes).await?;
    let found = told.found.into_iter().filter(|(_, names)| !names.is_empty());
    let mut shown: Vec<Value> = found.map(|(name, names)| json!({ "name": name, "tags": names })).collect();
    if !intrinsics.is_empty() {
        shown.push(json!({ "name": "intrinsic", "tags": intrinsics }));
    }
    let answer = json!({ "scopes": shown, "metrics": {} });
    Ok(json_warned(answer, &warnings(&engine, &caller, &asked, told.warning))?)
}

/// Values of an attribute named without its scope.
pub(crate) async fn values(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(tag): Path<String>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let question = Question::begin(&engine, &caller, query.as_deref())?;
    let field = Field::intrinsic(&tag).unwrap_or_else(|| Field::attribute(Scope::Any, &tag));
    let (found, warnings) = ask_values(&engine, &caller, &question, &field).await?;
    let mut values: Vec<String> = found.into_iter().map(|(_, value)| value).collect();
    values.sort_unstable();
    values.dedup();
    Ok(json_warned(json!({ "tagValues": values, "metrics": {} }), &warnings)?)
}

/// Values of a field named as in queries, with their types.
pub(crate) async fn values_v2(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    Path(tag): Path<String>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let question = Question::begin(&engine, &caller, query.as_deref())?;
    let field = field(&tag)?;
    let (found, warnings) = ask_values(&engine, &caller, &question, &field).await?;
    let values: Vec<Value> = found.into_iter().map(|(kind, value)| json!({ "type": kind, "value": value })).collect();
    Ok(json_warned(json!({ "tagValues": values, "metrics": {} }), &warnings)?)
}

/// The field that a path names; Grafana escapes it twice.
fn field(tag: &str) -> Result<Field, Error> {
    let decoded = if tag.contains('%') {
        let pair = format!("t={}", tag.replace('+', "%2B").replace('&', "%26"));
        form_urlencoded::parse(pair.as_bytes()).next().map_or_else(|| tag.to_owned(), |(_, value)| value.into_owned())
    } else {
        tag.to_owned()
    };
    let query = parse(&format!("{{ }} | select({decoded})"));
    let query = query.map_err(|error| {
        Error::Invalid(format!(
            "invalid tag {decoded:?}: {}; use an intrinsic or an attribute with its scope",
            error.message
        ))
    })?;
    match query.pipeline.stages.as_slice() {
        [_, crate::traceql::ast::Stage::Select(fields)] if fields.len() == 1 => Ok(fields[0].clone()),
        _ => Err(Error::Invalid(format!("invalid tag {decoded:?}: expected one field"))),
    }
}

/// The scopes that are asked for, and the intrinsics where they are.
fn scopes(question: &Question) -> Result<(Vec<&'static str>, Vec<&'static str>), Error> {
    let intrinsics =
        || INTRINSICS.iter().map(|(spelled, _)| *spelled).filter(|name| !name.starts_with("nested")).collect();
    match question.text("scope") {
        None | Some("all" | "none") => Ok((SCOPES.to_vec(), intrinsics())),
        Some("intrinsic") => Ok((Vec::new(), intrinsics())),
        Some(scope) => match SCOPES.iter().find(|known| **known == scope) {
            Some(known) => Ok((vec![known], Vec::new())),
            None => {
                let known = SCOPES.join(", ");
                Err(Error::Invalid(format!("invalid scope {scope:?}: must be one of {known}, intrinsic, all")))
            }
        },
    }
}

fn wanted(question: &Question) -> Result<Where, Error> {
    // Zero means no bound of the asker's own, as Tempo has it.
    let limit = question.number("limit", LIMIT_DEFAULT, 0, LIMIT_MAX)?;
    let limit = if limit == 0 { LIMIT_MAX } else { limit };
    Ok(Where { range: question.range_or(RANGE_DEFAULT)?, test: filter(question), limit })
}

/// The filter `q` as far as it can be read, where rows alone decide it.
fn filter(question: &Question) -> Option<RowTest> {
    single_condition(&pipeline(question.text("q")?)?, &[])
}

async fn ask_names(
    engine: &Engine,
    caller: &Caller,
    question: &Question,
    scopes: &[&'static str],
) -> Result<(Where, Told<tags::Names>), Error> {
    let asked = wanted(question)?;
    if scopes.is_empty() {
        return Ok((asked, Told { found: tags::Names::new(), warning: None }));
    }
    let told = tags::names(engine, &caller.tenant, &asked, scopes).await?;
    Ok((asked, told))
}

type Values = Vec<(&'static str, String)>;

async fn ask_values(
    engine: &Engine,
    caller: &Caller,
    question: &Question,
    field: &Field,
) -> Result<(Values, Vec<String>), Error> {
    let asked = wanted(question)?;
    let words = |words: &[&str]| (words.iter().map(|word| ("keyword", (*word).to_owned())).collect(), Vec::new());
    match field {
        Field::Intrinsic { what: Intrinsic::Status, .. } => return Ok(words(&["error", "ok", "unset"])),
        Field::Intrinsic { what: Intrinsic::Kind, .. } => {
            return Ok(words(&["client", "consumer", "internal", "producer", "server", "unspecified"]));
        }
        _ => {}
    }
    let told = tags::values(engine, &caller.tenant, &asked, field).await?;
    Ok((told.found.into_iter().collect(), warnings(engine, caller, &asked, told.warning)))
}

fn warnings(engine: &Engine, caller: &Caller, asked: &Where, own: Option<String>) -> Vec<String> {
    engine.warnings(&caller.tenant, &[Table::Spans], asked.range).into_iter().chain(own).collect()
}
