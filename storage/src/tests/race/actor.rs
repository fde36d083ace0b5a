//! The servers of a run: each has a log of its own, and all share the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tracelake_model::{Clock as _, Derived, ManualClock, Source, TenantId};

use crate::config::Config;
use crate::core::Core;
use crate::disk::Disk;
use crate::files::disk::DiskFiles;
use crate::files::file::Files;
use crate::logs::SharedLog;
use crate::open;
use crate::part::merge::Merge;
use crate::seam::Seams;
use crate::simulation::SimDisk;
use crate::tests::race::disk::GatedDisk;
use crate::tests::race::gate::Gate;
use crate::tests::race::truth::{TABLE, Truth, texts};
use crate::tests::rig::{LineDecoder, batch, documents};

/// Entries that a checkpoint covers go so soon.
const LOG_KEEP: Duration = Duration::from_secs(3600);
/// Removed files go so soon.
const REMOVED_KEEP: Duration = Duration::from_secs(60);
/// Rows go so soon.
const AGE: Duration = Duration::from_secs(5 * 3600);
/// Flushes of an appender.
const FLUSHES: u64 = 6;

/// What an actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Append,
    Compact,
    Retain,
    /// Reads the log early, sleeps, and then commits what it made before.
    Sleep,
}

/// One run.
pub(crate) struct Run {
    pub(crate) gate: Arc<Gate>,
    pub(crate) disk: SimDisk,
    pub(crate) clock: ManualClock,
    pub(crate) truth: Truth,
    /// Appenders that are not done.
    pub(crate) appending: AtomicUsize,
    pub(crate) merges: AtomicUsize,
    /// Commits from one checkpoint to the next.
    pub(crate) checkpoint_every: u64,
}

impl Run {
    /// The shared tables, without a gate.
    pub(crate) fn files(&self) -> Arc<dyn Files> {
        place(Arc::new(self.disk.clone()))
    }

    /// A server that reads the tables, without a gate.
    pub(crate) fn reader(&self) -> Core {
        self.open(self.files(), self.checkpoint_every)
    }

    fn open(&self, files: Arc<dyn Files>, checkpoint_every: u64) -> Core {
        let config = Config {
            data_dir: "/own".into(),
            wal_segment_bytes: 4096,
            delta_log_keep: LOG_KEEP,
            removed_keep: REMOVED_KEEP,
            checkpoint_every,
            ..Config::default()
        };
        let seams = Seams {
            clock: Arc::new(self.clock.clone()),
            decoder: Arc::new(LineDecoder),
            documents: documents(Arc::new(SimDisk::new(self.clock.clone())), &config),
            disk: Arc::new(SimDisk::new(self.clock.clone())),
            files,
        };
        let core = open::open(config, &seams).expect("it opens");
        core.accepting.store(true, Ordering::SeqCst);
        core
    }
}

fn place(disk: Arc<dyn Disk>) -> Arc<dyn Files> {
    Arc::new(DiskFiles::new(disk, "/shared".as_ref()))
}

/// A server as the actor that the calling thread is.
pub(crate) struct Server<'a> {
    run: &'a Run,
    actor: usize,
    pub(crate) core: Core,
}

impl<'a> Server<'a> {
    /// Opens it; its operations on the tables ask the gate.
    pub(crate) fn open(run: &'a Run, actor: usize) -> Self {
        let disk = GatedDisk::new(run.disk.clone(), Arc::clone(&run.gate), actor);
        let core = run.open(place(Arc::new(disk)), run.checkpoint_every);
        Self { run, actor, core }
    }

    pub(crate) fn play(&self, part: Part) {
        match part {
            Part::Append => {
                (0..FLUSHES).for_each(|number| self.append(number));
                self.run.appending.fetch_sub(1, Ordering::SeqCst);
            }
            Part::Compact => self.until_the_end(|| self.compact()),
            Part::Retain => self.until_the_end(|| self.retain()),
            Part::Sleep => self.sleep(),
        }
    }

    fn log(&self) -> SharedLog {
        self.core.logs.get(&TenantId::default(), TABLE).expect("it opens")
    }

    fn catch_up(&self) {
        let shared = self.log();
        let mut log = shared.lock();
        log.catch_up().expect("the log is read");
        self.core.show(&TenantId::default(), TABLE, &log);
    }

    /// Rounds while rows come in, and a few more.
    fn until_the_end(&self, round: impl Fn() -> bool) {
        let mut more = 3;
        while more > 0 {
            if self.run.appending.load(Ordering::SeqCst) == 0 {
                more -= 1;
            }
            self.catch_up();
            if !round() {
                self.run.gate.idle(self.actor, 10 + self.run.gate.draw(60));
            }
        }
    }

    fn send(&self, text: &str) {
        let position = self.core.derived_position(&TenantId::default(), "exceptions") + 1;
        let source = Source { name: "exceptions", position };
        let batches = vec![batch(TABLE, &[text.to_owned()], self.run.clock.now())];
        let mut append = Box::pin(self.core.append_derived(Derived { tenant: TenantId::default(), source, batches }));
        assert!((&mut append).now_or_never().is_none());
        assert!(self.core.write_step(false));
        append.now_or_never().expect("it is settled").expect("it is stored");
        self.run.truth.tell(text);
    }

    fn append(&self, number: u64) {
        for row in 0..=self.run.gate.draw(2) {
            self.send(&format!("{}-{number}-{row}", self.actor));
        }
        self.core.flush_step().expect("it flushes");
        if self.run.gate.draw(3) == 0 {
            self.run.gate.idle(self.actor, self.run.gate.draw(80));
        }
    }

    fn compact(&self) -> bool {
        let before = self.core.counters.compactions.load(Ordering::SeqCst);
        let merged = self.core.compact_step(&mut || true).expect("it merges");
        let after = self.core.counters.compactions.load(Ordering::SeqCst);
        self.run.merges.fetch_add(usize::try_from(after - before).expect("few"), Ordering::SeqCst);
        merged
    }

    fn retain(&self) -> bool {
        let now = self.run.clock.now();
        let shared = self.log();
        let old: Vec<_> = shared.lock().live().into_iter().filter(|part| part.stored.plus(AGE) <= now).collect();
        if !old.is_empty() {
            // Only a part that others removed meanwhile can be gone.
            let texts = texts(self.run.files().as_ref(), &old);
            if shared.lock().replace(&old, &[], now).expect("it commits") {
                self.run.truth.remove(texts.expect("what was live was there"));
            }
        }
        self.core.sweep_step(REMOVED_KEEP).expect("it sweeps");
        if self.run.gate.draw(4) == 0 {
            self.core.sweep_orphans().expect("it sweeps");
        }
        false
    }

    fn sleep(&self) {
        self.run.gate.idle(self.actor, 60 + self.run.gate.draw(150));
        self.catch_up();
        let shared = self.log();
        let live = shared.lock().live();
        let inputs = &live[..live.len().min(4)];
        let files = &self.core.files;
        let merge = (inputs.len() > 1).then(|| Merge::open(files.as_ref(), TABLE, inputs).ok()).flatten();
        let merged = merge.and_then(|merge| {
            let inputs = merge.parts();
            Some((inputs, merge.run(files.as_ref(), &TenantId::default(), &mut || true).ok()?))
        });
        self.send("sleeper-0");
        self.run.gate.idle(self.actor, 150 + self.run.gate.draw(200));
        if let Some((inputs, output)) = merged {
            let replaced = shared.lock().replace(&inputs, &[output], self.run.clock.now()).expect("it commits");
            self.run.merges.fetch_add(usize::from(replaced), Ordering::SeqCst);
        }
        self.core.flush_step().expect("it flushes");
        self.send("sleeper-1");
        self.run.gate.idle(self.actor, 100 + self.run.gate.draw(300));
        self.core.flush_step().expect("it flushes");
    }
}
