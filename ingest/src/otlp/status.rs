//! The bodies of answers: `Export...ServiceResponse` and `google.rpc.Status`, in protobuf and JSON.
//!
//! The three responses have one shape on the wire: `partial_success` (1) with a count (1) and a message (2).

use std::time::Duration;

use prost::Message;
use serde_json::json;
use tracelake_model::Signal;

use crate::error::Error;
use crate::otlp::partial::Refused;

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// The success answer in protobuf.
pub(crate) fn success_protobuf(signal: Signal, refused: &Refused) -> Vec<u8> {
    let partial_success = (refused.total() > 0)
        .then(|| PartialSuccess { rejected: i64::from(refused.total()), error_message: refused.message(signal) });
    Response { partial_success }.encode_to_vec()
}

/// The success answer in OTLP/JSON.
pub(crate) fn success_json(signal: Signal, refused: &Refused) -> Vec<u8> {
    let key = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Logs | Signal::Audit => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
    };
    let body = match refused.total() {
        0 => json!({}),
        total => json!({"partialSuccess": {key: total.to_string(), "errorMessage": refused.message(signal)}}),
    };
    body.to_string().into_bytes()
}

/// The refusal in protobuf, with `RetryInfo` where a retry makes sense. `code` is the gRPC code.
pub(crate) fn failure_protobuf(code: i32, error: &Error) -> Vec<u8> {
    let details = error.retry_after().map(|after| {
        let delay = Delay {
            seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(after.subsec_nanos()).unwrap_or(0),
        };
        Detail { type_url: RETRY_INFO.to_owned(), value: RetryInfo { retry_delay: Some(delay) }.encode_to_vec() }
    });
    Status { code, message: error.to_string(), details: details.into_iter().collect() }.encode_to_vec()
}

/// The refusal in JSON.
pub(crate) fn failure_json(code: i32, error: &Error) -> Vec<u8> {
    let retry = |after: Duration| json!({"@type": RETRY_INFO, "retryDelay": format!("{}s", after.as_secs_f64())});
    let details: Vec<_> = error.retry_after().map(retry).into_iter().collect();
    json!({"code": code, "message": error.to_string(), "details": details}).to_string().into_bytes()
}
