//! How fast the keeper goes: it rests between pieces of its work, and ends when it is told to.

use std::time::{Duration, Instant};

/// After so long others get a turn.
const TURN: Duration = Duration::from_millis(500);

/// How fast to go.
pub(crate) struct Pace<'a> {
    /// Told how long the work took, waits, and says whether to go on.
    pub(crate) go_on: &'a mut (dyn FnMut(Duration) -> bool + Send),
    /// When the work under way began.
    pub(crate) since: Instant,
    /// Work that ended before.
    pub(crate) busy: Duration,
}

impl Pace<'_> {
    /// Rests when it is time to; whether to go on.
    pub(crate) fn turn(&mut self) -> bool {
        let took = self.since.elapsed();
        if took < TURN {
            return true;
        }
        let goes_on = (self.go_on)(took);
        self.busy += took;
        self.since = Instant::now();
        goes_on
    }

    /// All work until now.
    pub(crate) fn busy(&self) -> Duration {
        self.busy + self.since.elapsed()
    }
}
