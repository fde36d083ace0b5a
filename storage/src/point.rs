//! Moments of a flush, a merge and an erasure, so that tests can let the process die at each.

/// Such a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Parts are written, no commit names them.
    PartsWritten,
    /// The commit stands, the tail still has the rows.
    Committed,
    /// The rows left the tail, segments are still there.
    Replaced,
    /// The hashes are saved, segments are still there.
    HashesSaved,
    /// A merged part is written, no commit names it.
    Merged,
    /// Its commit stands, snapshots still name the parts before.
    Swapped,
    /// A part without erased rows is written, no commit names it.
    Rewritten,
    /// Its commit stands, snapshots still name the part before.
    Erased,
}
