//! How long calls took, as counts by exponential buckets: any range of time is a sum of its minutes.
//!
//! Scale 6 of OpenTelemetry's exponential histograms (metrics data model, "ExponentialHistogram"): 64 buckets for each
//! doubling. A duration is known to within [`ERROR_MAX`] of itself, and so is every quantile, which is interpolated
//! between two of them. Deliberately knows durations of whole nanoseconds only; zero and less have a bucket of their own.

/// Buckets for each doubling: 2^scale.
pub(crate) const SCALE: i32 = 6;

/// A quantile differs from the exact one by this share of it at most: (base - 1) / (base + 1), base = 2^(1/64).
pub(crate) const ERROR_MAX: f64 = 0.005_416;

const PER_DOUBLING: f64 = 64.0;

/// Counts of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    zero: u64,
    count: u64,
    /// Number of the first bucket in `counts`.
    first: i32,
    /// Counts of buckets one after the other; neither the first nor the last is 0.
    counts: Vec<u64>,
}

impl Histogram {
    /// Takes a duration in.
    pub(crate) fn add(&mut self, duration_ns: i64) {
        match bucket(duration_ns) {
            Some(bucket) => self.add_bucket(bucket, 1),
            None => self.add_zero(1),
        }
    }

    /// Takes durations of zero in.
    pub(crate) fn add_zero(&mut self, count: u64) {
        self.zero = self.zero.saturating_add(count);
        self.count = self.count.saturating_add(count);
    }

    /// Takes durations of one bucket in. Numbers that no duration has are the nearest ones.
    pub(crate) fn add_bucket(&mut self, bucket: i32, count: u64) {
        if count == 0 {
            return;
        }
        let bucket = bucket.clamp(FIRST, LAST);
        self.cover(bucket, bucket);
        let at = place(bucket - self.first);
        self.counts[at] = self.counts[at].saturating_add(count);
        self.count = self.count.saturating_add(count);
    }

    /// Takes in all that another one has.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.zero = self.zero.saturating_add(other.zero);
        self.count = self.count.saturating_add(other.count);
        let Some(last) = other.counts.len().checked_sub(1) else { return };
        self.cover(other.first, other.first + i32::try_from(last).unwrap_or(i32::MAX));
        let from = place(other.first - self.first);
        for (ours, theirs) in self.counts[from..].iter_mut().zip(&other.counts) {
            *ours = ours.saturating_add(*theirs);
        }
    }

    /// How many buckets lie between those of two durations, these included.
    pub(crate) fn buckets_between(least_ns: i64, most_ns: i64) -> usize {
        let (least, most) = (bucket(least_ns).unwrap_or(FIRST), bucket(most_ns).unwrap_or(FIRST));
        place(most - least) + 1
    }

    /// Its bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.counts[..])
    }

    /// How many durations.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// How many of them are zero.
    pub(crate) fn zero(&self) -> u64 {
        self.zero
    }

    /// The buckets that hold any, ascending, with their counts.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i32, u64)> {
        (self.first..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// About the value at rank `p·(n-1)`, interpolated linearly between its neighbours; `None` without values.
    #[expect(clippy::cast_precision_loss, reason = "ranks far below 2^52")]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the rank lies between 0 and the count"
    )]
    pub(crate) fn quantile(&self, p: f64) -> Option<f64> {
        let rank = p * self.count.checked_sub(1)? as f64;
        let (below, above) = (rank.floor() as u64, rank.ceil() as u64);
        let low = self.at(below)?;
        let high = if above == below { low } else { self.at(above)? };
        Some(low + (high - low) * (rank - rank.floor()))
    }

    /// About the value of a rank.
    fn at(&self, rank: u64) -> Option<f64> {
        let mut before = self.zero;
        if rank < before {
            return Some(0.0);
        }
        for (bucket, count) in self.buckets() {
            before = before.saturating_add(count);
            if rank < before {
                return Some(middle(bucket));
            }
        }
        None
    }

    /// Makes room for buckets.
    fn cover(&mut self, first: i32, last: i32) {
        if self.counts.is_empty() {
            self.first = first;
        }
        if first < self.first {
            let missing = place(self.first - first);
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = first;
        }
        let length = place(last - self.first) + 1;
        if self.counts.len() < length {
            self.counts.resize(length, 0);
        }
    }
}

/// The bucket of one nanosecond, and that of the greatest duration.
const FIRST: i32 = -1;
const LAST: i32 = 63 * 64;

/// The bucket that holds a duration: above base^n, at most base^(n+1).
#[expect(clippy::cast_precision_loss, reason = "the error is far below that of a bucket")]
#[expect(clippy::cast_possible_truncation, reason = "at most 63 doublings")]
fn bucket(duration_ns: i64) -> Option<i32> {
    (duration_ns > 0).then(|| ((duration_ns as f64).log2() * PER_DOUBLING).ceil() as i32 - 1)
}

/// The value that is as far, by share, from one end of a bucket as from the other.
fn middle(bucket: i32) -> f64 {
    let low = (f64::from(bucket) / PER_DOUBLING).exp2();
    let high = (f64::from(bucket + 1) / PER_DOUBLING).exp2();
    2.0 * low * high / (low + high)
}

fn place(distance: i32) -> usize {
    usize::try_from(distance).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn of(durations: &[i64]) -> Histogram {
        let mut histogram = Histogram::default();
        durations.iter().for_each(|duration| histogram.add(*duration));
        histogram
    }

    /// The exact value at rank `p·(n-1)` of ascending durations.
    fn quantile(ascending: &[i64], p: f64) -> Option<f64> {
        let rank = p * ascending.len().checked_sub(1)? as f64;
        let (low, high) = (ascending[rank.floor() as usize] as f64, ascending[rank.ceil() as usize] as f64);
        Some(low + (high - low) * rank.fract())
    }

    fn check(mut durations: Vec<i64>, what: &str) {
        let histogram = of(&durations);
        durations.sort_unstable();
        for p in [0.0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
            let (found, exact) = (histogram.quantile(p), quantile(&durations, p));
            let (Some(found), Some(exact)) = (found, exact) else {
                assert_eq!(found, exact, "{what}");
                continue;
            };
            assert!((found - exact).abs() <= exact * ERROR_MAX + 1e-9, "{what}: p {p}: {found}, exactly {exact}");
        }
    }

    #[test]
    fn every_quantile_is_within_the_bound() {
        for seed in 0..40 {
            let mut random = StdRng::seed_from_u64(seed);
            let length = random.random_range(0..400);
            let spread = random.random_range(1..=62);
            let duration = |random: &mut StdRng| {
                let bits = random.random_range(0..spread);
                random.random_range(0..(1_i64 << bits).saturating_mul(2))
            };
            check((0..length).map(|_| duration(&mut random)).collect(), &format!("seed {seed}"));
        }
        check(vec![0, 0, 0, 5], "zeros");
        check(vec![i64::MAX, 1, 2, 3], "extremes");
        check((0..63).map(|bits| 1 << bits).collect(), "powers of two");
        check(vec![1; 9], "one nanosecond");
    }

    #[test]
    fn the_bound_is_what_is_said() {
        let base = (1.0 / PER_DOUBLING).exp2();
        let worst: f64 = (base - 1.0) / (base + 1.0);
        assert!(worst <= ERROR_MAX && ERROR_MAX < worst * 1.001, "{worst}");
        assert_eq!(f64::from(1 << SCALE), PER_DOUBLING);
    }

    #[test]
    fn the_sum_of_parts_is_the_whole_in_any_order() {
        for seed in 0..20 {
            let mut random = StdRng::seed_from_u64(seed);
            let durations: Vec<i64> = (0..300).map(|_| random.random_range(0..5_000_000_000)).collect();
            let mut sum = Histogram::default();
            let mut from_buckets = Histogram::default();
            let (head, rest) = durations.split_at(random.random_range(0..300));
            for part in [rest, &[], head] {
                let part = of(part);
                sum.merge(&part);
                from_buckets.add_zero(part.zero());
                part.buckets().for_each(|(bucket, count)| from_buckets.add_bucket(bucket, count));
            }
            assert_eq!(sum, of(&durations), "seed {seed}");
            assert_eq!(from_buckets, sum, "seed {seed}");
            assert_eq!(sum.count(), 300);
        }
    }

    #[test]
    fn nothing_has_no_quantile_and_zeros_have_zero() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        let zeros = of(&[0, -7, 0]);
        assert_eq!((zeros.quantile(0.5), zeros.zero(), zeros.buckets().count()), (Some(0.0), 3, 0));
    }

    #[test]
    fn a_bucket_that_no_duration_has_makes_no_room() {
        let mut odd = Histogram::default();
        odd.add_bucket(i32::MAX, 1);
        odd.add_bucket(i32::MIN, 1);
        assert_eq!((odd.count(), odd.counts.len()), (2, 4034));
    }
}
