//! Rows of spans as OTLP spans, every field.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StructArray};
use arrow::datatypes::Int64Type;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use tracelake_model::column::{
    DROPPED_ATTRIBUTES_COUNT, DROPPED_EVENTS_COUNT, DROPPED_LINKS_COUNT, END_UNIX_NANO, EVENTS, FLAGS, KIND, LINKS,
    NAME, PARENT_SPAN_ID, SPAN_ID, START_UNIX_NANO, STATUS_CODE, STATUS_MESSAGE, TRACE_ID, TRACE_STATE,
};
use tracelake_model::{Table, from_hex};

use crate::view::attribute::{Attributes, key_values, parse};
use crate::view::column::{binary, bytes_at, int, list, small, text, text_at};

/// A batch with all columns of the spans' files.
pub(crate) struct SpanColumns<'a> {
    batch: &'a RecordBatch,
    attributes: Attributes<'a>,
}

impl<'a> SpanColumns<'a> {
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        Self { batch, attributes: Attributes::new(batch, Table::Spans) }
    }

    /// The span of a row.
    pub(crate) fn span(&self, row: usize) -> Span {
        let id = |name| bytes_at(binary(self.batch, name), row).unwrap_or_default().to_vec();
        let words = |name| text_at(text(self.batch, name), row).unwrap_or_default().to_owned();
        let time = |name| u64::try_from(int(self.batch, name).value(row)).unwrap_or(0);
        let code = |name| i32::from(small(self.batch, name).value(row));
        let count = |name| count_at(int(self.batch, name), row);
        let status = Status { message: words(STATUS_MESSAGE), code: code(STATUS_CODE) };
        Span {
            trace_id: id(TRACE_ID),
            span_id: id(SPAN_ID),
            trace_state: words(TRACE_STATE),
            parent_span_id: id(PARENT_SPAN_ID),
            flags: count(FLAGS),
            name: words(NAME),
            kind: code(KIND),
            start_time_unix_nano: time(START_UNIX_NANO),
            end_time_unix_nano: time(END_UNIX_NANO),
            attributes: key_values(self.attributes.of(row)),
            dropped_attributes_count: count(DROPPED_ATTRIBUTES_COUNT),
            events: self.items(EVENTS, row, event),
            dropped_events_count: count(DROPPED_EVENTS_COUNT),
            links: links_at(self.batch, row),
            dropped_links_count: count(DROPPED_LINKS_COUNT),
            status: Some(status),
        }
    }

    fn items<T>(&self, name: &str, row: usize, read: impl Fn(&StructArray, usize) -> T) -> Vec<T> {
        items(self.batch, name, row, read)
    }
}

/// The links of a row of a batch that has their column.
pub(crate) fn links_at(batch: &RecordBatch, row: usize) -> Vec<Link> {
    items(batch, LINKS, row, link)
}

fn items<T>(batch: &RecordBatch, name: &str, row: usize, read: impl Fn(&StructArray, usize) -> T) -> Vec<T> {
    let lists = list(batch, name);
    if lists.is_null(row) {
        return Vec::new();
    }
    let items = lists.value(row);
    let items = items.as_struct();
    (0..items.len()).map(|at| read(items, at)).collect()
}

fn event(events: &StructArray, at: usize) -> Event {
    Event {
        time_unix_nano: u64::try_from(field_int(events, "time", at)).unwrap_or(0),
        name: field_text(events, "name", at).unwrap_or_default().to_owned(),
        attributes: key_values(parse(field_text(events, "attributes", at))),
        dropped_attributes_count: u32::try_from(field_int(events, "dropped", at)).unwrap_or(0),
    }
}

fn link(links: &StructArray, at: usize) -> Link {
    let id = |name| field_text(links, name, at).and_then(from_hex).unwrap_or_default();
    Link {
        trace_id: id("trace_id"),
        span_id: id("span_id"),
        trace_state: field_text(links, "trace_state", at).unwrap_or_default().to_owned(),
        attributes: key_values(parse(field_text(links, "attributes", at))),
        dropped_attributes_count: u32::try_from(field_int(links, "dropped", at)).unwrap_or(0),
        flags: u32::try_from(field_int(links, "flags", at)).unwrap_or(0),
    }
}

fn field_text<'a>(items: &'a StructArray, name: &str, at: usize) -> Option<&'a str> {
    items.column_by_name(name)?.as_string_opt::<i32>().and_then(|column| text_at(column, at))
}

fn field_int(items: &StructArray, name: &str, at: usize) -> i64 {
    let column = items.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
    column.filter(|column| column.is_valid(at)).map_or(0, |column| column.value(at))
}

fn count_at(column: &Int64Array, row: usize) -> u32 {
    u32::try_from(column.value(row)).unwrap_or(u32::MAX)
}
