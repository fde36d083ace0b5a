//! Zipkin and Jaeger as clients send them.
//!
//! | file or folder | protects |
//! |---|---|
//! | `recorded/` `recorded.rs` | what OpenTelemetry's own exporters send arrives field by field, from every encoding |
//! | `zipkin.rs` `jaeger.rs` | what the formats allow besides, and what is wrong with a span |
//! | `door.rs` | answers of the doors: accepted, in part, not at all; twice; too large |
//! | `thrift.rs` | writes Thrift, by other means than the product reads it |

mod door;
pub(crate) mod jaeger;
pub(crate) mod recorded;
pub(crate) mod thrift;
pub(crate) mod zipkin;
