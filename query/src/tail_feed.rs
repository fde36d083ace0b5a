//! Durable log records as they arrive, for live tails: a tap that hands them to whoever listens.
//!
//! Keeps nothing and needs nothing replayed: a listener that lags is told how much it missed, and storage never waits.

use tokio::sync::broadcast;
use tracelake_model::{Durable, Position, Table, Tap};

/// The tap. Without listeners it costs a look at a counter per request.
#[derive(Debug)]
pub(crate) struct TailFeed {
    sender: broadcast::Sender<Durable>,
}

impl TailFeed {
    /// A feed whose listeners may lag `requests` durable requests behind.
    pub(crate) fn new(requests: usize) -> Self {
        Self { sender: broadcast::Sender::new(requests) }
    }

    /// Every durable request with log records from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Durable> {
        self.sender.subscribe()
    }

    /// How many listen.
    pub(crate) fn listener_count(&self) -> usize {
        self.sender.receiver_count()
    }
}

impl Tap for TailFeed {
    fn name(&self) -> &'static str {
        "live_tail"
    }

    fn position(&self) -> Option<Position> {
        None
    }

    fn observe(&self, durable: &Durable) {
        let has_logs = durable.batches.iter().any(|batch| batch.table() == Table::Logs);
        if has_logs && self.sender.receiver_count() > 0 {
            // The last listener may have left since the count was read; then nobody wants it.
            let _ = self.sender.send(durable.clone());
        }
    }
}
