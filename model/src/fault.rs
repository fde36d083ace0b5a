//! Kinds of failure, and the only place that knows their HTTP and gRPC numbers.
//!
//! Each wing's `Error` has a `kind()` that gives a [`Fault`]; doors turn it into an answer.

use serde::Serialize;

/// What went wrong, as far as the asker can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request cannot be understood; sending it again will not help.
    Invalid,
    /// No valid credential.
    Unauthenticated,
    /// The credential does not allow this.
    Forbidden,
    /// No such thing.
    NotFound,
    /// The method is not one of this route.
    Method,
    /// It exists already, or changed since it was read.
    Conflict,
    /// Larger than a named limit.
    TooLarge,
    /// A content type or encoding that this door does not speak.
    Unsupported,
    /// A limit of load is reached; come back later.
    Overloaded,
    /// Not able to serve now (starting, draining, disk full); come back later.
    Unavailable,
    /// The question took longer than its limit.
    Timeout,
    /// A defect or a broken machine; the log has the detail.
    Internal,
}

impl Fault {
    /// The HTTP status (RFC 9110).
    pub fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Method => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unsupported => 415,
            Self::Overloaded => 429,
            Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::Internal => 500,
        }
    }

    /// The gRPC status code (grpc/grpc `doc/statuscodes.md`).
    ///
    /// Too large is `RESOURCE_EXHAUSTED` without retry information: OTLP clients retry that code only when the
    /// answer carries `RetryInfo`.
    pub fn grpc_code(self) -> i32 {
        match self {
            Self::Invalid | Self::Unsupported => 3,
            Self::Timeout => 4,
            Self::NotFound => 5,
            Self::Conflict => 6,
            Self::Forbidden => 7,
            Self::TooLarge | Self::Overloaded => 8,
            Self::Method => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
            Self::Unauthenticated => 16,
        }
    }

    /// A short title for a problem body.
    pub fn title(self) -> &'static str {
        match self {
            Self::Invalid => "invalid request",
            Self::Unauthenticated => "authentication needed",
            Self::Forbidden => "not allowed",
            Self::NotFound => "not found",
            Self::Method => "method not allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too large",
            Self::Unsupported => "unsupported media type",
            Self::Overloaded => "too many requests",
            Self::Unavailable => "unavailable",
            Self::Timeout => "time limit reached",
            Self::Internal => "internal error",
        }
    }
}

/// The body of an error answer on our own routes (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Always `about:blank`: the status says which kind it is.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// Each single problem, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

impl Problem {
    /// A body that tells of `fault`.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: fault.title(),
            status: fault.http_status(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }
}
