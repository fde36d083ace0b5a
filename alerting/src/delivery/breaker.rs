//! Leaves a receiver alone for a while that fails again and again, then lets one delivery try.
//!
//! Without it every waiting notice would try a dead receiver by itself. Deliberately short: notices have their own
//! delays, this only spares connections.

use std::time::{Duration, Instant};

const FAILURES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

/// One receiver's recent luck.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    trying: bool,
}

impl Breaker {
    /// Whether a delivery may start now. After a pause one may, and the others wait for its outcome.
    pub(crate) fn admit(&mut self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until || self.trying => false,
            Some(_) => {
                self.trying = true;
                true
            }
        }
    }

    /// Takes an outcome into account.
    pub(crate) fn record(&mut self, delivered: bool, now: Instant) {
        self.trying = false;
        if delivered {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            self.open_until = Some(now + PAUSE);
        }
    }

    /// Whether the receiver is being left alone.
    pub(crate) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_five_failures_one_delivery_tries_at_a_time() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            assert!(breaker.admit(start));
            breaker.record(false, start);
        }
        assert!(breaker.is_open());
        assert!(!breaker.admit(start + PAUSE / 2));
        assert!(breaker.admit(start + PAUSE));
        assert!(!breaker.admit(start + PAUSE));
        breaker.record(false, start + PAUSE);
        assert!(!breaker.admit(start + PAUSE));
        assert!(breaker.admit(start + 2 * PAUSE));
        breaker.record(true, start + 2 * PAUSE);
        assert!(breaker.admit(start + 2 * PAUSE) && breaker.admit(start + 2 * PAUSE));
    }
}
