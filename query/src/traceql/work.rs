//! Work that takes longer than a moment, off the threads that others wait for.

use datafusion::common::DataFusionError;

use crate::error::Error;

/// The result of `work`, done on a thread of its own.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|fault| Error::Engine(DataFusionError::External(Box::new(fault))))
}
