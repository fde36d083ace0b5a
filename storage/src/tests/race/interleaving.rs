//! A thousand runs: two compactors, three appenders, retention and a server that sleeps, at once on one table.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{ManualClock, TenantId};

use crate::simulation::SimDisk;
use crate::tests::race::actor::{Part, Run, Server};
use crate::tests::race::gate::Gate;
use crate::tests::race::truth::{TABLE, Truth, check_with_deltalake};
use crate::tests::rig::START;

const RUNS: u64 = 1000;
/// One run in so many is read by deltalake-core too.
const SAMPLE: u64 = 25;
static CAST: [Part; 7] =
    [Part::Append, Part::Append, Part::Append, Part::Compact, Part::Compact, Part::Retain, Part::Sleep];

/// Leaves even when its actor panics, so that the others go on.
struct Leave<'a>(&'a Gate, usize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

fn begin(seed: u64) -> Run {
    let clock = ManualClock::new(START);
    let gate = Gate::new(seed, CAST.len(), clock.clone());
    let mut random = SmallRng::seed_from_u64(!seed);
    for actor in 0..CAST.len() {
        for _ in 0..random.random_range(0..3) {
            gate.nap(actor, random.random_range(1..150), random.random_range(20..150));
        }
        if random.random_bool(0.6) {
            gate.nap_before_commit(actor, random.random_range(1..5), random.random_range(100..350));
        }
    }
    Run {
        gate: Arc::new(gate),
        disk: SimDisk::new(clock.clone()),
        clock,
        truth: Truth::default(),
        appending: AtomicUsize::new(CAST.iter().filter(|part| **part == Part::Append).count()),
        merges: AtomicUsize::new(0),
        checkpoint_every: random.random_range(3..8),
    }
}

/// Plays a run to its end and checks what it leaves.
fn play(seed: u64) -> Run {
    let run = begin(seed);
    std::thread::scope(|scope| {
        let act = |(actor, part): (usize, &'static Part)| {
            let run = &run;
            scope.spawn(move || {
                run.gate.enter(actor);
                let _leave = Leave(&run.gate, actor);
                let server = Server::open(run, actor);
                server.play(*part);
                server
            })
        };
        let actors: Vec<_> = CAST.iter().enumerate().map(act).collect();
        run.gate.start();
        let servers: Vec<_> = actors.into_iter().map(|actor| actor.join().expect("an actor panicked")).collect();
        check(&run, seed, &servers);
    });
    run
}

fn check(run: &Run, seed: u64, servers: &[Server<'_>]) {
    let reader = run.reader();
    run.truth.check(&reader);
    let live = |core: &crate::core::Core| -> BTreeSet<String> {
        let log = core.logs.get(&TenantId::default(), TABLE).expect("a table");
        log.lock().catch_up().expect("it is read");
        let log = log.lock();
        core.show(&TenantId::default(), TABLE, &log);
        log.live().iter().map(|part| part.location.to_string()).collect()
    };
    let want = live(&reader);
    for server in servers {
        assert_eq!(live(&server.core), want, "a server knows other parts");
    }
    if seed.is_multiple_of(SAMPLE) {
        check_with_deltalake(&run.files(), &reader);
    }
}

#[test]
fn servers_that_append_merge_remove_and_sleep_on_one_table_lose_and_double_nothing() {
    let soak: Option<u64> = std::env::var("TRACELAKE_SOAK").ok().and_then(|soak| soak.parse().ok());
    let factor = soak.map_or(1, |soak| 10 * soak);
    // A single seed again: TRACELAKE_SEED=17.
    let only: Option<u64> = std::env::var("TRACELAKE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..RUNS * factor, |seed| seed..seed + 1);
    let (next, began) = (AtomicU64::new(seeds.start), Instant::now());
    let sums: [AtomicU64; 5] = Default::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        break;
                    }
                    let played = catch_unwind(AssertUnwindSafe(|| play(seed)));
                    let run =
                        played.unwrap_or_else(|_| panic!("seed {seed} fails; TRACELAKE_SEED={seed} plays it again"));
                    let (told, removed) = run.truth.counts();
                    let merges = run.merges.load(Ordering::SeqCst);
                    let figures = [run.gate.trace().0, told as u64, removed as u64, merges as u64, run.gate.holes()];
                    for (sum, figure) in sums.iter().zip(figures) {
                        sum.fetch_add(figure, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    let [steps, told, removed, merges, holes] = sums.map(AtomicU64::into_inner);
    println!(
        "seeds {seeds:?}: {steps} steps, {told} rows acknowledged, {removed} removed, {merges} merges, \
         {holes} commits tried where an entry was cleaned away, in {:?}",
        began.elapsed()
    );
    assert!(
        only.is_some() || (removed > seeds.end && merges > seeds.end && holes > seeds.end / 50),
        "too little happened"
    );
}

#[test]
fn a_seed_makes_the_same_interleaving_again() {
    for seed in 0..3 {
        assert_eq!(play(seed).gate.trace(), play(seed).gate.trace(), "seed {seed}");
    }
}
