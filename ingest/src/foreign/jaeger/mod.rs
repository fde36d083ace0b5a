//! Jaeger: batches of spans of one process, as Thrift over HTTP (`POST /api/traces`, jaegertracing/jaeger-idl
//! `jaeger.thrift`) and as protobuf over gRPC (`jaeger.api_v2.CollectorService/PostSpans`, `model.proto`).
//!
//! Deliberately not the agent's UDP ports: its protocol has no acknowledgement.
//!
//! | file | holds |
//! |---|---|
//! | `http.rs` `grpc.rs` | the doors |
//! | `thrift.rs` | Thrift's binary protocol, bounded |
//! | `batch.rs` `protobuf.rs` | a batch read from either encoding |
//! | `span.rs` | one span and its process, and what they are in OTLP |
//! | `event.rs` | a log of a span as an event |

pub(crate) mod batch;
pub(crate) mod event;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod protobuf;
pub(crate) mod span;
pub(crate) mod thrift;
