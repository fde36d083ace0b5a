//! One episode of one alert: from the first match of a rule in a group until it has been quiet for long enough.
//!
//! Deliberately only data: `state.rs` decides what happens to it.

use std::collections::BTreeMap;

use model::UnixNano;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracelake_model as model;

/// Samples that an episode keeps: its first ones, which show how it began.
pub(crate) const SAMPLES_MAX: usize = 5;

/// Where an episode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EpisodeState {
    /// A frequency rule that has not seen enough yet. Never shown.
    Pending,
    /// Open.
    Firing,
    /// Quiet since.
    Resolved,
}

impl EpisodeState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One record that matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Excerpt {
    /// Unix nanoseconds.
    pub time: i64,
    pub service: String,
    pub body: String,
    pub trace_id: Option<String>,
}

/// A match that a frequency rule remembers: when (event time and receive time, Unix nanoseconds) and where in the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub time: i64,
    pub received: i64,
    pub position: u64,
}

/// One episode of one (rule, group).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    pub tenant: String,
    pub rule_id: String,
    pub rule_kind: String,
    pub severity: String,
    pub group: BTreeMap<String, String>,
    /// Of records more than an hour older than their receipt: shown, never told.
    pub late: bool,
    /// Named by the WAL position of its first match.
    pub episode: String,
    pub state: EpisodeState,
    pub title: String,
    /// Event time of the first match, Unix nanoseconds.
    pub first_seen: i64,
    /// Greatest event time, Unix nanoseconds.
    pub last_seen: i64,
    /// Greatest receive time, Unix nanoseconds: what quiet is counted from.
    pub last_received: i64,
    pub resolve_after_ns: i64,
    pub count: u64,
    pub service: Option<String>,
    pub trace_id: Option<String>,
    pub samples: Vec<Excerpt>,
    /// Who was told of the start, and is told of the end.
    pub receivers: Vec<String>,
    pub annotations: BTreeMap<String, String>,
    /// While pending: the matches inside the window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<Seen>,
}

/// What names an episode's place: one at a time lives there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct EpisodeKey {
    pub tenant: String,
    pub rule_id: String,
    /// JSON text of the group.
    pub group: String,
    pub late: bool,
}

impl Episode {
    pub(crate) fn key(&self) -> EpisodeKey {
        EpisodeKey {
            tenant: self.tenant.clone(),
            rule_id: self.rule_id.clone(),
            group: self.group_json(),
            late: self.late,
        }
    }

    /// The group as JSON text, keys in order.
    pub(crate) fn group_json(&self) -> String {
        group_json(&self.group)
    }

    /// The samples as API.md shows them.
    pub(crate) fn samples_json(&self) -> serde_json::Value {
        let sample = |excerpt: &Excerpt| {
            json!({
                "time": UnixNano(excerpt.time).to_rfc3339(),
                "service": excerpt.service,
                "body": excerpt.body,
                "trace_id": excerpt.trace_id,
            })
        };
        self.samples.iter().map(sample).collect()
    }
}

/// A group as JSON text, keys in order.
pub(crate) fn group_json(group: &BTreeMap<String, String>) -> String {
    json!(group).to_string()
}
