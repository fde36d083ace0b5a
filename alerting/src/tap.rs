//! The tap: storage hands every durable request here, the queue takes it to the matching thread.
//!
//! Deliberately does no matching: `observe` runs on storage's thread.

use std::sync::Arc;

use model::{Durable, Position, Table, Tap};
use tracelake_model as model;

use crate::outbox::Outbox;
use crate::queue::Queue;

/// What storage sees of alerting.
pub(crate) struct AlertingTap {
    pub queue: Arc<Queue>,
    pub outbox: Arc<Outbox>,
}

impl Tap for AlertingTap {
    fn name(&self) -> &'static str {
        "alerting"
    }

    fn position(&self) -> Option<Position> {
        Some(Position(self.outbox.position()))
    }

    fn observe(&self, durable: &Durable) {
        let watched = |table| matches!(table, Table::Logs | Table::Spans);
        if durable.batches.iter().any(|batch| watched(batch.table())) {
            self.queue.push(durable);
            return;
        }
        // Metrics and audit rows are looked at by no rule, but the position has to pass them all the same.
        self.queue.push(&Durable { batches: Arc::from([]), ..durable.clone() });
    }
}
