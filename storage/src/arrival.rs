//! A durable frame's rows on their way into the tail.

use std::sync::Arc;

use tracelake_model::{Batch, TenantId, UnixNano};

/// One durable frame's rows.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Its place in the log.
    pub(crate) position: u64,
    /// Whose.
    pub(crate) tenant: TenantId,
    /// When it was received.
    pub(crate) received: UnixNano,
    /// Its rows.
    pub(crate) batches: Arc<[Batch]>,
    /// Bytes of them in memory.
    pub(crate) bytes: u64,
    /// The `seq` of its last audit row.
    pub(crate) audit_seq: Option<u64>,
    /// The derived stream and its position.
    pub(crate) derived: Option<(Arc<str>, u64)>,
}
