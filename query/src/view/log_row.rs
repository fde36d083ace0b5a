//! One log record as answers show it, and its place in the order of answers.

use std::cmp::Reverse;
use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, BinaryArray, RecordBatch, StringArray};
use serde::{Deserialize, Serialize};
use tracelake_model::column::{
    ATTRIBUTES_REST, BODY, BODY_TYPE, EVENT_NAME, OBSERVED_UNIX_NANO, RESOURCE_ATTRIBUTES, SERVICE_NAME,
    SEVERITY_NUMBER, SEVERITY_TEXT, SPAN_ID, TIME_UNIX_NANO, TRACE_ID,
};
use tracelake_model::{Table, UnixNano, to_hex};

use crate::view::attribute::{self, Attributes, json_object, parse};
use crate::view::column::{binary, bytes_at, int, small, text, text_at};

const OWN: [&str; 10] = [
    TIME_UNIX_NANO,
    OBSERVED_UNIX_NANO,
    SERVICE_NAME,
    SEVERITY_NUMBER,
    SEVERITY_TEXT,
    BODY,
    BODY_TYPE,
    EVENT_NAME,
    TRACE_ID,
    SPAN_ID,
];

/// All columns of a log record.
pub(crate) fn columns() -> Vec<&'static str> {
    OWN.into_iter().chain(attribute::columns(Table::Logs)).collect()
}

/// A place in the order: newest first, then by content. Equal records share a place and are told apart by counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) time: Reverse<i64>,
    pub(crate) content: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LogRow {
    time: String,
    observed_time: Option<String>,
    service: String,
    severity_number: i8,
    severity_text: String,
    pub(crate) body: Option<String>,
    body_type: Option<String>,
    event_name: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    attributes: serde_json::Map<String, serde_json::Value>,
    resource: serde_json::Map<String, serde_json::Value>,
}

/// Reads records of one batch that has [`columns`].
pub(crate) struct LogColumns<'a> {
    batch: &'a RecordBatch,
    attributes: Attributes<'a>,
    texts: [&'a StringArray; 6],
    ids: [&'a BinaryArray; 2],
}

impl<'a> LogColumns<'a> {
    /// A reader of a batch.
    pub(crate) fn new(batch: &'a RecordBatch) -> Self {
        Self {
            batch,
            attributes: Attributes::new(batch, Table::Logs),
            texts: [SERVICE_NAME, BODY, SEVERITY_TEXT, EVENT_NAME, ATTRIBUTES_REST, RESOURCE_ATTRIBUTES]
                .map(|name| text(batch, name)),
            ids: [TRACE_ID, SPAN_ID].map(|name| binary(batch, name)),
        }
    }

    /// The place of a row in the order of answers.
    pub(crate) fn place(&self, row: usize) -> Place {
        let mut hasher = DefaultHasher::new();
        self.texts.map(|column| text_at(column, row)).hash(&mut hasher);
        self.ids.map(|column| bytes_at(column, row)).hash(&mut hasher);
        small(self.batch, SEVERITY_NUMBER).value(row).hash(&mut hasher);
        int(self.batch, OBSERVED_UNIX_NANO).value(row).hash(&mut hasher);
        let time = int(self.batch, TIME_UNIX_NANO).value(row);
        Place { time: Reverse(time), content: hasher.finish() }
    }

    /// The record of a row.
    pub(crate) fn row(&self, row: usize) -> LogRow {
        let words = |name| text_at(text(self.batch, name), row).map(str::to_owned);
        let id = |name| bytes_at(binary(self.batch, name), row).map(to_hex);
        let number = small(self.batch, SEVERITY_NUMBER);
        let observed = int(self.batch, OBSERVED_UNIX_NANO);
        let resource = text_at(text(self.batch, RESOURCE_ATTRIBUTES), row);
        LogRow {
            time: UnixNano(int(self.batch, TIME_UNIX_NANO).value(row)).to_rfc3339(),
            observed_time: Some(observed.value(row))
                .filter(|time| observed.is_valid(row) && *time != 0)
                .map(|time| UnixNano(time).to_rfc3339()),
            service: words(SERVICE_NAME).unwrap_or_default(),
            severity_number: number.value(row),
            severity_text: words(SEVERITY_TEXT).unwrap_or_else(|| level(number.value(row)).to_owned()),
            body: words(BODY),
            body_type: words(BODY_TYPE),
            event_name: words(EVENT_NAME),
            trace_id: id(TRACE_ID),
            span_id: id(SPAN_ID),
            attributes: json_object(self.attributes.of(row)),
            resource: json_object(parse(resource)),
        }
    }
}

/// The level of a severity number, for sources that send no text (OTLP logs data model, "Displaying Severity").
fn level(number: i8) -> &'static str {
    match number {
        1..=4 => "TRACE",
        5..=8 => "DEBUG",
        9..=12 => "INFO",
        13..=16 => "WARN",
        17..=20 => "ERROR",
        21..=24 => "FATAL",
        _ => "",
    }
}
