//! Windows of a time range from its newest end backwards, each longer than the one before, so that a question for the
//! newest few seldom reads the whole range. Together they are the range, and none overlaps another.

use std::time::Duration;

use tracelake_model::{TimeRange, UnixNano};

const FIRST: Duration = Duration::from_secs(60);
const GROWTH: u32 = 8;

/// The windows of `range`, newest first; lengths count from `now` where the range runs past it.
pub(crate) fn windows(range: TimeRange, now: UnixNano) -> impl Iterator<Item = TimeRange> {
    let mut end = range.end;
    let mut from = range.end.min(now);
    let mut length = FIRST;
    std::iter::from_fn(move || {
        if end <= range.start {
            return None;
        }
        let start = from.minus(length).max(range.start);
        let window = TimeRange { start, end };
        (end, from) = (start, start);
        length = length.saturating_mul(GROWTH);
        Some(window)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_the_range_once_and_are_few() {
        let now = UnixNano(1_700_000_000_000_000_000);
        let check = |range: TimeRange, most: usize| {
            let windows: Vec<TimeRange> = windows(range, now).collect();
            assert!(windows.len() <= most, "{windows:?}");
            let mut end = range.end;
            for window in &windows {
                assert!(window.end == end && window.start < end, "{windows:?}");
                end = window.start;
            }
            assert_eq!(end.min(range.end), range.start.min(range.end));
        };
        check(TimeRange::ALL, 12);
        check(TimeRange { start: UnixNano(0), end: now }, 10);
        check(TimeRange { start: now, end: now.plus(FIRST) }, 1);
        check(TimeRange { start: UnixNano(7), end: UnixNano(8) }, 1);
        check(TimeRange { start: UnixNano(8), end: UnixNano(8) }, 0);
    }
}
