//! Why a text is not planned. Deliberately sorts nothing: whose fault a planner's error is, `query` says.

use datafusion::common::DataFusionError;

/// Why a text is not planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Understood, and not allowed here; the text says what is.
    #[error("{0}")]
    Refused(String),
    /// Not understood by parser or planner.
    #[error(transparent)]
    Planner(#[from] DataFusionError),
}
