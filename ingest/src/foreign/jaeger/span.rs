//! One Jaeger span and its process, and what they are in OTLP (OpenTelemetry specification, "OpenTelemetry to Jaeger
//! Transformation", read backwards; what it leaves open is said in `docs/guide/zipkin-jaeger.md`).

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span as OtlpSpan;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

use crate::error::Error;
use crate::foreign::draft::{Draft, Parts, Place};
use crate::foreign::tag::{Lifted, SAMPLED, any, is_true, text};

/// Bits of a span's flags: sampled, and sampled whatever the sampler thought.
const SAMPLED_OR_DEBUG: u32 = 1 | 2;

/// A span as either encoding brings it.
#[derive(Debug, Default)]
pub(crate) struct Span {
    /// 16 bytes, or of a wrong length.
    pub(crate) trace_id: Vec<u8>,
    /// 8 bytes, or of a wrong length.
    pub(crate) span_id: Vec<u8>,
    /// 8 bytes; empty or zero where only references tell of a parent.
    pub(crate) parent_span_id: Vec<u8>,
    pub(crate) name: String,
    pub(crate) references: Parts<Reference>,
    pub(crate) flags: u32,
    /// Nanoseconds of Unix time; `None` where they do not fit.
    pub(crate) start: Option<i64>,
    /// Nanoseconds; `None` where they do not fit.
    pub(crate) duration: Option<i64>,
    pub(crate) tags: Parts<KeyValue>,
    pub(crate) logs: Parts<Event>,
    pub(crate) incomplete: bool,
}

/// A span that another one names.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    /// `FOLLOWS_FROM`, else `CHILD_OF`.
    pub(crate) follows: bool,
    pub(crate) trace_id: Vec<u8>,
    pub(crate) span_id: Vec<u8>,
}

/// What emitted the spans.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) service: String,
    pub(crate) tags: Parts<KeyValue>,
}

impl Process {
    /// The process as a resource. Jaeger's clients call `hostname` what the conventions call `host.name`.
    pub(crate) fn resource(self) -> Resource {
        let mut attributes = Vec::new();
        if !self.service.is_empty() {
            attributes.push(text("service.name", self.service));
        }
        let named = !attributes.is_empty();
        let has_host = self.tags.kept.iter().any(|tag| tag.key == "host.name");
        for mut tag in self.tags.kept {
            if tag.key == "hostname" && !has_host {
                "host.name".clone_into(&mut tag.key);
            }
            if tag.key != "service.name" || !named {
                attributes.push(tag);
            }
        }
        Resource { attributes, dropped_attributes_count: self.tags.dropped, ..Resource::default() }
    }
}

impl Span {
    /// Puts the span into a request, under its process.
    pub(crate) fn put(mut self, process: Place, draft: &mut Draft) -> Result<(), Error> {
        let mut tags = std::mem::take(&mut self.tags.kept);
        let lifted = Lifted::take(&mut tags, |value| is_true(value).then(String::new));
        if self.incomplete {
            tags.push(any("jaeger.incomplete", Value::BoolValue(true)));
        }
        let parent = self.parent();
        let mut span = OtlpSpan {
            links: self.links(&parent),
            parent_span_id: parent,
            flags: if self.flags & SAMPLED_OR_DEBUG != 0 { SAMPLED } else { 0 },
            start_time_unix_nano: unix_nano(self.start),
            end_time_unix_nano: unix_nano(self.end()),
            trace_id: self.trace_id,
            span_id: self.span_id,
            name: self.name,
            attributes: tags,
            dropped_attributes_count: self.tags.dropped,
            events: self.logs.kept,
            dropped_events_count: self.logs.dropped,
            dropped_links_count: self.references.dropped,
            ..OtlpSpan::default()
        };
        let scope = lifted.put(&mut span);
        draft.push(process, &scope, &span)
    }

    /// The parent's id: the one that is told; else of the references within the trace the first `CHILD_OF`, else the
    /// first. Jaeger goes by the same order.
    fn parent(&self) -> Vec<u8> {
        if self.parent_span_id.iter().any(|byte| *byte != 0) {
            return self.parent_span_id.clone();
        }
        let within = || self.references.kept.iter().filter(|reference| reference.trace_id == self.trace_id);
        let parent = within().find(|reference| !reference.follows).or_else(|| within().next());
        parent.map(|reference| reference.span_id.clone()).unwrap_or_default()
    }

    /// What is referred to besides the parent, with how.
    fn links(&self, parent: &[u8]) -> Vec<Link> {
        let is_parent = |reference: &Reference| {
            !reference.follows && reference.trace_id == self.trace_id && reference.span_id == parent
        };
        let link = |reference: &Reference| {
            let how = if reference.follows { "follows_from" } else { "child_of" };
            Link {
                trace_id: reference.trace_id.clone(),
                span_id: reference.span_id.clone(),
                attributes: vec![text("opentracing.ref_type", how)],
                ..Link::default()
            }
        };
        self.references.kept.iter().filter(|reference| !is_parent(reference)).map(link).collect()
    }

    fn end(&self) -> Option<i64> {
        match self.start {
            Some(0) => Some(0),
            start => start?.checked_add(self.duration?),
        }
    }
}

/// A time as OTLP has it; what does not fit is a time that is refused.
pub(crate) fn unix_nano(nanos: Option<i64>) -> u64 {
    nanos.map_or(u64::MAX, i64::cast_unsigned)
}
