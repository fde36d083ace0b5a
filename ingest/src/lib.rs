//! Bytes in, batches out: the doors, admission, bounded decompression and decoding to Arrow batches.
//!
//! | file or folder | holds |
//! |---|---|
//! | `config.rs` `error.rs` `stats.rs` | settings; refusals of whole requests; the wing's own figures |
//! | `ingest.rs` | the wing as the binary sees it |
//! | `admission/` `body.rs` | bytes in flight, rates of tenants; bodies read and decompressed with a bound |
//! | `intake.rs` | what all HTTP doors share: from a request to its body |
//! | `otlp/` | the doors of OTLP over gRPC and HTTP, and OTLP/JSON |
//! | `foreign/` | the doors of other protocols, which become OTLP there: Zipkin, Jaeger |
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
mod foreign;
mod ingest;
mod intake;
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
