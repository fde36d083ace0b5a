//! The bounded queue between the tap and the matching thread: by requests and by bytes.
//!
//! When full, the tap's caller waits. Deliberately not a channel: those bound items only, and a request may be large.

use std::collections::VecDeque;
use std::time::Duration;

use model::Durable;
use parking_lot::{Condvar, Mutex};
use tracelake_model as model;

/// Bytes that are taken out at a time, about: what was taken is held until the next is asked for.
const TAKEN_BYTES: usize = 4 << 20;

/// Requests on their way to matching.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    requests_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    requests: VecDeque<(Durable, usize)>,
    /// Of these and of what was taken out last.
    bytes: usize,
    taken_bytes: usize,
    closed: bool,
}

/// What was taken out at once.
pub(crate) struct Taken {
    /// In order.
    pub requests: Vec<Durable>,
    /// Nothing comes any more.
    pub closed: bool,
}

impl Queue {
    pub(crate) fn new(requests_max: usize, bytes_max: usize) -> Self {
        Self { inner: Mutex::default(), changed: Condvar::new(), requests_max, bytes_max }
    }

    /// Puts one in, waiting while there is no room. A closed queue swallows: the WAL brings it again after a restart.
    pub(crate) fn push(&self, durable: &Durable) {
        let bytes = size_of(durable);
        let mut inner = self.inner.lock();
        // A request that is larger than the whole queue goes through alone.
        while !inner.closed
            && !inner.requests.is_empty()
            && (inner.requests.len() >= self.requests_max || inner.bytes + bytes > self.bytes_max)
        {
            self.changed.wait(&mut inner);
        }
        if !inner.closed {
            inner.bytes += bytes;
            inner.requests.push_back((durable.clone(), bytes));
            self.changed.notify_all();
        }
    }

    /// Takes the oldest out, one at least, waiting up to `wait` for something to come. Those of the last time are done.
    pub(crate) fn take(&self, wait: Duration) -> Taken {
        let mut inner = self.inner.lock();
        inner.bytes -= std::mem::take(&mut inner.taken_bytes);
        self.changed.notify_all();
        if inner.requests.is_empty() && !inner.closed {
            self.changed.wait_for(&mut inner, wait);
        }
        let mut requests = Vec::new();
        while let Some((_, bytes)) = inner.requests.front()
            && (requests.is_empty() || inner.taken_bytes + bytes <= TAKEN_BYTES)
            && let Some((durable, bytes)) = inner.requests.pop_front()
        {
            inner.taken_bytes += bytes;
            requests.push(durable);
        }
        // Room for requests, not for bytes yet.
        self.changed.notify_all();
        Taken { requests, closed: inner.closed }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.inner.lock().requests.len()
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// Lets nothing in any more; what is in is still taken out.
    pub(crate) fn close(&self) {
        self.inner.lock().closed = true;
        self.changed.notify_all();
    }
}

fn size_of(durable: &Durable) -> usize {
    durable.batches.iter().map(|batch| usize::try_from(batch.memory_bytes()).unwrap_or(usize::MAX)).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn durable(position: u64) -> Durable {
        Durable {
            position: model::Position(position),
            tenant: model::TenantId::default(),
            received: model::UnixNano(0),
            batches: Arc::from([]),
        }
    }

    #[test]
    fn a_full_queue_makes_its_caller_wait_and_loses_nothing() {
        let queue = Arc::new(Queue::new(2, 1 << 20));
        let feeder = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || (1..=100).for_each(|position| queue.push(&durable(position)))
        });
        let mut seen = Vec::new();
        while seen.len() < 100 {
            let taken = queue.take(Duration::from_secs(5));
            assert!((1..=2).contains(&taken.requests.len()));
            seen.extend(taken.requests.iter().map(|request| request.position.0));
        }
        feeder.join().unwrap();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn closing_frees_a_waiting_caller() {
        let queue = Arc::new(Queue::new(1, 1 << 20));
        queue.push(&durable(1));
        let feeder = std::thread::spawn({
            let queue = Arc::clone(&queue);
            move || queue.push(&durable(2))
        });
        queue.close();
        feeder.join().unwrap();
        let taken = queue.take(Duration::ZERO);
        assert!(taken.closed);
        assert_eq!(taken.requests.len(), 1);
    }
}
