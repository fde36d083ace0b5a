//! OTLP's messages for prost (`opentelemetry-proto` 1.9), field numbers copied from the `.proto` files by hand.
//!
//! `Texts` holds every occurrence of a text field; the last counts, all must be UTF-8. `Raws` holds messages unread.

use prost::{Message, Oneof};

pub(crate) type Texts = Vec<Vec<u8>>;
pub(crate) type Raws = Vec<Vec<u8>>;

/// The request (`groups` only), a resource with its scopes, a scope with its records: one shape.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) groups: Raws,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Group {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) head: Raws,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) members: Raws,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) schema_url: Texts,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Resource {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "2")]
    pub(crate) dropped: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Scope {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) name: Texts,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) version: Texts,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "4")]
    pub(crate) dropped: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyValue {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) key: Texts,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) value: Raws,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "AnyKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(crate) kind: Option<AnyKind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum AnyKind {
    #[prost(bytes, tag = "1")]
    Text(Vec<u8>),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(Items),
    #[prost(message, tag = "6")]
    Map(Items),
    #[prost(bytes, tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Items {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) items: Raws,
}

/// The same bytes as [`AnyValue`]: what the last occurrence hides.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AnyAll {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) texts: Texts,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) arrays: Raws,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(crate) maps: Raws,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) trace_state: Texts,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) name: Texts,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end: u64,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "10")]
    pub(crate) dropped_attributes: u32,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub(crate) events: Raws,
    #[prost(uint32, tag = "12")]
    pub(crate) dropped_events: u32,
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub(crate) links: Raws,
    #[prost(uint32, tag = "14")]
    pub(crate) dropped_links: u32,
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub(crate) status: Raws,
    #[prost(fixed32, tag = "16")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Event {
    #[prost(fixed64, tag = "1")]
    pub(crate) time: u64,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) name: Texts,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "4")]
    pub(crate) dropped: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Link {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) trace_state: Texts,
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "5")]
    pub(crate) dropped: u32,
    #[prost(fixed32, tag = "6")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) message: Texts,
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(crate) time: u64,
    #[prost(int32, tag = "2")]
    pub(crate) severity_number: i32,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) severity_text: Texts,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) body: Raws,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "7")]
    pub(crate) dropped: u32,
    #[prost(fixed32, tag = "8")]
    pub(crate) flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    pub(crate) observed: u64,
    #[prost(bytes = "vec", repeated, tag = "12")]
    pub(crate) event_name: Texts,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Metric {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) name: Texts,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) description: Texts,
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub(crate) unit: Texts,
    #[prost(bytes = "vec", repeated, tag = "12")]
    pub(crate) metadata: Raws,
    #[prost(oneof = "Data", tags = "5, 7, 9, 10, 11")]
    pub(crate) data: Option<Data>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Data {
    #[prost(message, tag = "5")]
    Gauge(Items),
    #[prost(message, tag = "7")]
    Sum(SumData),
    #[prost(message, tag = "9")]
    Histogram(Aggregated),
    #[prost(message, tag = "10")]
    Exponential(Aggregated),
    #[prost(message, tag = "11")]
    Summary(Items),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Aggregated {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) items: Raws,
    #[prost(int32, tag = "2")]
    pub(crate) temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SumData {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) items: Raws,
    #[prost(int32, tag = "2")]
    pub(crate) temporality: i32,
    #[prost(bool, tag = "3")]
    pub(crate) monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct NumberPoint {
    #[prost(fixed64, tag = "2")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) time: u64,
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(crate) exemplars: Raws,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "8")]
    pub(crate) flags: u32,
    #[prost(oneof = "PointNumber", tags = "4, 6")]
    pub(crate) value: Option<PointNumber>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum PointNumber {
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistogramPoint {
    #[prost(fixed64, tag = "2")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) time: u64,
    #[prost(fixed64, tag = "4")]
    pub(crate) count: u64,
    #[prost(double, optional, tag = "5")]
    pub(crate) sum: Option<f64>,
    #[prost(fixed64, repeated, tag = "6")]
    pub(crate) bucket_counts: Vec<u64>,
    #[prost(double, repeated, tag = "7")]
    pub(crate) explicit_bounds: Vec<f64>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(crate) exemplars: Raws,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "10")]
    pub(crate) flags: u32,
    #[prost(double, optional, tag = "11")]
    pub(crate) min: Option<f64>,
    #[prost(double, optional, tag = "12")]
    pub(crate) max: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExponentialPoint {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) attributes: Raws,
    #[prost(fixed64, tag = "2")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) time: u64,
    #[prost(fixed64, tag = "4")]
    pub(crate) count: u64,
    #[prost(double, optional, tag = "5")]
    pub(crate) sum: Option<f64>,
    #[prost(sint32, tag = "6")]
    pub(crate) scale: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) zero_count: u64,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub(crate) positive: Raws,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(crate) negative: Raws,
    #[prost(uint32, tag = "10")]
    pub(crate) flags: u32,
    #[prost(bytes = "vec", repeated, tag = "11")]
    pub(crate) exemplars: Raws,
    #[prost(double, optional, tag = "12")]
    pub(crate) min: Option<f64>,
    #[prost(double, optional, tag = "13")]
    pub(crate) max: Option<f64>,
    #[prost(double, tag = "14")]
    pub(crate) zero_threshold: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Buckets {
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) counts: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SummaryPoint {
    #[prost(fixed64, tag = "2")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) time: u64,
    #[prost(fixed64, tag = "4")]
    pub(crate) count: u64,
    #[prost(double, tag = "5")]
    pub(crate) sum: f64,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(crate) quantiles: Raws,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(crate) attributes: Raws,
    #[prost(uint32, tag = "8")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Quantile {
    #[prost(double, tag = "1")]
    pub(crate) quantile: f64,
    #[prost(double, tag = "2")]
    pub(crate) value: f64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Exemplar {
    #[prost(fixed64, tag = "2")]
    pub(crate) time: u64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(crate) attributes: Raws,
    #[prost(oneof = "ExemplarNumber", tags = "3, 6")]
    pub(crate) value: Option<ExemplarNumber>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum ExemplarNumber {
    #[prost(double, tag = "3")]
    Double(f64),
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}
