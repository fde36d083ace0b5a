//! Everything that can refuse a request, and what kind of failure it is.
//!
//! Single records that are refused while their request is kept are not errors: see `otlp/partial.rs`.

use std::time::Duration;

use tracelake_model::{DecodeError, Fault, Refusal};

use crate::wire::field::Malformed;

/// When to come back if nobody said.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a whole request was refused. Nothing of it is stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not what they claim to be.
    #[error("the request is not valid {format}: {detail}")]
    Malformed {
        /// `protobuf`, `OTLP/JSON`, `Jaeger Thrift` ...
        format: &'static str,
        /// What is wrong and where.
        detail: String,
    },
    /// The bytes do not decompress.
    #[error("the body does not decompress as {encoding}: {detail}")]
    Compression {
        /// The encoding's name.
        encoding: &'static str,
        /// What the decompressor said.
        detail: String,
    },
    /// The body broke off.
    #[error("the request's body ended early: {0}")]
    Body(String),
    /// Larger than a limit.
    #[error("{what} exceeds the limit of {limit}; send smaller batches or raise {setting}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit in force.
        limit: u64,
        /// The setting's name.
        setting: &'static str,
    },
    /// A content type this door does not speak.
    #[error("content type {found:?} is not supported; use {spoken}")]
    ContentType {
        /// As sent, without parameters.
        found: String,
        /// What the door speaks.
        spoken: &'static str,
    },
    /// A content encoding this door does not speak.
    #[error("encoding {0:?} is not supported; use gzip, zstd, deflate or identity")]
    Encoding(String),
    /// A gRPC request that is not framed as one unary message.
    #[error("not one gRPC message: {0}")]
    Frame(&'static str),
    /// Too much is being worked on.
    #[error("{limit} bytes of requests are in flight; come back later or raise limits.in_flight_bytes")]
    InFlight {
        /// The limit in force, bytes.
        limit: u64,
        /// When there will be room.
        retry_after: Duration,
    },
    /// One tenant holds its share while another waits.
    #[error(
        "other tenants wait and this one holds its share of {share} bytes; come back later or raise limits.in_flight_bytes"
    )]
    Share {
        /// The share at the moment, bytes.
        share: u64,
        /// When there will be room.
        retry_after: Duration,
    },
    /// One tenant sends faster than it may.
    #[error(
        "the tenant has sent more than {bytes_per_second} bytes a second; come back later or raise limits.tenant_bytes_per_second"
    )]
    Rate {
        /// The rate in force.
        bytes_per_second: u64,
        /// When a request may begin again.
        retry_after: Duration,
    },
    /// The caller may not send telemetry.
    #[error("this credential may not send telemetry; it needs the ingest role")]
    Forbidden,
    /// The body stopped coming.
    #[error("no byte of the body came for {0} s; send it in one go")]
    Stalled(u64),
    /// Of a request in another protocol than OTLP, whose answers cannot count, no record could be kept.
    #[error("nothing was kept: {0}")]
    Records(String),
    /// The sink did not take it.
    #[error(transparent)]
    Sink(Refusal),
    /// A payload written by a later version.
    #[error("the payload was accepted by decoder {found}, this build knows up to {known}; use the newer release")]
    Decoder {
        /// The version that accepted it.
        found: u16,
        /// The newest version known here.
        known: u16,
    },
    /// A defect of ours.
    #[error("internal defect while decoding: {0}")]
    Defect(String),
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> Fault {
        match self {
            Self::Malformed { .. } | Self::Compression { .. } | Self::Body(_) | Self::Records(_) => Fault::Invalid,
            Self::TooLarge { .. } => Fault::TooLarge,
            Self::ContentType { .. } | Self::Encoding(_) => Fault::Unsupported,
            Self::InFlight { .. } | Self::Share { .. } | Self::Rate { .. } => Fault::Overloaded,
            Self::Forbidden => Fault::Forbidden,
            Self::Stalled(_) => Fault::Timeout,
            Self::Sink(refusal) => refusal.fault,
            Self::Decoder { .. } => Fault::Unavailable,
            Self::Frame(_) | Self::Defect(_) => Fault::Internal,
        }
    }

    /// One word for figures: why the request was refused.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Malformed { .. } => Reason::Malformed,
            Self::Compression { .. } => Reason::Compression,
            Self::Body(_) => Reason::Body,
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::ContentType { .. } => Reason::ContentType,
            Self::Encoding(_) => Reason::Encoding,
            Self::Frame(_) => Reason::Frame,
            Self::InFlight { .. } => Reason::InFlight,
            Self::Share { .. } => Reason::Share,
            Self::Rate { .. } => Reason::Rate,
            Self::Forbidden => Reason::Forbidden,
            Self::Stalled(_) => Reason::Stalled,
            Self::Records(_) => Reason::Records,
            Self::Sink(_) => Reason::Sink,
            Self::Decoder { .. } | Self::Defect(_) => Reason::Defect,
        }
    }

    /// When to come back; `None` when sending it again will not help.
    pub fn retry_after(&self) -> Option<Duration> {
        match (self, self.kind()) {
            (
                Self::InFlight { retry_after, .. } | Self::Share { retry_after, .. } | Self::Rate { retry_after, .. },
                _,
            ) => Some(*retry_after),
            (Self::Sink(Refusal { retry_after: Some(after), .. }), Fault::Overloaded | Fault::Unavailable) => {
                Some(*after)
            }
            (_, Fault::Overloaded | Fault::Unavailable) => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

/// Why requests were refused, as figures name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Malformed,
    Compression,
    Body,
    TooLarge,
    ContentType,
    Encoding,
    Frame,
    InFlight,
    Share,
    Rate,
    Forbidden,
    Stalled,
    Records,
    Sink,
    Defect,
}

impl Reason {
    /// Each with its word.
    pub(crate) const ALL: [(Self, &'static str); 15] = [
        (Self::Malformed, "malformed"),
        (Self::Compression, "compression"),
        (Self::Body, "body"),
        (Self::TooLarge, "too_large"),
        (Self::ContentType, "content_type"),
        (Self::Encoding, "encoding"),
        (Self::Frame, "frame"),
        (Self::InFlight, "in_flight"),
        (Self::Share, "share"),
        (Self::Rate, "rate"),
        (Self::Forbidden, "forbidden"),
        (Self::Stalled, "stalled"),
        (Self::Records, "records"),
        (Self::Sink, "sink"),
        (Self::Defect, "defect"),
    ];
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed { format: "protobuf", detail: malformed.0.to_owned() }
    }
}

impl From<&Error> for DecodeError {
    fn from(error: &Error) -> Self {
        Self { fault: error.kind(), detail: error.to_string() }
    }
}
