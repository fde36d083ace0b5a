//! How many bytes of requests are being worked on, and the refusal when that is too many.
//!
//! Bytes count as they arrive and again as they decompress; a [`Permit`] gives them back when its request ends.
//! Deliberately counts bytes that came, not bytes announced: a slow sender holds no more than it sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// The door's bound on bytes in flight.
#[derive(Debug)]
pub(crate) struct Admission {
    limit: u64,
    in_flight: AtomicU64,
}

/// Bytes held by one request.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    held: u64,
}

impl Admission {
    /// Allows `limit` bytes at a time.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, in_flight: AtomicU64::new(0) })
    }

    /// Bytes in flight now.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A permit that holds nothing yet.
    pub(crate) fn permit(self: &Arc<Self>) -> Permit {
        Permit { admission: Arc::clone(self), held: 0 }
    }
}

impl Permit {
    /// Holds `bytes` more, or says to come back. A request that is alone is never refused: else one whose bytes,
    /// compressed and not, exceed the bound together could never be taken.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<(), Error> {
        let limit = self.admission.limit;
        let fits = |total: u64| {
            let next = total.saturating_add(bytes);
            (next <= limit || total == self.held).then_some(next)
        };
        let grown = self.admission.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        grown.map_err(|_| Error::InFlight { limit })?;
        self.held += bytes;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.in_flight.fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_past_the_limit_are_refused_until_others_are_done() {
        let admission = Admission::new(100);
        let (mut first, mut second) = (admission.permit(), admission.permit());
        assert!(first.grow(60).is_ok());
        assert!(second.grow(40).is_ok());
        assert!(matches!(first.grow(1), Err(Error::InFlight { limit: 100 })));
        assert_eq!(admission.in_flight(), 100);
        drop(second);
        assert!(first.grow(1).is_ok());
        assert!(first.grow(500).is_ok(), "a request that is alone is never refused");
        drop(first);
        assert_eq!(admission.in_flight(), 0);
    }
}
