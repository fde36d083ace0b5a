//! Lets one actor go on at a time, from one operation to the next, and chooses who from a seed.
//!
//! Actors are threads; each waits here before every operation. Time passes only here, a little with each step, so a
//! seed gives the same interleaving again. Naps make an actor miss hundreds of steps of the others at once.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::ManualClock;

/// Steps of a run at most: one that takes longer hangs.
const STEPS_MAX: u64 = 200_000;
/// Seconds that pass with a step at most.
const STEP_SECONDS_MAX: u64 = 60;

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// One for each actor.
    ready: Vec<Condvar>,
    clock: ManualClock,
}

#[derive(Debug)]
struct State {
    random: SmallRng,
    /// How often another one goes on.
    restless: f64,
    actors: Vec<Actor>,
    /// Who goes on; nobody before the start and after the end.
    turn: Option<usize>,
    steps: u64,
    /// Of all choices, so that two runs can be compared.
    trace: u64,
    holes: u64,
}

#[derive(Clone, Debug, Default)]
struct Actor {
    present: bool,
    wakes: u64,
    operations: u64,
    /// After how many operations it sleeps, and for how many steps; the next one last.
    naps: Vec<(u64, u64)>,
    commits: u64,
    /// Just before which of its commits it sleeps, and for how many steps.
    commit_nap: Option<(u64, u64)>,
}

impl Gate {
    /// A gate for so many actors; time is that of the clock.
    pub(crate) fn new(seed: u64, actors: usize, clock: ManualClock) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let restless = [0.1, 0.4, 1.0][random.random_range(0..3)];
        let state = State {
            random,
            restless,
            actors: vec![Actor { present: true, ..Actor::default() }; actors],
            turn: None,
            steps: 0,
            trace: 0,
            holes: 0,
        };
        Self { state: Mutex::new(state), ready: (0..actors).map(|_| Condvar::new()).collect(), clock }
    }

    /// Makes an actor sleep for so many steps once it has made so many operations.
    pub(crate) fn nap(&self, actor: usize, after: u64, steps: u64) {
        let naps = &mut self.state.lock().actors[actor].naps;
        naps.push((after, steps));
        naps.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Makes an actor sleep for so many steps between everything that a commit of its own prepares and the commit.
    pub(crate) fn nap_before_commit(&self, actor: usize, commit: u64, steps: u64) {
        self.state.lock().actors[actor].commit_nap = Some((commit, steps));
    }

    /// An actor is about to make a commit.
    pub(crate) fn commit(&self, actor: usize) {
        let steps = {
            let this = &mut self.state.lock().actors[actor];
            this.commits += 1;
            this.commit_nap.filter(|(commit, _)| *commit == this.commits).map(|(_, steps)| steps)
        };
        match steps {
            Some(steps) => self.idle(actor, steps),
            None => self.step(actor),
        }
    }

    /// Begins.
    pub(crate) fn start(&self) {
        let mut state = self.state.lock();
        let first = state.choose().expect("there are actors");
        state.turn = Some(first);
        self.ready[first].notify_all();
    }

    /// Waits until an actor may begin.
    pub(crate) fn enter(&self, actor: usize) {
        self.wait(&mut self.state.lock(), actor);
    }

    /// An actor is about to make an operation: others may come first.
    pub(crate) fn step(&self, actor: usize) {
        let mut state = self.state.lock();
        if state.turn != Some(actor) {
            // Before the start and after the end nobody is in anybody's way.
            assert!(state.turn.is_none(), "actor {actor} goes on out of turn");
            return;
        }
        let (steps, this) = (state.steps, &mut state.actors[actor]);
        this.operations += 1;
        if this.naps.last().is_some_and(|(after, _)| *after <= this.operations) {
            this.wakes = steps + this.naps.pop().map_or(0, |(_, steps)| steps);
        }
        self.pass(&mut state, actor);
    }

    /// An actor has nothing to do for so many steps.
    pub(crate) fn idle(&self, actor: usize, steps: u64) {
        let mut state = self.state.lock();
        if state.turn.is_some() {
            state.actors[actor].wakes = state.steps + steps;
            self.pass(&mut state, actor);
        }
    }

    fn pass(&self, state: &mut parking_lot::MutexGuard<'_, State>, actor: usize) {
        state.steps += 1;
        assert!(state.steps < STEPS_MAX, "the run does not end");
        let stays = state.actors[actor].wakes <= state.steps && !state.is_restless();
        let before = state.steps;
        let next = if stays { actor } else { state.choose().expect("this actor is present") };
        let slept = (state.steps - before) * STEP_SECONDS_MAX / 2;
        let seconds = state.random.random_range(0..=STEP_SECONDS_MAX) + slept;
        self.clock.advance(Duration::from_secs(seconds));
        state.trace = state.trace.wrapping_mul(31).wrapping_add(next as u64 + 1);
        if next != actor {
            state.turn = Some(next);
            self.ready[next].notify_all();
            self.wait(state, actor);
        }
    }

    fn wait(&self, state: &mut parking_lot::MutexGuard<'_, State>, actor: usize) {
        while state.turn != Some(actor) {
            self.ready[actor].wait(state);
        }
    }

    /// An actor is done, or panicked.
    pub(crate) fn leave(&self, actor: usize) {
        let mut state = self.state.lock();
        state.actors[actor].present = false;
        state.turn = state.choose();
        if let Some(next) = state.turn {
            self.ready[next].notify_all();
        }
    }

    /// A number from the run's seed.
    pub(crate) fn draw(&self, below: u64) -> u64 {
        self.state.lock().random.random_range(0..below)
    }

    /// A commit took a number that a clean-up made free.
    pub(crate) fn note_hole(&self) {
        self.state.lock().holes += 1;
    }

    /// How many commits did.
    pub(crate) fn holes(&self) -> u64 {
        self.state.lock().holes
    }

    /// How many steps were made, and a hash of who made them.
    pub(crate) fn trace(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.steps, state.trace)
    }
}

impl State {
    fn is_restless(&mut self) -> bool {
        let restless = self.restless;
        self.random.random_bool(restless)
    }

    /// One of those who are awake; when all sleep, time goes on to the first who wakes.
    fn choose(&mut self) -> Option<usize> {
        let first = self.actors.iter().filter(|actor| actor.present).map(|actor| actor.wakes).min()?;
        self.steps = self.steps.max(first);
        let steps = self.steps;
        let is_awake = |actor: &Actor| actor.present && actor.wakes <= steps;
        let awake: Vec<_> = (0..self.actors.len()).filter(|&actor| is_awake(&self.actors[actor])).collect();
        Some(awake[self.random.random_range(0..awake.len())])
    }
}
