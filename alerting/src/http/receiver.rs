//! Receivers: list, show, create, replace, remove, test. Secrets and header values go in and never come out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use model::{Caller, Clock, Permission};
use serde_json::{Map, Value, json};
use tracelake_model as model;
use url::Url;
use xxhash_rust::xxh3::xxh3_128;

use crate::delivery::receiver::{HIDDEN, Receiver};
use crate::delivery::webhook::{Delivery, Webhook};
use crate::error::Error;
use crate::http::reply::{body, need, parameters};
use crate::notice::test_body;
use crate::rule::registry::{Origin, Registry, RuleSet};

/// What an answer shows besides the receiver itself.
const SHOWN: &[&str] = &["origin", "has_secret"];

/// Paths of webhook URLs are often their only secret, so those who may only read see the host alone.
fn view(receiver: &Receiver, origin: Origin, caller: &Caller) -> Value {
    let url = if caller.may(Permission::Admin) { receiver.url.clone() } else { host_only(&receiver.url) };
    let headers: Map<String, Value> = receiver.headers.keys().map(|name| (name.clone(), HIDDEN.into())).collect();
    json!({
        "id": receiver.id,
        "kind": receiver.kind,
        "url": url,
        "headers": headers,
        "has_secret": receiver.secret.is_some(),
        "origin": origin.as_str(),
    })
}

fn host_only(text: &str) -> String {
    Url::parse(text)
        .map_or_else(|_| HIDDEN.to_owned(), |url| format!("{}/{HIDDEN}", url.origin().ascii_serialization()))
}

fn view_of(set: &RuleSet, id: &str, caller: &Caller) -> Result<Json<Value>, Error> {
    let found = set.receivers.get(id).map(|(receiver, origin)| Json(view(receiver, *origin, caller)));
    found.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Error {
    Error::Missing { kind: "receiver", id: id.to_owned() }
}

pub(crate) async fn list_receivers(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Read)?;
    parameters(query.as_deref(), &[])?;
    let set = registry.load(&caller.tenant).await?;
    let all: Vec<Value> = set.receivers.values().map(|(receiver, origin)| view(receiver, *origin, &caller)).collect();
    Ok(Json(json!({ "receivers": all })))
}

pub(crate) async fn show_receiver(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Read)?;
    parameters(query.as_deref(), &[])?;
    view_of(&*registry.load(&caller.tenant).await?, &id, &caller)
}

pub(crate) async fn create_receiver(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<impl IntoResponse, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    let receiver: Receiver = body(bytes, "receiver", None, SHOWN)?;
    let set = registry.create_receiver(&caller.tenant, &receiver).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, receiver = receiver.id, "receiver created");
    Ok((StatusCode::CREATED, view_of(&set, &receiver.id, &caller)?))
}

pub(crate) async fn put_receiver(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    bytes: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    let receiver: Receiver = body(bytes, "receiver", Some(&id), SHOWN)?;
    let set = registry.replace_receiver(&caller.tenant, &receiver).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, receiver = id, "receiver replaced");
    view_of(&set, &id, &caller)
}

pub(crate) async fn delete_receiver(
    State(registry): State<Arc<Registry>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    registry.delete_receiver(&caller.tenant, &id).await?;
    tracing::info!(tenant = %caller.tenant, subject = %caller.subject, receiver = id, "receiver removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a body of type `test` now, once, and tells how it went; nothing is stored and nothing is tried again.
pub(crate) async fn test_receiver(
    State(registry): State<Arc<Registry>>,
    State(webhook): State<Arc<Webhook>>,
    State(clock): State<Arc<dyn Clock>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    let set = registry.load(&caller.tenant).await?;
    let (receiver, _) = set.receivers.get(&id).ok_or_else(|| missing(&id))?;
    let now = clock.now();
    let notice_id = format!("test_{:032x}", xxh3_128(format!("{}\0{id}\0{}", caller.tenant, now.0).as_bytes()));
    let outcome = webhook.send(receiver, &notice_id, &test_body(&notice_id, &id, now), now).await;
    Ok(Json(json!({
        "notice_id": notice_id,
        "delivered": outcome.result == Delivery::Delivered,
        "answer": outcome.answer,
    })))
}
