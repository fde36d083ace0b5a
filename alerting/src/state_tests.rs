//! What matches do to alerts, step by step.

use super::*;
use crate::rule::period::Period;
use crate::sample_data::NOW;

const SECOND: i64 = 1_000_000_000;

fn tracker(groups_max: usize) -> Tracker {
    Tracker::new(Vec::new(), groups_max, Some("https://t.example/".to_owned()))
}

fn rule() -> Rule {
    let mut rule = Rule::new("oom");
    rule.receivers = vec!["ops".to_owned(), "dev".to_owned()];
    rule
}

/// A match `at` seconds after NOW, `age` seconds after its own time; answers what happened.
fn see(tracker: &mut Tracker, rule: &Rule, group: &str, position: u64, at: i64, age: i64) -> Vec<String> {
    let received = NOW.0 + at * SECOND;
    let sighting = Sighting {
        tenant: "default",
        rule: &Arc::new(rule.clone()),
        group: BTreeMap::from([("service.name".to_owned(), group.to_owned())]),
        time: received - age * SECOND,
        received,
        position,
        service: group,
        body: "ran out of memory",
        trace_id: None,
    };
    tracker.observe(sighting, UnixNano(received));
    told(tracker)
}

fn told(tracker: &mut Tracker) -> Vec<String> {
    let told = |change: &Change| match change {
        Change::Row(Row::Alert(row)) => Some(format!("{} {} x{}", row.state.as_str(), row.episode, row.count)),
        Change::Notice(notice) => Some(format!("{} to {}", notice.kind, notice.receiver_id)),
        _ => None,
    };
    tracker.take_changes().iter().filter_map(told).collect()
}

#[test]
fn one_episode_is_told_once_at_its_start_and_once_at_its_end() {
    let mut tracker = tracker(10);
    let fired = ["firing 7 x1", "alert.firing to ops", "alert.firing to dev"];
    assert_eq!(see(&mut tracker, &rule(), "a", 7, 0, 0), fired);
    assert_eq!(see(&mut tracker, &rule(), "a", 8, 10, 0), Vec::<String>::new());
    tracker.expire(UnixNano(NOW.0 + 300 * SECOND));
    assert_eq!(told(&mut tracker), Vec::<String>::new(), "quiet is counted from the last match");
    tracker.expire(UnixNano(NOW.0 + 311 * SECOND));
    assert_eq!(told(&mut tracker), ["resolved 7 x2", "alert.resolved to ops", "alert.resolved to dev"]);
    assert_eq!(see(&mut tracker, &rule(), "a", 9, 400, 0)[0], "firing 9 x1");
}

#[test]
fn a_match_after_a_long_gap_ends_the_old_episode_even_without_a_tick() {
    let mut tracker = tracker(10);
    see(&mut tracker, &rule(), "a", 1, 0, 0);
    let told = see(&mut tracker, &rule(), "a", 2, 1000, 0);
    assert_eq!([&told[0], &told[3]], ["resolved 1 x1", "firing 2 x1"]);
}

#[test]
fn groups_are_alerts_of_their_own_up_to_a_limit() {
    let mut tracker = tracker(2);
    for (i, group) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let told = see(&mut tracker, &rule(), group, i as u64, 0, 0);
        let expected = usize::from(i < 3) * 3;
        assert_eq!(told.len(), expected, "the third opens the overflow group, the fourth only counts there: {told:?}");
    }
}

#[test]
fn late_records_open_an_alert_of_their_own_and_tell_nobody() {
    let mut tracker = tracker(10);
    assert_eq!(see(&mut tracker, &rule(), "a", 1, 0, 3601), ["firing 1 x1"]);
    assert_eq!(see(&mut tracker, &rule(), "a", 2, 1, 3599).len(), 3, "a fresh record is told beside a late one");
}

#[test]
fn a_frequency_rule_fires_when_enough_lies_within_its_window() {
    let mut frequent = rule();
    (frequent.kind, frequent.count, frequent.window) = (RuleKind::Frequency, Some(3), Some(Period::seconds(60)));
    let mut tracker = tracker(10);
    for (position, at) in [(1, 0), (2, 50), (3, 100)] {
        assert_eq!(see(&mut tracker, &frequent, "a", position, at, 0), Vec::<String>::new(), "at {at}");
    }
    assert_eq!(see(&mut tracker, &frequent, "a", 4, 105, 0)[0], "firing 2 x3");
    assert_eq!(see(&mut tracker, &frequent, "a", 5, 106, 0), Vec::<String>::new());
}

#[test]
fn the_same_matches_make_the_same_notices_again() {
    let ids = || {
        let mut tracker = tracker(10);
        let received = NOW.0;
        let rule = Arc::new(rule());
        let sighting = Sighting {
            tenant: "default",
            rule: &rule,
            group: BTreeMap::new(),
            time: received,
            received,
            position: 7,
            service: "",
            body: "x",
            trace_id: None,
        };
        tracker.observe(sighting, NOW);
        let changes = tracker.take_changes();
        let of = |change: Change| if let Change::Notice(notice) = change { Some(notice.notice_id) } else { None };
        changes.into_iter().filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(ids(), ids());
    assert_eq!(ids().len(), 2);
    assert_ne!(ids()[0], ids()[1], "each receiver has a notice of its own");
}

#[test]
fn a_tracker_made_from_its_own_episodes_goes_on_where_it_stood() {
    let mut before = tracker(10);
    see(&mut before, &rule(), "a", 1, 0, 0);
    let episodes = before.episodes.values().cloned().collect();
    let mut after = Tracker::new(episodes, 10, None);
    assert_eq!(see(&mut after, &rule(), "a", 2, 1, 0), Vec::<String>::new());
    after.expire(UnixNano(NOW.0 + 302 * SECOND));
    assert_eq!(told(&mut after)[0], "resolved 1 x2");
}
