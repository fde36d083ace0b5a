//! OpenTelemetry's own protocol.
//!
//! | file | holds |
//! |---|---|
//! | `grpc.rs` `frame.rs` | the unary doors over HTTP/2 and their trailers; the frame around one message |
//! | `http.rs` | `POST /v1/...`: content types, encodings, preflight |
//! | `status.rs` | the bodies of answers, in protobuf and JSON |
//! | `partial.rs` | which single records were refused, and why |
//! | `json.rs` `schema.rs` | OTLP/JSON rewritten as protobuf, by a table of fields |

pub(crate) mod frame;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod json;
pub(crate) mod partial;
pub(crate) mod schema;
pub(crate) mod status;
