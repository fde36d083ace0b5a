//! Rows of `logs`.

use arrow::array::{BinaryBuilder, Int8Array, Int64Array};
use tracelake_model::column as name;
use tracelake_model::semconv::{CLOCK, CUT, NO_TIME};
use tracelake_model::{Batch, DecodeLimits, SpanId, Table, TraceId, UnixNano};

use crate::column::assemble::Assemble;
use crate::column::attribute::{AttributeColumns, Tidied, cut, push_text, tidy_but};
use crate::column::interned::Interned;
use crate::column::resource::OriginColumns;
use crate::column::span::known;
use crate::column::sparse::Texts;
use crate::error::Error;
use crate::wire::log::LogRecord;
use crate::wire::origin::Scope;
use crate::wire::value::Any;

/// Greatest severity number of OTLP; others count as 0, unspecified.
const SEVERITY_MAX: i32 = 24;

/// Log records, column by column.
pub(crate) struct LogRows {
    limits: DecodeLimits,
    received: UnixNano,
    rows: usize,
    time: Vec<i64>,
    observed: Vec<i64>,
    severity_number: Vec<i8>,
    severity_text: Interned,
    body: Texts,
    body_text: String,
    body_type: Interned,
    event_name: Interned,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    flags: Vec<i64>,
    attributes: AttributeColumns,
    /// Resource and scope of the rows.
    pub(crate) origin: OriginColumns,
    dropped_attributes: Vec<i64>,
}

impl LogRows {
    /// No row yet. `elsewhere` bounds resources and scopes; `received` is the time of records that carry none.
    pub(crate) fn new(limits: DecodeLimits, elsewhere: DecodeLimits, received: UnixNano) -> Self {
        Self {
            limits,
            received,
            rows: 0,
            time: Vec::new(),
            observed: Vec::new(),
            severity_number: Vec::new(),
            severity_text: Interned::default(),
            body: Texts::new(),
            body_text: String::new(),
            body_type: Interned::default(),
            event_name: Interned::default(),
            trace_id: BinaryBuilder::with_capacity(0, 0),
            span_id: BinaryBuilder::with_capacity(0, 0),
            flags: Vec::new(),
            attributes: AttributeColumns::log(),
            origin: OriginColumns::new(elsewhere),
            dropped_attributes: Vec::new(),
        }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The scope of the records that follow, and how many of them are for this table, about.
    pub(crate) fn scope(&mut self, scope: Scope<'_>, records: usize) {
        self.origin.scope(scope);
        let records = records.min(usize::try_from(self.limits.records).unwrap_or(usize::MAX));
        let columns = [&mut self.time, &mut self.observed, &mut self.flags, &mut self.dropped_attributes];
        columns.into_iter().for_each(|column| column.reserve(records));
        self.severity_number.reserve(records);
        [&mut self.severity_text, &mut self.body_type].into_iter().for_each(|column| column.reserve(records));
    }

    /// One record. Ids that are none are left out.
    pub(crate) fn push(&mut self, record: &mut LogRecord<'_>) {
        let tidied = tidy_record(record, &self.limits, |_| false);
        self.time.push(time_of(record, self.received));
        self.observed.push(record.observed_unix_nano);
        self.severity_number.push(known(record.severity_number, SEVERITY_MAX));
        self.severity_text.push_nonempty(record.severity_text);
        self.push_body(&record.body);
        self.event_name.push_nonempty(record.event_name);
        self.trace_id.append_option(TraceId::from_bytes(record.trace_id).map(|id| id.0));
        self.span_id.append_option(SpanId::from_bytes(record.span_id).map(|id| id.0));
        self.flags.push(i64::from(record.flags));
        let mut marks = Vec::new();
        marks.extend((record.time_unix_nano == 0).then_some((CLOCK, NO_TIME)));
        marks.extend(tidied.cut.as_deref().map(|cut| (CUT, cut)));
        self.attributes.push(&record.attributes, &marks);
        self.origin.push();
        self.dropped_attributes.push(i64::from(record.dropped_attributes_count) + i64::from(tidied.dropped));
        self.rows += 1;
    }

    fn push_body(&mut self, body: &Any<'_>) {
        let body_type = match body {
            Any::Empty => return self.body_type.push_null(),
            Any::Text(_) => "string",
            Any::Bool(_) => "bool",
            Any::Int(_) => "int",
            Any::Double(_) => "double",
            Any::Bytes(_) => "bytes",
            Any::Array(_) => "array",
            Any::Map(_) => "kvlist",
        };
        if let Any::Text(text) = body {
            self.body.set(self.rows, text);
        } else {
            self.body_text.clear();
            push_text(&mut self.body_text, body);
            self.body.set(self.rows, &self.body_text);
        }
        self.body_type.push(body_type);
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let mut columns = Assemble::new(Table::Logs);
        columns.put(name::TIME_UNIX_NANO, Int64Array::from(self.time));
        columns.put(name::OBSERVED_UNIX_NANO, Int64Array::from(self.observed));
        columns.put(name::SEVERITY_NUMBER, Int8Array::from(self.severity_number));
        columns.put_ref(name::SEVERITY_TEXT, self.severity_text.finish()?);
        columns.put_ref(name::BODY, self.body.finish(self.rows));
        columns.put_ref(name::BODY_TYPE, self.body_type.finish()?);
        columns.put_ref(name::EVENT_NAME, self.event_name.finish()?);
        columns.put(name::TRACE_ID, self.trace_id.finish());
        columns.put(name::SPAN_ID, self.span_id.finish());
        columns.put(name::FLAGS, Int64Array::from(self.flags));
        self.attributes.finish(&mut columns);
        self.origin.finish(&mut columns)?;
        columns.put(name::DROPPED_ATTRIBUTES_COUNT, Int64Array::from(self.dropped_attributes));
        columns.finish(self.rows)
    }
}

/// Tidies a record's attributes and cuts its body, which counts as the key `body`. Where attributes must go, those with
/// a meaning of their own go last.
pub(crate) fn tidy_record(
    record: &mut LogRecord<'_>,
    limits: &DecodeLimits,
    has_meaning: impl Fn(&str) -> bool,
) -> Tidied {
    let mut tidied = tidy_but(&mut record.attributes, limits, has_meaning);
    if cut(&mut record.body, limits.value_bytes) {
        tidied.add_cut(name::BODY);
    }
    tidied
}

/// A record's time: its own, else when it was observed, else when it was received.
pub(crate) fn time_of(record: &LogRecord<'_>, received: UnixNano) -> i64 {
    [record.time_unix_nano, record.observed_unix_nano].into_iter().find(|&time| time != 0).unwrap_or(received.0)
}
