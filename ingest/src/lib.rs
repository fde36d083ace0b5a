//! Bytes in, batches out: the OTLP doors, admission, bounded decompression and decoding to Arrow batches.

mod config;
mod decode;
mod ingest;

pub use config::Config;
pub use decode::decoder;
pub use ingest::Ingest;
