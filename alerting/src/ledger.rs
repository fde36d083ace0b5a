//! What is durable: episodes, notices, rows on their way to tables, and how far the tap has come.
//!
//! Changes only by [`Ledger::apply`], a pure function of the ledger and a journal entry, so that reading the journal
//! again yields the same ledger. Deliberately does no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use model::UnixNano;
use serde::{Deserialize, Serialize};
use tracelake_model as model;

use crate::episode::{Episode, EpisodeKey, EpisodeState};
use crate::notice::{ATTEMPTS_KEPT, Attempt, Notice, NoticeStatus};

/// One step of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// An episode as it stands now.
    Episode(Box<Episode>),
    /// An episode that only counted on.
    Counted { key: EpisodeKey, last_seen: i64, last_received: i64, count: u64 },
    /// An episode that is listed no longer.
    Forgotten(EpisodeKey),
    /// A new notice. One of the same id is already known: nothing happens.
    Notice(Box<Notice>),
    /// How an attempt ended.
    Attempt { notice_id: String, attempt: Attempt, status: NoticeStatus, next_attempt: Option<i64> },
    /// Somebody asked for a finished notice again.
    Redeliver { notice_id: String, at: i64 },
    /// A row for a derived table.
    Row(Row),
}

/// A row for `alerts` or `notices`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Row {
    Alert(AlertRow),
    Notice(NoticeRow),
}

impl Row {
    pub(crate) fn tenant(&self) -> &str {
        match self {
            Self::Alert(row) => &row.tenant,
            Self::Notice(row) => &row.tenant,
        }
    }
}

/// One transition of an alert. Times in Unix nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AlertRow {
    pub tenant: String,
    pub time: i64,
    pub rule_id: String,
    pub rule_kind: String,
    pub severity: String,
    pub group: String,
    pub episode: String,
    pub state: EpisodeState,
    pub title: String,
    pub first_seen: i64,
    pub last_seen: i64,
    pub count: u64,
    pub trace_id: Option<String>,
}

impl AlertRow {
    pub(crate) fn new(episode: &Episode, now: UnixNano) -> Self {
        Self {
            tenant: episode.tenant.clone(),
            time: now.0,
            rule_id: episode.rule_id.clone(),
            rule_kind: episode.rule_kind.clone(),
            severity: episode.severity.clone(),
            group: episode.group_json(),
            episode: episode.episode.clone(),
            state: episode.state,
            title: episode.title.clone(),
            first_seen: episode.first_seen,
            last_seen: episode.last_seen,
            count: episode.count,
            trace_id: episode.trace_id.clone(),
        }
    }
}

/// One delivery attempt. Times in Unix nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct NoticeRow {
    pub tenant: String,
    pub time: i64,
    pub notice_id: String,
    pub rule_id: String,
    pub receiver_id: String,
    pub kind: String,
    pub title: String,
    pub attempt: u32,
    pub status: String,
    pub next_attempt: Option<i64>,
    pub answer: String,
}

/// Everything the journal holds, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub position: u64,
    pub episodes: Vec<Episode>,
    pub notices: Vec<Notice>,
    pub rows: Vec<(u64, Row)>,
}

/// The durable state.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// WAL position up to which all outcomes are here.
    pub position: u64,
    pub episodes: HashMap<EpisodeKey, Episode>,
    /// By id.
    pub notices: HashMap<String, Notice>,
    /// Pending notices by when they are due (Unix nanoseconds).
    pub due: BTreeSet<(i64, String)>,
    finished: BTreeSet<(i64, String)>,
    /// Rows that are not known to be stored, with the journal sequence that is their source position.
    pub rows: VecDeque<(u64, Row)>,
    /// Rows given up because storage would not take them for very long.
    pub rows_dropped: u64,
    notices_kept_max: usize,
}

/// Rows that may wait for storage; it takes hours of refusals to get there.
const ROWS_MAX: usize = 100_000;

impl Ledger {
    pub(crate) fn new(snapshot: Snapshot, notices_kept_max: usize) -> Self {
        let mut ledger = Self { position: snapshot.position, notices_kept_max, ..Self::default() };
        ledger.episodes = snapshot.episodes.into_iter().map(|episode| (episode.key(), episode)).collect();
        for notice in snapshot.notices {
            ledger.file(notice);
        }
        ledger.rows = snapshot.rows.into();
        ledger
    }

    /// Takes one journal entry.
    pub(crate) fn apply(&mut self, seq: u64, position: Option<u64>, changes: Vec<Change>) {
        self.position = self.position.max(position.unwrap_or(0));
        for change in changes {
            self.step(seq, change);
        }
        while self.finished.len() > self.notices_kept_max {
            if let Some((_, id)) = self.finished.pop_first() {
                self.notices.remove(&id);
            }
        }
    }

    /// Makes pending notices due now: after a restart nobody wants to wait out an old delay.
    pub(crate) fn hasten(&mut self, now: i64) {
        let waiting: Vec<String> =
            self.due.iter().filter(|(at, _)| *at > now).map(|(_, notice_id)| notice_id.clone()).collect();
        for notice_id in waiting {
            self.refile(&notice_id, |notice| notice.next_attempt = Some(now));
        }
    }

    /// The whole ledger for a new journal.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut episodes: BTreeMap<EpisodeKey, &Episode> = BTreeMap::new();
        episodes.extend(self.episodes.iter().map(|(key, episode)| (key.clone(), episode)));
        let mut notices: Vec<Notice> = self.notices.values().cloned().collect();
        notices.sort_by(|a, b| (a.created, &a.notice_id).cmp(&(b.created, &b.notice_id)));
        Snapshot {
            position: self.position,
            episodes: episodes.into_values().cloned().collect(),
            notices,
            rows: self.rows.iter().cloned().collect(),
        }
    }

    /// The change that says how an attempt of a notice ended, with its row; `None` when there is no such notice.
    pub(crate) fn attempt_changes(&self, id: &str, ended: Ended) -> Option<[Change; 2]> {
        let notice = self.notices.get(id)?;
        let attempt = notice.attempt_count + 1;
        let word = match ended.status {
            NoticeStatus::Pending => "retrying",
            NoticeStatus::Delivered | NoticeStatus::Dead => ended.status.as_str(),
        };
        let row = NoticeRow {
            tenant: notice.tenant.clone(),
            time: ended.time,
            notice_id: notice.notice_id.clone(),
            rule_id: notice.rule_id.clone(),
            receiver_id: notice.receiver_id.clone(),
            kind: notice.kind.clone(),
            title: notice.title.clone(),
            attempt,
            status: word.to_owned(),
            next_attempt: ended.next_attempt,
            answer: ended.answer.clone(),
        };
        let change = Change::Attempt {
            notice_id: id.to_owned(),
            attempt: Attempt { attempt, time: ended.time, status: word.to_owned(), answer: ended.answer },
            status: ended.status,
            next_attempt: ended.next_attempt,
        };
        Some([change, Change::Row(Row::Notice(row))])
    }

    fn step(&mut self, seq: u64, change: Change) {
        match change {
            Change::Episode(episode) => {
                self.episodes.insert(episode.key(), *episode);
            }
            Change::Counted { key, last_seen, last_received, count } => {
                if let Some(episode) = self.episodes.get_mut(&key) {
                    (episode.last_seen, episode.last_received, episode.count) = (last_seen, last_received, count);
                }
            }
            Change::Forgotten(key) => {
                self.episodes.remove(&key);
            }
            Change::Notice(notice) => {
                if !self.notices.contains_key(&notice.notice_id) {
                    self.file(*notice);
                }
            }
            Change::Attempt { notice_id, attempt, status, next_attempt } => {
                self.refile(&notice_id, |notice| {
                    notice.attempt_count = attempt.attempt;
                    notice.attempts.push(attempt);
                    if notice.attempts.len() > ATTEMPTS_KEPT {
                        notice.attempts.remove(0);
                    }
                    (notice.status, notice.next_attempt) = (status, next_attempt);
                });
            }
            Change::Redeliver { notice_id, at } => self.refile(&notice_id, |notice| {
                (notice.status, notice.next_attempt, notice.tried_since) = (NoticeStatus::Pending, Some(at), at);
            }),
            Change::Row(row) => {
                self.rows.push_back((seq, row));
                if self.rows.len() > ROWS_MAX {
                    self.rows.pop_front();
                    self.rows_dropped += 1;
                }
            }
        }
    }

    fn file(&mut self, notice: Notice) {
        let id = notice.notice_id.clone();
        match notice.next_attempt {
            Some(at) if notice.status == NoticeStatus::Pending => self.due.insert((at, id.clone())),
            _ => self.finished.insert((notice.created, id.clone())),
        };
        self.notices.insert(id, notice);
    }

    fn refile(&mut self, id: &str, change: impl FnOnce(&mut Notice)) {
        let Some(mut notice) = self.notices.remove(id) else { return };
        if let Some(at) = notice.next_attempt {
            self.due.remove(&(at, id.to_owned()));
        }
        self.finished.remove(&(notice.created, id.to_owned()));
        change(&mut notice);
        self.file(notice);
    }
}

/// How an attempt ended.
pub(crate) struct Ended {
    /// Pending when it will be tried again.
    pub status: NoticeStatus,
    /// Unix nanoseconds.
    pub time: i64,
    /// Unix nanoseconds.
    pub next_attempt: Option<i64>,
    pub answer: String,
}
