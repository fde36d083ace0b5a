//! The list columns of a span: its events and its links. A span without any has null there.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, StringBuilder};
use arrow::datatypes::DataType;
use tracelake_model::{DecodeLimits, SpanId, TraceId, event_fields, link_fields};

use crate::column::attribute::JsonColumn;
use crate::column::sparse::{Offsets, structs};
use crate::error::Error;
use crate::wire::span::{Event, Link};

/// The `events` column.
pub(crate) struct EventColumn {
    offsets: Offsets,
    items: usize,
    time: Int64Builder,
    name: StringBuilder,
    attributes: JsonColumn,
    dropped: Int64Builder,
}

impl EventColumn {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self {
            offsets: Offsets::new(),
            items: 0,
            time: Int64Builder::with_capacity(0),
            name: StringBuilder::with_capacity(0, 0),
            attributes: JsonColumn::default(),
            dropped: Int64Builder::with_capacity(0),
        }
    }

    /// The events of row `row`.
    pub(crate) fn set(&mut self, row: usize, events: &mut Vec<Event<'_>>, limits: &DecodeLimits) {
        if events.is_empty() {
            return;
        }
        self.items += events.len();
        for mut event in events.drain(..) {
            self.time.append_value(event.time_unix_nano);
            self.name.append_value(event.name);
            let dropped = self.attributes.push(&mut event.attributes, limits);
            self.dropped.append_value(i64::from(event.dropped_attributes_count) + i64::from(dropped));
        }
        self.offsets.set(row, self.items);
    }

    /// The column.
    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, Error> {
        self.offsets.finish(rows, &DataType::Struct(event_fields()), || {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(self.time.finish()),
                Arc::new(self.name.finish()),
                Arc::new(self.attributes.finish()),
                Arc::new(self.dropped.finish()),
            ];
            structs(event_fields(), columns)
        })
    }
}

/// The `links` column.
pub(crate) struct LinkColumn {
    offsets: Offsets,
    items: usize,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    trace_state: StringBuilder,
    attributes: JsonColumn,
    flags: Int64Builder,
    dropped: Int64Builder,
}

impl LinkColumn {
    /// No row yet.
    pub(crate) fn new() -> Self {
        Self {
            offsets: Offsets::new(),
            items: 0,
            trace_id: StringBuilder::with_capacity(0, 0),
            span_id: StringBuilder::with_capacity(0, 0),
            trace_state: StringBuilder::with_capacity(0, 0),
            attributes: JsonColumn::default(),
            flags: Int64Builder::with_capacity(0),
            dropped: Int64Builder::with_capacity(0),
        }
    }

    /// The links of row `row`. An id that is none is null; the link is kept.
    pub(crate) fn set(&mut self, row: usize, links: &mut Vec<Link<'_>>, limits: &DecodeLimits) {
        if links.is_empty() {
            return;
        }
        self.items += links.len();
        for mut link in links.drain(..) {
            self.trace_id.append_option(TraceId::from_bytes(link.trace_id).map(|id| id.to_string()));
            self.span_id.append_option(SpanId::from_bytes(link.span_id).map(|id| id.to_string()));
            self.trace_state.append_option((!link.trace_state.is_empty()).then_some(link.trace_state));
            let dropped = self.attributes.push(&mut link.attributes, limits);
            self.flags.append_value(i64::from(link.flags));
            self.dropped.append_value(i64::from(link.dropped_attributes_count) + i64::from(dropped));
        }
        self.offsets.set(row, self.items);
    }

    /// The column.
    pub(crate) fn finish(mut self, rows: usize) -> Result<ArrayRef, Error> {
        self.offsets.finish(rows, &DataType::Struct(link_fields()), || {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(self.trace_id.finish()),
                Arc::new(self.span_id.finish()),
                Arc::new(self.trace_state.finish()),
                Arc::new(self.attributes.finish()),
                Arc::new(self.flags.finish()),
                Arc::new(self.dropped.finish()),
            ];
            structs(link_fields(), columns)
        })
    }
}
