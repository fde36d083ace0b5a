//! The thread that keeps the map's minutes: rounds until it is told to end, on a runtime of its own.
//!
//! It rests as long as it works, so that it takes half a core at most however much there is to do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

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
}

impl MapKeeper {
    /// Starts it over an engine whose store is started.
    pub fn start(engine: &Arc<Engine>) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = Arc::<End>::default();
        let (engine, told) = (Arc::clone(engine), Arc::clone(&end));
        let run = move || {
            let rest = Arc::clone(&told);
            let go_on = Box::new(move |took: Duration| !rest.wait(took.min(REST_MAX)));
            let mut keeper = Keeper::new(Arc::clone(&engine), go_on);
            let mut pause = ROUND;
            while !told.wait(pause) {
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
