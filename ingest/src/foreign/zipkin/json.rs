//! A JSON list of Zipkin v2 spans (openzipkin/zipkin-api `zipkin2-api.yaml`).
//!
//! What is no JSON list is refused whole; a span in it whose field is not of its type is refused alone. Numbers may come
//! as strings of digits, and tags as numbers or booleans: some clients write them so. Unknown fields are ignored.

use std::fmt;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de::DeserializeSeed};
use serde_json::value::RawValue;
use tracelake_model::{DecodeLimits, from_hex};

use crate::error::Error;
use crate::foreign::draft::{Draft, Parts, Room, Translated};
use crate::foreign::tag::any;
use crate::foreign::zipkin::span::{Annotation, Endpoint, Span};
use crate::otlp::partial::Reason;

/// Digits of a trace id and of a span id.
const TRACE_DIGITS: usize = 32;
const SPAN_DIGITS: usize = 16;

/// A list of spans as OTLP.
pub(crate) fn translate(limits: &DecodeLimits, json: &[u8]) -> Result<Translated, Error> {
    let mut draft = Draft::new(limits);
    let mut parser = serde_json::Deserializer::from_slice(json);
    let mut fault = None;
    let read = List { draft: &mut draft, limits, fault: &mut fault }.deserialize(&mut parser);
    if let Some(fault) = fault {
        return Err(fault);
    }
    let malformed = |error: serde_json::Error| Error::Malformed { format: "Zipkin JSON", detail: error.to_string() };
    read.and_then(|()| parser.end()).map_err(malformed)?;
    draft.finish()
}

/// The list, each span of which is put into the draft before the next is read.
struct List<'l> {
    draft: &'l mut Draft,
    limits: &'l DecodeLimits,
    /// What is wrong with the request beyond its JSON.
    fault: &'l mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Zipkin v2 spans")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            let put = self.draft.count().and_then(|()| match read(raw) {
                Ok(span) => span.put(self.limits, self.draft),
                Err(reason) => {
                    self.draft.refuse(reason);
                    Ok(())
                }
            });
            if let Err(error) = put {
                *self.fault = Some(error);
                return Err(de::Error::custom("the request is refused"));
            }
        }
        Ok(())
    }
}

fn read(raw: &RawValue) -> Result<Span, Reason> {
    let fields: Fields = serde_json::from_str(raw.get()).map_err(|_| Reason::Form)?;
    if fields.binary_annotations.is_some() {
        // A span of v1, whose service and tags stand elsewhere.
        return Err(Reason::Form);
    }
    Ok(Span {
        trace_id: id(&fields.trace_id, TRACE_DIGITS),
        span_id: id(&fields.id, SPAN_DIGITS),
        parent_id: id(&fields.parent_id, SPAN_DIGITS),
        kind: kind(&fields.kind),
        name: fields.name.unwrap_or_default(),
        timestamp: fields.timestamp.unwrap_or_default().0,
        duration: fields.duration.unwrap_or_default().0,
        local: fields.local_endpoint.map(EndpointFields::read).unwrap_or_default(),
        remote: fields.remote_endpoint.map(EndpointFields::read).unwrap_or_default(),
        annotations: fields.annotations.unwrap_or_default().0,
        tags: fields.tags.unwrap_or_default().0,
        debug: fields.debug.unwrap_or_default(),
        shared: fields.shared.unwrap_or_default(),
    })
}

/// Hex of at most so many digits, with zeros in front where there are less: Zipkin's 64-bit trace ids, and ids whose
/// zeros were left out. What is no id has a wrong length.
fn id(text: &Option<String>, digits: usize) -> Vec<u8> {
    let text = text.as_deref().unwrap_or_default();
    if text.is_empty() || text.len() > digits {
        return Vec::new();
    }
    from_hex(&format!("{text:0>digits$}")).unwrap_or_default()
}

fn kind(text: &Option<String>) -> SpanKind {
    match text.as_deref() {
        Some("CLIENT") => SpanKind::Client,
        Some("SERVER") => SpanKind::Server,
        Some("PRODUCER") => SpanKind::Producer,
        Some("CONSUMER") => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Fields {
    trace_id: Option<String>,
    parent_id: Option<String>,
    id: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    timestamp: Option<Whole>,
    duration: Option<Whole>,
    local_endpoint: Option<EndpointFields>,
    remote_endpoint: Option<EndpointFields>,
    annotations: Option<Annotations>,
    tags: Option<Tags>,
    debug: Option<bool>,
    shared: Option<bool>,
    binary_annotations: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EndpointFields {
    service_name: Option<String>,
    ipv4: Option<String>,
    ipv6: Option<String>,
    port: Option<Whole>,
}

impl EndpointFields {
    fn read(self) -> Endpoint {
        Endpoint {
            service: self.service_name.unwrap_or_default(),
            ipv4: self.ipv4.unwrap_or_default(),
            ipv6: self.ipv6.unwrap_or_default(),
            port: self.port.and_then(|port| u16::try_from(port.0).ok()).unwrap_or_default(),
        }
    }
}

/// A whole number from 0 on.
#[derive(Clone, Copy, Default)]
struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 on")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(number))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Whole, E> {
                let whole = number.fract() == 0.0 && (0.0..1e19).contains(&number);
                if whole { Ok(Whole(number as u64)) } else { Err(E::custom("not a whole number from 0 on")) }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Whole, E> {
                text.parse().map(Whole).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Number)
    }
}

#[derive(Default)]
struct Annotations(Parts<Annotation>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct AnnotationFields {
    timestamp: Option<Whole>,
    value: Option<String>,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of annotations")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Annotations, A::Error> {
                let (mut room, mut parts) = (Room::new(), Parts::default());
                while let Some(fields) = seq.next_element::<AnnotationFields>()? {
                    let timestamp = fields.timestamp.unwrap_or_default().0;
                    parts.push(&mut room, Annotation { timestamp, value: fields.value.unwrap_or_default() });
                }
                Ok(Annotations(parts))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

#[derive(Default)]
struct Tags(Parts<KeyValue>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tags")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
                let (mut room, mut parts) = (Room::new(), Parts::default());
                while let Some(key) = map.next_key::<String>()? {
                    let raw = map.next_value::<&RawValue>()?;
                    if let Some(value) = tag_value(raw) {
                        parts.push(&mut room, any(&key, value));
                    }
                }
                Ok(Tags(parts))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Text, as Zipkin defines tags; other scalars as what they are, `null` as absent, anything deeper as its JSON.
fn tag_value(raw: &RawValue) -> Option<Value> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(Value::StringValue).ok(),
        Some(b't' | b'f') => serde_json::from_str(text).map(Value::BoolValue).ok(),
        Some(b'n') => None,
        Some(b'{' | b'[') => Some(Value::StringValue(text.to_owned())),
        _ => match serde_json::from_str(text) {
            Ok(whole) => Some(Value::IntValue(whole)),
            Err(_) => serde_json::from_str(text).map(Value::DoubleValue).ok(),
        },
    }
}
