//! Rows of `spans`.

use arrow::array::{BinaryBuilder, Int8Builder, Int64Builder, StringBuilder};
use tracelake_model::column as name;
use tracelake_model::semconv::{CLOCK, CUT, END_BEFORE_START, NO_TIME};
use tracelake_model::{Batch, DecodeLimits, SpanId, Table, TraceId};

use crate::column::assemble::Assemble;
use crate::column::attribute::{AttributeColumns, tidy};
use crate::column::event::{EventColumn, LinkColumn};
use crate::column::interned::Interned;
use crate::column::resource::OriginColumns;
use crate::error::Error;
use crate::otlp::partial::Reason;
use crate::wire::span::Span;

/// Greatest number of `SpanKind` and of `StatusCode` in OTLP; an unknown number counts as 0, unspecified.
const KIND_MAX: i32 = 5;
const STATUS_MAX: i32 = 2;

/// Spans, column by column.
pub(crate) struct SpanRows {
    limits: DecodeLimits,
    rows: usize,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    parent_span_id: BinaryBuilder,
    trace_state: StringBuilder,
    flags: Int64Builder,
    name: Interned,
    kind: Int8Builder,
    start: Int64Builder,
    end: Int64Builder,
    duration: Int64Builder,
    status_code: Int8Builder,
    status_message: StringBuilder,
    attributes: AttributeColumns,
    /// Resource and scope of the rows.
    pub(crate) origin: OriginColumns,
    events: EventColumn,
    links: LinkColumn,
    dropped_attributes: Int64Builder,
    dropped_events: Int64Builder,
    dropped_links: Int64Builder,
}

impl SpanRows {
    /// No row yet. `elsewhere` bounds resources and scopes.
    pub(crate) fn new(limits: DecodeLimits, elsewhere: DecodeLimits) -> Self {
        Self {
            limits,
            rows: 0,
            trace_id: BinaryBuilder::with_capacity(0, 0),
            span_id: BinaryBuilder::with_capacity(0, 0),
            parent_span_id: BinaryBuilder::with_capacity(0, 0),
            trace_state: StringBuilder::with_capacity(0, 0),
            flags: Int64Builder::with_capacity(0),
            name: Interned::default(),
            kind: Int8Builder::with_capacity(0),
            start: Int64Builder::with_capacity(0),
            end: Int64Builder::with_capacity(0),
            duration: Int64Builder::with_capacity(0),
            status_code: Int8Builder::with_capacity(0),
            status_message: StringBuilder::with_capacity(0, 0),
            attributes: AttributeColumns::span(),
            origin: OriginColumns::new(elsewhere),
            events: EventColumn::new(),
            links: LinkColumn::new(),
            dropped_attributes: Int64Builder::with_capacity(0),
            dropped_events: Int64Builder::with_capacity(0),
            dropped_links: Int64Builder::with_capacity(0),
        }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// One span; refused when one of its ids is none. A parent id that is none makes it a root.
    pub(crate) fn push(&mut self, mut span: Span<'_>) -> Result<(), Reason> {
        let trace_id = TraceId::from_bytes(span.trace_id).ok_or(Reason::TraceId)?;
        let span_id = SpanId::from_bytes(span.span_id).ok_or(Reason::SpanId)?;
        self.trace_id.append_value(trace_id.0);
        self.span_id.append_value(span_id.0);
        self.parent_span_id.append_option(SpanId::from_bytes(span.parent_span_id).map(|id| id.0));
        self.trace_state.append_option(nonempty(span.trace_state));
        self.flags.append_value(i64::from(span.flags));
        self.name.push(span.name);
        self.kind.append_value(known(span.kind, KIND_MAX));
        self.start.append_value(span.start_unix_nano);
        self.end.append_value(span.end_unix_nano);
        let (duration, oddity) = duration(span.start_unix_nano, span.end_unix_nano);
        self.duration.append_value(duration);
        self.status_code.append_value(known(span.status_code, STATUS_MAX));
        self.status_message.append_option(nonempty(span.status_message));
        let tidied = tidy(&mut span.attributes, &self.limits);
        let mut marks = Vec::new();
        marks.extend(oddity.map(|oddity| (CLOCK, oddity)));
        marks.extend(tidied.cut.as_deref().map(|cut| (CUT, cut)));
        self.attributes.push(&span.attributes, &marks);
        self.origin.push();
        self.events.push(span.events, &self.limits);
        self.links.push(span.links, &self.limits);
        self.dropped_attributes.append_value(i64::from(span.dropped_attributes_count) + i64::from(tidied.dropped));
        self.dropped_events.append_value(i64::from(span.dropped_events_count));
        self.dropped_links.append_value(i64::from(span.dropped_links_count));
        self.rows += 1;
        Ok(())
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let mut columns = Assemble::new(Table::Spans);
        columns.put(name::TRACE_ID, self.trace_id.finish());
        columns.put(name::SPAN_ID, self.span_id.finish());
        columns.put(name::PARENT_SPAN_ID, self.parent_span_id.finish());
        columns.put(name::TRACE_STATE, self.trace_state.finish());
        columns.put(name::FLAGS, self.flags.finish());
        columns.put_ref(name::NAME, self.name.finish()?);
        columns.put(name::KIND, self.kind.finish());
        columns.put(name::START_UNIX_NANO, self.start.finish());
        columns.put(name::END_UNIX_NANO, self.end.finish());
        columns.put(name::DURATION_NS, self.duration.finish());
        columns.put(name::STATUS_CODE, self.status_code.finish());
        columns.put(name::STATUS_MESSAGE, self.status_message.finish());
        self.attributes.finish(&mut columns);
        self.origin.finish(&mut columns)?;
        columns.put_ref(name::EVENTS, self.events.finish()?);
        columns.put_ref(name::LINKS, self.links.finish()?);
        columns.put(name::DROPPED_ATTRIBUTES_COUNT, self.dropped_attributes.finish());
        columns.put(name::DROPPED_EVENTS_COUNT, self.dropped_events.finish());
        columns.put(name::DROPPED_LINKS_COUNT, self.dropped_links.finish());
        columns.finish(self.rows)
    }
}

/// OTLP does not tell empty text from absent text.
pub(crate) fn nonempty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// An enum's number if it is one of 0 to `max`, else 0.
pub(crate) fn known(number: i32, max: i32) -> i8 {
    if (0..=max).contains(&number) { i8::try_from(number).unwrap_or(0) } else { 0 }
}

/// Duration in nanoseconds, and what is odd about the times.
fn duration(start: i64, end: i64) -> (i64, Option<&'static str>) {
    match end.checked_sub(start) {
        _ if start == 0 => (0, Some(NO_TIME)),
        Some(duration) if duration >= 0 => (duration, None),
        _ => (0, Some(END_BEFORE_START)),
    }
}
