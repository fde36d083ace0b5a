//! What became of a node or an edge since another range: new, gone, slower, failing.
//!
//! A judgement needs enough calls to stand on ([`CALLS_MIN`], [`Z_MIN`]); what is not clear is the same. Deliberately
//! compares shares and durations, never numbers of calls: the ranges may differ in length, and traffic comes and goes.

use serde::Serialize;

use crate::map::red::Percentiles;

/// Durations are compared where both ranges have so many calls.
const CALLS_MIN: u64 = 10;
/// Slower: p50 or p95 is so many times that of before,
const SLOWER_FACTOR: f64 = 1.25;
/// and longer by so many milliseconds.
const SLOWER_MS: f64 = 1.0;
/// Failing: the share of failed calls is so many times that of before,
const FAILING_FACTOR: f64 = 2.0;
/// greater by so much,
const FAILING_SHARE: f64 = 0.01;
/// with so many failed calls,
const ERRORS_MIN: u64 = 3;
/// and so many standard deviations away from chance (two-proportion z-test).
const Z_MIN: f64 = 3.0;

/// What became of a node or an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Change {
    /// It was not there before.
    New,
    /// It is not there any more.
    Gone,
    /// Clearly more of its calls fail.
    Failing,
    /// Its calls clearly take longer.
    Slower,
    /// None of these.
    Same,
}

/// What is said about a node or an edge beside its figures.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Compared {
    /// What became of it.
    pub(crate) change: Change,
    /// Its figures in the range that it is compared with; null where it was not there.
    pub(crate) before: Option<Before>,
}

/// Figures of the range that is compared with.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Before {
    pub(crate) calls: u64,
    pub(crate) errors: u64,
    pub(crate) rate: f64,
    pub(crate) error_rate: f64,
    #[serde(flatten)]
    pub(crate) percentiles: Percentiles,
}

/// What became of something that is there now.
pub(crate) fn judge(now: Before, before: Option<Before>) -> Compared {
    let change = match &before {
        None => Change::New,
        Some(before) if is_failing(&now, before) => Change::Failing,
        Some(before) if is_slower(&now, before) => Change::Slower,
        Some(_) => Change::Same,
    };
    Compared { change, before }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn is_failing(now: &Before, before: &Before) -> bool {
    if now.errors < ERRORS_MIN || now.calls == 0 || before.calls == 0 {
        return false;
    }
    let (count, count_before) = (now.calls as f64, before.calls as f64);
    let all = (now.errors + before.errors) as f64 / (count + count_before);
    let deviation = (all * (1.0 - all) * (1.0 / count + 1.0 / count_before)).sqrt();
    let more = now.error_rate - before.error_rate;
    now.error_rate >= before.error_rate * FAILING_FACTOR && more >= FAILING_SHARE && more >= Z_MIN * deviation
}

fn is_slower(now: &Before, before: &Before) -> bool {
    let longer = |now: Option<f64>, before: Option<f64>| {
        now.zip(before).is_some_and(|(now, before)| now >= before * SLOWER_FACTOR && now - before >= SLOWER_MS)
    };
    let (ours, theirs) = (&now.percentiles, &before.percentiles);
    now.calls.min(before.calls) >= CALLS_MIN
        && (longer(ours.p50_ms, theirs.p50_ms) || longer(ours.p95_ms, theirs.p95_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(calls: u64, errors: u64, p50_ms: f64, p95_ms: f64) -> Before {
        let percentiles = Percentiles { p50_ms: Some(p50_ms), p95_ms: Some(p95_ms), p99_ms: None };
        Before { calls, errors, rate: 1.0, error_rate: errors as f64 / calls.max(1) as f64, percentiles }
    }

    fn check(now: Before, before: Before, expected: Change) {
        assert_eq!(judge(now, Some(before)).change, expected, "{now:?} after {before:?}");
    }

    #[test]
    fn what_clearly_fails_more_is_failing() {
        let calm = figures(1000, 5, 10.0, 20.0);
        check(figures(1000, 60, 10.0, 20.0), calm, Change::Failing);
        check(figures(10, 10, 10.0, 20.0), figures(1000, 0, 10.0, 20.0), Change::Failing);
        check(figures(3, 3, 10.0, 20.0), figures(100, 0, 10.0, 20.0), Change::Failing);
        // Too few, too little, by chance.
        check(figures(10, 2, 10.0, 20.0), calm, Change::Same);
        check(figures(100_000, 900, 10.0, 20.0), figures(100_000, 0, 10.0, 20.0), Change::Same);
        check(figures(100, 6, 10.0, 20.0), figures(100, 3, 10.0, 20.0), Change::Same);
        check(calm, figures(1000, 60, 10.0, 20.0), Change::Same);
    }

    #[test]
    fn what_clearly_takes_longer_is_slower_and_failing_comes_first() {
        let before = figures(100, 0, 10.0, 40.0);
        check(figures(100, 0, 12.6, 40.0), before, Change::Slower);
        check(figures(100, 0, 10.0, 80.0), before, Change::Slower);
        check(figures(100, 0, 12.0, 45.0), before, Change::Same);
        check(figures(9, 0, 30.0, 90.0), before, Change::Same);
        check(figures(100, 0, 0.9, 1.0), figures(100, 0, 0.2, 0.3), Change::Same);
        check(figures(100, 0, 5.0, 20.0), before, Change::Same);
        check(figures(100, 30, 30.0, 90.0), before, Change::Failing);
    }

    #[test]
    fn what_was_not_there_is_new() {
        assert_eq!(judge(figures(1, 0, 1.0, 1.0), None).change, Change::New);
    }
}
