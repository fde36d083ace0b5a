//! One step of the feeder: hand durable requests to taps, from memory or from the log.

use std::ops::RangeInclusive;
use std::sync::Arc;

use tracelake_model::{Durable, Position};

use crate::core::Core;
use crate::feed::Job;
use crate::rows::rows_of;
use crate::wal::reader::{Located, read_range};

impl Core {
    /// Hands on what waits; with `wait` waits for it. `false` when there is nothing.
    pub(crate) fn feed_step(&self, wait: bool) -> bool {
        match self.feed.next(wait) {
            Some(Job::Live(requests)) => requests.iter().for_each(|durable| self.feed.deliver(durable)),
            Some(Job::Missed(positions)) => self.feed_missed(&positions),
            None => return false,
        }
        true
    }

    fn feed_missed(&self, positions: &RangeInclusive<u64>) {
        let mut each = |located: Located| {
            if !located.header.observable() {
                return;
            }
            if let Ok(batches) = rows_of(self.decoder.as_ref(), &located) {
                let (tenant, received) = (located.header.tenant().clone(), located.header.received());
                let (position, batches) = (Position(located.position), Arc::from(batches));
                self.feed.deliver(&Durable { position, tenant, received, batches });
            }
        };
        let files = self.segments.files();
        if let Err(error) = read_range(self.disk.as_ref(), &self.ids, &files, positions.clone(), &mut each) {
            tracing::error!(%error, ?positions, "taps cannot read the log, they miss these requests until a restart");
        }
    }
}
