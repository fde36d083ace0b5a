//! Thousands of moments at which the power goes: each state is opened, checked, and goes on working.
//!
//! Runs are recorded from a seed; `TRACELAKE_SOAK` is how many times as many states are tried.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::Table;

use crate::config::Config;
use crate::simulation::disk::Image;
use crate::tests::machine::{Machine, small};
use crate::tests::outsider;
use crate::tests::script::Shape;
use crate::tests::tape::{Habits, Tape, flush, upkeep};

/// What was tried.
#[derive(Debug, Default)]
struct Count {
    runs: u64,
    states: u64,
    while_recovering: u64,
    later: u64,
    /// Tables that the Delta library read.
    read_by_others: u64,
}

/// How states are made of runs.
struct Trial {
    seed: u64,
    states: u64,
    /// States of one moment at which something is not synced.
    states_per_image: u64,
    /// The share of a run's moments that are tried.
    share: f64,
    steps: usize,
    shape: Shape,
    habits: Habits,
    config: Config,
}

/// How many times as much is tried.
pub(crate) fn soak() -> u64 {
    std::env::var("TRACELAKE_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}

impl Trial {
    fn run(&self) {
        let (since, mut count) = (Instant::now(), Count::default());
        while count.states < self.states * soak() {
            let seed = self.seed + count.runs;
            count.runs += 1;
            let tape = Tape::record(seed, self.steps, self.shape, self.habits, self.config.clone());
            let tape = tape.unwrap_or_else(|error| panic!("{error}"));
            let mut chosen = SmallRng::seed_from_u64(seed);
            for (number, image) in tape.images.iter().enumerate() {
                if !chosen.random_bool(self.share) {
                    continue;
                }
                let states = if image.is_settled() { 1 } else { self.states_per_image };
                for state in 0..states {
                    let seed_of_state = (seed << 32) | ((number as u64) << 8) | state;
                    let tried = self.state(&tape, image, seed_of_state, &mut count);
                    tried.unwrap_or_else(|error| {
                        panic!("seed {seed}, power cut before operation {number} ({}), {state}: {error}", image.next)
                    });
                }
            }
        }
        let last = self.seed + count.runs - 1;
        eprintln!("seeds {}..={last}: {count:?} in {:.1?}", self.seed, since.elapsed());
    }

    /// One power cut, perhaps another while the store comes back, perhaps a third after it went on.
    fn state(&self, tape: &Tape, image: &Image, seed: u64, count: &mut Count) -> Result<(), String> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut machine = Machine::of(image, tape.config.clone(), &tape.script, tape.known_at(image));
        machine.crash(seed);
        if random.random_bool(0.1) {
            machine.disk().cut_after(random.random_range(0..6));
            // It ends where the power goes.
            let _ = machine.open();
            machine.crash(seed ^ (1 << 60));
            count.states += 1;
            count.while_recovering += 1;
        }
        machine.open()?;
        machine.check()?;
        count.states += 1;
        if self.habits.upkeep > 0 && random.random_bool(0.05) {
            count.read_by_others += outsider::check(machine.core())? as u64;
        }
        self.go_on(&mut machine, &mut random)?;
        if random.random_bool(0.1) {
            machine.disk().cut_after(random.random_range(0..if self.habits.flushes > 0 { 30 } else { 6 }));
            let _ = self.go_on(&mut machine, &mut random);
            machine.crash(seed ^ (2 << 60));
            if machine.retained {
                // It may have been removing when the power went.
                machine.known.may_go(&machine.script);
            }
            machine.open().and_then(|()| machine.check()).map_err(|error| format!("after it went on: {error}"))?;
            count.states += 1;
            count.later += 1;
        }
        Ok(())
    }

    fn go_on(&self, machine: &mut Machine, random: &mut SmallRng) -> Result<(), String> {
        let oldest = machine.oldest();
        for payload in [oldest, machine.earlier(random)].into_iter().flatten() {
            machine.resend(payload)?;
        }
        let fresh = machine.fresh(2);
        if let Some(refusal) = machine.send(&fresh).into_iter().find_map(Result::err) {
            return Err(format!("it does not go on: {refusal:?}"));
        }
        if self.habits.flushes > 0 && random.random_bool(0.05) {
            flush(machine)?;
        }
        if self.habits.upkeep > 0 && random.random_bool(0.2) {
            upkeep(machine, random)?;
        }
        machine.check()
    }
}

#[test]
fn power_cuts_of_wal_and_tail_lose_and_double_nothing() {
    Trial {
        seed: 1_000,
        states: 60_000,
        states_per_image: 10,
        share: 1.0,
        steps: 40,
        shape: Shape { tenants: 3, payloads: 0, text_bytes: 400, with_spans: false },
        habits: Habits::default(),
        config: small(),
    }
    .run();
}

#[test]
fn power_cuts_while_segments_turn_over_and_are_used_again_lose_and_double_nothing() {
    Trial {
        seed: 2_000,
        states: 40_000,
        states_per_image: 6,
        share: 1.0,
        steps: 60,
        shape: Shape { tenants: 1, payloads: 0, text_bytes: 700, with_spans: false },
        habits: Habits { flushes: 10, upkeep: 0 },
        config: small(),
    }
    .run();
}

#[test]
fn power_cuts_of_the_whole_store_lose_double_and_resurrect_nothing() {
    let retention = [Table::Logs, Table::Exceptions].map(|table| (table, Duration::from_secs(7200)));
    Trial {
        seed: 3_000,
        states: 2_000,
        states_per_image: 2,
        share: 0.2,
        steps: 80,
        shape: Shape { tenants: 2, payloads: 0, text_bytes: 60, with_spans: true },
        habits: Habits { flushes: 15, upkeep: 30 },
        config: Config { checkpoint_every: 3, disk_share: 0.8, retention: retention.into(), ..small() },
    }
    .run();
}
