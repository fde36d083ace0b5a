//! The ingest wing as the binary sees it.

use std::sync::Arc;

use axum::Router;
use tracelake_model::{Clock, Sample, Sink};

use crate::config::Config;

/// The OTLP doors over one sink. Cheap to share.
pub struct Ingest;

impl Ingest {
    /// Builds the wing; nothing listens yet.
    pub fn new(_config: Config, _sink: Arc<dyn Sink>, _clock: Arc<dyn Clock>) -> Arc<Ingest> {
        Arc::new(Ingest)
    }

    /// Routes of the OTLP/gRPC port. An unknown service answers `UNIMPLEMENTED`.
    pub fn grpc_router(self: &Arc<Self>) -> Router {
        Router::new()
    }

    /// Routes of the OTLP/HTTP port.
    pub fn http_router(self: &Arc<Self>) -> Router {
        Router::new()
    }

    /// The wing's own figures.
    pub fn stats(&self) -> Vec<Sample> {
        Vec::new()
    }
}
