//! One step of the gatherer: many small pieces of the tail become one, off the way of requests.
//!
//! Deliberately changes no row and no order: a snapshot sees the same rows before and after. A flush that comes first
//! takes the small pieces as they are.

use std::sync::Arc;
use std::time::Instant;

use tracelake_model::Batch;

use crate::core::Core;
use crate::error::Error;
use crate::generation::Piece;
use crate::part::gather::Gather;
use crate::tail::{Run, Tail};

impl Core {
    /// Gathers the small pieces of one table; with `wait` waits for one that has enough. `false` when there is none.
    pub(crate) fn gather_step(&self, wait: bool) -> bool {
        let Some((tenant, table)) = self.gathering.next(wait) else { return false };
        loop {
            let Some(run) = self.tail.lock().run(&tenant, table) else { return true };
            let begun = Instant::now();
            let gathered = gather(&run);
            let (bytes, rows) = gathered.as_ref().map_or((0, 0), |piece| (piece.bytes, piece.rows().num_rows() as u64));
            self.counters.stages.gather.add(begun.elapsed(), bytes, rows);
            self.tail.lock().settle(&run, gathered);
        }
    }
}

/// Gathers all that is worth it in a tail that nobody else uses yet.
pub(crate) fn gather_ripe(tail: &mut Tail) {
    for (tenant, table) in tail.take_ripe() {
        while let Some(run) = tail.run(&tenant, table) {
            let gathered = gather(&run);
            tail.settle(&run, gathered);
        }
    }
}

/// The run as one piece. Nothing is lost where that fails: its pieces stay.
fn gather(run: &Run) -> Option<Piece> {
    let gathered = || -> Result<Piece, Error> {
        let batches = run.pieces.iter().map(Piece::rows).collect();
        let rows = Gather::new(run.table, batches)?.all()?;
        let batch = Batch::new(run.table, rows).map_err(|error| Error::Flush(error.to_string()))?;
        Ok(Piece::of(&Arc::from([batch]), 0))
    };
    gathered()
        .inspect_err(|error| tracing::warn!(%error, table = %run.table, "small batches stay in memory one by one"))
        .ok()
}
