//! Bytes in, batches out: the OTLP doors, admission, bounded decompression and decoding to Arrow batches.
//!
//! | file or folder | holds |
//! |---|---|
//! | `config.rs` `error.rs` `stats.rs` | settings; refusals of whole requests; the wing's own figures |
//! | `ingest.rs` | the wing as the binary sees it |
//! | `admission/` `body.rs` | bytes in flight, rates of tenants; bodies read and decompressed with a bound |
//! | `otlp/` | the doors of OTLP over gRPC and HTTP, and OTLP/JSON |
//! | `export.rs` | one request's way from its bytes to the sink |
//! | `decode.rs` | from a payload to batches, pure |
//! | `wire/` `column/` | the protobuf walker; the rows it fills |

mod admission;
mod body;
mod column;
mod config;
mod decode;
mod error;
mod export;
mod ingest;
mod otlp;
mod receive;
mod stats;
mod wire;

pub use config::{Config, Rate, TenantLimits};
pub use decode::decoder;
pub use error::Error;
pub use ingest::Ingest;

#[cfg(test)]
mod test;
