//! One Zipkin v2 span, and what it is in OTLP (OpenTelemetry specification, "OpenTelemetry to Zipkin Transformation",
//! read backwards; what it leaves open is said in `docs/guide/zipkin-jaeger.md`).
//!
//! Client and server that share one id keep it: the query side knows such spans.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use tracelake_model::DecodeLimits;
use tracelake_model::semconv::{self, PromotedKind};

use crate::error::Error;
use crate::foreign::draft::{Draft, Parts, Room};
use crate::foreign::tag::{Lifted, SAMPLED, any, text, value_of};
use crate::foreign::zipkin::event::restore;

const SERVICE: &str = "service.name";
/// Resource attributes that OpenTelemetry's exporters send as tags besides those that have columns.
const SDK: [&str; 3] = ["telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"];

/// A span as either encoding brings it.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// 16 bytes, or of a wrong length.
    pub(crate) trace_id: Vec<u8>,
    /// 8 bytes, or of a wrong length.
    pub(crate) span_id: Vec<u8>,
    /// 8 bytes; anything else is none.
    pub(crate) parent_id: Vec<u8>,
    /// `Unspecified` where it said none.
    pub(crate) kind: SpanKind,
    pub(crate) name: String,
    /// Microseconds of Unix time; 0 is none.
    pub(crate) timestamp: u64,
    /// Microseconds; 0 is none.
    pub(crate) duration: u64,
    pub(crate) local: Endpoint,
    pub(crate) remote: Endpoint,
    pub(crate) annotations: Parts<Annotation>,
    pub(crate) tags: Parts<KeyValue>,
    /// Sampled whatever the sampler thought.
    pub(crate) debug: bool,
    /// The id is that of the caller's span.
    pub(crate) shared: bool,
}

/// One side of a connection; empty text and 0 are none.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) service: String,
    pub(crate) ipv4: String,
    pub(crate) ipv6: String,
    pub(crate) port: u16,
}

/// Something that happened.
#[derive(Debug, Default)]
pub(crate) struct Annotation {
    /// Microseconds of Unix time.
    pub(crate) timestamp: u64,
    pub(crate) value: String,
}

/// Attributes that an endpoint's address, port and second address go to.
struct Names([&'static str; 3]);

const LOCAL: Names = Names(["network.local.address", "network.local.port", "zipkin.local.ipv6"]);
const REMOTE: Names = Names(["network.peer.address", "network.peer.port", "zipkin.remote.ipv6"]);

impl Span {
    /// Puts the span into a request.
    pub(crate) fn put(mut self, limits: &DecodeLimits, draft: &mut Draft) -> Result<(), Error> {
        let mut tags = std::mem::take(&mut self.tags.kept);
        tags.iter_mut().for_each(retype);
        let lifted = Lifted::take(&mut tags, failure);
        let resource = self.resource(&mut tags);
        self.put_endpoints(&mut tags);
        let (start, end) = self.times();
        let mut span = OtlpSpan {
            parent_span_id: if self.parent_id == self.span_id { Vec::new() } else { self.parent_id },
            trace_id: self.trace_id,
            span_id: self.span_id,
            name: self.name,
            kind: self.kind as i32,
            flags: u32::from(self.debug) * SAMPLED,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            attributes: tags,
            dropped_attributes_count: self.tags.dropped,
            events: events(self.annotations.kept, limits),
            dropped_events_count: self.annotations.dropped,
            ..OtlpSpan::default()
        };
        let scope = lifted.put(&mut span);
        let place = draft.resource(&resource)?;
        draft.push(place, &scope, &span)
    }

    /// The service, and what else the tags tell of where the span was recorded.
    fn resource(&self, tags: &mut Vec<KeyValue>) -> Resource {
        let service = &self.local.service;
        let mut attributes = Vec::new();
        if !service.is_empty() {
            attributes.push(text(SERVICE, service));
        }
        tags.retain(|tag| {
            let repeats = tag.key == SERVICE && attributes.first() == Some(tag);
            let names = tag.key == SERVICE && service.is_empty();
            let moves = names
                || SDK.contains(&tag.key.as_str())
                || semconv::RESOURCE.iter().any(|promoted| promoted.key == tag.key);
            if moves {
                attributes.push(tag.clone());
            }
            !moves && !repeats
        });
        Resource { attributes, ..Resource::default() }
    }

    /// Endpoints and the shared id as attributes; a tag of the same name wins.
    fn put_endpoints(&self, tags: &mut Vec<KeyValue>) {
        let sent = tags.len();
        let mut put = |attribute: KeyValue| {
            if tags[..sent].iter().all(|tag| tag.key != attribute.key) {
                tags.push(attribute);
            }
        };
        if !self.remote.service.is_empty() {
            put(text("peer.service", &self.remote.service));
        }
        for (endpoint, Names([address, port, second])) in [(&self.local, LOCAL), (&self.remote, REMOTE)] {
            let Endpoint { ipv4, ipv6, .. } = endpoint;
            let both = !ipv4.is_empty() && !ipv6.is_empty();
            let first = if ipv4.is_empty() { ipv6 } else { ipv4 };
            if !first.is_empty() {
                put(text(address, first));
            }
            if both {
                put(text(second, ipv6));
            }
            if endpoint.port > 0 {
                put(any(port, Value::IntValue(i64::from(endpoint.port))));
            }
        }
        if self.shared {
            put(any("zipkin.shared", Value::BoolValue(true)));
        }
    }

    /// Start and end in nanoseconds. A span without a time begins with its first annotation, as Zipkin has it.
    fn times(&self) -> (u64, u64) {
        let first = self.annotations.kept.iter().map(|annotation| annotation.timestamp).filter(|time| *time > 0).min();
        let start = if self.timestamp > 0 { self.timestamp } else { first.unwrap_or(0) };
        let end = if start > 0 { start.saturating_add(self.duration) } else { 0 };
        (nanos(start), nanos(end))
    }
}

/// Microseconds as nanoseconds; what does not fit is a time that is refused.
fn nanos(micros: u64) -> u64 {
    micros.saturating_mul(1000)
}

fn events(annotations: Vec<Annotation>, limits: &DecodeLimits) -> Vec<Event> {
    let restored_max = usize::try_from(limits.value_bytes).unwrap_or(usize::MAX);
    let mut room = Room::new();
    let event = |Annotation { timestamp, value }| {
        let restored = if value.len() <= restored_max { restore(&value, &mut room) } else { None };
        let (name, attributes) = restored.unwrap_or_else(|| (value, Parts::default()));
        Event {
            time_unix_nano: nanos(timestamp),
            name,
            attributes: attributes.kept,
            dropped_attributes_count: attributes.dropped,
        }
    };
    annotations.into_iter().map(event).collect()
}

/// Zipkin takes every span with the tag `error` for failed; its text says why. Instrumentation made for elsewhere may
/// say `false`.
fn failure(value: &Value) -> Option<String> {
    match value {
        Value::StringValue(text) if text.eq_ignore_ascii_case("false") => None,
        Value::StringValue(text) if text.eq_ignore_ascii_case("true") => Some(String::new()),
        Value::StringValue(text) => Some(text.clone()),
        Value::BoolValue(flag) => flag.then(String::new),
        Value::IntValue(code) => Some(code.to_string()),
        _ => Some(String::new()),
    }
}

/// Tags of Zipkin are text; those that the semantic conventions define as whole numbers become such again.
fn retype(tag: &mut KeyValue) {
    let Some(Value::StringValue(text)) = value_of(tag) else { return };
    let Ok(number) = text.parse::<i64>() else { return };
    let is_int =
        |key: &str| semconv::SPAN.iter().any(|promoted| promoted.kind == PromotedKind::Int && promoted.key == key);
    if number.to_string() == *text && is_int(&tag.key) {
        *tag = any(&tag.key, Value::IntValue(number));
    }
}
