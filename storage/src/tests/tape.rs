//! A run that is recorded: an image of the disk before every operation, and what clients knew then.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{Clock as _, Table, UnixNano};

use crate::config::Config;
use crate::simulation::disk::Image;
use crate::simulation::fault::{Fault, Lasting};
use crate::tests::machine::Machine;
use crate::tests::script::{Script, Shape};
use crate::tests::truth::Known;

/// A recorded run.
pub(crate) struct Tape {
    pub(crate) images: Vec<Image>,
    /// Operations until the end of each step, and what was known then.
    steps: Vec<(u64, Known)>,
    pub(crate) script: Arc<Script>,
    pub(crate) config: Config,
}

/// What a run does besides sending, of a hundred steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    pub(crate) flushes: u32,
    /// Merging, retention, deleting files, and hours that pass.
    pub(crate) upkeep: u32,
}

impl Tape {
    /// Runs so many steps from a seed. Everything must hold while nothing crashes, too.
    pub(crate) fn record(
        seed: u64,
        steps: usize,
        shape: Shape,
        habits: Habits,
        config: Config,
    ) -> Result<Self, String> {
        let shape = Shape { payloads: 5 * steps, ..shape };
        let script = Arc::new(Script::new(seed, shape));
        let mut random = SmallRng::seed_from_u64(seed);
        let mut machine = Machine::new(config, &script);
        machine.disk().record();
        machine.open()?;
        let mut known = Vec::new();
        for number in 0..steps {
            let done = step(&mut machine, &mut random, habits).and_then(|()| machine.check());
            done.map_err(|error| format!("seed {seed} step {number} without a crash: {error}"))?;
            known.push((machine.disk().operations(), machine.known.clone()));
        }
        let images = machine.disk().recorded();
        Ok(Self { images, steps: known, script, config: machine.rig.config })
    }

    /// What clients knew at a moment.
    pub(crate) fn known_at(&self, image: &Image) -> Known {
        let at = self.steps.partition_point(|(end, _)| *end <= image.operations());
        let before = at.checked_sub(1).map_or_else(|| Known::new(&self.script), |last| self.steps[last].1.clone());
        self.steps.get(at).map_or_else(|| before.clone(), |(_, after)| before.until(after))
    }
}

fn step(machine: &mut Machine, random: &mut SmallRng, habits: Habits) -> Result<(), String> {
    let (flushes, upkeep) = (habits.flushes, habits.flushes + habits.upkeep);
    match random.random_range(0..100) {
        at if at < flushes => flush(machine),
        at if at < upkeep => self::upkeep(machine, random),
        _ => match random.random_range(0..20) {
            0 => machine.open(),
            1 => fail_a_sync(machine, random),
            2 | 3 => fill_the_disk(machine, random),
            4 | 5 => machine.earlier(random).map_or(Ok(()), |payload| machine.resend(payload)),
            _ => send(machine, random),
        },
    }
}

fn send(machine: &mut Machine, random: &mut SmallRng) -> Result<(), String> {
    let mut group = machine.fresh(random.random_range(1..5));
    if random.random_bool(0.2) {
        // The same payload in the same group, and one that is known: no group is written for them.
        group.extend(group.first().copied());
        group.extend(machine.earlier(random));
    }
    let refused = machine.send(&group).into_iter().find_map(Result::err);
    refused.map_or(Ok(()), |refusal| Err(format!("refused for no reason: {refusal:?}")))
}

/// The process restarts after a failed sync: what it then shows, it keeps.
fn fail_a_sync(machine: &mut Machine, random: &mut SmallRng) -> Result<(), String> {
    let group = machine.fresh(3);
    machine.disk().fail_next_sync();
    machine.send(&group);
    machine.disk().mend();
    machine.open()?;
    machine.check()?;
    if random.random_bool(0.5) { machine.resend(group[0]) } else { Ok(()) }
}

/// A write finds no space half-way; then there is some, and the group goes into the next segment.
fn fill_the_disk(machine: &mut Machine, random: &mut SmallRng) -> Result<(), String> {
    let group = machine.fresh(4);
    machine.disk().fail_after(0, Fault::Space, Lasting::Once);
    let refused = machine.send(&group).iter().any(Result::is_err);
    machine.disk().mend();
    let again = group.into_iter().filter(|_| random.random_bool(0.7));
    for payload in again.collect::<Vec<_>>() {
        // A segment that could not be begun is not tried again for a while, but by a new process.
        if machine.resend(payload).is_err() {
            machine.open()?;
            machine.check()?;
            machine.resend(payload)?;
        }
    }
    if refused { machine.open() } else { Ok(()) }
}

pub(crate) fn flush(machine: &Machine) -> Result<(), String> {
    machine.core().flush_step().map(drop).map_err(|error| format!("no flush: {error:?}"))
}

pub(crate) fn upkeep(machine: &mut Machine, random: &mut SmallRng) -> Result<(), String> {
    let core = Arc::clone(machine.core());
    let kind = random.random_range(0..10);
    machine.retained |= (5..8).contains(&kind);
    let done = match kind {
        0..3 => (0..).find_map(|_| core.compact_step(&mut || true).map(|more| (!more).then_some(())).transpose()),
        3..5 => Some(core.sweep_step(machine.rig.config.removed_keep).and_then(|_| core.sweep_orphans()).map(drop)),
        5 => {
            let removed = core.retain_by_age().map(drop);
            let (now, ages) = (machine.rig.clock.now(), machine.rig.config.retention.clone());
            let may = |table: Table, stored: UnixNano| ages.get(&table).is_some_and(|age| stored.plus(*age) <= now);
            machine.known.let_go(&machine.script, &core, may);
            Some(removed)
        }
        6 => {
            machine.disk().set_free(1 << 12);
            let removed = core.retain_by_share().map(drop);
            machine.disk().set_free(1 << 30);
            machine.known.let_go(&machine.script, &core, |table, _| table != Table::Audit);
            Some(removed)
        }
        7 => Some(core.retain_by_share().map(drop)),
        _ => {
            machine.rig.clock.advance(Duration::from_secs(60 * random.random_range(1..90)));
            None
        }
    };
    done.unwrap_or(Ok(())).map_err(|error| format!("no upkeep: {error:?}"))
}
