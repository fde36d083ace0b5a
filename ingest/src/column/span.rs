//! Rows of `spans`.

use arrow::array::{BinaryBuilder, Int8Array, Int64Array};
use tracelake_model::column as name;
use tracelake_model::semconv::{CLOCK, CUT, END_BEFORE_START, NO_TIME};
use tracelake_model::{Batch, DecodeLimits, SpanId, Table, TraceId};

use crate::column::assemble::Assemble;
use crate::column::attribute::{AttributeColumns, tidy};
use crate::column::event::{EventColumn, LinkColumn};
use crate::column::interned::Interned;
use crate::column::resource::OriginColumns;
use crate::column::sparse::Texts;
use crate::error::Error;
use crate::otlp::partial::Reason;
use crate::wire::origin::Scope;
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
    trace_state: Texts,
    flags: Vec<i64>,
    name: Interned,
    kind: Vec<i8>,
    start: Vec<i64>,
    end: Vec<i64>,
    duration: Vec<i64>,
    status_code: Vec<i8>,
    status_message: Texts,
    attributes: AttributeColumns,
    /// Resource and scope of the rows.
    pub(crate) origin: OriginColumns,
    events: EventColumn,
    links: LinkColumn,
    dropped_attributes: Vec<i64>,
    dropped_events: Vec<i64>,
    dropped_links: Vec<i64>,
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
            trace_state: Texts::new(),
            flags: Vec::new(),
            name: Interned::default(),
            kind: Vec::new(),
            start: Vec::new(),
            end: Vec::new(),
            duration: Vec::new(),
            status_code: Vec::new(),
            status_message: Texts::new(),
            attributes: AttributeColumns::span(),
            origin: OriginColumns::new(elsewhere),
            events: EventColumn::new(),
            links: LinkColumn::new(),
            dropped_attributes: Vec::new(),
            dropped_events: Vec::new(),
            dropped_links: Vec::new(),
        }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The scope of the spans that follow, and how many they are.
    pub(crate) fn scope(&mut self, scope: Scope<'_>, spans: usize) {
        self.origin.scope(scope);
        let spans = spans.min(usize::try_from(self.limits.records).unwrap_or(usize::MAX));
        let columns = [&mut self.flags, &mut self.start, &mut self.end, &mut self.duration];
        columns.into_iter().for_each(|column| column.reserve(spans));
        let dropped = [&mut self.dropped_attributes, &mut self.dropped_events, &mut self.dropped_links];
        dropped.into_iter().for_each(|column| column.reserve(spans));
        [&mut self.kind, &mut self.status_code].into_iter().for_each(|column| column.reserve(spans));
        self.name.reserve(spans);
    }

    /// One span; refused when one of its ids is none. A parent id that is none makes it a root.
    pub(crate) fn push(&mut self, span: &mut Span<'_>) -> Result<(), Reason> {
        let trace_id = TraceId::from_bytes(span.trace_id).ok_or(Reason::TraceId)?;
        let span_id = SpanId::from_bytes(span.span_id).ok_or(Reason::SpanId)?;
        self.trace_id.append_value(trace_id.0);
        self.span_id.append_value(span_id.0);
        self.parent_span_id.append_option(SpanId::from_bytes(span.parent_span_id).map(|id| id.0));
        self.trace_state.set_nonempty(self.rows, span.trace_state);
        self.flags.push(i64::from(span.flags));
        self.name.push(span.name);
        self.kind.push(known(span.kind, KIND_MAX));
        self.start.push(span.start_unix_nano);
        self.end.push(span.end_unix_nano);
        let (duration, oddity) = duration(span.start_unix_nano, span.end_unix_nano);
        self.duration.push(duration);
        self.status_code.push(known(span.status_code, STATUS_MAX));
        self.status_message.set_nonempty(self.rows, span.status_message);
        let tidied = tidy(&mut span.attributes, &self.limits);
        let mut marks = Vec::new();
        marks.extend(oddity.map(|oddity| (CLOCK, oddity)));
        marks.extend(tidied.cut.as_deref().map(|cut| (CUT, cut)));
        self.attributes.push(&span.attributes, &marks);
        self.origin.push();
        self.events.set(self.rows, &mut span.events, &self.limits);
        self.links.set(self.rows, &mut span.links, &self.limits);
        self.dropped_attributes.push(i64::from(span.dropped_attributes_count) + i64::from(tidied.dropped));
        self.dropped_events.push(i64::from(span.dropped_events_count));
        self.dropped_links.push(i64::from(span.dropped_links_count));
        self.rows += 1;
        Ok(())
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let mut columns = Assemble::new(Table::Spans);
        columns.put(name::TRACE_ID, self.trace_id.finish());
        columns.put(name::SPAN_ID, self.span_id.finish());
        columns.put(name::PARENT_SPAN_ID, self.parent_span_id.finish());
        columns.put_ref(name::TRACE_STATE, self.trace_state.finish(self.rows));
        columns.put(name::FLAGS, Int64Array::from(self.flags));
        columns.put_ref(name::NAME, self.name.finish()?);
        columns.put(name::KIND, Int8Array::from(self.kind));
        columns.put(name::START_UNIX_NANO, Int64Array::from(self.start));
        columns.put(name::END_UNIX_NANO, Int64Array::from(self.end));
        columns.put(name::DURATION_NS, Int64Array::from(self.duration));
        columns.put(name::STATUS_CODE, Int8Array::from(self.status_code));
        columns.put_ref(name::STATUS_MESSAGE, self.status_message.finish(self.rows));
        self.attributes.finish(&mut columns);
        self.origin.finish(&mut columns)?;
        columns.put_ref(name::EVENTS, self.events.finish(self.rows)?);
        columns.put_ref(name::LINKS, self.links.finish(self.rows)?);
        columns.put(name::DROPPED_ATTRIBUTES_COUNT, Int64Array::from(self.dropped_attributes));
        columns.put(name::DROPPED_EVENTS_COUNT, Int64Array::from(self.dropped_events));
        columns.put(name::DROPPED_LINKS_COUNT, Int64Array::from(self.dropped_links));
        columns.finish(self.rows)
    }
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
