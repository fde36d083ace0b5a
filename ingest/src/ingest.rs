//! The ingest wing as the binary sees it.
//!
//! Deliberately neither listens nor authenticates: the binary hangs the routers on listeners, behind a layer that
//! inserts the [`tracelake_model::Caller`].

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tracelake_model::{Clock, Sample, Sink};

use crate::config::Config;
use crate::export::Export;
use crate::foreign::{jaeger, zipkin};
use crate::otlp::{grpc, http};

/// The doors over one sink. Cheap to share.
pub struct Ingest {
    export: Arc<Export>,
}

impl Ingest {
    /// Builds the wing; nothing listens yet. The settings must have passed [`Config::check`].
    pub fn new(config: Config, sink: Arc<dyn Sink>, clock: Arc<dyn Clock>) -> Arc<Ingest> {
        Arc::new(Ingest { export: Arc::new(Export::new(config, sink, clock)) })
    }

    /// Routes of the OTLP/gRPC port, Jaeger's collector service among them. An unknown service answers `UNIMPLEMENTED`;
    /// health asks for no caller.
    pub fn grpc_router(self: &Arc<Self>) -> Router {
        grpc::router(&self.export, &[jaeger::grpc::POST_SPANS])
    }

    /// Routes of the OTLP/HTTP port, without a fallback. `OPTIONS` is a browser's preflight and asks for no caller.
    pub fn http_router(self: &Arc<Self>) -> Router {
        http::router(&self.export)
    }

    /// Whether senders are refused for want of room: whoever works in the background stands back then.
    pub fn is_overloaded(&self) -> bool {
        self.export.is_overloaded()
    }

    /// A connection of one of the doors worked for so long: what of that is not decoding counts as receiving.
    pub fn note_work(&self, spent: Duration) {
        self.export.note_work(spent);
    }

    /// Zipkin's route `POST /api/v2/spans`, without a fallback. `OPTIONS` is a browser's preflight.
    pub fn zipkin_router(self: &Arc<Self>) -> Router {
        zipkin::http::router(&self.export)
    }

    /// Jaeger's route `POST /api/traces` (Thrift over HTTP), without a fallback.
    pub fn jaeger_router(self: &Arc<Self>) -> Router {
        jaeger::http::router(&self.export)
    }

    /// The wing's own figures.
    pub fn stats(&self) -> Vec<Sample> {
        self.export.samples()
    }
}
