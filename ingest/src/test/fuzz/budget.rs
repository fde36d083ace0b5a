//! How long a fuzz test runs, and from which seed.
//!
//! About ten seconds by default, where a test does not say less; `TRACELAKE_SOAK=1` makes it ten minutes, other numbers
//! a multiple of that.
//! `TRACELAKE_SEED` begins with that seed: the one that a failure printed is tried first.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;

const SHORT: Duration = Duration::from_secs(10);
const SOAK: Duration = Duration::from_secs(600);

/// Says which seed was at work when a test fails.
struct Failing<'n>(&'n str, u64);

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: failed with TRACELAKE_SEED={}", self.0, self.1);
        }
    }
}

/// Calls `round` with one seed after the other until the time is over.
pub(crate) fn run(name: &str, round: impl FnMut(&mut SmallRng)) {
    run_for(name, SHORT, round);
}

/// The same with a time of its own, unless it is a soak.
pub(crate) fn run_for(name: &str, short: Duration, mut round: impl FnMut(&mut SmallRng)) {
    let soak = std::env::var("TRACELAKE_SOAK").ok().and_then(|text| text.parse::<f64>().ok());
    let time = soak.map_or(short, |factor| SOAK.mul_f64(factor.clamp(0.0, 1000.0)));
    // A soak goes where no run has been; a short run is the same on every machine, as far as it comes.
    let chance = soak.map_or(1, |_| u64::from(rand::random::<u32>()) << 20);
    let first = std::env::var("TRACELAKE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(chance);
    let begin = Instant::now();
    let mut seed = first;
    while begin.elapsed() < time {
        let failing = Failing(name, seed);
        round(&mut SmallRng::seed_from_u64(seed));
        drop(failing);
        seed += 1;
    }
    eprintln!("{name}: seeds {first}..{seed}, {} requests in {:.1?}", seed - first, begin.elapsed());
}
