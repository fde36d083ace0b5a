//! What receiving costs: the work of the doors' connections, without what is counted as decoding.
//!
//! The binary owns the connections and tells how long each worked; here that becomes a stage. Small bodies are decoded
//! by the connection's own thread, so that much is taken off. Deliberately knows no connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracelake_model::{Sample, Stage, StageName};

/// Time, bytes and records that came through the doors.
#[derive(Debug)]
pub(crate) struct Receive {
    stage: Stage,
    connections_ns: AtomicU64,
    decoded_ns: AtomicU64,
    /// One reader at a time moves what was worked into the stage.
    settling: Mutex<()>,
}

impl Default for Receive {
    fn default() -> Self {
        let (connections_ns, decoded_ns) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { stage: Stage::new(StageName::Receive), connections_ns, decoded_ns, settling: Mutex::default() }
    }
}

impl Receive {
    /// A connection worked for so long, whatever on.
    pub(crate) fn worked(&self, spent: Duration) {
        self.connections_ns.fetch_add(nanos(spent), Ordering::Relaxed);
    }

    /// A connection's thread decoded for so long: that is part of what it worked, and counted elsewhere.
    pub(crate) fn decoded(&self, spent: Duration) {
        self.decoded_ns.fetch_add(nanos(spent), Ordering::Relaxed);
    }

    /// A body came whole, with so many bytes as sent.
    pub(crate) fn body(&self, bytes: u64) {
        self.stage.add(Duration::ZERO, bytes, 0);
    }

    /// So many records were in a body, kept or refused.
    pub(crate) fn records(&self, count: u64) {
        self.stage.add(Duration::ZERO, 0, count);
    }

    /// The stage's figures. They never shrink, though a connection's work is told after its decoding.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let _one = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let decoded = self.decoded_ns.load(Ordering::Relaxed);
        let own = Duration::from_nanos(self.connections_ns.load(Ordering::Relaxed).saturating_sub(decoded));
        self.stage.add(own.saturating_sub(self.stage.spent()), 0, 0);
        self.stage.samples()
    }
}

fn nanos(spent: Duration) -> u64 {
    u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_on_a_connection_s_thread_is_taken_off_and_the_time_never_shrinks() {
        let receive = Receive::default();
        let seconds = || receive.samples()[0].value;
        receive.worked(Duration::from_millis(300));
        receive.decoded(Duration::from_millis(100));
        assert_eq!(seconds(), 0.2);
        receive.decoded(Duration::from_millis(150));
        assert_eq!(seconds(), 0.2, "its connection has not told yet");
        receive.worked(Duration::from_millis(160));
        assert_eq!(seconds(), 0.21);
    }
}
