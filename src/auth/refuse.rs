//! A refusal in the words of each door's protocol: gRPC trailers, `google.rpc.Status`, a problem body, or plain text.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use prost::Message;
use tracelake_model::{Fault, Problem};

/// Which protocol a door speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    OtlpGrpc,
    OtlpHttp,
    /// Zipkin, Jaeger: what answers in plain text.
    Foreign,
    Api,
}

/// `google.rpc.Status`, the error body of OTLP/HTTP.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The answer that tells `fault` to a client of `door`.
pub(crate) fn refuse(door: Door, request: &HeaderMap, fault: Fault, detail: &str) -> Response {
    let mut response = match door {
        Door::OtlpGrpc => return refuse_grpc(fault, detail),
        Door::OtlpHttp => refuse_otlp(request, fault, detail),
        Door::Foreign => with_body("text/plain; charset=utf-8", format!("{detail}\n").into_bytes()),
        Door::Api => {
            let body = serde_json::to_vec(&Problem::new(fault, detail)).unwrap_or_default();
            with_body("application/problem+json", body)
        }
    };
    *response.status_mut() = StatusCode::from_u16(fault.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if fault == Fault::Unauthenticated {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tracelake\""));
    }
    response
}

/// A "trailers only" answer (grpc/grpc `doc/PROTOCOL-HTTP2.md`). Details are ours and plain ASCII.
fn refuse_grpc(fault: Fault, detail: &str) -> Response {
    let mut response = with_body("application/grpc", Vec::new());
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from(fault.grpc_code()));
    if let Ok(message) = HeaderValue::from_str(detail) {
        headers.insert("grpc-message", message);
    }
    response
}

fn refuse_otlp(request: &HeaderMap, fault: Fault, detail: &str) -> Response {
    let kind = request.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        let body = serde_json::json!({ "code": fault.grpc_code(), "message": detail });
        return with_body("application/json", body.to_string().into_bytes());
    }
    let status = RpcStatus { code: fault.grpc_code(), message: detail.to_owned() };
    with_body("application/x-protobuf", status.encode_to_vec())
}

fn with_body(kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
