//! The whole store on an object store that fails as real ones do: rows are counted exactly whatever fails, dies or runs
//! beside, and no step asks without end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use tracelake_model::{Table, UnixNano};

use crate::files::file::Files;
use crate::tests::flaky::{Faults, Flaky, ROUGH};
use crate::tests::parts::{files as files_of, live};
use crate::tests::remote::files;
use crate::tests::rig::Rig;

const SEED: u64 = 20_261_121;
/// Requests that one step may make at most, with all that is tried again: a flush of two tables, a merge of 32 parts.
const REQUESTS_OF_STEP_MAX: u64 = 1000;

const STEPS: u32 = 250;

/// The seeds of a run; `TRACELAKE_SOAK=1` makes them fifty.
fn seeds() -> std::ops::Range<u64> {
    SEED..SEED + if std::env::var_os("TRACELAKE_SOAK").is_some() { 50 } else { 2 }
}

/// A server with its own log on a bucket that others may share.
struct Server {
    rig: Rig,
    dir: TempDir,
    sent: u32,
}

impl Server {
    fn on(store: &Flaky) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut rig = Rig::closed();
        let place: Arc<dyn Files> = Arc::new(files(store, &dir));
        rig.place = Some(place);
        // Checkpoints and the clean-up behind them come often.
        rig.config.checkpoint_every = 10;
        let mut server = Self { rig, dir, sent: 0 };
        server.reopen(store);
        server
    }

    /// A bucket that fails all the time keeps a server from starting; it is started again.
    fn reopen(&mut self, store: &Flaky) {
        self.rig.place = Some(Arc::new(files(store, &self.dir)));
        let opened = (0..20).find_map(|_| self.rig.reopen().ok());
        opened.expect("a store opens within twenty tries");
    }

    fn send(&mut self, name: &str, acknowledged: &mut BTreeSet<String>) {
        self.sent += 1;
        let text = format!("{name}{}", self.sent);
        if self.rig.send(&format!("logs {text}\naudit {text}")).is_ok() {
            acknowledged.insert(text);
        }
    }

    /// One step of those that a server repeats; it may fail.
    fn step(&mut self, number: u32, store: &Flaky) {
        let core = Arc::clone(self.rig.core());
        let before = store.requests();
        let outcome = match number {
            0..6 => core.flush_step().map(drop),
            6..9 => core.compact_step(&mut || true).map(drop),
            9 => core.sweep_orphans().map(drop),
            10 => core.sweep_step(Duration::from_secs(3600)).map(drop),
            11 => core.retain_by_age().and_then(|_| core.retain_by_share()).map(drop),
            12 => core.follow_step(true),
            _ => {
                drop(core);
                self.reopen(store);
                return;
            }
        };
        drop(outcome);
        let made = store.requests() - before;
        assert!(made <= REQUESTS_OF_STEP_MAX, "step {number} made {made} requests");
    }

    fn check(&self, acknowledged: &BTreeSet<String>, what: &str) {
        let found = self.rig.texts(Table::Logs);
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(found.len(), distinct.len(), "{what}: rows stand twice");
        assert!(distinct == *acknowledged, "{what}: {:?}", distinct.symmetric_difference(acknowledged));
    }
}

fn run(servers: usize, seed: u64) {
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let store = Flaky::new(seed, ROUGH);
    let mut all: Vec<_> = (0..servers).map(|_| Server::on(&store)).collect();
    let mut acknowledged = BTreeSet::new();
    for number in 0..STEPS {
        let at = random.random_range(0..servers);
        let name = char::from(b'a' + u8::try_from(at).expect("few"));
        for _ in 0..random.random_range(0..3) {
            all[at].send(&name.to_string(), &mut acknowledged);
        }
        let step = random.random_range(0..14);
        all[at].step(step, &store);
        if servers == 1 && number % 10 == 0 {
            all[0].check(&acknowledged, &format!("after step {number}"));
        }
    }
    store.set(Faults::default());
    for server in &all {
        server.rig.core().flush_step().expect("flushed");
    }
    for (number, server) in all.iter().enumerate() {
        let core = server.rig.core();
        core.follow_step(true).expect("followed");
        server.check(&acknowledged, &format!("server {number} at the end"));
        while core.compact_step(&mut || true).expect("merged") {}
        server.check(&acknowledged, &format!("server {number} merged"));
    }
    // A server that never was here, with a data directory that is empty.
    let other = Server::on(&store);
    other.check(&acknowledged, "another server");
    // What nobody names goes: drafts of merges that lost, parts whose commit failed.
    let core = other.rig.core();
    other.rig.clock.set(UnixNano(i64::MAX / 2));
    core.sweep_step(Duration::from_secs(3600)).expect("swept");
    core.sweep_orphans().expect("swept");
    assert_eq!(files_of(core, Table::Logs), live(core, Table::Logs).len());
    other.check(&acknowledged, "swept");
    println!("{} rows, {} requests", acknowledged.len(), store.requests());
}

#[test]
fn a_store_counts_exactly_while_requests_fail_and_answers_are_lost() {
    for seed in seeds() {
        run(1, seed);
    }
}

#[test]
fn servers_that_share_a_bucket_count_the_same_while_requests_fail_and_answers_are_lost() {
    for seed in seeds() {
        run(3, seed);
    }
}

#[test]
fn an_outage_holds_rows_in_the_log_and_ends_without_a_restart() {
    let store = Flaky::new(SEED, Faults::default());
    let (mut server, mut acknowledged) = (Server::on(&store), BTreeSet::new());
    server.send("a", &mut acknowledged);
    server.rig.core().flush_step().expect("flushed");
    store.set(Faults { before: 1000, ..Faults::default() });
    for _ in 0..3 {
        server.send("a", &mut acknowledged);
        assert!(server.rig.core().flush_step().is_err());
        assert!(server.rig.core().follow_step(true).is_err());
    }
    assert_eq!(acknowledged.len(), 4, "the log is on the machine's disk");
    assert!(server.rig.reopen().is_err(), "without its tables a server does not guess");
    store.set(Faults::default());
    server.reopen(&store);
    server.check(&acknowledged, "after the outage");
    assert_eq!(server.rig.core().flush_step().expect("flushed").rows, 6);
    server.check(&acknowledged, "flushed");
}
