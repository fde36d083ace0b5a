//! A live part as snapshots name it. Deliberately holds no reader: a query opens the file through the object store.

use object_store::path::Path;
use tracelake_model::UnixNano;

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
}
