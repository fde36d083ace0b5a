//! One trace: its rows, each span once, in outline and as OTLP.
//!
//! A span's identity is (trace, span, kind, service); of rows that share it the last stored one counts. Every field
//! that was stored comes out again; attributes keep their types, their order is promoted ones first. Rows stay as Arrow
//! batches until they leave, and leave piece by piece, so that a trace of 100,000 spans takes little more than its rows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::DataFusionError;
use futures::TryStreamExt;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use tracelake_model::column::{
    ATTRIBUTES_REST, END_UNIX_NANO, KIND, NAME, PARENT_SPAN_ID, RESOURCE_ATTRIBUTES, RESOURCE_SCHEMA_URL, SCHEMA_URL,
    SCOPE_ATTRIBUTES, SCOPE_NAME, SCOPE_VERSION, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, STATUS_CODE, TRACE_ID,
};
use tracelake_model::semconv::{CLOCK, END_BEFORE_START};
use tracelake_model::{Table, TenantId, TraceId};
use tracelake_storage::Snapshot;

use crate::engine::Engine;
use crate::error::Error;
use crate::map::parent::{Link, span_number};
use crate::map::span::Interner;
use crate::scan::pick::stored_of;
use crate::view::attribute::{key_values, parse};
use crate::view::column::{binary, bytes_at, int, small, text, text_at};
use crate::view::outline::{Conflict, Outline, OutlineSpan};
use crate::view::span_row::SpanColumns;

/// Spans of one trace that are assembled; a greater trace is refused.
const TRACE_SPANS_MAX: usize = 250_000;

/// Bytes of rows of one trace in memory; a greater trace is refused.
const TRACE_BYTES_MAX: usize = 512 << 20;

/// A trace's spans in the order of their ids, each once.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) outline: Outline,
    /// Resource and scope of each span of the outline, as places below.
    origins: Vec<(u32, u32)>,
    resources: Interner<[String; 2]>,
    scopes: Interner<[String; 4]>,
    batches: Vec<RecordBatch>,
}

/// Reads a trace; `None` when no span of it is stored.
pub(crate) async fn read(engine: &Engine, tenant: &TenantId, id: TraceId) -> Result<Option<Trace>, Error> {
    read_at(engine, &Arc::new(engine.store().snapshot(tenant)), id).await
}

/// The same from a snapshot in hand.
pub(crate) async fn read_at(engine: &Engine, snapshot: &Arc<Snapshot>, id: TraceId) -> Result<Option<Trace>, Error> {
    let mut stream = engine.rows_of_traces(snapshot, Table::Spans, BTreeSet::from([id.0.to_vec()]), &[]).await?;
    let (mut trace, mut bytes) = (Trace::default(), 0);
    while let Some(batch) = stream.try_next().await? {
        bytes += batch.get_array_memory_size();
        trace.push(batch);
        let spans = trace.outline.spans.len();
        if spans > TRACE_SPANS_MAX || bytes > TRACE_BYTES_MAX {
            let (spans, mib) = (TRACE_SPANS_MAX, TRACE_BYTES_MAX >> 20);
            return Err(Error::TooLarge(format!(
                "trace {id} has more than {spans} spans or {mib} MiB; ask for it by SQL"
            )));
        }
    }
    trace.seal();
    Ok((!trace.outline.spans.is_empty()).then_some(trace))
}

/// Reads several traces at once; those of which no span is stored are not among them.
pub(crate) async fn read_many(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    ids: &[TraceId],
) -> Result<HashMap<TraceId, Trace>, Error> {
    let mut traces: HashMap<TraceId, Trace> = HashMap::new();
    if ids.is_empty() {
        return Ok(traces);
    }
    let wanted = ids.iter().map(|id| id.0.to_vec()).collect();
    let mut stream = engine.rows_of_traces(snapshot, Table::Spans, wanted, &[]).await?;
    let (mut spans, mut bytes) = (0, 0);
    while let Some(batch) = stream.try_next().await? {
        (spans, bytes) = (spans + batch.num_rows(), bytes + batch.get_array_memory_size());
        if spans > TRACE_SPANS_MAX || bytes > TRACE_BYTES_MAX {
            let (spans, mib) = (TRACE_SPANS_MAX, TRACE_BYTES_MAX >> 20);
            return Err(Error::TooLarge(format!(
                "these traces have more than {spans} spans or {mib} MiB together; ask for fewer, with a lower limit"
            )));
        }
        for (id, rows) in rows_by_trace(&batch) {
            traces.entry(id).or_default().push(take_record_batch(&batch, &rows).map_err(DataFusionError::from)?);
        }
    }
    traces.values_mut().for_each(Trace::seal);
    Ok(traces)
}

/// The rows of each trace, in their order.
fn rows_by_trace(batch: &RecordBatch) -> HashMap<TraceId, UInt32Array> {
    let mut rows: HashMap<TraceId, Vec<u32>> = HashMap::new();
    let ids = binary(batch, TRACE_ID);
    for (number, id) in (0..).zip(ids.iter()) {
        if let Some(id) = id.and_then(TraceId::from_bytes) {
            rows.entry(id).or_default().push(number);
        }
    }
    rows.into_iter().map(|(id, rows)| (id, rows.into())).collect()
}

impl Trace {
    /// Takes in rows with all columns of the table's files.
    pub(crate) fn push(&mut self, batch: RecordBatch) {
        let number = u32::try_from(self.batches.len()).unwrap_or(u32::MAX);
        let (span, parent, kind) = (binary(&batch, SPAN_ID), binary(&batch, PARENT_SPAN_ID), small(&batch, KIND));
        let (start, end) = (int(&batch, START_UNIX_NANO), int(&batch, END_UNIX_NANO));
        let (service, name) = (text(&batch, SERVICE_NAME), text(&batch, NAME));
        let (status, rest) = (small(&batch, STATUS_CODE), text(&batch, ATTRIBUTES_REST));
        let resource = [RESOURCE_ATTRIBUTES, RESOURCE_SCHEMA_URL].map(|name| text(&batch, name));
        let scope = [SCOPE_NAME, SCOPE_VERSION, SCOPE_ATTRIBUTES, SCHEMA_URL].map(|name| text(&batch, name));
        let stored = stored_of(&batch);
        for row in 0..batch.num_rows() {
            let own = |column: &arrow::array::StringArray| text_at(column, row).unwrap_or_default().to_owned();
            let resource = self.resources.intern(resource.map(own));
            let scope = self.scopes.intern(scope.map(own));
            let link = Link {
                span: span_number(span.value(row)),
                parent: bytes_at(parent, row).map_or(0, span_number),
                kind: kind.value(row),
                service: self.outline.services.intern_text(service.value(row)),
            };
            self.origins.push((resource, scope));
            self.outline.spans.push(OutlineSpan {
                link,
                start: start.value(row),
                end: end.value(row).max(start.value(row)),
                status: status.value(row),
                name: self.outline.names.intern_text(name.value(row)),
                process: resource,
                ends_before_start: text_at(rest, row).is_some_and(ends_before_start),
                stored,
                row: (number, u32::try_from(row).unwrap_or(u32::MAX)),
            });
        }
        self.batches.push(batch);
    }

    /// Orders the spans, keeps of each the row that came last, and notes which rows it differs from.
    pub(crate) fn seal(&mut self) {
        let mut rows: Vec<(OutlineSpan, (u32, u32))> =
            std::mem::take(&mut self.outline.spans).into_iter().zip(std::mem::take(&mut self.origins)).collect();
        let identity = |span: &OutlineSpan| (span.link.span, span.link.kind, span.link.service);
        rows.reverse();
        rows.sort_by_key(|(span, _)| identity(span));
        for versions in rows.chunk_by(|a, b| identity(&a.0) == identity(&b.0)) {
            let (last, origin) = versions[0];
            if versions.len() > 1 {
                self.compare(versions);
            }
            self.outline.spans.push(last);
            self.origins.push(origin);
        }
    }

    /// Notes whether rows of one span, the last one first, are equal in all fields.
    fn compare(&mut self, versions: &[(OutlineSpan, (u32, u32))]) {
        let content = |(span, origin): &(OutlineSpan, (u32, u32))| (*origin, self.span_at(span.row).encode_to_vec());
        let mut contents: Vec<_> = versions.iter().map(content).collect();
        let last = contents[0].clone();
        self.outline.repeated += contents[1..].iter().filter(|one| **one == last).count();
        contents.sort_unstable();
        contents.dedup();
        if contents.len() > 1 {
            self.outline.conflicts.push(Conflict { link: versions[0].0.link, versions: contents.len() });
        }
    }

    /// A span of the outline as OTLP.
    pub(crate) fn span(&self, at: usize) -> Span {
        self.span_at(self.outline.spans[at].row)
    }

    fn span_at(&self, (batch, row): (u32, u32)) -> Span {
        SpanColumns::new(&self.batches[place(batch)]).span(place(row))
    }

    /// The attributes of a span's resource.
    pub(crate) fn resource(&self, at: usize) -> Resource {
        resource(self.resources.get(self.origins[at].0))
    }

    /// Numbers of the resources of all spans; equal for equal resources.
    pub(crate) fn resource_place(&self, at: usize) -> u32 {
        self.origins[at].0
    }

    /// The scope of a span, where it has one.
    pub(crate) fn scope(&self, at: usize) -> Option<InstrumentationScope> {
        scope(self.scopes.get(self.origins[at].1))
    }

    /// The rows, as they were read.
    pub(crate) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Places of the spans, the earliest first.
    pub(crate) fn by_start(&self) -> Vec<usize> {
        let spans = &self.outline.spans;
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|at| (spans[*at].start, spans[*at].link.span));
        order
    }

    /// Some spans as OTLP, grouped by resource and scope in the order given.
    pub(crate) fn otlp(&self, spans: &[usize]) -> TracesData {
        let mut data = TracesData::default();
        let mut resource_places: HashMap<u32, usize> = HashMap::new();
        let mut scope_places: HashMap<(u32, u32), usize> = HashMap::new();
        let columns: Vec<SpanColumns<'_>> = self.batches.iter().map(SpanColumns::new).collect();
        for &at in spans {
            let (origin, (batch, row)) = (self.origins[at], self.outline.spans[at].row);
            let resource_place = *resource_places.entry(origin.0).or_insert_with(|| {
                data.resource_spans.push(resource_spans(self.resources.get(origin.0)));
                data.resource_spans.len() - 1
            });
            let scopes = &mut data.resource_spans[resource_place].scope_spans;
            let scope_place = *scope_places.entry(origin).or_insert_with(|| {
                scopes.push(scope_spans(self.scopes.get(origin.1)));
                scopes.len() - 1
            });
            scopes[scope_place].spans.push(columns[place(batch)].span(place(row)));
        }
        data
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Whether a span's attributes carry the mark that ingest gives to such a span.
fn ends_before_start(rest: &str) -> bool {
    rest.contains(CLOCK)
        && parse(Some(rest)).iter().any(|(key, value)| key == CLOCK && value.to_text() == END_BEFORE_START)
}

fn resource([attributes, _]: &[String; 2]) -> Resource {
    Resource { attributes: key_values(parse(filled(attributes))), ..Resource::default() }
}

fn resource_spans(texts: &[String; 2]) -> ResourceSpans {
    ResourceSpans { resource: Some(resource(texts)), scope_spans: Vec::new(), schema_url: texts[1].clone() }
}

fn scope([name, version, attributes, _]: &[String; 4]) -> Option<InstrumentationScope> {
    let is_empty = name.is_empty() && version.is_empty() && attributes.is_empty();
    (!is_empty).then(|| InstrumentationScope {
        name: name.clone(),
        version: version.clone(),
        attributes: key_values(parse(filled(attributes))),
        dropped_attributes_count: 0,
    })
}

fn scope_spans(texts: &[String; 4]) -> ScopeSpans {
    ScopeSpans { scope: scope(texts), spans: Vec::new(), schema_url: texts[3].clone() }
}

fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
