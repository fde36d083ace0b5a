//! Protocols that are not OTLP. Each has a door and a translator: a pure function from a plain body to an OTLP request,
//! which then takes the way that every OTLP request takes.
//!
//! | file or folder | holds |
//! |---|---|
//! | `door.rs` | the way of one request over HTTP, and its answer in plain text |
//! | `draft.rs` | the OTLP request in the making: spans by resource and scope, bounded |
//! | `tag.rs` | tags as attributes, and those with a place of their own in OTLP |
//! | `zipkin/` | Zipkin v2, JSON and protobuf, over HTTP |
//! | `jaeger/` | Jaeger: Thrift over HTTP, protobuf over gRPC |

pub(crate) mod door;
pub(crate) mod draft;
pub(crate) mod jaeger;
pub(crate) mod tag;
pub(crate) mod zipkin;
