//! What is told: one notice for one transition of one alert to one receiver, with an id that never changes.
//!
//! The body is made once and sent as the same bytes at every attempt. Deliberately sends nothing.

use std::collections::BTreeMap;

use model::UnixNano;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracelake_model as model;
use xxhash_rust::xxh3::xxh3_128;

use crate::episode::{Episode, EpisodeState};
use crate::rule::definition::Rule;

/// Attempts that a notice remembers; older ones stay in the `notices` table.
pub(crate) const ATTEMPTS_KEPT: usize = 20;

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoticeStatus {
    /// Waiting for its first or next attempt.
    Pending,
    /// Answered with 2xx.
    Delivered,
    /// Given up.
    Dead,
}

impl NoticeStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// One try to deliver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// When it ended, Unix nanoseconds.
    pub time: i64,
    /// `delivered`, `retrying` or `dead`.
    pub status: String,
    /// What the receiver answered, or why it could not be reached.
    pub answer: String,
}

/// One thing to tell one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub tenant: String,
    /// The same at every attempt; the `webhook-id`.
    pub notice_id: String,
    pub rule_id: String,
    pub receiver_id: String,
    /// `alert.firing` or `alert.resolved`.
    pub kind: String,
    pub title: String,
    /// The JSON body, byte for byte as it is sent.
    pub body: String,
    pub status: NoticeStatus,
    /// Unix nanoseconds.
    pub created: i64,
    /// When giving up is counted from: made, or told to be delivered again. Unix nanoseconds.
    pub tried_since: i64,
    /// Unix nanoseconds; `None` when finished.
    pub next_attempt: Option<i64>,
    /// All attempts so far.
    pub attempt_count: u32,
    /// The newest attempts.
    pub attempts: Vec<Attempt>,
}

/// The id of a notice: a hash of what it tells to whom, so that a repeated computation yields the same.
fn notice_id(episode: &Episode, receiver_id: &str) -> String {
    let late = if episode.late { "late" } else { "" };
    let transition = episode.state.as_str();
    let group = episode.group_json();
    let parts = [&episode.tenant, &episode.rule_id, &group, late, &episode.episode, transition, receiver_id];
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
        text.push('\0');
    }
    format!("notice_{:032x}", xxh3_128(text.as_bytes()))
}

/// The notices of a transition, one for each receiver.
pub(crate) fn of_transition(
    episode: &Episode,
    annotations: &BTreeMap<String, String>,
    external_url: Option<&str>,
    now: UnixNano,
) -> Vec<Notice> {
    let kind = match episode.state {
        EpisodeState::Firing => "alert.firing",
        EpisodeState::Resolved => "alert.resolved",
        EpisodeState::Pending => return Vec::new(),
    };
    let make = |receiver_id: &String| {
        let notice_id = notice_id(episode, receiver_id);
        let body = json!({
            "type": kind,
            "timestamp": now.to_rfc3339(),
            "data": data(episode, annotations, external_url, &notice_id),
        });
        Notice {
            tenant: episode.tenant.clone(),
            notice_id,
            rule_id: episode.rule_id.clone(),
            receiver_id: receiver_id.clone(),
            kind: kind.to_owned(),
            title: episode.title.clone(),
            body: body.to_string(),
            status: NoticeStatus::Pending,
            created: now.0,
            tried_since: now.0,
            next_attempt: Some(now.0),
            attempt_count: 0,
            attempts: Vec::new(),
        }
    };
    episode.receivers.iter().map(make).collect()
}

fn data(
    episode: &Episode,
    annotations: &BTreeMap<String, String>,
    external_url: Option<&str>,
    notice_id: &str,
) -> serde_json::Value {
    json!({
        "notice_id": notice_id,
        "rule_id": episode.rule_id,
        "severity": episode.severity,
        "title": episode.title,
        "group": episode.group,
        "count": episode.count,
        "first_seen": UnixNano(episode.first_seen).to_rfc3339(),
        "last_seen": UnixNano(episode.last_seen).to_rfc3339(),
        "samples": episode.samples_json(),
        "service": episode.service,
        "trace_id": episode.trace_id,
        "links": links(episode, external_url),
        "annotations": annotations,
    })
}

/// Links into the pages; null where there is nothing to point at or no public address is known.
fn links(episode: &Episode, external_url: Option<&str>) -> serde_json::Value {
    const AROUND_NS: i64 = 300_000_000_000;
    let Some(base) = external_url.map(|url| url.trim_end_matches('/')) else {
        return json!({"trace": null, "logs": null, "map": null, "rule": null});
    };
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let service = episode.service.as_deref().map(|service| format!("&service={}", encode(service))).unwrap_or_default();
    let range = format!(
        "start={}&end={}",
        episode.first_seen.saturating_sub(AROUND_NS),
        episode.last_seen.saturating_add(AROUND_NS)
    );
    json!({
        "trace": episode.trace_id.as_ref().map(|id| format!("{base}/traces/{id}")),
        "logs": format!("{base}/logs?{range}{service}"),
        "map": format!("{base}/map?{range}{service}"),
        "rule": format!("{base}/alerts?rule={}", encode(&episode.rule_id)),
    })
}

/// The body of a test delivery, in the shape of a real one.
pub(crate) fn test_body(notice_id: &str, receiver_id: &str, now: UnixNano) -> String {
    let at = now.to_rfc3339();
    json!({
        "type": "test",
        "timestamp": at,
        "data": {
            "notice_id": notice_id,
            "rule_id": "test",
            "severity": "info",
            "title": format!("Test of receiver {receiver_id}"),
            "group": {},
            "count": 1,
            "first_seen": at,
            "last_seen": at,
            "samples": [],
            "service": null,
            "trace_id": null,
            "links": {"trace": null, "logs": null, "map": null, "rule": null},
            "annotations": {},
        },
    })
    .to_string()
}

/// The line that heads an alert: what the rule calls itself, whose it is, and what was found.
pub(crate) fn title(rule: &Rule, group: &BTreeMap<String, String>, found: &str) -> String {
    const CHARS_MAX: usize = 120;
    let label = rule.annotations.get("summary").unwrap_or(&rule.id);
    let values: Vec<&str> = group.values().map(String::as_str).filter(|value| !value.is_empty()).collect();
    let line: String = found.lines().next().unwrap_or_default().chars().take(CHARS_MAX).collect();
    let whose = if values.is_empty() { String::new() } else { format!(" in {}", values.join(", ")) };
    if line.is_empty() { format!("{label}{whose}") } else { format!("{label}{whose}: {line}") }
}
