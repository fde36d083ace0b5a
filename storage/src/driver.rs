//! The threads of a running store: each repeats one step until it is told to end.
//!
//! A panic in a step is a defect; the writer's stops appends (and says so), the others go on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::core::Core;
use crate::error::Error;
use crate::queue::Taken;
use crate::signal::FlushReport;
use crate::signal::{Waiter, Wake};

const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The running threads.
#[derive(Debug)]
pub(crate) struct Driver {
    writer: JoinHandle<()>,
    feeder: JoinHandle<()>,
    gatherer: JoinHandle<()>,
    flusher: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Only where other servers may write the same tables.
    follower: Option<JoinHandle<()>>,
}

/// Starts the threads of a store and lets it accept.
pub(crate) fn start(core: &Arc<Core>) -> Result<Driver, Error> {
    let spawn = |name: &str, run: fn(&Core)| {
        let core = Arc::clone(core);
        let thread = Builder::new().name(name.to_owned()).spawn(move || run(&core));
        thread.map_err(Error::io("start the thread", Path::new(name)))
    };
    let driver = Driver {
        writer: spawn("storage-writer", write)?,
        feeder: spawn("storage-feeder", feed)?,
        gatherer: spawn("storage-gatherer", gather)?,
        flusher: spawn("storage-flusher", flush)?,
        keeper: spawn("storage-keeper", keep)?,
        follower: core.config.url.is_some().then(|| spawn("storage-follower", follow)).transpose()?,
    };
    core.accepting.store(true, Ordering::SeqCst);
    Ok(driver)
}

impl Driver {
    /// Ends the threads: the writer writes what waits, taps get what is in memory, the flusher flushes if `flush`.
    pub(crate) fn stop(self, core: &Core, flush: bool) -> Result<(), Error> {
        core.accepting.store(false, Ordering::SeqCst);
        core.queue.close();
        core.keeper.stop();
        let joined = self.keeper.join().is_ok();
        let joined = self.follower.is_none_or(|follower| follower.join().is_ok()) && joined;
        let joined = self.writer.join().is_ok() && joined;
        core.gathering.stop();
        let joined = self.gatherer.join().is_ok() && joined;
        core.feed.stop();
        let joined = self.feeder.join().is_ok() && joined;
        core.flush_signal.stop();
        let joined = self.flusher.join().is_ok() && joined;
        if flush {
            core.flush_step()?;
        }
        if joined { Ok(()) } else { Err(Error::Closed) }
    }
}

fn write(core: &Core) {
    let run = || while core.write_step(true) {};
    if catch_unwind(AssertUnwindSafe(run)).is_err() {
        tracing::error!("the log's writer panicked, appends are refused until a restart");
        core.accepting.store(false, Ordering::SeqCst);
        core.queue.close();
        // Whoever waits is told by the dropped channel.
        while let Taken::Group(_) = core.queue.take(u64::MAX, Some(Duration::ZERO)) {}
        core.dedup.lock().abandon_pending();
    }
}

fn feed(core: &Core) {
    while core.feed_step(true) {}
}

fn gather(core: &Core) {
    while catch_unwind(AssertUnwindSafe(|| core.gather_step(true))).unwrap_or_else(|_| {
        tracing::error!("gathering small batches panicked, they stay in memory one by one");
        true
    }) {}
}

fn keep(core: &Core) {
    if catch_unwind(AssertUnwindSafe(|| core.run_upkeep())).is_err() {
        tracing::error!("compaction panicked, parts are neither merged nor deleted until a restart");
    }
}

fn follow(core: &Core) {
    if catch_unwind(AssertUnwindSafe(|| core.run_follow())).is_err() {
        tracing::error!("following other servers panicked, their rows are not seen until a restart");
    }
}

fn flush(core: &Core) {
    let mut pause: Option<Duration> = None;
    loop {
        let interval = pause.unwrap_or(core.config.flush_interval);
        let (waiters, stop) = match core.flush_signal.wait(interval, pause.is_some()) {
            Wake::Tick | Wake::Early => (Vec::new(), false),
            Wake::Asked(waiters) => (waiters, false),
            Wake::Stop(waiters) => (waiters, true),
        };
        if stop {
            answer(waiters, &Err("the store is closing".to_owned()));
            return;
        }
        let flushed = catch_unwind(AssertUnwindSafe(|| core.flush_step()));
        let outcome = match flushed {
            Ok(outcome) => outcome.map_err(|error| told(&error)),
            Err(_) => Err("the flusher panicked; see the log".to_owned()),
        };
        pause = match &outcome {
            Ok(_) => None,
            Err(error) => {
                tracing::error!(error, "flush failed, rows stay in the log and in memory");
                Some(pause.map_or(PAUSE_FIRST, |pause| (pause * 2).min(PAUSE_MAX)))
            }
        };
        answer(waiters, &outcome);
    }
}

/// An error with its sources, for those who cannot hold the error itself.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn answer(waiters: Vec<Waiter>, outcome: &Result<FlushReport, String>) {
    for waiter in waiters {
        // Whoever hung up meanwhile needs no answer.
        let _ = waiter.send(outcome.clone());
    }
}
