//! What runs beside appends and flushes, on one thread: reading trace indexes, retention, merging parts, deleting files,
//! looking at parts again.
//!
//! Each round does what there is to do and waits for the next. A merge pauses as long as it works, so that it takes
//! half a core at most; it ends within a moment when the store closes.

use std::time::{Duration, Instant};

use tracelake_model::UnixNano;

use crate::core::Core;
use crate::error::Error;

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(10);
/// After a failure, to the next round.
const PAUSE: Duration = Duration::from_secs(60);
/// From one search for files without a commit to the next.
const ORPHANS_EVERY: Duration = Duration::from_secs(3600);
/// A merge rests as long as it worked, but never longer than this at once.
const REST_MAX: Duration = Duration::from_millis(200);

impl Core {
    /// Rounds until told to stop.
    pub(crate) fn run_upkeep(&self) {
        if let Err(error) = self.look_for_parts() {
            tracing::warn!(%error, "not all parts could be looked for");
        }
        let mut orphans_due = UnixNano(0);
        let mut pause = Duration::ZERO;
        while !self.keeper.wait(pause) {
            let now = self.clock.now();
            let mut done = self.upkeep_round();
            if now >= orphans_due {
                done = done.and_then(|()| self.sweep_orphans().map(drop));
                orphans_due = now.plus(ORPHANS_EVERY);
            }
            pause = match done {
                Ok(()) => ROUND,
                Err(error) => {
                    tracing::warn!(%error, "compaction, retention or clean-up failed, it is tried again");
                    PAUSE
                }
            };
        }
    }

    pub(crate) fn upkeep_round(&self) -> Result<(), Error> {
        self.load_traces(&mut || !self.keeper.wait(Duration::ZERO))?;
        self.sweep_step(self.config.removed_keep)?;
        self.retain_by_age()?;
        self.retain_by_share()?;
        self.retain_by_bytes()?;
        let mut since = Instant::now();
        let mut go_on = || {
            let stopped = self.keeper.wait(since.elapsed().min(REST_MAX));
            since = Instant::now();
            !stopped
        };
        while self.compact_step(&mut go_on)? {
            if !go_on() {
                return Ok(());
            }
        }
        self.scrub_step(&mut |rest| !self.keeper.wait(rest)).map(drop)
    }
}
