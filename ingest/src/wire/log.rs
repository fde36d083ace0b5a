//! One `LogRecord` (`opentelemetry/proto/logs/v1/logs.proto`).

use crate::otlp::partial::Reason;
use crate::wire::field::{Fields, Malformed};
use crate::wire::value::{Any, Attributes, Walk};

/// A log record as sent, times checked to fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogRecord<'a> {
    pub(crate) time_unix_nano: i64,
    pub(crate) observed_unix_nano: i64,
    pub(crate) severity_number: i32,
    pub(crate) severity_text: &'a str,
    pub(crate) body: Any<'a>,
    pub(crate) attributes: Attributes<'a>,
    pub(crate) dropped_attributes_count: u32,
    pub(crate) flags: u32,
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    pub(crate) event_name: &'a str,
}

impl<'a> LogRecord<'a> {
    /// Reads one message in the place of the record before.
    pub(crate) fn read(&mut self, walk: &mut Walk<'a>, message: &'a [u8]) -> Result<(), Malformed> {
        let mut attributes = std::mem::take(&mut self.attributes);
        attributes.clear();
        *self = Self { attributes, ..Self::default() };
        let record = self;
        let mut fields = Fields::new(message);
        while let Some((number, wire)) = fields.next()? {
            match number {
                1 => record.time_unix_nano = wire.bits()?,
                2 => record.severity_number = wire.enumeration()?,
                3 => record.severity_text = walk.text(wire)?,
                5 => walk.any(wire, &mut record.body)?,
                6 => walk.attribute(wire, &mut record.attributes)?,
                7 => record.dropped_attributes_count = wire.uint32()?,
                8 => record.flags = wire.fixed32()?,
                9 => record.trace_id = wire.bytes()?,
                10 => record.span_id = wire.bytes()?,
                11 => record.observed_unix_nano = wire.bits()?,
                12 => record.event_name = walk.text(wire)?,
                _ => {}
            }
        }
        walk.fit(&[record.time_unix_nano, record.observed_unix_nano], Reason::Time);
        Ok(())
    }
}
