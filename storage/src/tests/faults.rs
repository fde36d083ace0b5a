//! Every changing operation of the disk fails once, or from there on: nothing acknowledged is lost or doubled, queries
//! go on, refusals say when to come back, and the store recovers, without a restart wherever it may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracelake_model::Table;

use crate::config::Config;
use crate::simulation::disk::Image;
use crate::simulation::fault::{Fault, Lasting};
use crate::tests::machine::{Machine, small};
use crate::tests::power::soak;
use crate::tests::script::{Script, Shape};
use crate::tests::tape::flush;
use crate::tests::truth::Known;

/// How long a store may need to take appends again once the disk works.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of so many operations in a row, one is the first of all that fail from there on.
const ON_EVERY: u64 = 4;
const AGE: Duration = Duration::from_secs(3600);

/// Something that a store does, and what comes before.
struct Scene {
    name: &'static str,
    prepare: fn(&mut Machine),
    act: fn(&mut Machine) -> Result<(), String>,
    /// Whether the store is only started by the act.
    starts: bool,
    /// Whether the act may remove rows that are not of the audit table.
    removes: bool,
}

impl Scene {
    const fn new(name: &'static str, prepare: fn(&mut Machine), act: fn(&mut Machine) -> Result<(), String>) -> Self {
        Self { name, prepare, act, starts: false, removes: false }
    }
}

fn scenes() -> Vec<Scene> {
    let starting = |name, prepare| Scene { starts: true, ..Scene::new(name, prepare, Machine::open) };
    let removing = |name, prepare, act| Scene { removes: true, ..Scene::new(name, prepare, act) };
    vec![
        starting("first start", |_| {}),
        starting("start", |machine| {
            parts(machine, 3);
            send(machine, 20).expect("stored");
            machine.disk().fail_next_sync();
            let group = machine.fresh(2);
            machine.send(&group);
            machine.rig.close();
        }),
        Scene::new("append", |machine| machine.open().expect("it opens"), |machine| send(machine, 12)),
        Scene::new("append to used segments", |machine| parts(machine, 4), |machine| send(machine, 12)),
        Scene::new(
            "first flush",
            |machine| machine.open().and_then(|()| send(machine, 12)).expect("stored"),
            |m| flush(m),
        ),
        Scene::new(
            "flush with a checkpoint and clean-up",
            |machine| {
                parts(machine, 8);
                machine.rig.clock.advance(Duration::from_secs(7300));
                send(machine, 20).expect("stored");
            },
            |machine| flush(machine),
        ),
        Scene::new("compact", |machine| parts(machine, 8), compact),
        removing(
            "retain by age",
            |machine| {
                parts(machine, 3);
                machine.rig.clock.advance(AGE + Duration::from_secs(1));
                send(machine, 5).expect("stored");
            },
            |machine| done(machine.core().retain_by_age()),
        ),
        removing(
            "retain by share",
            |machine| {
                parts(machine, 3);
                machine.disk().set_free(1 << 30);
                machine.core().retain_by_share().expect("room is held back");
            },
            |machine| {
                machine.disk().set_free(100);
                let removed = machine.core().retain_by_share();
                machine.disk().set_free(1 << 30);
                done(removed)
            },
        ),
        Scene::new(
            "delete files",
            |machine| {
                parts(machine, 8);
                compact(machine).expect("merged");
                machine.rig.clock.advance(Duration::from_secs(7300));
            },
            |machine| {
                let keep = machine.rig.config.removed_keep;
                done(machine.core().sweep_step(keep)).and(done(machine.core().sweep_orphans()))
            },
        ),
    ]
}

fn done<T>(outcome: Result<T, crate::error::Error>) -> Result<(), String> {
    outcome.map(drop).map_err(|error| format!("{error:?}"))
}

fn send(machine: &mut Machine, groups: usize) -> Result<(), String> {
    for _ in 0..groups {
        let group = machine.fresh(3);
        if let Some(refusal) = machine.send(&group).into_iter().find_map(Result::err) {
            return Err(format!("{refusal:?}"));
        }
    }
    Ok(())
}

/// So many parts of most tables.
fn parts(machine: &mut Machine, count: usize) {
    machine.open().expect("it opens");
    for _ in 0..count {
        send(machine, 8).and_then(|()| flush(machine)).expect("flushed");
    }
}

fn compact(machine: &mut Machine) -> Result<(), String> {
    loop {
        match machine.core().compact_step(&mut || true) {
            Ok(true) => {}
            outcome => return done(outcome),
        }
    }
}

/// A scene at the moment before its act.
struct Stage {
    scene: Scene,
    image: Image,
    known: Known,
    config: Config,
    script: Arc<Script>,
    /// The operations of the act when none fails.
    sites: Vec<String>,
}

/// One way to fail.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    site: usize,
    fault: Fault,
    lasting: Lasting,
}

impl Stage {
    fn new(scene: Scene, config: &Config) -> Self {
        let shape = Shape { tenants: 1, payloads: 700, text_bytes: 150, with_spans: true };
        let script = Arc::new(Script::new(5, shape));
        let mut machine = Machine::new(config.clone(), &script);
        (scene.prepare)(&mut machine);
        let (image, known, config) = (machine.disk().image(), machine.known, config.clone());
        let mut stage = Self { scene, image, known, config, script, sites: Vec::new() };
        let mut machine = stage.set();
        machine.disk().record();
        (stage.scene.act)(&mut machine).unwrap_or_else(|error| panic!("{} without a fault: {error}", stage.scene.name));
        let mut images = machine.disk().recorded();
        images.pop();
        stage.sites = images.into_iter().map(|image| image.next).collect();
        stage
    }

    fn set(&self) -> Machine {
        let mut machine = Machine::of(&self.image, self.config.clone(), &self.script, self.known.clone());
        if !self.scene.starts {
            machine.open().expect("it opens");
        }
        machine.disk().set_free(1 << 30);
        machine
    }

    fn try_all(&self) -> usize {
        let mut tried = 0;
        for site in 0..self.sites.len() {
            for fault in [Fault::Device, Fault::Space] {
                for lasting in [Lasting::Once, Lasting::On] {
                    // Where all fails from here on, the next site is much alike.
                    if lasting == Lasting::On && !(site as u64).is_multiple_of(ON_EVERY.div_ceil(soak())) {
                        continue;
                    }
                    let trouble = Trouble { site, fault, lasting };
                    let end = self.try_one(trouble);
                    end.unwrap_or_else(|error| {
                        panic!("{}, {trouble:?} ({}): {error}", self.scene.name, self.sites[site])
                    });
                    tried += 1;
                }
            }
        }
        tried
    }

    fn try_one(&self, trouble: Trouble) -> Result<(), String> {
        let mut machine = self.set();
        machine.disk().fail_after(trouble.site as u64, trouble.fault, trouble.lasting);
        let acted = (self.scene.act)(&mut machine);
        if acted.is_ok() || !self.scene.starts {
            self.check(&mut machine).map_err(|error| format!("while it fails: {error}"))?;
            let group = machine.fresh(2);
            // Whatever it answers is noted, and a refusal must name a time.
            machine.send(&group);
            self.check(&mut machine).map_err(|error| format!("while it fails: {error}"))?;
        }
        let mut other = Machine::of(&machine.disk().image(), self.config.clone(), &self.script, machine.known.clone());
        machine.disk().mend();
        self.recover(&mut machine, trouble)?;
        other.crash(trouble.site as u64);
        other.open().and_then(|()| self.check(&mut other)).map_err(|error| format!("with a power cut: {error}"))
    }

    fn check(&self, machine: &mut Machine) -> Result<(), String> {
        if self.scene.removes {
            machine.known.may_go(&self.script);
        }
        machine.check()
    }

    /// The disk works again.
    fn recover(&self, machine: &mut Machine, trouble: Trouble) -> Result<(), String> {
        if self.scene.starts {
            machine.open()?;
        } else if machine.core().writer.lock().poisoned().is_some() {
            self.may_poison(trouble)?;
            machine.open()?;
            self.check(machine).map_err(|error| format!("after a restart: {error}"))?;
        }
        let since = Instant::now();
        while let Err(refusal) = send(machine, 3) {
            if since.elapsed() > PATIENCE {
                return Err(format!("it takes nothing although the disk works: {refusal}"));
            }
            std::thread::yield_now();
        }
        flush(machine)?;
        if !self.scene.starts {
            (self.scene.act)(machine).map_err(|error| format!("not even when the disk works: {error}"))?;
        }
        compact(machine)?;
        done(machine.core().sweep_step(machine.rig.config.removed_keep))?;
        flush(machine)?;
        machine.core().health()?;
        self.check(machine).map_err(|error| format!("once the disk works: {error}"))?;
        machine.crash(trouble.site as u64);
        machine.open().and_then(|()| self.check(machine)).map_err(|error| format!("after a power cut: {error}"))
    }

    /// Only a write or a sync of the log itself may end it until a restart, and no write that found no space.
    fn may_poison(&self, trouble: Trouble) -> Result<(), String> {
        let of_log = |site: &String| {
            let is_sync = site.starts_with("sync /");
            site.ends_with(".wal") && (is_sync || (trouble.fault == Fault::Device && site.starts_with("write ")))
        };
        let hit = match trouble.lasting {
            Lasting::Once => of_log(&self.sites[trouble.site]),
            // What is sent while it fails comes after the act.
            Lasting::On => true,
        };
        if hit { Ok(()) } else { Err("it wants a restart although the log itself did not fail".to_owned()) }
    }
}

#[test]
fn whatever_operation_fails_nothing_is_lost_or_doubled_and_the_store_recovers() {
    let since = Instant::now();
    let retention = [Table::Logs, Table::Spans].map(|table| (table, AGE)).into();
    let config = Config { checkpoint_every: 9, disk_share: 0.8, retention, ..small() };
    let (mut sites, mut tried) = (0, 0);
    for scene in scenes() {
        let stage = Stage::new(scene, &config);
        sites += stage.sites.len();
        tried += stage.try_all();
        eprintln!("{}: {} operations", stage.scene.name, stage.sites.len());
    }
    assert!(sites > 150, "only {sites} operations");
    eprintln!("{sites} operations failed in {tried} ways in {:.1?}", since.elapsed());
}
