//! A synthetic shop that sends real OTLP through the door: about fifteen services, databases, a queue, a cache, two
//! external APIs, a cron job, logs, metrics, audit records, and one seeded failure.
//!
//! | file | holds |
//! |---|---|
//! | `shop.rs` | who calls whom: services, operations, databases, as constants |
//! | `story.rs` | what goes wrong and when: mishaps with their stack traces and log lines |
//! | `session.rs` | who shops: the shopper, the order, and what fills the templates |
//! | `attribute.rs` | attributes by OpenTelemetry's semantic conventions |
//! | `request.rs` | one request becomes spans, log and audit records |
//! | `meter.rs` | spans become metric points of all five kinds |
//! | `export.rs` | records become export requests, one resource an instance |
//! | `generator.rs` | requests along a time line, the same for the same seed and start |
//! | `sender.rs` | the OTLP/gRPC client |

mod attribute;
mod export;
pub(crate) mod generator;
mod meter;
mod request;
pub(crate) mod sender;
mod session;
mod shop;
mod story;
