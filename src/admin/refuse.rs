//! What every operators' route shares: the role, bodies, refusals.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracelake_model::{Caller, Fault, Permission, UnixNano};

use crate::auth::guard::{Door, refuse};
use crate::house::describe;

/// Why an operator's request is not done.
#[derive(Debug)]
pub(crate) struct Refused {
    fault: Fault,
    detail: String,
}

impl Refused {
    /// A refusal in these words.
    pub(crate) fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refuse(Door::Api, &HeaderMap::new(), self.fault, &self.detail)
    }
}

impl From<tracelake_storage::Error> for Refused {
    fn from(error: tracelake_storage::Error) -> Self {
        let fault = error.kind();
        if fault == Fault::Internal {
            tracing::error!(error = describe(&error), "an operator's request failed");
        }
        Self::new(fault, describe(&error))
    }
}

impl From<tracelake_query::Error> for Refused {
    fn from(error: tracelake_query::Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Refuses a caller without the role admin.
pub(crate) fn need_admin(caller: &Caller, what: &str) -> Result<(), Refused> {
    if caller.may(Permission::Admin) {
        return Ok(());
    }
    Err(Refused::new(Fault::Forbidden, format!("{what} needs a token with the role admin")))
}

/// Reads a JSON body.
pub(crate) fn body<T: DeserializeOwned>(bytes: Result<Bytes, BytesRejection>, what: &str) -> Result<T, Refused> {
    let bytes =
        bytes.map_err(|rejection| Refused::new(Fault::TooLarge, format!("{what}: {}", rejection.body_text())))?;
    serde_json::from_slice(&bytes).map_err(|fault| Refused::new(Fault::Invalid, format!("{what}: {fault}")))
}

/// A time of a JSON body: RFC 3339 or `now-15m` as text, or Unix nanoseconds as a number.
pub(crate) fn time(name: &str, given: Option<&Value>, now: UnixNano) -> Result<Option<UnixNano>, Refused> {
    let text = match given {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let read = UnixNano::parse(&text, now);
    read.map(Some).map_err(|fault| Refused::new(Fault::Invalid, format!("{name}: {fault}")))
}
