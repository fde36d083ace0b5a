//! Exceptions as they happened: found in span events and log records, and as rows of `exceptions`.
//!
//! A span event named `exception` (OpenTelemetry semantic conventions, exceptions on spans) or a log record with
//! `exception.type`, `exception.message` or `exception.stacktrace`. Deliberately reads no text logs without attributes.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, Int64Array, RecordBatch, StringArray, StringBuilder,
    StringDictionaryBuilder,
};
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::error::ArrowError;
use model::{Batch, Table, Value, column};
use tracelake_model as model;

use crate::exception::fingerprint::fingerprint;
use crate::record::{Column, LogRows, Records, attribute, id_hex, integer};

const TYPE: &str = "exception.type";
const MESSAGE: &str = "exception.message";
const STACKTRACE: &str = "exception.stacktrace";
const SEVERITY_ERROR: u8 = 17;

/// One exception.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Occurrence {
    /// When, Unix nanoseconds.
    pub time: i64,
    pub service: String,
    pub kind: String,
    pub message: String,
    pub stacktrace: String,
    pub fingerprint: String,
    /// `span` or `log`.
    pub source: &'static str,
    /// Lower-case hex.
    pub trace_id: Option<String>,
    /// Lower-case hex.
    pub span_id: Option<String>,
    pub service_version: Option<String>,
    /// JSON text of the attributes besides the three above.
    pub attributes: Option<String>,
    /// JSON text.
    pub resource: String,
    pub severity: u8,
}

/// The exceptions of a batch, in order of its rows; none for other tables than spans and logs.
pub(crate) fn find(batch: &Batch) -> Vec<Occurrence> {
    match batch.table() {
        Table::Spans => of_spans(batch.rows()),
        Table::Logs => of_logs(batch.rows()),
        _ => Vec::new(),
    }
}

fn of_spans(rows: &RecordBatch) -> Vec<Occurrence> {
    let mut found = Vec::new();
    // Real SDKs repeat a span inside one payload; its exception happened once.
    let mut seen = HashSet::new();
    let Some(events) = rows.column_by_name(column::EVENTS).and_then(|column| column.as_list_opt::<i32>()) else {
        return found;
    };
    let Some(all) = events.values().as_struct_opt() else { return found };
    let (Some(names), Some(times), Some(attributes)) = (
        all.column_by_name("name").and_then(|column| column.as_string_opt::<i32>()),
        all.column_by_name("time").and_then(|column| column.as_primitive_opt::<Int64Type>()),
        all.column_by_name("attributes").and_then(|column| column.as_string_opt::<i32>()),
    ) else {
        return found;
    };
    for row in (0..rows.num_rows()).filter(|&row| events.is_valid(row)) {
        let offsets = events.value_offsets();
        let (from, to) = (usize::try_from(offsets[row]).unwrap_or(0), usize::try_from(offsets[row + 1]).unwrap_or(0));
        for event in (from..to).filter(|&event| names.is_valid(event) && names.value(event) == "exception") {
            let text = if attributes.is_valid(event) { attributes.value(event) } else { "{}" };
            let entries = Value::parse_attributes(text).unwrap_or_default();
            let mut occurrence = Occurrence::new(rows, row, entries);
            if times.is_valid(event) && times.value(event) > 0 {
                occurrence.time = times.value(event);
            }
            occurrence.source = "span";
            occurrence.severity = SEVERITY_ERROR;
            let identity = (
                occurrence.trace_id.clone(),
                occurrence.span_id.clone(),
                occurrence.time,
                occurrence.kind.clone(),
                occurrence.message.clone(),
            );
            if seen.insert(identity) {
                found.push(occurrence);
            }
        }
    }
    found
}

fn of_logs(rows: &RecordBatch) -> Vec<Occurrence> {
    let kind = Column::of(rows, "exception_type");
    let message = Column::of(rows, "exception_message");
    let rest = Column::of(rows, column::ATTRIBUTES_REST);
    let logs = LogRows::new(rows);
    let text = |column: Option<Column<'_>>, row| column.and_then(|column| column.text(row)).map(Cow::into_owned);
    let mut found = Vec::new();
    for row in 0..rows.num_rows() {
        let (kind, message) = (text(kind, row), text(message, row));
        let rest = rest.map_or("", |column| column.borrowed(row));
        if kind.is_none() && message.is_none() && !rest.contains("\"exception.") {
            continue;
        }
        let mut entries = Value::parse_attributes(rest).unwrap_or_default();
        for (key, value) in [(TYPE, kind), (MESSAGE, message)] {
            if let Some(value) = value {
                entries.push((key.to_owned(), Value::String(value)));
            }
        }
        if entries.iter().any(|(key, _)| [TYPE, MESSAGE, STACKTRACE].contains(&key.as_str())) {
            let mut occurrence = Occurrence::new(rows, row, entries);
            occurrence.severity = logs.severity(row);
            found.push(occurrence);
        }
    }
    found
}

impl Occurrence {
    fn new(rows: &RecordBatch, row: usize, entries: Vec<(String, Value)>) -> Self {
        let mut named = [String::new(), String::new(), String::new()];
        let mut others = Vec::new();
        for (key, value) in entries {
            match [TYPE, MESSAGE, STACKTRACE].iter().position(|name| *name == key) {
                Some(at) => named[at] = value.to_text(),
                None => others.push((key, value)),
            }
        }
        let [kind, message, stacktrace] = named;
        let text = |name| Column::of(rows, name).and_then(|column| column.text(row)).map(Cow::into_owned);
        let table_time = if rows.column_by_name(column::TIME_UNIX_NANO).is_some() {
            column::TIME_UNIX_NANO
        } else {
            column::START_UNIX_NANO
        };
        Self {
            time: integer(rows, table_time, row),
            service: text(column::SERVICE_NAME).unwrap_or_default(),
            fingerprint: fingerprint(&kind, &message, &stacktrace),
            kind,
            message,
            stacktrace,
            source: "log",
            trace_id: id_hex(rows, column::TRACE_ID, row),
            span_id: id_hex(rows, column::SPAN_ID, row),
            service_version: text("service_version"),
            attributes: (!others.is_empty()).then(|| Value::Map(others).to_json()),
            resource: text(column::RESOURCE_ATTRIBUTES).unwrap_or_default(),
            severity: 0,
        }
    }

    /// One line for people: type and message.
    pub(crate) fn line(&self) -> String {
        match (self.kind.is_empty(), self.message.is_empty()) {
            (false, false) => format!("{}: {}", self.kind, self.message),
            (false, true) => self.kind.clone(),
            _ => self.message.clone(),
        }
    }
}

/// Exceptions as records that rules look at.
pub(crate) struct Occurrences<'a>(pub &'a [Occurrence]);

impl Records for Occurrences<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn field(&self, row: usize, key: &str) -> Option<Cow<'_, str>> {
        let occurrence = &self.0[row];
        let own = match key {
            TYPE => Some(&occurrence.kind),
            MESSAGE | "body" => Some(&occurrence.message),
            STACKTRACE => Some(&occurrence.stacktrace),
            "fingerprint" => Some(&occurrence.fingerprint),
            "service.name" => Some(&occurrence.service),
            _ => None,
        };
        if let Some(text) = own {
            return Some(Cow::Borrowed(text));
        }
        let of_record = occurrence.attributes.as_deref().and_then(|json| attribute(json, key));
        of_record.or_else(|| attribute(&occurrence.resource, key)).map(Cow::Owned)
    }

    fn service(&self, row: usize) -> &str {
        &self.0[row].service
    }

    fn severity(&self, row: usize) -> u8 {
        self.0[row].severity
    }

    fn whole_column(&self, _: &str) -> Option<Column<'_>> {
        None
    }
}

/// Occurrences as rows of `exceptions`.
pub(crate) fn rows(occurrences: &[Occurrence]) -> Result<RecordBatch, ArrowError> {
    let interned = |texts: &mut dyn Iterator<Item = Option<&str>>| -> ArrayRef {
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        texts.for_each(|text| builder.append_option(text));
        Arc::new(builder.finish())
    };
    let ids = |of: fn(&Occurrence) -> Option<&String>| -> ArrayRef {
        let mut builder = BinaryBuilder::new();
        for occurrence in occurrences {
            builder.append_option(of(occurrence).and_then(|hex| model::from_hex(hex)));
        }
        Arc::new(builder.finish())
    };
    let texts = |of: fn(&Occurrence) -> &str| -> ArrayRef {
        let mut builder = StringBuilder::new();
        for occurrence in occurrences {
            builder.append_option(Some(of(occurrence)).filter(|text| !text.is_empty()));
        }
        Arc::new(builder.finish())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(occurrences.iter().map(|occurrence| occurrence.time).collect::<Int64Array>()),
        interned(&mut occurrences.iter().map(|occurrence| Some(occurrence.service.as_str()))),
        texts(|occurrence| &occurrence.kind),
        texts(|occurrence| &occurrence.message),
        texts(|occurrence| &occurrence.stacktrace),
        Arc::new(occurrences.iter().map(|occurrence| Some(occurrence.fingerprint.as_str())).collect::<StringArray>()),
        interned(&mut occurrences.iter().map(|occurrence| Some(occurrence.source))),
        ids(|occurrence| occurrence.trace_id.as_ref()),
        ids(|occurrence| occurrence.span_id.as_ref()),
        interned(&mut occurrences.iter().map(|occurrence| occurrence.service_version.as_deref())),
        texts(|occurrence| occurrence.attributes.as_deref().unwrap_or_default()),
    ];
    RecordBatch::try_new(Table::Exceptions.schema(), columns)
}
