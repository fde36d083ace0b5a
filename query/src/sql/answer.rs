//! What a statement answers: columns, and rows as they come.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;

/// The answer of one statement. Dropping the stream stops the statement.
pub struct SqlAnswer {
    /// Names and types of the columns.
    pub schema: SchemaRef,
    /// The rows, under the limits of time and number. An error of this stream becomes an [`crate::Error`] by `From`.
    pub stream: SendableRecordBatchStream,
    pub(crate) truncated: Arc<AtomicBool>,
    /// What is missing because files are damaged, a sentence each.
    pub warnings: Vec<String>,
}

impl SqlAnswer {
    /// Whether rows were cut at the limit; known once the stream has ended.
    pub fn is_truncated(&self) -> bool {
        self.truncated.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for SqlAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlAnswer").field("schema", &self.schema).finish_non_exhaustive()
    }
}
