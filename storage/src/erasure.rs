//! What an erasure is asked for, and what it answers. `erase.rs` does it.

use std::fmt;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use tracelake_model::{Table, TimeRange};

use crate::error::Error;

type Test = dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync;

/// What is asked of each row.
pub struct Condition {
    columns: Vec<String>,
    test: Box<Test>,
}

impl Condition {
    /// A test that gets these columns of [`Table::file_schema`], in this order and with the types there, and answers for
    /// each row; null means no.
    pub fn new(columns: Vec<String>, test: Box<Test>) -> Self {
        Self { columns, test }
    }

    /// The columns that it reads.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Asks.
    pub(crate) fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray, Error> {
        (self.test)(rows).map_err(|fault| Error::Condition(fault.to_string()))
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Which rows are to go.
#[derive(Debug)]
pub struct Erasure {
    /// Of which table.
    pub table: Table,
    /// Those for which it holds,
    pub condition: Condition,
    /// with a time in this range. Its end is inside when it is the greatest instant.
    pub range: TimeRange,
    /// Only count them.
    pub dry_run: bool,
}

/// What an erasure did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Rows that went.
    pub rows: u64,
    /// Parts that were looked into.
    pub parts_read: u64,
    /// Parts that had such rows.
    pub parts_with_rows: u64,
    /// Old files of the table deleted, whatever had removed them.
    pub files_deleted: u64,
    /// Old files that snapshots still read; each goes soon after the last of these.
    pub files_waiting: u64,
    /// Whether the write-ahead log holds no copy any more; else alerting still reads it.
    pub log_is_clear: bool,
}
