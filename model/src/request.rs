//! One payload as it came through a door, with everything that decoding it again needs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::table::Table;
use crate::tenant::TenantId;
use crate::time::UnixNano;

/// What kind of OTLP request a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// `ExportTraceServiceRequest`.
    Traces,
    /// `ExportLogsServiceRequest`.
    Logs,
    /// `ExportMetricsServiceRequest`.
    Metrics,
    /// `ExportLogsServiceRequest` whose records all go to the audit table.
    Audit,
}

impl Signal {
    /// The name in paths and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Audit => "audit",
        }
    }
}

/// How a payload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentType {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json` as OTLP/JSON defines it.
    Json,
}

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950 (what HTTP calls deflate).
    Deflate,
}

/// XXH3-128 over tenant, signal and the decompressed payload: two equal payloads are one.
pub type PayloadHash = [u8; 16];

/// The limits that shape what a payload decodes to. They travel with it, so that a replay yields what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeLimits {
    /// Decompressed bytes of one request.
    pub request_bytes: u64,
    /// Records (spans, log records, points) of one request.
    pub records: u32,
    /// Attributes of one record, event, link, point, exemplar, resource or scope; further ones are dropped and counted.
    pub attributes: u32,
    /// Bytes of one attribute value or body; longer text is cut and marked.
    pub value_bytes: u32,
    /// Depth of nested values; a deeper record is refused.
    pub nesting: u32,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { request_bytes: 16 << 20, records: 100_000, attributes: 512, value_bytes: 64 << 10, nesting: 64 }
    }
}

/// All that decoding a payload needs besides its bytes. Written in front of them in the WAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose.
    pub tenant: TenantId,
    /// Which kind of request.
    pub signal: Signal,
    /// How the bytes are written.
    pub content_type: ContentType,
    /// How the bytes are compressed, as kept.
    pub encoding: Encoding,
    /// When the door received it: the time of records that carry none, and what late is measured against.
    pub received: UnixNano,
    /// Which decoder accepted it, so that later decoders can replay it alike.
    pub decoder: u16,
    /// The limits in force.
    pub limits: DecodeLimits,
    /// Identity for the dedup window; `None` exempts it (no record carries a time, so two may honestly be equal).
    pub hash: Option<PayloadHash>,
    /// Rows accepted per table, in the order of the request's batches.
    pub accepted: Vec<(Table, u32)>,
    /// Records refused.
    pub refused: u32,
    /// `seq` of the request's first audit row. Storage sets it when it appends; a door leaves 0.
    pub audit_seq: u64,
}

/// One payload, the header to decode it again, and the batches it decoded to. Appended atomically.
#[derive(Clone, Debug)]
pub struct Request {
    /// What decoding needs besides the bytes.
    pub header: Header,
    /// The bytes as they reached us.
    pub payload: Bytes,
    /// What they decoded to: at most one batch per table, none of them empty.
    pub batches: Vec<Batch>,
}
