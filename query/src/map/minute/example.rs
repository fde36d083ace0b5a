//! Traces of an edge that are worth a look: failed calls before others, then the slowest, each trace once.
//!
//! The best of a range are among the best of its minutes, so a few for each minute are enough.

/// Traces on an edge.
pub(crate) const EXAMPLES_MAX: usize = 3;

/// A call that shows what happens on an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// The trace's id.
    pub(crate) trace: [u8; 16],
    /// Duration of the call in nanoseconds.
    pub(crate) duration_ns: i64,
    /// Whether it failed.
    pub(crate) error: bool,
}

impl Example {
    /// Lesser is better.
    fn rank(&self) -> (bool, std::cmp::Reverse<i64>, [u8; 16]) {
        (!self.error, std::cmp::Reverse(self.duration_ns), self.trace)
    }
}

/// Puts a call among the best, where it belongs there; they stay in order.
pub(crate) fn offer(best: &mut Vec<Example>, call: Example) {
    if best.len() >= EXAMPLES_MAX && best.last().is_some_and(|last| last.rank() <= call.rank()) {
        return;
    }
    if let Some(same) = best.iter().position(|known| known.trace == call.trace) {
        if best[same].rank() <= call.rank() {
            return;
        }
        best.remove(same);
    }
    let at = best.partition_point(|known| known.rank() < call.rank());
    best.insert(at, call);
    best.truncate(EXAMPLES_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(trace: u8, duration_ns: i64, error: bool) -> Example {
        Example { trace: [trace; 16], duration_ns, error }
    }

    #[test]
    fn failed_calls_come_first_then_the_slowest_and_each_trace_once() {
        let calls = [
            call(1, 50, false),
            call(2, 10, true),
            call(1, 90, false),
            call(3, 70, false),
            call(4, 5, true),
            call(2, 8, true),
        ];
        for turn in 0..calls.len() {
            let mut turned = calls;
            turned.rotate_left(turn);
            let mut best = Vec::new();
            turned.iter().for_each(|call| offer(&mut best, *call));
            assert_eq!(best, [call(2, 10, true), call(4, 5, true), call(1, 90, false)], "turn {turn}");
        }
    }

    #[test]
    fn the_best_of_minutes_are_the_best_of_all() {
        let calls: Vec<Example> =
            (0..60_u8).map(|n| call(n % 23, i64::from(n) * 37 % 41, n.is_multiple_of(7))).collect();
        let best = |calls: &[Example]| {
            let mut best = Vec::new();
            calls.iter().for_each(|call| offer(&mut best, *call));
            best
        };
        let by_minute: Vec<Example> = calls.chunks(9).flat_map(best).collect();
        assert_eq!(best(&by_minute), best(&calls));
    }
}
