//! How long futures really work: the time inside their polls, without what they wait for.
//!
//! Deliberately knows nothing of what they do; whoever asked is told after each poll.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::Executor;

/// Hears how long a poll took.
pub(crate) type Worked = Arc<dyn Fn(Duration) + Send + Sync>;

/// A future whose work is told.
pub(crate) struct Busy<F> {
    future: Pin<Box<F>>,
    worked: Worked,
}

impl<F> Busy<F> {
    /// Tells `worked` of every poll of `future`.
    pub(crate) fn new(future: F, worked: &Worked) -> Self {
        Self { future: Box::pin(future), worked: Arc::clone(worked) }
    }

    /// The future itself.
    pub(crate) fn inner(&mut self) -> Pin<&mut F> {
        self.future.as_mut()
    }
}

impl<F: Future> Future for Busy<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let begun = Instant::now();
        let polled = self.future.as_mut().poll(context);
        (self.worked)(begun.elapsed());
        polled
    }
}

/// Runs futures as tasks of their own whose work is told: the requests of an HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct BusyTasks(pub(crate) Worked);

impl<F> Executor<F> for BusyTasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(Busy::new(future, &self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn work_counts_and_waiting_does_not() {
        let told = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&told);
        let worked: Worked = Arc::new(move |spent| {
            counter.fetch_add(u64::try_from(spent.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        });
        let begun = Instant::now();
        let task = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            std::thread::sleep(Duration::from_millis(20));
            7
        };
        assert_eq!(Busy::new(task, &worked).await, 7);
        let (told, passed) = (told.load(Ordering::Relaxed), begun.elapsed().as_micros());
        assert!(told >= 20_000, "{told} us of work");
        assert!(u128::from(told) + 150_000 < passed, "{told} us of work in {passed} us");
    }
}
