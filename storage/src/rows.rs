//! A frame of the log back to the rows that were acknowledged.

use tracelake_model::{Batch, Decoder};

use crate::wal::header::FrameHeader;
use crate::wal::reader::Located;
use crate::{audit, derived};

/// The rows of a frame. An error is logged here: an acknowledged frame that cannot be decoded is lost to its reader.
pub(crate) fn rows_of(decoder: &dyn Decoder, located: &Located) -> Result<Vec<Batch>, String> {
    let decoded = match &located.header {
        FrameHeader::Request(header) => decoder
            .decode(header, &located.payload)
            .map_err(|error| error.to_string())
            .and_then(|batches| audit::number(batches, header.audit_seq).map_err(|error| error.to_string())),
        FrameHeader::Derived(header) => derived::decode(&header.rows, &located.payload),
    };
    let checked = decoded.and_then(|batches| {
        let rows: Vec<_> = batches.iter().map(|batch| (batch.table(), batch.row_count())).collect();
        let told: Vec<_> = located.header.rows().iter().map(|&(table, rows)| (table, rows as usize)).collect();
        if rows == told { Ok(batches) } else { Err(format!("decoded to {rows:?}, acknowledged were {told:?}")) }
    });
    if let Err(detail) = &checked {
        tracing::error!(position = located.position, detail, "an acknowledged frame cannot be decoded");
    }
    checked
}

/// Bytes that batches hold in memory.
pub(crate) fn memory_bytes(batches: &[Batch]) -> u64 {
    batches.iter().map(Batch::memory_bytes).sum()
}
