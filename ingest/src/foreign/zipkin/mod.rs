//! Zipkin v2: lists of spans by `POST /api/v2/spans` (openzipkin/zipkin-api `zipkin2-api.yaml`, `zipkin.proto`).
//!
//! Deliberately not v1: neither its JSON nor its Thrift; both are told so.
//!
//! | file | holds |
//! |---|---|
//! | `http.rs` | the routes and their content types |
//! | `json.rs` `protobuf.rs` | a list of spans read from either encoding |
//! | `span.rs` | one span, and what it is in OTLP |
//! | `event.rs` | an annotation that was an event of OpenTelemetry |

pub(crate) mod event;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod protobuf;
pub(crate) mod span;
