//! The thread that keeps the map's minutes: rounds until it is told to end, on a runtime of its own.
//!
//! It rests as long as it works, so that it takes half a core at most however much there is to do. While senders are
//! refused for want of room it stands back, so that memory and CPU are theirs; but for one block of minutes each half
//! minute, which keeps up with the present.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::warn;

use crate::engine::Engine;
use crate::map::minute::keeper::{Haste, Keeper};

/// From one round to the next.
const ROUND: Duration = Duration::from_secs(1);
/// After a failure, to the next round.
const PAUSE: Duration = Duration::from_secs(10);
/// Longest rest after a block.
const REST_MAX: Duration = Duration::from_secs(2);
/// Longest wait for senders to be let in.
const STAND_BACK_MAX: Duration = Duration::from_secs(30);
/// From one look whether they are to the next.
const LOOK: Duration = Duration::from_millis(100);

/// Keeps the map's minutes in the background until it is stopped or dropped.
#[derive(Debug)]
pub struct MapKeeper {
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct End {
    told: Mutex<bool>,
    bell: Condvar,
}

impl End {
    /// Waits; whether the end was told meanwhile.
    fn wait(&self, time: Duration) -> bool {
        let mut told = self.told.lock();
        if !*told {
            self.bell.wait_for(&mut told, time);
        }
        *told
    }

    /// Waits while `is_busy`, but not for ever; whether the end was told meanwhile.
    fn stand_back(&self, is_busy: &dyn Fn() -> bool) -> bool {
        let since = Instant::now();
        while is_busy() && since.elapsed() < STAND_BACK_MAX {
            if self.wait(LOOK) {
                return true;
            }
        }
        self.wait(Duration::ZERO)
    }
}

impl MapKeeper {
    /// Starts it over an engine whose store is started. `is_busy` says whether senders are refused for want of room.
    pub fn start(engine: &Arc<Engine>, is_busy: impl Fn() -> bool + Send + Sync + 'static) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = Arc::<End>::default();
        let (engine, told) = (Arc::clone(engine), Arc::clone(&end));
        let run = move || {
            let (rest, is_busy) = (Arc::clone(&told), Arc::new(is_busy));
            let busy = Arc::clone(&is_busy);
            let go_on = move |took: Duration| !rest.wait(took.min(REST_MAX)) && !rest.stand_back(&*busy);
            let mut keeper = Keeper::new(Arc::clone(&engine), Box::new(go_on));
            let mut pause = ROUND;
            while !told.wait(pause) && !told.stand_back(&*is_busy) {
                pause = match runtime.block_on(keeper.round(Haste::Settled)) {
                    Ok(()) => ROUND,
                    Err(error) => {
                        engine.books().failures.fetch_add(1, Ordering::Relaxed);
                        warn!(%error, "minutes of the service map cannot be kept now, it is tried again");
                        PAUSE
                    }
                };
            }
        };
        let thread = Builder::new().name("map-keeper".to_owned()).spawn(run)?;
        Ok(Self { end, thread: Some(thread) })
    }

    /// Ends it after the block under way. Blocks for that long.
    pub fn stop(mut self) {
        self.end_thread();
    }

    fn end_thread(&mut self) {
        *self.end.told.lock() = true;
        self.end.bell.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of the service map panicked, its minutes were kept no longer");
        }
    }
}

impl Drop for MapKeeper {
    fn drop(&mut self) {
        self.end_thread();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_stands_back_until_senders_are_let_in_or_the_end_is_told() {
        let (end, asked) = (End::default(), Cell::new(0));
        let is_busy = || {
            asked.set(asked.get() + 1);
            asked.get() < 3
        };
        assert!(!end.stand_back(&is_busy) && asked.get() == 3);
        *end.told.lock() = true;
        assert!(end.stand_back(&|| true));
    }
}
