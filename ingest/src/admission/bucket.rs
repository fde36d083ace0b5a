//! A tenant's token bucket: `rate` bytes a second flow in, up to `burst`; requests take bytes out.
//!
//! A request that begins while anything is left is taken whole and may leave a debt, so that a request larger than the
//! burst passes too; the next one waits until the debt is paid. Over time no more than the rate passes.

use std::time::Duration;

use tracelake_model::UnixNano;

/// Levels are held in bytes times this, so that no fraction of a byte is lost between two looks at the clock.
const NANOS: i128 = 1_000_000_000;

/// How much a tenant may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Bytes a second, at least 1.
    pub(crate) rate: u64,
    /// Bytes at once, at least 1.
    pub(crate) burst: u64,
}

/// What is left of an allowance.
#[derive(Debug)]
pub(crate) struct Bucket {
    allowance: Allowance,
    level: i128,
    at: UnixNano,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(allowance: Allowance, now: UnixNano) -> Self {
        Self { allowance, level: i128::from(allowance.burst) * NANOS, at: now }
    }

    /// What it was made for.
    pub(crate) fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Whether nothing is missing.
    pub(crate) fn is_full(&mut self, now: UnixNano) -> bool {
        self.fill(now);
        self.level == self.most()
    }

    /// Takes bytes out, into debt if need be.
    pub(crate) fn take(&mut self, bytes: u64, now: UnixNano) {
        self.fill(now);
        self.level -= i128::from(bytes) * NANOS;
    }

    /// Gives bytes back that were taken in vain.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.level = (self.level + i128::from(bytes) * NANOS).min(self.most());
    }

    /// How long until a request may begin; `None`: now.
    pub(crate) fn wait(&mut self, now: UnixNano) -> Option<Duration> {
        self.fill(now);
        if self.level > 0 {
            return None;
        }
        let rate = i128::from(self.allowance.rate);
        let nanos = (1 - self.level + rate - 1) / rate;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// A clock that was set back fills nothing, and a later look begins from there.
    fn fill(&mut self, now: UnixNano) {
        let passed = i128::from(now.0) - i128::from(self.at.0);
        self.at = now;
        self.level = (self.level + passed.max(0) * i128::from(self.allowance.rate)).min(self.most());
    }

    fn most(&self) -> i128 {
        i128::from(self.allowance.burst) * NANOS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixNano = UnixNano(1_700_000_000_000_000_000);

    fn at(ms: u64) -> UnixNano {
        START.plus(Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_passes_at_once_and_the_debt_is_waited_for_to_the_nanosecond() {
        let mut bucket = Bucket::new(Allowance { rate: 1000, burst: 500 }, START);
        assert_eq!(bucket.wait(START), None);
        bucket.take(400, START);
        assert_eq!(bucket.wait(START), None, "some is left");
        bucket.take(400, START);
        let wait = bucket.wait(START).expect("in debt");
        assert_eq!(wait, Duration::from_nanos(300_000_001));
        assert!(bucket.wait(at(300)).is_some());
        assert_eq!(bucket.wait(START.plus(wait)), None, "what was promised holds");
    }

    #[test]
    fn no_more_than_the_rate_passes_over_time_whatever_the_steps() {
        let mut bucket = Bucket::new(Allowance { rate: 1000, burst: 100 }, START);
        let mut passed = 0;
        for step in 0..100_000_u64 {
            let now = START.plus(Duration::from_micros(step * 333));
            if bucket.wait(now).is_none() {
                bucket.take(7, now);
                passed += 7;
            }
        }
        // 33.3 s at 1000 bytes a second, and the burst once.
        assert!((33_390..=33_410).contains(&passed), "{passed}");
    }

    #[test]
    fn idle_time_fills_to_the_burst_and_a_clock_set_back_fills_nothing() {
        let mut bucket = Bucket::new(Allowance { rate: 1000, burst: 100 }, START);
        bucket.take(1_000_000, START);
        assert!(!bucket.is_full(at(1000)));
        assert!(bucket.is_full(at(3_600_000)));
        bucket.take(200, at(3_600_000));
        assert!(bucket.wait(START).is_some());
        assert!(bucket.wait(at(50)).is_some());
        assert_eq!(bucket.wait(at(101)), None, "time goes on from the earlier hour");
        bucket.give_back(1_000_000);
        assert!(bucket.is_full(at(101)), "never more than the burst");
    }
}
