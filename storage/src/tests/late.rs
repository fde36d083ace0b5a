//! Times that are late, far ahead or missing, and clocks that jump: every row is stored and seen once, lies in its day,
//! and goes when its table no longer keeps it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use tracelake_model::{Batch, DecodeError, Decoder, Header, Request, Table, TenantId, UnixNano};

use crate::tests::compact::compact;
use crate::tests::parts::{files, live};
use crate::tests::rig::{Rig, START, batch, unread};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_NS: i64 = 86_400_000_000_000;
const HOUR_NS: i64 = DAY_NS / 24;

/// Lines `TIME TEXT` become log records.
struct TimedDecoder;

impl Decoder for TimedDecoder {
    fn decode(&self, _: &Header, payload: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        let text = String::from_utf8_lossy(payload).into_owned();
        let rows = text.lines().filter_map(|line| line.split_once(' '));
        let rows = rows.map(|(time, text)| {
            batch(Table::Logs, &[text.to_owned()], UnixNano(time.parse().expect("a time"))).into_rows()
        });
        let rows: Vec<_> = rows.collect();
        let all = arrow::compute::concat_batches(&Table::Logs.schema(), &rows).expect("one batch");
        Ok(vec![Batch::new(Table::Logs, all).expect("rows of logs")])
    }
}

fn timed() -> Rig {
    let mut rig = Rig::closed();
    rig.config.wal_segment_bytes = 1 << 20;
    rig.config.wal_bytes_max = 1 << 24;
    rig.decoder = Arc::new(TimedDecoder);
    rig.reopen().expect("it opens");
    rig
}

fn send(rig: &Rig, text: &str) {
    let (header, payload) = unread(text, &TenantId::default(), tracelake_model::Clock::now(&rig.clock));
    let batches = TimedDecoder.decode(&header, &payload).expect("lines");
    let mut append = rig.core().append(Request { header, payload, batches }).boxed();
    let ended = (&mut append).now_or_never();
    while rig.core().write_step(false) {}
    ended.or_else(|| append.now_or_never()).expect("settled").expect("stored");
}

/// Rows of each day, as the parts tell it.
fn days(rig: &Rig) -> BTreeMap<String, u64> {
    let mut days = BTreeMap::new();
    for part in live(rig.core(), Table::Logs) {
        *days.entry(part.date.clone()).or_default() += part.rows;
    }
    days
}

/// Late by five days, ten years ahead, without a time, the last instant there is, on time.
fn odd_times() -> [(i64, &'static str); 5] {
    [
        (START.0 - 5 * DAY_NS, "2023-11-09"),
        (START.0 + 3652 * DAY_NS, "2033-11-13"),
        (0, "2023-11-14"),
        (i64::MAX, "2262-04-11"),
        (START.0, "2023-11-14"),
    ]
}

#[test]
fn odd_times_are_stored_seen_once_and_lie_in_their_day_before_and_after_flush_merge_and_restart() {
    let mut rig = timed();
    let mut want = Vec::new();
    let mut want_days: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..9 {
        for (number, (time, day)) in odd_times().into_iter().enumerate() {
            send(&rig, &format!("{time} {round}-{number}"));
            want.push(format!("{round}-{number}"));
            *want_days.entry(day.to_owned()).or_default() += 1;
        }
        want.sort();
        assert_eq!(rig.texts(Table::Logs), want, "in the tail");
        rig.core().flush_step().expect("flushed");
        assert_eq!(rig.texts(Table::Logs), want, "in parts");
    }
    assert_eq!(days(&rig), want_days);
    assert!(compact(rig.core()) >= 4, "each day is merged");
    for _ in 0..2 {
        assert_eq!((rig.texts(Table::Logs), days(&rig)), (want.clone(), want_days.clone()));
        rig.crash(3);
    }
    let parts = live(rig.core(), Table::Logs);
    let covers = |time: i64| {
        parts
            .iter()
            .filter(|part| part.time_min.0 <= time && time <= part.time_max.0)
            .map(|part| part.rows)
            .sum::<u64>()
    };
    assert!(odd_times().iter().all(|(time, _)| covers(*time) >= 9), "found by their times");
}

#[test]
fn age_counts_from_storing_whatever_time_a_row_claims() {
    let mut rig = timed();
    rig.config.retention.insert(Table::Logs, DAY);
    rig.reopen().expect("it opens");
    for (number, (time, _)) in odd_times().into_iter().enumerate() {
        send(&rig, &format!("{time} {number}"));
    }
    rig.core().flush_step().expect("flushed");
    rig.clock.advance(DAY - Duration::from_secs(1));
    assert_eq!(rig.core().retain_by_age().unwrap(), 0);
    assert_eq!(rig.texts(Table::Logs).len(), 5);
    send(&rig, &format!("{} late", START.0 - 30 * DAY_NS));
    rig.core().flush_step().expect("flushed");
    rig.clock.advance(Duration::from_secs(2));
    assert_eq!(rig.core().retain_by_age().unwrap(), 4, "also the row of the year 2262, also the one without a time");
    assert_eq!(rig.texts(Table::Logs), ["late"], "late data stay as long as any other");
    rig.clock.advance(DAY);
    assert_eq!(rig.core().retain_by_age().unwrap(), 1);
    rig.core().sweep_step(Duration::ZERO).expect("swept");
    assert_eq!(files(rig.core(), Table::Logs), 0);
}

#[test]
fn a_clock_that_jumps_loses_and_doubles_nothing_and_retention_goes_on_after() {
    let mut rig = timed();
    rig.config.retention.insert(Table::Logs, 3 * DAY);
    rig.reopen().expect("it opens");
    let mut want = Vec::new();
    for (number, jump) in [0, 24, -24, -24, 48, -1, 1, -48, 24, 0].into_iter().enumerate() {
        let now = tracelake_model::Clock::now(&rig.clock);
        rig.clock.set(UnixNano(now.0 + jump * HOUR_NS));
        let time = tracelake_model::Clock::now(&rig.clock).0;
        let text = format!("{time} {number}");
        send(&rig, &text);
        want.push(number.to_string());
        send(&rig, &text);
        assert_eq!(rig.texts(Table::Logs), want, "a retry right after is known, whatever the clock says: {number}");
        if number % 2 == 1 {
            rig.core().flush_step().expect("flushed");
        }
        if number % 3 == 2 {
            rig.crash(number as u64);
        }
        rig.core().upkeep_round().expect("a round");
        assert_eq!(rig.texts(Table::Logs), want, "{number}");
    }
    rig.core().flush_step().expect("flushed");
    rig.clock.set(START);
    rig.clock.advance(DAY);
    assert_eq!(rig.core().retain_by_age().unwrap(), 0);
    assert_eq!(rig.texts(Table::Logs), want);
    // What was stored while the clock was ahead stays that much longer, and no longer.
    rig.clock.advance(3 * DAY);
    rig.core().retain_by_age().unwrap();
    assert_eq!(rig.texts(Table::Logs), Vec::<String>::new());
}

#[test]
fn a_request_over_a_thousand_days_makes_few_files_and_every_row_is_found_by_its_time() {
    let mut rig = timed();
    let time = |day: i64| START.0 - 400 * DAY_NS + day * DAY_NS;
    let lines: Vec<String> = (0..1000).map(|day| format!("{} {day:04}", time(day))).collect();
    send(&rig, &lines.join("\n"));
    let want: Vec<String> = (0..1000).map(|day| format!("{day:04}")).collect();
    assert_eq!(rig.core().flush_step().expect("flushed").parts, 1, "no day has enough rows for a file");
    for _ in 0..2 {
        assert_eq!(rig.texts(Table::Logs), want);
        let part = live(rig.core(), Table::Logs).remove(0);
        assert_eq!((part.date.as_str(), part.time_min.0, part.time_max.0), ("2023-11-14", time(0), time(999)));
        rig.crash(1);
    }
}
