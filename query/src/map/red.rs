//! Requests, errors and durations of a set of calls. Percentiles are interpolated at rank p·(n-1): exact where all calls
//! came one by one, within [`ERROR_MAX`](crate::map::minute::histogram::ERROR_MAX) where some came as a histogram.
//!
//! The map, the service list and the operations list all take their figures from here, so that they agree.

use serde::Serialize;
use tracelake_model::TimeRange;

use crate::map::minute::histogram::Histogram;

/// Durations and errors, gathered one by one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Red {
    durations_ns: Vec<i64>,
    errors: u64,
    estimated: f64,
    errors_estimated: f64,
    /// Durations that came as a histogram.
    kept: Option<Box<Histogram>>,
}

/// Calls and failed ones before sampling, as far as the stored spans tell; equal to the stored figures without sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimated {
    /// Calls.
    pub(crate) calls: f64,
    /// Failed calls.
    pub(crate) errors: f64,
}

/// The percentiles everybody asks for, milliseconds; null when nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Percentiles {
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl Red {
    /// Takes one stored call in that stands for `adjusted` calls.
    pub(crate) fn add_adjusted(&mut self, duration_ns: i64, error: bool, adjusted: f32) {
        self.durations_ns.push(duration_ns);
        self.errors += u64::from(error);
        self.estimated += f64::from(adjusted);
        self.errors_estimated += if error { f64::from(adjusted) } else { 0.0 };
    }

    /// Takes calls in of which only the histogram is known.
    pub(crate) fn add_kept_with(&mut self, errors: u64, estimated: Estimated, add: impl FnOnce(&mut Histogram)) {
        self.errors += errors;
        self.estimated += estimated.calls;
        self.errors_estimated += estimated.errors;
        add(self.kept.get_or_insert_default());
    }

    /// Takes in all that another one has.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.errors += other.errors;
        self.estimated += other.estimated;
        self.errors_estimated += other.errors_estimated;
        if self.durations_ns.len() < other.durations_ns.len() {
            std::mem::swap(&mut self.durations_ns, &mut other.durations_ns);
        }
        self.durations_ns.append(&mut other.durations_ns);
        match (&mut self.kept, other.kept) {
            (Some(ours), Some(theirs)) => ours.merge(&theirs),
            (ours @ None, theirs) => *ours = theirs,
            (Some(_), None) => {}
        }
    }

    /// Keeps durations as a histogram from now on where that takes less memory than one by one.
    pub(crate) fn shrink(&mut self) {
        let (Some(least), Some(most)) = (self.durations_ns.iter().min(), self.durations_ns.iter().max()) else {
            return;
        };
        if self.kept.is_some() || self.durations_ns.len() > Histogram::buckets_between(*least, *most) {
            let mut histogram = self.kept.take().unwrap_or_default();
            std::mem::take(&mut self.durations_ns).into_iter().for_each(|duration| histogram.add(duration));
            self.kept = Some(histogram);
        } else {
            self.durations_ns.shrink_to_fit();
        }
    }

    /// All durations as a histogram.
    pub(crate) fn histogram(&self) -> Histogram {
        let mut histogram = self.kept.as_deref().cloned().unwrap_or_default();
        self.durations_ns.iter().for_each(|duration| histogram.add(*duration));
        histogram
    }

    /// About the bytes that it holds besides its own.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.durations_ns[..]) + self.kept.as_ref().map_or(0, |kept| kept.bytes())
    }

    /// Whether all durations are known one by one.
    pub(crate) fn is_exact(&self) -> bool {
        self.kept.is_none()
    }

    /// How many calls.
    pub(crate) fn count(&self) -> u64 {
        let kept = self.kept.as_ref().map_or(0, |kept| kept.count());
        u64::try_from(self.durations_ns.len()).unwrap_or(u64::MAX).saturating_add(kept)
    }

    /// How many of them failed.
    pub(crate) fn errors(&self) -> u64 {
        self.errors
    }

    /// How many calls and failed ones they stand for.
    pub(crate) fn estimated(&self) -> Estimated {
        Estimated { calls: self.estimated, errors: self.errors_estimated }
    }

    /// Failed calls as a share of all, 0 to 1; 0 without calls.
    #[expect(clippy::cast_precision_loss, reason = "a share of counts far below 2^52")]
    pub(crate) fn error_rate(&self) -> f64 {
        self.errors as f64 / (self.count().max(1)) as f64
    }

    /// Calls per second of a range; 0 for an empty range.
    #[expect(clippy::cast_precision_loss, reason = "a rate of counts far below 2^52")]
    pub(crate) fn rate(&self, range: TimeRange) -> f64 {
        let seconds = (range.end.0 as f64 - range.start.0 as f64) / 1e9;
        if seconds > 0.0 { self.count() as f64 / seconds } else { 0.0 }
    }

    /// p50, p95 and p99.
    pub(crate) fn percentiles(&mut self) -> Percentiles {
        if self.kept.is_some() {
            let histogram = self.histogram();
            let at = |p| histogram.quantile(p).map(|ns| ns / 1e6);
            return Percentiles { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99) };
        }
        self.durations_ns.sort_unstable();
        let at = |p| quantile(&self.durations_ns, p).map(|ns| ns / 1e6);
        Percentiles { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99) }
    }
}

/// The value at rank `p·(n-1)` of ascending values, interpolated linearly between its neighbours; `None` without values.
#[expect(clippy::cast_precision_loss, reason = "durations stay below 2^52 ns, fifty days")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rank lies between 0 and the length")]
pub(crate) fn quantile(ascending: &[i64], p: f64) -> Option<f64> {
    let rank = p * ascending.len().checked_sub(1)? as f64;
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    let (low, high) = (*ascending.get(below)? as f64, *ascending.get(above)? as f64);
    Some(low + (high - low) * (rank - rank.floor()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelake_model::UnixNano;

    #[test]
    fn a_quantile_lies_between_its_neighbours_by_rank() {
        let check = |values: &[i64], p: f64, expected: Option<f64>| {
            assert_eq!(quantile(values, p), expected, "{values:?} at {p}");
        };
        check(&[], 0.5, None);
        check(&[7], 0.99, Some(7.0));
        check(&[10, 20], 0.5, Some(15.0));
        check(&[0, 10, 20, 30], 0.75, Some(22.5));
        check(&[1, 2, 3], 0.0, Some(1.0));
        check(&[1, 2, 3], 1.0, Some(3.0));
    }

    #[test]
    fn figures_of_nothing_are_zero_or_null_and_never_nan() {
        let hour = TimeRange { start: UnixNano(0), end: UnixNano(3_600_000_000_000) };
        let mut none = Red::default();
        assert_eq!((none.count(), none.errors(), none.error_rate(), none.rate(hour)), (0, 0, 0.0, 0.0));
        assert_eq!(none.percentiles(), Percentiles::default());
        let mut two = Red::default();
        two.add_adjusted(4_000_000, true, 1.0);
        two.add_adjusted(2_000_000, false, 1.0);
        assert_eq!((two.count(), two.errors(), two.error_rate()), (2, 1, 0.5));
        assert_eq!(two.percentiles().p50_ms, Some(3.0));
        assert_eq!(two.estimated(), Estimated { calls: 2.0, errors: 1.0 });
        two.add_adjusted(1, true, 4.0);
        assert_eq!((two.count(), two.estimated()), (3, Estimated { calls: 6.0, errors: 5.0 }));
        assert_eq!(two.rate(TimeRange { start: UnixNano(5), end: UnixNano(5) }), 0.0);
    }
}
