//! When a notice is tried again: one second, doubling to five minutes, with jitter.
//!
//! The jitter is a hash of notice and attempt, so that many notices spread and a test can compute it.

use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

const FIRST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 300_000;

/// The delay after a failed attempt (from 1): between 80 and 120 percent of 1 s, 2 s, 4 s ... 5 min.
pub(crate) fn delay(notice_id: &str, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let base_ms = (FIRST_MS << doublings).min(LONGEST_MS);
    let spread = xxh3_64_with_seed(notice_id.as_bytes(), u64::from(attempt)) % 401;
    Duration::from_millis(base_ms * (800 + spread) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_spread() {
        let check = |attempt: u32, base_ms: u64| {
            let delay_ms = u64::try_from(delay("notice", attempt).as_millis()).unwrap();
            assert!((base_ms * 8 / 10..=base_ms * 12 / 10).contains(&delay_ms), "{attempt}: {delay_ms}");
        };
        check(1, 1_000);
        check(2, 2_000);
        check(5, 16_000);
        check(9, 256_000);
        check(10, 300_000);
        check(u32::MAX, 300_000);
        let distinct: std::collections::HashSet<_> = (0..100).map(|i| delay(&format!("n{i}"), 3)).collect();
        assert!(distinct.len() > 50);
    }
}
