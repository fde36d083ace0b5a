//! Alerts as they stand, notices with their attempts, and sending a finished one again.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use model::{Caller, Permission, UnixNano};
use serde_json::{Value, json};
use tracelake_model as model;

use crate::episode::{Episode, EpisodeState};
use crate::error::Error;
use crate::http::reply::{limit, need, parameters};
use crate::notice::{Attempt, Notice, NoticeStatus};
use crate::outbox::Outbox;

fn time(nanos: i64) -> String {
    UnixNano(nanos).to_rfc3339()
}

fn alert(episode: &Episode) -> Value {
    json!({
        "rule_id": episode.rule_id,
        "kind": episode.rule_kind,
        "severity": episode.severity,
        "title": episode.title,
        "group": episode.group,
        "state": episode.state,
        "late": episode.late,
        "episode": episode.episode,
        "first_seen": time(episode.first_seen),
        "last_seen": time(episode.last_seen),
        "count": episode.count,
        "trace_id": episode.trace_id,
        "service": episode.service,
        "samples": episode.samples_json(),
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "attempt": attempt.attempt,
        "time": time(attempt.time),
        "status": attempt.status,
        "answer": attempt.answer,
    })
}

fn notice(notice: &Notice) -> Value {
    json!({
        "notice_id": notice.notice_id,
        "rule_id": notice.rule_id,
        "receiver_id": notice.receiver_id,
        "type": notice.kind,
        "title": notice.title,
        "status": notice.status,
        "created": time(notice.created),
        "next_attempt": notice.next_attempt.map(time),
        "attempt_count": notice.attempt_count,
        "attempts": notice.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

/// One of the known words, or a refusal that names them.
fn choice<T: Copy>(name: &str, text: Option<&String>, known: &[(&str, T)]) -> Result<Option<T>, Error> {
    let Some(text) = text else { return Ok(None) };
    let found = known.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let fault = || Error::Invalid(vec![format!("{name} {text:?} is none of {}", words.join(", "))]);
    found.map(Some).ok_or_else(fault)
}

/// Alerts, those seen last first.
pub(crate) async fn list_alerts(
    State(outbox): State<Arc<Outbox>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Read)?;
    let parameters = parameters(query.as_deref(), &["state", "rule", "limit"])?;
    let limit = limit(&parameters)?;
    let states = [("firing", EpisodeState::Firing), ("resolved", EpisodeState::Resolved)];
    let state = choice("state", parameters.get("state"), &states)?;
    let rule = parameters.get("rule");
    let ledger = outbox.ledger();
    let mut found: Vec<&Episode> = ledger
        .episodes
        .values()
        .filter(|episode| episode.tenant == caller.tenant.as_str() && episode.state != EpisodeState::Pending)
        .filter(|episode| state.is_none_or(|state| episode.state == state))
        .filter(|episode| rule.is_none_or(|rule| episode.rule_id == *rule))
        .collect();
    found.sort_by_cached_key(|episode| (Reverse(episode.last_seen), episode.rule_id.clone(), episode.group_json()));
    let alerts: Vec<Value> = found.into_iter().take(limit).map(alert).collect();
    Ok(Json(json!({ "alerts": alerts })))
}

/// Notices, the newest first.
pub(crate) async fn list_notices(
    State(outbox): State<Arc<Outbox>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Error> {
    need(&caller, Permission::Read)?;
    let parameters = parameters(query.as_deref(), &["status", "limit"])?;
    let limit = limit(&parameters)?;
    let known = [NoticeStatus::Pending, NoticeStatus::Delivered, NoticeStatus::Dead].map(|s| (s.as_str(), s));
    let status = choice("status", parameters.get("status"), &known)?;
    let ledger = outbox.ledger();
    let mut found: Vec<&Notice> = ledger
        .notices
        .values()
        .filter(|notice| notice.tenant == caller.tenant.as_str())
        .filter(|notice| status.is_none_or(|status| notice.status == status))
        .collect();
    found.sort_by(|a, b| (Reverse(a.created), &a.notice_id).cmp(&(Reverse(b.created), &b.notice_id)));
    let notices: Vec<Value> = found.into_iter().take(limit).map(notice).collect();
    Ok(Json(json!({ "notices": notices })))
}

/// Makes a delivered or dead notice pending again, with the same id.
pub(crate) async fn redeliver(
    State(outbox): State<Arc<Outbox>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<(StatusCode, Json<Value>), Error> {
    need(&caller, Permission::Admin)?;
    parameters(query.as_deref(), &[])?;
    let (tenant, notice_id) = (caller.tenant.clone(), id.clone());
    let task = tokio::task::spawn_blocking(move || outbox.redeliver(tenant.as_str(), &notice_id));
    task.await.unwrap_or_else(|_| Err(Error::Conflict("the server is ending; try again".to_owned())))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "notice_id": id, "status": "pending" }))))
}
