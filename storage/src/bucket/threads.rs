//! Threads of their own for requests to an object store, and a way to wait for them from anywhere.
//!
//! Storage's steps block, on threads of their own and sometimes inside of a runtime (tests, commands), where a runtime
//! must not be entered again: the work runs here, and the caller waits for its answer on a channel.

use std::io;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that drive requests; most of their time is spent waiting.
const THREADS: usize = 2;

/// A runtime that can be let go anywhere.
#[derive(Debug)]
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(crate) fn start() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(THREADS).thread_name("storage-remote").enable_all();
        Ok(Self(Some(builder.build()?)))
    }

    /// Where further work may be put.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().expect("it is only taken by drop").handle().clone()
    }

    /// Runs work here and waits for its answer. Blocks: never called by that work itself.
    pub(crate) fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        let (tell, told) = sync_channel(1);
        self.handle().spawn(async move {
            // Whoever hung up needs no answer.
            let _ = tell.send(work.await);
        });
        told.recv().map_err(|_| io::Error::other("a request to the object store broke off"))
    }
}

impl Drop for Threads {
    /// A runtime must not wait for its threads inside of another one.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_waited_for_outside_and_inside_of_a_runtime() {
        let work = || async { tokio::task::spawn(async { 7 }).await.expect("no panic") };
        assert_eq!(Threads::start().unwrap().wait(work()).unwrap(), 7);
        let other = Builder::new_current_thread().build().unwrap();
        other.block_on(async {
            let threads = Threads::start().unwrap();
            assert_eq!(threads.wait(work()).unwrap(), 7);
            assert!(threads.wait(async { panic!("broken") }).is_err());
        });
    }
}
