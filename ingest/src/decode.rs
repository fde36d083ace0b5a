//! `decode(header, bytes) -> batches`: the one door from a payload to rows, pure.

use std::sync::Arc;

use bytes::Bytes;
use tracelake_model::{Batch, DecodeError, Decoder, Fault, Header};

/// The decoder that storage replays its WAL with.
pub fn decoder() -> Arc<dyn Decoder> {
    Arc::new(Otlp)
}

struct Otlp;

impl Decoder for Otlp {
    fn decode(&self, _header: &Header, _payload: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        Err(DecodeError { fault: Fault::Unavailable, detail: "this build cannot decode yet".to_owned() })
    }
}
