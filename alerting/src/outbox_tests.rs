//! The outbox across kills: what was committed is there, what was not is not, and nothing is there twice.

use std::collections::BTreeMap;
use std::path::Path;

use model::{ManualClock, UnixNano};

use super::*;
use crate::episode::{Episode, EpisodeState};
use crate::ledger::{AlertRow, Row};
use crate::notice;
use crate::sample_data::NOW;

const LIMITS: OutboxLimits =
    OutboxLimits { notices_pending_max: 100, notices_kept_max: 100, journal_bytes_max: 1 << 20 };

fn open(dir: &Path, limits: OutboxLimits) -> Outbox {
    Outbox::open(dir, limits, Arc::new(ManualClock::new(NOW))).unwrap()
}

fn episode(position: u64) -> Episode {
    Episode {
        tenant: "default".to_owned(),
        rule_id: "oom".to_owned(),
        rule_kind: "any".to_owned(),
        severity: "critical".to_owned(),
        group: BTreeMap::from([("service.name".to_owned(), format!("s{position}"))]),
        late: false,
        episode: position.to_string(),
        state: EpisodeState::Firing,
        title: "메모리 부족".to_owned(),
        first_seen: NOW.0,
        last_seen: NOW.0,
        last_received: NOW.0,
        resolve_after_ns: 1,
        count: position,
        service: None,
        trace_id: None,
        samples: Vec::new(),
        receivers: vec!["ops".to_owned()],
        annotations: BTreeMap::new(),
        recent: Vec::new(),
    }
}

fn fire(outbox: &Outbox, position: u64) -> String {
    let episode = episode(position);
    let notice = notice::of_transition(&episode, &BTreeMap::new(), None, NOW).remove(0);
    let id = notice.notice_id.clone();
    let row = Row::Alert(AlertRow::new(&episode, NOW));
    let changes = vec![Change::Episode(Box::new(episode)), Change::Row(row), Change::Notice(Box::new(notice))];
    outbox.commit(Some(position), changes).unwrap();
    id
}

fn end(outbox: &Outbox, id: &str, status: NoticeStatus) {
    let next_attempt = (status == NoticeStatus::Pending).then_some(NOW.0 + 60_000_000_000);
    outbox.record_attempt(id, Ended { status, time: NOW.0, next_attempt, answer: "HTTP 500".to_owned() }).unwrap();
}

#[test]
fn a_kill_at_any_byte_leaves_a_state_that_was_once_true() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), LIMITS);
    let mut states = vec![outbox.ledger().snapshot()];
    let remember = |states: &mut Vec<Snapshot>| states.push(outbox.ledger().snapshot());
    let first = fire(&outbox, 5);
    remember(&mut states);
    end(&outbox, &first, NoticeStatus::Pending);
    remember(&mut states);
    fire(&outbox, 6);
    remember(&mut states);
    end(&outbox, &first, NoticeStatus::Delivered);
    remember(&mut states);
    outbox.commit(Some(9), Vec::new()).unwrap();
    remember(&mut states);
    let bytes = std::fs::read(dir.path().join("journal")).unwrap();
    // A restart makes pending notices due at once, in memory; the comparison leaves that out.
    let plain = |mut snapshot: Snapshot| {
        snapshot.notices.iter_mut().for_each(|notice| notice.next_attempt = notice.next_attempt.map(|_| 0));
        snapshot
    };
    let states: Vec<Snapshot> = states.into_iter().map(plain).collect();
    let mut reached = 0;
    // The journal's own test cuts at every byte; here each cut costs an open with its syncs.
    for cut in (8..bytes.len()).step_by(17).chain([bytes.len()]) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("journal"), &bytes[..cut]).unwrap();
        let outbox = open(dir.path(), LIMITS);
        let found = plain(outbox.ledger().snapshot());
        let at = states.iter().position(|state| *state == found).unwrap_or_else(|| panic!("cut at {cut}: {found:?}"));
        assert!(at >= reached, "cut at {cut}");
        assert_eq!(outbox.position(), found.position);
        reached = at;
    }
    assert_eq!(reached, states.len() - 1);
}

#[test]
fn a_notice_made_again_after_a_kill_is_the_one_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), LIMITS);
    let id = fire(&outbox, 5);
    end(&outbox, &id, NoticeStatus::Delivered);
    assert_eq!(fire(&outbox, 5), id);
    let ledger = outbox.ledger();
    assert_eq!(ledger.notices.len(), 1);
    assert!(ledger.due.is_empty(), "a delivered notice is not sent a second time");
}

#[test]
fn a_rewritten_journal_holds_the_same_and_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let limits = OutboxLimits { journal_bytes_max: 4_096, notices_kept_max: 3, ..LIMITS };
    let outbox = open(dir.path(), limits);
    for position in 1..=200 {
        let id = fire(&outbox, position);
        end(&outbox, &id, NoticeStatus::Delivered);
        outbox.rows_stored(u64::MAX);
        outbox.commit(None, vec![Change::Forgotten(episode(position).key())]).unwrap();
    }
    let before = outbox.ledger().snapshot();
    assert_eq!((before.notices.len(), before.episodes.len()), (3, 0));
    let size = std::fs::metadata(dir.path().join("journal")).unwrap().len();
    assert!(size < 32_768, "{size}");
    drop(outbox);
    let after = open(dir.path(), limits);
    assert_eq!(after.position(), 200);
    let kept: Vec<_> = after.ledger().snapshot().notices.into_iter().map(|notice| notice.notice_id).collect();
    assert_eq!(kept, before.notices.iter().map(|notice| notice.notice_id.clone()).collect::<Vec<_>>());
}

#[test]
fn sequence_numbers_only_grow_across_restarts_and_rewrites() {
    let dir = tempfile::tempdir().unwrap();
    let limits = OutboxLimits { journal_bytes_max: 1, ..LIMITS };
    let mut last = 0;
    for position in 1..20 {
        let outbox = open(dir.path(), limits);
        fire(&outbox, position);
        let newest = outbox.ledger().rows.back().unwrap().0;
        assert!(newest > last);
        last = newest;
    }
}

#[test]
fn too_many_pending_notices_give_up_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), OutboxLimits { notices_pending_max: 2, ..LIMITS });
    let ids: Vec<String> = (1..=3).map(|position| fire(&outbox, position)).collect();
    let ledger = outbox.ledger();
    assert_eq!(ledger.due.len(), 2);
    let dead: Vec<&str> =
        ids.iter().map(String::as_str).filter(|id| ledger.notices[*id].status == NoticeStatus::Dead).collect();
    assert_eq!(dead.len(), 1);
    assert!(ledger.notices[&ids[2]].status == NoticeStatus::Pending, "the newest is kept");
}

#[test]
fn a_finished_notice_can_be_sent_again_and_only_by_its_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(dir.path(), LIMITS);
    let id = fire(&outbox, 1);
    assert!(matches!(outbox.redeliver("default", &id), Err(Error::Conflict(_))));
    end(&outbox, &id, NoticeStatus::Dead);
    assert!(matches!(outbox.redeliver("other", &id), Err(Error::Missing { .. })));
    outbox.redeliver("default", &id).unwrap();
    assert_eq!(outbox.ledger().due.first().unwrap(), &(NOW.0, id));
    assert_eq!(UnixNano(outbox.ledger().due.first().unwrap().0), NOW);
}
