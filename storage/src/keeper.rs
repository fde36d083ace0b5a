//! What the rounds of upkeep remember, and the signal that ends them. The rounds themselves are in `upkeep.rs`.

use std::collections::HashSet;
use std::time::Duration;

use object_store::path::Path as Location;
use parking_lot::{Condvar, Mutex};

use crate::check::scrub::Scrub;

/// The state.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Parts that cannot be merged.
    pub(crate) left_alone: Mutex<HashSet<Location>>,
    /// Which parts were looked at.
    pub(crate) scrub: Scrub,
    stopped: Mutex<bool>,
    ready: Condvar,
}

impl Keeper {
    /// Ends the rounds soon.
    pub(crate) fn stop(&self) {
        *self.stopped.lock() = true;
        self.ready.notify_all();
    }

    /// Waits; whether it was told to stop.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        self.ready.wait_while_for(&mut stopped, |stopped| !*stopped, at_most);
        *stopped
    }
}
