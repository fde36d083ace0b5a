//! Problem bodies, query parameters and permissions of this wing's routes.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{Caller, Fault, Permission, Problem};
use serde::de::DeserializeOwned;
use tracelake_model as model;
use tracing::error;

use crate::error::Error;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// A problem as an answer.
pub(crate) fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_string(problem).unwrap_or_default();
    let kind = HeaderValue::from_static("application/problem+json");
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let fault = self.kind();
        if matches!(fault, Fault::Internal | Fault::Unavailable) {
            error!(error = &self as &dyn std::error::Error, "alerting request failed");
        }
        let mut told = Problem::new(fault, self.to_string());
        if let Self::Invalid(problems) = self
            && problems.len() > 1
        {
            told.errors = problems;
        }
        problem(&told)
    }
}

/// Refuses a caller without a permission.
pub(crate) fn need(caller: &Caller, permission: Permission) -> Result<(), Error> {
    let name = match permission {
        Permission::Ingest => "ingest",
        Permission::Read => "read",
        Permission::Admin => "admin",
    };
    if caller.may(permission) { Ok(()) } else { Err(Error::Forbidden(name)) }
}

/// Query parameters by name; one that is unknown or stands twice is refused.
pub(crate) fn parameters(query: Option<&str>, known: &[&str]) -> Result<BTreeMap<String, String>, Error> {
    let mut found = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned() {
        if !known.contains(&name.as_str()) {
            let help = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            problems.push(format!("query parameter {name:?} is unknown; known: {help}"));
        } else if found.insert(name.clone(), value).is_some() {
            problems.push(format!("query parameter {name:?} stands twice"));
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Error::Invalid(problems)) }
}

/// The `limit` parameter.
pub(crate) fn limit(parameters: &BTreeMap<String, String>) -> Result<usize, Error> {
    let Some(text) = parameters.get("limit") else { return Ok(LIMIT_DEFAULT) };
    let number = text.parse().ok().filter(|number| (1..=LIMIT_MAX).contains(number));
    number.ok_or_else(|| Error::Invalid(vec![format!("limit {text:?} is not a number from 1 to {LIMIT_MAX}")]))
}

/// Reads a JSON body as `what`; `id` of the path stands in for one that the body leaves out, and must agree with it.
/// What a list shows can be sent back: the keys in `shown` are taken out first.
pub(crate) fn body<T: DeserializeOwned>(
    bytes: Result<Bytes, BytesRejection>,
    what: &str,
    id: Option<&str>,
    shown: &[&str],
) -> Result<T, Error> {
    let invalid = |detail: String| Error::Invalid(vec![detail]);
    let bytes = bytes.map_err(|rejection| invalid(format!("{what}: {}", rejection.body_text())))?;
    let mut value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(format!("{what}: not JSON: {error}")))?;
    if let (Some(id), Some(object)) = (id, value.as_object_mut()) {
        let stated = object.entry("id").or_insert_with(|| id.into());
        if stated != id {
            return Err(invalid(format!("{what}.id: {stated} is not the id of the path, {id:?}")));
        }
    }
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !shown.contains(&key.as_str()));
    }
    serde_json::from_value(value).map_err(|error| invalid(format!("{what}: {error}")))
}
