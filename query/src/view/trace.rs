//! One trace: its rows, each span once, as OTLP.
//!
//! A span's identity is (trace, span, kind, service); of rows that share it the last stored one counts. Every field
//! that was stored comes out again; attributes keep their types, their order is promoted ones first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StructArray};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link as SpanLink};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use tracelake_model::column::{
    DROPPED_ATTRIBUTES_COUNT, DROPPED_EVENTS_COUNT, DROPPED_LINKS_COUNT, END_UNIX_NANO, EVENTS, FLAGS, KIND, LINKS,
    NAME, PARENT_SPAN_ID, RESOURCE_ATTRIBUTES, RESOURCE_SCHEMA_URL, SCHEMA_URL, SCOPE_ATTRIBUTES, SCOPE_NAME,
    SCOPE_VERSION, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, STATUS_CODE, STATUS_MESSAGE, TRACE_ID, TRACE_STATE,
};
use tracelake_model::{Table, TenantId, TraceId, from_hex};

use crate::engine::Engine;
use crate::error::Error;
use crate::map::parent::{Link, span_number};
use crate::map::span::Interner;
use crate::view::attribute::{Attributes, key_values, parse};
use crate::view::column::{binary, bytes_at, int, list, small, text, text_at};

/// Spans of one trace that are assembled; a greater trace is refused.
const TRACE_SPANS_MAX: usize = 250_000;

/// A trace's spans in the order of their ids, each once.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) spans: Vec<TraceSpan>,
    /// Names of the services, by [`Link::service`].
    pub(crate) services: Interner<Arc<str>>,
    resources: Interner<[String; 2]>,
    scopes: Interner<[String; 4]>,
}

/// One span with where it belongs.
#[derive(Debug)]
pub(crate) struct TraceSpan {
    /// Ids, kind and service.
    pub(crate) link: Link,
    /// The span as OTLP.
    pub(crate) span: Span,
    resource: u32,
    scope: u32,
}

/// Reads a trace; `None` when no span of it is stored.
pub(crate) async fn read(engine: &Engine, tenant: &TenantId, id: TraceId) -> Result<Option<Trace>, Error> {
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let mut stream = engine.rows_of_traces(&snapshot, Table::Spans, BTreeSet::from([id.0.to_vec()]), &[]).await?;
    let mut trace = Trace::default();
    while let Some(batch) = stream.try_next().await? {
        trace.push(&batch);
        if trace.spans.len() > TRACE_SPANS_MAX {
            return Err(Error::TooLarge(format!(
                "trace {id} has more than {TRACE_SPANS_MAX} spans; ask for it by SQL"
            )));
        }
    }
    trace.seal();
    Ok((!trace.spans.is_empty()).then_some(trace))
}

impl Trace {
    /// Takes in rows with all columns of the table's files.
    pub(crate) fn push(&mut self, batch: &RecordBatch) {
        let columns = SpanColumns::new(batch);
        for row in 0..batch.num_rows() {
            let span = columns.span(row);
            let link = Link {
                span: span_number(&span.span_id),
                parent: span_number(&span.parent_span_id),
                kind: i8::try_from(span.kind).unwrap_or(0),
                service: self.services.intern_text(text(batch, SERVICE_NAME).value(row)),
            };
            let own = |name: &str| text_at(text(batch, name), row).unwrap_or_default().to_owned();
            let resource = self.resources.intern([RESOURCE_ATTRIBUTES, RESOURCE_SCHEMA_URL].map(own));
            let scope = self.scopes.intern([SCOPE_NAME, SCOPE_VERSION, SCOPE_ATTRIBUTES, SCHEMA_URL].map(own));
            self.spans.push(TraceSpan { link, span, resource, scope });
        }
    }

    /// Takes in one span as it would come out of a row.
    #[cfg(test)]
    pub(crate) fn push_span(&mut self, service: &str, span: Span) {
        let link = Link {
            span: span_number(&span.span_id),
            parent: span_number(&span.parent_span_id),
            kind: i8::try_from(span.kind).unwrap_or(0),
            service: self.services.intern_text(service),
        };
        let resource = self.resources.intern(Default::default());
        let scope = self.scopes.intern(Default::default());
        self.spans.push(TraceSpan { link, span, resource, scope });
    }

    /// Orders the spans and keeps of each the row that came last.
    pub(crate) fn seal(&mut self) {
        let identity = |span: &TraceSpan| (span.link.span, span.link.kind, span.link.service);
        self.spans.reverse();
        self.spans.sort_by_key(identity);
        self.spans.dedup_by_key(|span| identity(span));
    }

    /// The trace as OTLP, grouped by resource and scope, earliest spans first.
    pub(crate) fn into_otlp(mut self) -> TracesData {
        self.spans.sort_by_key(|one| (one.span.start_time_unix_nano, one.link.span));
        let mut data = TracesData::default();
        let mut resource_places: HashMap<u32, usize> = HashMap::new();
        let mut scope_places: HashMap<(u32, u32), usize> = HashMap::new();
        for one in self.spans {
            let resource_place = *resource_places.entry(one.resource).or_insert_with(|| {
                data.resource_spans.push(resource_spans(self.resources.get(one.resource)));
                data.resource_spans.len() - 1
            });
            let scopes = &mut data.resource_spans[resource_place].scope_spans;
            let scope_place = *scope_places.entry((one.resource, one.scope)).or_insert_with(|| {
                scopes.push(scope_spans(self.scopes.get(one.scope)));
                scopes.len() - 1
            });
            scopes[scope_place].spans.push(one.span);
        }
        data
    }
}

fn resource_spans([attributes, schema_url]: &[String; 2]) -> ResourceSpans {
    let resource = Resource { attributes: key_values(parse(filled(attributes))), ..Resource::default() };
    ResourceSpans { resource: Some(resource), scope_spans: Vec::new(), schema_url: schema_url.clone() }
}

fn scope_spans([name, version, attributes, schema_url]: &[String; 4]) -> ScopeSpans {
    let is_empty = name.is_empty() && version.is_empty() && attributes.is_empty();
    let scope = (!is_empty).then(|| InstrumentationScope {
        name: name.clone(),
        version: version.clone(),
        attributes: key_values(parse(filled(attributes))),
        dropped_attributes_count: 0,
    });
    ScopeSpans { scope, spans: Vec::new(), schema_url: schema_url.clone() }
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

struct SpanColumns<'a> {
    batch: &'a RecordBatch,
    attributes: Attributes<'a>,
}

impl<'a> SpanColumns<'a> {
    fn new(batch: &'a RecordBatch) -> Self {
        Self { batch, attributes: Attributes::new(batch, Table::Spans) }
    }

    fn span(&self, row: usize) -> Span {
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
            links: self.items(LINKS, row, link),
            dropped_links_count: count(DROPPED_LINKS_COUNT),
            status: Some(status),
        }
    }

    fn items<T>(&self, name: &str, row: usize, read: impl Fn(&StructArray, usize) -> T) -> Vec<T> {
        let lists = list(self.batch, name);
        if lists.is_null(row) {
            return Vec::new();
        }
        let items = lists.value(row);
        let items = items.as_struct();
        (0..items.len()).map(|at| read(items, at)).collect()
    }
}

fn event(events: &StructArray, at: usize) -> Event {
    Event {
        time_unix_nano: u64::try_from(field_int(events, "time", at)).unwrap_or(0),
        name: field_text(events, "name", at).unwrap_or_default().to_owned(),
        attributes: key_values(parse(field_text(events, "attributes", at))),
        dropped_attributes_count: u32::try_from(field_int(events, "dropped", at)).unwrap_or(0),
    }
}

fn link(links: &StructArray, at: usize) -> SpanLink {
    let id = |name| field_text(links, name, at).and_then(from_hex).unwrap_or_default();
    SpanLink {
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
