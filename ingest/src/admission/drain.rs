//! How fast bytes in flight become durable and leave: the measure for times to come back.
//!
//! Measured while something is in flight only, over a second at least, so that idle hours make nobody slow.

use std::time::Duration;

use tracelake_model::UnixNano;

/// The shortest stretch that is measured.
const WINDOW: Duration = Duration::from_secs(1);

/// Bytes that left since a moment.
#[derive(Debug)]
pub(crate) struct Drain {
    since: UnixNano,
    bytes: u64,
    last: Option<u64>,
}

impl Drain {
    /// Nothing is known yet.
    pub(crate) fn new(now: UnixNano) -> Self {
        Self { since: now, bytes: 0, last: None }
    }

    /// The first bytes came in flight after a rest.
    pub(crate) fn begin(&mut self, now: UnixNano) {
        (self.since, self.bytes) = (now, 0);
    }

    /// Bytes left.
    pub(crate) fn left(&mut self, bytes: u64, now: UnixNano) {
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(rate) = self.measured(now) {
            self.last = Some(rate);
            self.begin(now);
        }
    }

    /// Bytes a second; `None` before the first measure.
    pub(crate) fn per_second(&self, now: UnixNano) -> Option<u64> {
        self.measured(now).or(self.last)
    }

    fn measured(&self, now: UnixNano) -> Option<u64> {
        let nanos = u128::try_from(now.0.saturating_sub(self.since.0)).ok()?;
        let rate = u128::from(self.bytes) * 1_000_000_000 / nanos.max(1);
        (nanos >= WINDOW.as_nanos()).then(|| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_makes_nobody_slow_and_a_stall_is_seen() {
        let at = |ms: u64| UnixNano(0).plus(Duration::from_millis(ms));
        let mut drain = Drain::new(at(0));
        assert_eq!(drain.per_second(at(500)), None);
        for ms in (100..=1000).step_by(100) {
            drain.left(50, at(ms));
        }
        assert_eq!(drain.per_second(at(1100)), Some(500));
        drain.begin(at(3_600_000));
        assert_eq!(drain.per_second(at(3_600_100)), Some(500), "the hour of rest does not count");
        assert_eq!(drain.per_second(at(3_602_000)), Some(0), "nothing left for two seconds of work");
        drain.left(1000, at(3_602_000));
        assert_eq!(drain.per_second(at(3_602_001)), Some(500));
        drain.begin(at(10));
        assert_eq!(drain.per_second(at(5)), Some(500), "a clock set back measures nothing");
    }
}
