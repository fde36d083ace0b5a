//! Sees what other servers commit to the same tables: only where the tables lie in a place that servers can share.
//!
//! Every round asks each table for the commit after the last one that is known; where there is none, that is one
//! request. New tenants and tables are looked for less often. Deliberately holds up nobody: a table whose log is in use
//! is being read anyway.

use crate::core::Core;
use crate::error::Error;

/// Rounds from one search for new tenants and tables to the next.
const SEARCH_EVERY: u64 = 5;

impl Core {
    /// Rounds until told to stop.
    pub(crate) fn run_follow(&self) {
        let mut round = 0;
        while !self.keeper.wait(self.config.refresh_interval) {
            round += 1;
            if let Err(error) = self.follow_step(round % SEARCH_EVERY == 0) {
                tracing::warn!(%error, "what other servers commit cannot be read; it is tried again");
            }
        }
    }

    /// One round; with `search` new tenants and tables too.
    pub(crate) fn follow_step(&self, search: bool) -> Result<(), Error> {
        let known = self.logs.all();
        for (tenant, table, shared) in &known {
            let Some(mut log) = shared.try_lock() else { continue };
            if log.follow()? {
                self.show(tenant, *table, &log);
            }
        }
        if search {
            self.logs.discover()?;
            for (tenant, table, shared) in self.logs.all() {
                if !known.iter().any(|(of, at, _)| (of, *at) == (&tenant, table)) {
                    self.show(&tenant, table, &shared.lock());
                }
            }
        }
        Ok(())
    }
}
