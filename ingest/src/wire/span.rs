//! One `Span` (`opentelemetry/proto/trace/v1/trace.proto`).

use std::mem::take;

use crate::otlp::partial::Reason;
use crate::wire::field::{Fields, Malformed, Wire};
use crate::wire::value::{Attributes, Walk};

/// A span as sent, times checked to fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Span<'a> {
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) parent_span_id: &'a [u8],
    pub(crate) trace_state: &'a str,
    pub(crate) flags: u32,
    pub(crate) name: &'a str,
    pub(crate) kind: i32,
    pub(crate) start_unix_nano: i64,
    pub(crate) end_unix_nano: i64,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) events: Vec<Event<'a>>,
    pub(crate) dropped_events_count: u32,
    pub(crate) links: Vec<Link<'a>>,
    pub(crate) dropped_links_count: u32,
    pub(crate) status_code: i32,
    pub(crate) status_message: &'a str,
}

/// A span event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event<'a> {
    pub(crate) time_unix_nano: i64,
    pub(crate) name: &'a str,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes_count: u32,
}

/// A span link.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Link<'a> {
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) trace_state: &'a str,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) flags: u32,
}

impl<'a> Span<'a> {
    /// Reads one message in the place of the span before.
    pub(crate) fn read(&mut self, walk: &mut Walk<'a>, message: &'a [u8]) -> Result<(), Malformed> {
        let span = self.cleared();
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => span.trace_id = wire.bytes()?,
                2 => span.span_id = wire.bytes()?,
                3 => span.trace_state = walk.text(wire)?,
                4 => span.parent_span_id = wire.bytes()?,
                5 => span.name = walk.text(wire)?,
                6 => span.kind = wire.enumeration()?,
                7 => span.start_unix_nano = wire.bits()?,
                8 => span.end_unix_nano = wire.bits()?,
                9 => walk.attribute(wire, &mut span.attributes)?,
                10 => span.dropped_attributes_count = wire.uint32()?,
                11 => span.read_event(walk, wire)?,
                12 => span.dropped_events_count = wire.uint32()?,
                13 => span.read_link(walk, wire)?,
                14 => span.dropped_links_count = wire.uint32()?,
                15 => span.merge_status(walk, wire)?,
                16 => span.flags = wire.fixed32()?,
                _ => {}
            }
        }
        walk.fit(&[span.start_unix_nano, span.end_unix_nano], Reason::Time);
        Ok(())
    }

    /// A span with nothing but the room of its lists.
    fn cleared(&mut self) -> &mut Self {
        let (mut attributes, mut events, mut links) =
            (take(&mut self.attributes), take(&mut self.events), take(&mut self.links));
        attributes.clear();
        events.clear();
        links.clear();
        *self = Self { attributes, events, links, ..Self::default() };
        self
    }

    fn read_event(&mut self, walk: &mut Walk<'a>, wire: Wire<'a>) -> Result<(), Malformed> {
        let mut event = Event::default();
        let mut fields = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => event.time_unix_nano = wire.bits()?,
                2 => event.name = walk.text(wire)?,
                3 => walk.attribute(wire, &mut event.attributes)?,
                4 => event.dropped_attributes_count = wire.uint32()?,
                _ => {}
            }
        }
        walk.fit(&[event.time_unix_nano], Reason::Time);
        if walk.admit_row() {
            self.events.push(event);
        }
        Ok(())
    }

    fn read_link(&mut self, walk: &mut Walk<'a>, wire: Wire<'a>) -> Result<(), Malformed> {
        let mut link = Link::default();
        let mut fields = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => link.trace_id = wire.bytes()?,
                2 => link.span_id = wire.bytes()?,
                3 => link.trace_state = walk.text(wire)?,
                4 => walk.attribute(wire, &mut link.attributes)?,
                5 => link.dropped_attributes_count = wire.uint32()?,
                6 => link.flags = wire.fixed32()?,
                _ => {}
            }
        }
        if walk.admit_row() {
            self.links.push(link);
        }
        Ok(())
    }

    fn merge_status(&mut self, walk: &mut Walk<'a>, wire: Wire<'a>) -> Result<(), Malformed> {
        let mut fields = Fields::new(wire.bytes()?);
        while let Some((number, wire)) = fields.next()? {
            match number {
                2 => self.status_message = walk.text(wire)?,
                3 => self.status_code = wire.enumeration()?,
                _ => {}
            }
        }
        Ok(())
    }
}
