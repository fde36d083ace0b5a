//! `jaeger.api_v2.CollectorService/PostSpans` (jaegertracing/jaeger-idl `collector.proto`), on the port of OTLP/gRPC.

use tracelake_model::Signal;

use crate::export::Door;
use crate::foreign::jaeger::protobuf;
use crate::otlp::grpc::Unary;
use crate::stats::Protocol;

/// Takes one batch and answers with an empty message.
pub(crate) const POST_SPANS: Unary = Unary {
    service: "jaeger.api_v2.CollectorService",
    name: "PostSpans",
    door: Door { signal: Signal::Traces, protocol: Protocol::Jaeger },
    translator: Some(protobuf::translate),
};
