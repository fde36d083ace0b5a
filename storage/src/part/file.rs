//! A part as snapshots and commits name it. Deliberately holds no reader: a query opens the file through the object
//! store.

use std::sync::Arc;

use object_store::path::Path;
use tracelake_model::UnixNano;

use crate::part::trace_index::TraceIndex;

/// Numbers of the first and the last commit that brought rows of a part. A commit's number is its version in the table's
/// log and one; rows of which it is not known (older files, other writers) count as brought by the first commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Commits {
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
}

impl Commits {
    /// Not known.
    pub(crate) const UNKNOWN: Self = Self { first: 1, last: 1 };

    /// The commit of a version alone.
    pub(crate) fn of_version(version: u64) -> Self {
        Self { first: version + 1, last: version + 1 }
    }

    /// From the first of both to the last of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// As a commit notes them.
    pub(crate) fn to_text(self) -> String {
        format!("{}-{}", self.first, self.last)
    }

    /// Reads what [`Commits::to_text`] wrote.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        Some(Self { first: first.parse().ok()?, last: last.parse().ok()? })
    }
}

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
    /// Which commits of the table brought its rows.
    pub commits: Commits,
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
