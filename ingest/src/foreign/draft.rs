//! An OTLP trace request in the making: spans go in one by one, sorted under their resource and scope as they come.
//!
//! One span at a time exists as a tree; what is done is bytes. Equal bodies make equal requests, byte by byte, because
//! the request's hash is how a repetition is recognised. Resources, scopes and spans keep the order in which they came.

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len, message};
use tracelake_model::DecodeLimits;

use crate::error::Error;
use crate::otlp::partial::{Reason, Refused};

/// Tags, event fields, events and references that one span may have in all; further ones are dropped and counted. Each
/// is a tree of its own while its span is at hand, ten times the size of its bytes and more.
const PARTS_MAX: u32 = 1 << 15;

/// Turns a plain body into OTLP: pure, and equal for equal bodies.
pub(crate) type Translator = fn(&DecodeLimits, &[u8]) -> Result<Translated, Error>;

/// A body as OTLP.
#[derive(Debug)]
pub(crate) struct Translated {
    /// An `ExportTraceServiceRequest`.
    pub(crate) otlp: Bytes,
    /// Spans that have no form in OTLP.
    pub(crate) refused: Refused,
}

/// The request so far.
#[derive(Debug)]
pub(crate) struct Draft {
    limits: DecodeLimits,
    spans: u32,
    bytes: u64,
    refused: Refused,
    resources: Groups<Groups<Vec<u8>>>,
}

/// Place of a resource in a draft.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(usize);

/// Things under their encoded heads, in the order in which they came.
#[derive(Debug)]
struct Groups<T> {
    places: HashMap<Vec<u8>, usize>,
    inside: Vec<(Vec<u8>, T)>,
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), inside: Vec::new() }
    }
}

impl<T: Default> Groups<T> {
    fn place(&mut self, head: Vec<u8>) -> usize {
        *self.places.entry(head).or_insert_with_key(|head| {
            self.inside.push((head.clone(), T::default()));
            self.inside.len() - 1
        })
    }
}

/// Field numbers of `ExportTraceServiceRequest`, `ResourceSpans` and `ScopeSpans` (`opentelemetry/proto/trace/v1`).
const RESOURCE_SPANS: u32 = 1;
const HEAD: u32 = 1;
const INSIDE: u32 = 2;

impl Draft {
    /// Nothing yet.
    pub(crate) fn new(limits: &DecodeLimits) -> Self {
        Self { limits: *limits, spans: 0, bytes: 0, refused: Refused::default(), resources: Groups::default() }
    }

    /// Counts one more span, kept or not; too many refuse the request.
    pub(crate) fn count(&mut self) -> Result<(), Error> {
        self.spans = self.spans.saturating_add(1);
        if self.spans > self.limits.records {
            return Err(Error::TooLarge {
                what: "the number of records in the request",
                limit: u64::from(self.limits.records),
                setting: "limits.records_per_request",
            });
        }
        Ok(())
    }

    /// Leaves a span out.
    pub(crate) fn refuse(&mut self, reason: Reason) {
        self.refused.add(reason, 1);
    }

    /// The place of a resource; equal ones share it.
    pub(crate) fn resource(&mut self, resource: &Resource) -> Result<Place, Error> {
        let known = self.resources.inside.len();
        let head = resource.encode_to_vec();
        let bytes = head.len();
        let place = self.resources.place(head);
        if self.resources.inside.len() > known {
            self.grow(bytes)?;
        }
        Ok(Place(place))
    }

    /// One span of a resource.
    pub(crate) fn push(&mut self, place: Place, scope: &InstrumentationScope, span: &Span) -> Result<(), Error> {
        let Some((_, scopes)) = self.resources.inside.get_mut(place.0) else { return Ok(()) };
        let known = scopes.inside.len();
        let head = scope.encode_to_vec();
        let mut bytes = head.len();
        let inside = scopes.place(head);
        if scopes.inside.len() == known {
            bytes = 0;
        }
        let Some((_, spans)) = scopes.inside.get_mut(inside) else { return Ok(()) };
        let before = spans.len();
        message::encode(INSIDE, span, spans);
        bytes += spans.len() - before;
        self.grow(bytes)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.check(self.bytes)
    }

    /// Holds the request to its limit: a replay reads it under the same.
    fn check(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.limits.request_bytes;
        if bytes > limit {
            return Err(Error::TooLarge { what: "the request as OTLP", limit, setting: "limits.request_bytes" });
        }
        Ok(())
    }

    /// The request.
    pub(crate) fn finish(mut self) -> Result<Translated, Error> {
        let mut otlp = Vec::new();
        for (resource, scopes) in std::mem::take(&mut self.resources.inside) {
            let inside: Vec<Vec<u8>> =
                scopes.inside.into_iter().map(|(scope, spans)| with_head(&scope, &spans)).collect();
            let length: usize = inside.iter().map(|scope| field_len(INSIDE, scope)).sum();
            let length = field_len(HEAD, &resource) + length;
            encode_key(RESOURCE_SPANS, WireType::LengthDelimited, &mut otlp);
            encode_varint(length as u64, &mut otlp);
            put_field(HEAD, &resource, &mut otlp);
            for scope in inside {
                put_field(INSIDE, &scope, &mut otlp);
            }
        }
        self.check(otlp.len() as u64)?;
        Ok(Translated { otlp: Bytes::from(otlp), refused: self.refused })
    }
}

fn with_head(head: &[u8], fields: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(field_len(HEAD, head) + fields.len());
    put_field(HEAD, head, &mut message);
    message.extend_from_slice(fields);
    message
}

fn field_len(number: u32, content: &[u8]) -> usize {
    key_len(number) + encoded_len_varint(content.len() as u64) + content.len()
}

fn put_field(number: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// Reads the texts of the span at hand, and remembers why that is refused.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// The first fault found.
    pub(crate) fault: Option<Reason>,
}

impl Texts {
    /// Bytes as text; empty, and a fault, where they are not UTF-8.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> String {
        let text = str::from_utf8(bytes);
        if text.is_err() {
            self.fault.get_or_insert(Reason::Utf8);
        }
        text.unwrap_or_default().to_owned()
    }
}

/// How many more parts the span at hand may have.
#[derive(Debug)]
pub(crate) struct Room(u32);

impl Room {
    /// That of a fresh span.
    pub(crate) fn new() -> Self {
        Self(PARTS_MAX)
    }

    /// Takes room for one more part; whether there was any.
    pub(crate) fn take(&mut self) -> bool {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

/// Parts that were kept, and how many were not.
#[derive(Debug)]
pub(crate) struct Parts<T> {
    /// Kept, in order.
    pub(crate) kept: Vec<T>,
    /// Left out for want of room.
    pub(crate) dropped: u32,
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self { kept: Vec::new(), dropped: 0 }
    }
}

impl<T> Parts<T> {
    /// Keeps one more where there is room.
    pub(crate) fn push(&mut self, room: &mut Room, part: T) {
        if room.take() {
            self.kept.push(part);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    use super::*;
    use crate::foreign::tag::text;

    fn resource(service: &str) -> Resource {
        Resource { attributes: vec![text("service.name", service)], ..Resource::default() }
    }

    fn scope(name: &str) -> InstrumentationScope {
        InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }
    }

    fn span(name: &str) -> Span {
        Span { name: name.to_owned(), ..Span::default() }
    }

    #[test]
    fn spans_are_sorted_under_their_resource_and_scope_in_the_order_they_come() {
        let mut draft = Draft::new(&DecodeLimits::default());
        for (service, library, name) in [("a", "x", "1"), ("b", "", "2"), ("a", "y", "3"), ("a", "x", "4")] {
            let place = draft.resource(&resource(service)).expect("fits");
            draft.push(place, &scope(library), &span(name)).expect("fits");
        }
        let found = ExportTraceServiceRequest::decode(draft.finish().expect("fits").otlp).expect("is OTLP");
        let told: Vec<_> = found
            .resource_spans
            .iter()
            .flat_map(|one| one.scope_spans.iter().map(move |scope| (one.resource.clone(), scope)))
            .map(|(resource, group)| {
                let names: Vec<_> = group.spans.iter().map(|span| span.name.as_str()).collect();
                (resource, group.scope.as_ref().map(|scope| scope.name.as_str()), names)
            })
            .collect();
        assert_eq!(
            told,
            [
                (Some(resource("a")), Some("x"), vec!["1", "4"]),
                (Some(resource("a")), Some("y"), vec!["3"]),
                (Some(resource("b")), Some(""), vec!["2"]),
            ]
        );
    }

    #[test]
    fn a_request_has_so_many_spans_and_bytes() {
        let mut draft = Draft::new(&DecodeLimits { records: 2, request_bytes: 100, ..DecodeLimits::default() });
        assert!(draft.count().is_ok() && draft.count().is_ok());
        assert!(matches!(draft.count(), Err(Error::TooLarge { limit: 2, .. })));
        let place = draft.resource(&resource("a")).expect("fits");
        draft.push(place, &scope(""), &span("short")).expect("fits");
        let long = draft.push(place, &scope(""), &span(&"long".repeat(25)));
        assert!(matches!(long, Err(Error::TooLarge { limit: 100, .. })));
        assert!(draft.resource(&resource(&"long".repeat(25))).is_err());
    }
}
