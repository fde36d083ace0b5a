//! A part as snapshots and commits name it. Deliberately holds no reader: a query opens the file through the object
//! store.

use std::sync::Arc;

use object_store::path::Path;
use tracelake_model::UnixNano;

use crate::part::trace_index::TraceIndex;

/// One Parquet file that is live in its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Relative to the data root, [`crate::Store::object_store`].
    pub location: Path,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The least value of the table's time column.
    pub time_min: UnixNano,
    /// The greatest value of the table's time column.
    pub time_max: UnixNano,
    /// The partition it belongs to, `YYYY-MM-DD`.
    pub date: String,
    /// When the newest of its rows were stored, by the millisecond; merging parts does not make rows younger.
    pub stored: UnixNano,
    /// XXH3-64 of the file; `None` where another program or an older version wrote it.
    pub checksum: Option<u64>,
}

/// A part whose file is durable but which no commit names yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewPart {
    /// What will be live.
    pub(crate) part: Part,
    /// Delta's per-file statistics, a JSON object.
    pub(crate) stats: String,
    /// Which traces it holds, for tables that have such an index.
    pub(crate) traces: Option<Arc<TraceIndex>>,
}
