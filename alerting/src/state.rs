//! What a match does to alerts: opens an episode, extends it, and after a quiet time resolves it.
//!
//! A plain state machine stepped by the matching thread: matches in, changes out. The changes become true for everybody
//! else once they are in the journal. Deliberately does no I/O and knows no clock but the instants it is handed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use model::UnixNano;
use tracelake_model as model;

use crate::episode::{Episode, EpisodeKey, EpisodeState, Excerpt, SAMPLES_MAX, Seen, group_json};
use crate::ledger::{AlertRow, Change, Row};
use crate::notice;
use crate::rule::definition::{Rule, RuleKind};
use crate::rule::period::Period;

/// A record is late when it is received this much after its own time: it pages nobody.
pub(crate) const LATE_AFTER: Duration = Duration::from_secs(3600);
/// Resolved episodes are listed this long; the `alerts` table keeps them longer.
const RESOLVED_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
const EXCERPT_CHARS_MAX: usize = 1_000;

/// One match of one rule.
pub(crate) struct Sighting<'a> {
    pub tenant: &'a str,
    pub rule: &'a Arc<Rule>,
    pub group: BTreeMap<String, String>,
    /// Event time, Unix nanoseconds.
    pub time: i64,
    /// Receive time, Unix nanoseconds.
    pub received: i64,
    /// Place in the WAL.
    pub position: u64,
    pub service: &'a str,
    pub body: &'a str,
    pub trace_id: Option<String>,
}

/// All episodes as the matching thread knows them, with the changes that are not in the journal yet.
pub(crate) struct Tracker {
    episodes: HashMap<EpisodeKey, Episode>,
    groups: HashMap<String, usize>,
    /// Episodes that only counted on since the last journal entry.
    counted: HashSet<EpisodeKey>,
    /// Episodes that got a sample, or a match towards a frequency, since then.
    grown: HashSet<EpisodeKey>,
    changes: Vec<Change>,
    may_be_open: bool,
    groups_max: usize,
    external_url: Option<String>,
}

impl Tracker {
    /// Goes on from the episodes of the journal.
    pub(crate) fn new(episodes: Vec<Episode>, groups_max: usize, external_url: Option<String>) -> Self {
        let mut tracker = Self {
            episodes: HashMap::new(),
            groups: HashMap::new(),
            counted: HashSet::new(),
            grown: HashSet::new(),
            changes: Vec::new(),
            may_be_open: true,
            groups_max,
            external_url,
        };
        for episode in episodes {
            tracker.insert(episode);
        }
        tracker
    }

    /// Takes one match into account.
    pub(crate) fn observe(&mut self, mut sighting: Sighting<'_>, now: UnixNano) {
        let late = sighting.received.saturating_sub(sighting.time) > nanos(LATE_AFTER);
        let mut key = self.key(&sighting, late);
        if !self.episodes.contains_key(&key) && !self.has_room(sighting.tenant) {
            sighting.group = BTreeMap::from([("overflow".to_owned(), "true".to_owned())]);
            key = self.key(&sighting, late);
        }
        let quiet_since = self.episodes.get(&key).filter(|episode| episode.state == EpisodeState::Firing);
        if quiet_since.is_some_and(|e| sighting.received > e.last_received.saturating_add(e.resolve_after_ns)) {
            self.resolve(&key, now);
        }
        match self.episodes.get(&key).map(|episode| episode.state) {
            Some(EpisodeState::Firing) => self.extend(&key, &sighting),
            Some(EpisodeState::Pending) => self.gather(&key, &sighting, now),
            Some(EpisodeState::Resolved) | None => self.open(&key, &sighting, late, now),
        }
    }

    /// Resolves what has been quiet, forgets what nobody asks for any more.
    pub(crate) fn expire(&mut self, now: UnixNano) {
        let mut quiet = Vec::new();
        let mut old = Vec::new();
        for (key, episode) in &self.episodes {
            let age_ns = now.0.saturating_sub(episode.last_received);
            match episode.state {
                EpisodeState::Firing if age_ns > episode.resolve_after_ns => quiet.push(key.clone()),
                EpisodeState::Pending if age_ns > episode.resolve_after_ns.max(nanos(LATE_AFTER)) => {
                    old.push(key.clone());
                }
                EpisodeState::Resolved if age_ns > nanos(RESOLVED_KEPT) => old.push(key.clone()),
                _ => {}
            }
        }
        self.may_be_open = self.episodes.values().any(|episode| episode.state != EpisodeState::Resolved);
        quiet.sort();
        for key in quiet {
            self.resolve(&key, now);
        }
        for key in old {
            self.forget(&key);
        }
    }

    /// Whether anything may be open that time alone changes.
    pub(crate) fn may_be_open(&self) -> bool {
        self.may_be_open
    }

    /// Whether there are changes that somebody is waiting for: transitions, not mere counting.
    pub(crate) fn is_urgent(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether there are any changes.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.changes.is_empty() || !self.counted.is_empty() || !self.grown.is_empty()
    }

    /// All changes since the last call, for the journal.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = take(&mut self.changes);
        for key in take(&mut self.grown) {
            self.counted.remove(&key);
            if let Some(episode) = self.episodes.get(&key) {
                changes.push(Change::Episode(Box::new(episode.clone())));
            }
        }
        for key in take(&mut self.counted) {
            if let Some(episode) = self.episodes.get(&key) {
                changes.push(Change::Counted {
                    key,
                    last_seen: episode.last_seen,
                    last_received: episode.last_received,
                    count: episode.count,
                });
            }
        }
        changes
    }

    fn key(&self, sighting: &Sighting<'_>, late: bool) -> EpisodeKey {
        EpisodeKey {
            tenant: sighting.tenant.to_owned(),
            rule_id: sighting.rule.id.clone(),
            group: group_json(&sighting.group),
            late,
        }
    }

    fn has_room(&mut self, tenant: &str) -> bool {
        if self.groups.get(tenant).copied().unwrap_or(0) < self.groups_max {
            return true;
        }
        let resolved =
            self.episodes.iter().filter(|(key, e)| key.tenant == tenant && e.state == EpisodeState::Resolved);
        let oldest = resolved.min_by_key(|(_, episode)| episode.last_received).map(|(key, _)| key.clone());
        oldest.is_some_and(|key| {
            self.forget(&key);
            true
        })
    }

    fn insert(&mut self, episode: Episode) {
        let key = episode.key();
        let tenant = key.tenant.clone();
        if self.episodes.insert(key, episode).is_none() {
            *self.groups.entry(tenant).or_default() += 1;
        }
    }

    fn forget(&mut self, key: &EpisodeKey) {
        if self.episodes.remove(key).is_some() {
            if let Some(count) = self.groups.get_mut(&key.tenant) {
                *count = count.saturating_sub(1);
            }
            self.counted.remove(key);
            self.grown.remove(key);
            self.changes.push(Change::Forgotten(key.clone()));
        }
    }

    fn open(&mut self, key: &EpisodeKey, sighting: &Sighting<'_>, late: bool, now: UnixNano) {
        let rule = sighting.rule;
        let title = notice::title(rule, &sighting.group, sighting.body);
        let episode = Episode {
            tenant: key.tenant.clone(),
            rule_id: rule.id.clone(),
            rule_kind: rule.kind.as_str().to_owned(),
            severity: rule.severity.as_str().to_owned(),
            group: sighting.group.clone(),
            late,
            episode: sighting.position.to_string(),
            state: EpisodeState::Pending,
            title: if late { format!("(late) {title}") } else { title },
            first_seen: sighting.time,
            last_seen: sighting.time,
            last_received: sighting.received,
            resolve_after_ns: rule.resolve_after.nanos(),
            count: 0,
            service: Some(sighting.service.to_owned()).filter(|service| !service.is_empty()),
            trace_id: None,
            samples: Vec::new(),
            receivers: if late { Vec::new() } else { rule.receivers.clone() },
            annotations: rule.annotations.clone(),
            recent: Vec::new(),
        };
        self.insert(episode);
        self.may_be_open = true;
        if rule.kind == RuleKind::Frequency {
            self.gather(key, sighting, now);
            return;
        }
        if let Some(episode) = self.episodes.get_mut(key) {
            count(episode, sighting);
        }
        self.fire(key, now);
    }

    /// A frequency rule counts until enough matches lie within its window.
    fn gather(&mut self, key: &EpisodeKey, sighting: &Sighting<'_>, now: UnixNano) {
        let window_ns = sighting.rule.window.map_or(0, Period::nanos);
        let wanted = sighting.rule.count.unwrap_or(1) as usize;
        let Some(episode) = self.episodes.get_mut(key) else { return };
        count(episode, sighting);
        episode.recent.push(Seen { time: sighting.time, received: sighting.received, position: sighting.position });
        let horizon = episode.last_seen.saturating_sub(window_ns);
        episode.recent.retain(|seen| seen.time > horizon);
        if episode.recent.len() < wanted {
            self.grown.insert(key.clone());
            return;
        }
        episode.count = episode.recent.len() as u64;
        episode.first_seen = episode.recent.iter().map(|seen| seen.time).min().unwrap_or(episode.first_seen);
        episode.episode = episode.recent.first().map_or_else(|| episode.episode.clone(), |s| s.position.to_string());
        episode.samples.retain(|sample| sample.time > horizon);
        episode.recent.clear();
        self.fire(key, now);
    }

    fn extend(&mut self, key: &EpisodeKey, sighting: &Sighting<'_>) {
        let Some(episode) = self.episodes.get_mut(key) else { return };
        let samples = episode.samples.len();
        count(episode, sighting);
        if episode.samples.len() == samples {
            self.counted.insert(key.clone());
        } else {
            self.grown.insert(key.clone());
        }
    }

    fn fire(&mut self, key: &EpisodeKey, now: UnixNano) {
        self.turn(key, EpisodeState::Firing, now);
    }

    fn resolve(&mut self, key: &EpisodeKey, now: UnixNano) {
        self.turn(key, EpisodeState::Resolved, now);
    }

    /// A transition: the episode's new state, its row, and its notices, all in one journal entry.
    fn turn(&mut self, key: &EpisodeKey, state: EpisodeState, now: UnixNano) {
        let Some(episode) = self.episodes.get_mut(key) else { return };
        episode.state = state;
        self.counted.remove(key);
        self.grown.remove(key);
        self.changes.push(Change::Episode(Box::new(episode.clone())));
        self.changes.push(Change::Row(Row::Alert(AlertRow::new(episode, now))));
        let notices = notice::of_transition(episode, &episode.annotations, self.external_url.as_deref(), now);
        self.changes.extend(notices.into_iter().map(|notice| Change::Notice(Box::new(notice))));
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn count(episode: &mut Episode, sighting: &Sighting<'_>) {
    episode.count += 1;
    episode.last_seen = episode.last_seen.max(sighting.time);
    episode.last_received = episode.last_received.max(sighting.received);
    if episode.trace_id.is_none() {
        episode.trace_id.clone_from(&sighting.trace_id);
    }
    if episode.samples.len() < SAMPLES_MAX {
        episode.samples.push(Excerpt {
            time: sighting.time,
            service: sighting.service.to_owned(),
            body: sighting.body.chars().take(EXCERPT_CHARS_MAX).collect(),
            trace_id: sighting.trace_id.clone(),
        });
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
