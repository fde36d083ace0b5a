//! Reads the trace indexes of live parts into memory, beside everything else.
//!
//! Deliberately fails no question: a part whose index cannot be read may hold every trace.

use std::sync::Arc;

use crate::core::Core;
use crate::error::Error;
use crate::part::file::Part;
use crate::part::{trace_index, trace_read};

impl Core {
    /// Reads the indexes of live parts that are not in memory, and forgets those of others. `go_on` is asked after
    /// each. A part whose index cannot be read is told of once, and is looked into for every trace.
    pub(crate) fn load_traces(&self, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        let indexed = self.logs.all().into_iter().filter(|(_, table, _)| trace_index::is_indexed(*table));
        let live: Vec<Arc<Part>> = indexed.flat_map(|(_, _, shared)| shared.lock().live()).collect();
        self.traces.retain(&live);
        let mut wanted: Vec<_> = live.iter().filter(|part| self.traces.wants(part)).collect();
        wanted.sort_by_key(|part| std::cmp::Reverse(part.stored));
        for part in wanted {
            if !go_on() {
                break;
            }
            // One before it may have taken the last room.
            if self.traces.wants(part) {
                match trace_read::read(self.files.as_ref(), &part.location) {
                    Ok(index) => self.traces.insert(part, Arc::new(index)),
                    Err(error) => {
                        tracing::warn!(%error, part = %part.location, "no trace index, every search for a trace reads it");
                        self.traces.give_up(part);
                    }
                }
            }
        }
        Ok(())
    }
}
