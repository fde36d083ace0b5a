//! Rows of `logs`.

use arrow::array::{BinaryBuilder, Int8Builder, Int64Builder, StringBuilder};
use tracelake_model::column as name;
use tracelake_model::semconv::{CLOCK, CUT, NO_TIME};
use tracelake_model::{Batch, DecodeLimits, SpanId, Table, TraceId, UnixNano};

use crate::column::assemble::Assemble;
use crate::column::attribute::{AttributeColumns, Tidied, cut, push_text, tidy_but};
use crate::column::interned::Interned;
use crate::column::resource::OriginColumns;
use crate::column::span::known;
use crate::error::Error;
use crate::wire::log::LogRecord;
use crate::wire::value::Any;

/// Greatest severity number of OTLP; others count as 0, unspecified.
const SEVERITY_MAX: i32 = 24;

/// Log records, column by column.
pub(crate) struct LogRows {
    limits: DecodeLimits,
    received: UnixNano,
    rows: usize,
    time: Int64Builder,
    observed: Int64Builder,
    severity_number: Int8Builder,
    severity_text: Interned,
    body: StringBuilder,
    body_text: String,
    body_type: Interned,
    event_name: Interned,
    trace_id: BinaryBuilder,
    span_id: BinaryBuilder,
    flags: Int64Builder,
    attributes: AttributeColumns,
    /// Resource and scope of the rows.
    pub(crate) origin: OriginColumns,
    dropped_attributes: Int64Builder,
}

impl LogRows {
    /// No row yet. `elsewhere` bounds resources and scopes; `received` is the time of records that carry none.
    pub(crate) fn new(limits: DecodeLimits, elsewhere: DecodeLimits, received: UnixNano) -> Self {
        Self {
            limits,
            received,
            rows: 0,
            time: Int64Builder::with_capacity(0),
            observed: Int64Builder::with_capacity(0),
            severity_number: Int8Builder::with_capacity(0),
            severity_text: Interned::default(),
            body: StringBuilder::with_capacity(0, 0),
            body_text: String::new(),
            body_type: Interned::default(),
            event_name: Interned::default(),
            trace_id: BinaryBuilder::with_capacity(0, 0),
            span_id: BinaryBuilder::with_capacity(0, 0),
            flags: Int64Builder::with_capacity(0),
            attributes: AttributeColumns::log(),
            origin: OriginColumns::new(elsewhere),
            dropped_attributes: Int64Builder::with_capacity(0),
        }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// One record. Ids that are none are left out.
    pub(crate) fn push(&mut self, mut record: LogRecord<'_>) {
        let tidied = tidy_record(&mut record, &self.limits, |_| false);
        self.time.append_value(time_of(&record, self.received));
        self.observed.append_value(record.observed_unix_nano);
        self.severity_number.append_value(known(record.severity_number, SEVERITY_MAX));
        self.severity_text.push_nonempty(record.severity_text);
        self.push_body(&record.body);
        self.event_name.push_nonempty(record.event_name);
        self.trace_id.append_option(TraceId::from_bytes(record.trace_id).map(|id| id.0));
        self.span_id.append_option(SpanId::from_bytes(record.span_id).map(|id| id.0));
        self.flags.append_value(i64::from(record.flags));
        let mut marks = Vec::new();
        marks.extend((record.time_unix_nano == 0).then_some((CLOCK, NO_TIME)));
        marks.extend(tidied.cut.as_deref().map(|cut| (CUT, cut)));
        self.attributes.push(&record.attributes, &marks);
        self.origin.push();
        self.dropped_attributes.append_value(i64::from(record.dropped_attributes_count) + i64::from(tidied.dropped));
        self.rows += 1;
    }

    fn push_body(&mut self, body: &Any<'_>) {
        let body_type = match body {
            Any::Empty => {
                self.body.append_null();
                return self.body_type.push_null();
            }
            Any::Text(_) => "string",
            Any::Bool(_) => "bool",
            Any::Int(_) => "int",
            Any::Double(_) => "double",
            Any::Bytes(_) => "bytes",
            Any::Array(_) => "array",
            Any::Map(_) => "kvlist",
        };
        self.body_text.clear();
        push_text(&mut self.body_text, body);
        self.body.append_value(&self.body_text);
        self.body_type.push(body_type);
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let mut columns = Assemble::new(Table::Logs);
        columns.put(name::TIME_UNIX_NANO, self.time.finish());
        columns.put(name::OBSERVED_UNIX_NANO, self.observed.finish());
        columns.put(name::SEVERITY_NUMBER, self.severity_number.finish());
        columns.put_ref(name::SEVERITY_TEXT, self.severity_text.finish()?);
        columns.put(name::BODY, self.body.finish());
        columns.put_ref(name::BODY_TYPE, self.body_type.finish()?);
        columns.put_ref(name::EVENT_NAME, self.event_name.finish()?);
        columns.put(name::TRACE_ID, self.trace_id.finish());
        columns.put(name::SPAN_ID, self.span_id.finish());
        columns.put(name::FLAGS, self.flags.finish());
        self.attributes.finish(&mut columns);
        self.origin.finish(&mut columns)?;
        columns.put(name::DROPPED_ATTRIBUTES_COUNT, self.dropped_attributes.finish());
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
