//! A store without threads on a simulated disk, and what clients know of it: every step is one call.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rand::Rng;
use rand::rngs::SmallRng;
use tracelake_model::{Clock as _, Decoder, Fault, ManualClock};

use crate::config::Config;
use crate::core::Core;
use crate::dedup::Outcome;
use crate::simulation::SimDisk;
use crate::simulation::disk::Image;
use crate::tests::rig::{Rig, START, settle};
use crate::tests::script::{Memo, Script};
use crate::tests::truth::Known;

/// The machine.
pub(crate) struct Machine {
    pub(crate) rig: Rig,
    pub(crate) script: Arc<Script>,
    pub(crate) known: Known,
    /// Whether parts were removed for their age or for space.
    pub(crate) retained: bool,
}

/// Small segments, so that they turn over often.
pub(crate) fn small() -> Config {
    Config {
        data_dir: "/lake".into(),
        wal_segment_bytes: 4096,
        wal_bytes_max: 1 << 20,
        removed_keep: Duration::from_secs(60),
        delta_log_keep: Duration::from_secs(3600),
        disk_share: 1.0,
        ..Config::default()
    }
}

impl Machine {
    /// A new machine; the store is closed.
    pub(crate) fn new(config: Config, script: &Arc<Script>) -> Self {
        let clock = ManualClock::new(START);
        Self::on(SimDisk::new(clock.clone()), clock, config, script, Known::new(script))
    }

    /// A machine as an image shows; the store is closed.
    pub(crate) fn of(image: &Image, config: Config, script: &Arc<Script>, known: Known) -> Self {
        let clock = ManualClock::new(image.now);
        Self::on(SimDisk::of(image, clock.clone()), clock, config, script, known)
    }

    fn on(disk: SimDisk, clock: ManualClock, config: Config, script: &Arc<Script>, known: Known) -> Self {
        let decoder: Arc<dyn Decoder> = Arc::<Memo>::clone(&script.decoder);
        Self { rig: Rig::on(disk, clock, config, decoder), script: Arc::clone(script), known, retained: false }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        self.rig.core()
    }

    pub(crate) fn disk(&self) -> &SimDisk {
        &self.rig.disk
    }

    /// Ends the process (not the power), and starts again.
    pub(crate) fn open(&mut self) -> Result<(), String> {
        self.rig.reopen().map_err(|error| format!("it does not open: {error:?}"))
    }

    /// Loses power; the store is closed.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.rig.close();
        self.rig.disk.crash(seed);
    }

    /// Whether the store keeps to what is known.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        let core = Arc::clone(self.core());
        self.known.check(&self.script, &core)
    }

    /// Sends payloads in one group; how each ended.
    pub(crate) fn send(&mut self, payloads: &[usize]) -> Vec<Outcome> {
        self.rig.clock.advance(Duration::from_millis(1));
        let (now, core) = (self.rig.clock.now(), Arc::clone(self.core()));
        let append = |payload: &usize| match self.script.payloads[*payload].derived {
            Some(_) => core.append_derived(self.script.derived(*payload, now)).boxed(),
            None => core.append(self.script.request(*payload, now)).boxed(),
        };
        let outcomes = settle(&core, payloads.iter().map(append).collect());
        for (payload, outcome) in payloads.iter().zip(&outcomes) {
            self.known.sent[*payload] = true;
            if self.known.received[*payload].0 == 0 {
                self.known.received[*payload] = now;
            }
            self.known.certain[*payload] |= outcome.is_ok();
            if let Err(refusal) = outcome {
                assert!(matches!(refusal.fault, Fault::Unavailable | Fault::Overloaded), "{refusal:?}");
                assert!(refusal.retry_after.is_some(), "a refusal says when to come back: {refusal:?}");
            }
        }
        outcomes
    }

    /// The next payloads that were never sent, at most so many. A derived one goes alone, and until it is stored.
    pub(crate) fn fresh(&self, count: usize) -> Vec<usize> {
        let mut chosen = Vec::new();
        for (payload, about) in self.script.payloads.iter().enumerate() {
            let is_derived = about.derived.is_some();
            let is_done = if is_derived { self.known.certain[payload] } else { self.known.sent[payload] };
            if is_done {
                continue;
            }
            if is_derived && !chosen.is_empty() {
                break;
            }
            chosen.push(payload);
            if is_derived || chosen.len() == count {
                break;
            }
        }
        chosen
    }

    /// A payload that was sent in the window and may be sent again.
    pub(crate) fn earlier(&self, random: &mut SmallRng) -> Option<usize> {
        let all = self.in_window();
        (!all.is_empty()).then(|| all[random.random_range(0..all.len())])
    }

    /// The first of them.
    pub(crate) fn oldest(&self) -> Option<usize> {
        self.in_window().first().copied()
    }

    fn in_window(&self) -> Vec<usize> {
        let window = self.rig.config.dedup_window;
        let now = self.rig.clock.now();
        let in_window = |payload: &usize| {
            let at = self.known.received[*payload];
            self.known.sent[*payload] && at.plus(window).minus(Duration::from_secs(10)) > now
        };
        (0..self.script.payloads.len()).filter(in_window).collect()
    }

    /// Sends a payload again: what is certain is known as a duplicate, what is not is taken.
    pub(crate) fn resend(&mut self, payload: usize) -> Result<(), String> {
        let was_certain = self.known.certain[payload];
        // A stream's later positions stand for the earlier ones.
        let is_passed = self.script.payloads[payload].derived.is_some();
        match &self.send(&[payload])[0] {
            Ok(receipt) if receipt.duplicate == was_certain || is_passed => Ok(()),
            other => Err(format!("payload {payload} sent again (certain: {was_certain}): {other:?}")),
        }
    }
}
