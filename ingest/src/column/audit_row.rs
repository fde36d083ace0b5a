//! Rows of `audit`, each with the hash of its canonical form.
//!
//! The canonical form can be rebuilt from the stored row alone: the line `tracelake.audit.v1`, then for each column of
//! `time_unix_nano observed_unix_nano event_name actor_id actor_type action outcome target_id target_type source_id body
//! service_name attributes resource_attributes`, in this order, a line `<column>:<length in bytes>:<value>`, or
//! `<column>:-` where it is null; integers in decimal; of `resource_attributes` the value is the SHA-256 of its text in
//! lower-case hex, because many records share one. Every line ends with one line feed. `record_hash` is the form's
//! SHA-256 in lower-case hex. A record without an id of its own gets the first 16 bytes of that hash as its `record_id`, so equal
//! records have equal ids. `seq` stays 0: the store numbers rows when it appends them.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Int64Array, Int64Builder, StringBuilder};
use aws_lc_rs::digest::{SHA256, digest};
use tracelake_model::column as name;
use tracelake_model::semconv::{CLOCK, NO_TIME};
use tracelake_model::{Batch, DecodeLimits, SpanId, Table, TraceId, UnixNano, to_hex};

use crate::column::assemble::Assemble;
use crate::column::attribute::{Tidied, push_object, push_text};
use crate::column::audit::{Said, has_meaning, read};
use crate::column::interned::Interned;
use crate::column::log::{tidy_record, time_of};
use crate::column::resource::OriginText;
use crate::error::Error;
use crate::wire::key::Key;
use crate::wire::log::LogRecord;
use crate::wire::value::Any;

/// Audit records, column by column.
pub(crate) struct AuditRows {
    limits: DecodeLimits,
    received: UnixNano,
    rows: usize,
    record_id: StringBuilder,
    time: Int64Builder,
    observed: Int64Builder,
    event_name: Interned,
    actor_id: StringBuilder,
    actor_type: Interned,
    action: Interned,
    outcome: Interned,
    target_id: StringBuilder,
    target_type: Interned,
    source_id: StringBuilder,
    body: StringBuilder,
    service: Interned,
    attributes: StringBuilder,
    resource: Interned,
    /// The resource last seen, so that a long one is hashed and compared once.
    seen: Option<SeenResource>,
    record_hash: StringBuilder,
}

impl AuditRows {
    /// No row yet. `received` is the time of records that carry none.
    pub(crate) fn new(limits: DecodeLimits, received: UnixNano) -> Self {
        Self {
            limits,
            received,
            rows: 0,
            record_id: StringBuilder::with_capacity(0, 0),
            time: Int64Builder::with_capacity(0),
            observed: Int64Builder::with_capacity(0),
            event_name: Interned::default(),
            actor_id: StringBuilder::with_capacity(0, 0),
            actor_type: Interned::default(),
            action: Interned::default(),
            outcome: Interned::default(),
            target_id: StringBuilder::with_capacity(0, 0),
            target_type: Interned::default(),
            source_id: StringBuilder::with_capacity(0, 0),
            body: StringBuilder::with_capacity(0, 0),
            service: Interned::default(),
            attributes: StringBuilder::with_capacity(0, 0),
            resource: Interned::default(),
            seen: None,
            record_hash: StringBuilder::with_capacity(0, 0),
        }
    }

    /// How many rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// One record of an origin.
    pub(crate) fn push(&mut self, record: &mut LogRecord<'_>, origin: &OriginText) {
        let mut tidied = tidy_record(record, &self.limits, has_meaning);
        tidied.dropped = tidied.dropped.saturating_add(record.dropped_attributes_count);
        let said = read(record);
        let time = time_of(record, self.received);
        let attributes = attributes_text(record, &tidied);
        let mut body = String::new();
        push_text(&mut body, &record.body);
        let body = (record.body != Any::Empty).then_some(body);
        let resource = self.see(&origin.resource);
        let row = Row { time, observed: record.observed_unix_nano, said, body, attributes };
        let hash = digest(&SHA256, row.canonical(&origin.service, &resource.hash).as_bytes());
        let record_id = row.said.record_id.clone().unwrap_or_else(|| to_hex(&hash.as_ref()[..16]));
        self.record_id.append_value(record_id);
        self.record_hash.append_value(to_hex(hash.as_ref()));
        self.service.push(&origin.service);
        self.resource.push_key(resource.key);
        self.push_row(&row);
    }

    fn see(&mut self, resource: &Arc<str>) -> SeenResource {
        match &self.seen {
            Some(seen) if Arc::ptr_eq(&seen.text, resource) => seen.clone(),
            _ => {
                let hash = Arc::from(to_hex(digest(&SHA256, resource.as_bytes()).as_ref()));
                let seen = SeenResource { text: Arc::clone(resource), hash, key: self.resource.key(resource) };
                self.seen.insert(seen).clone()
            }
        }
    }

    fn push_row(&mut self, row: &Row) {
        self.time.append_value(row.time);
        self.observed.append_value(row.observed);
        self.event_name.push_nonempty(row.said.event_name.as_deref().unwrap_or_default());
        self.actor_id.append_option(row.said.actor_id.as_deref());
        self.actor_type.push_nonempty(row.said.actor_type.as_deref().unwrap_or_default());
        self.action.push_nonempty(row.said.action.as_deref().unwrap_or_default());
        self.outcome.push_nonempty(row.said.outcome.as_deref().unwrap_or_default());
        self.target_id.append_option(row.said.target_id.as_deref());
        self.target_type.push_nonempty(row.said.target_type.as_deref().unwrap_or_default());
        self.source_id.append_option(row.said.source_id.as_deref());
        self.body.append_option(row.body.as_deref());
        self.attributes.append_value(&row.attributes);
        self.rows += 1;
    }

    /// The batch.
    pub(crate) fn finish(mut self) -> Result<Batch, Error> {
        let mut columns = Assemble::new(Table::Audit);
        columns.put(name::SEQ, Int64Array::from(vec![0; self.rows]));
        columns.put(name::RECORD_ID, self.record_id.finish());
        columns.put(name::TIME_UNIX_NANO, self.time.finish());
        columns.put(name::OBSERVED_UNIX_NANO, self.observed.finish());
        columns.put_ref(name::EVENT_NAME, self.event_name.finish()?);
        columns.put(name::ACTOR_ID, self.actor_id.finish());
        columns.put_ref(name::ACTOR_TYPE, self.actor_type.finish()?);
        columns.put_ref(name::ACTION, self.action.finish()?);
        columns.put_ref(name::OUTCOME, self.outcome.finish()?);
        columns.put(name::TARGET_ID, self.target_id.finish());
        columns.put_ref(name::TARGET_TYPE, self.target_type.finish()?);
        columns.put(name::SOURCE_ID, self.source_id.finish());
        columns.put(name::BODY, self.body.finish());
        columns.put_ref(name::SERVICE_NAME, self.service.finish()?);
        columns.put(name::ATTRIBUTES, self.attributes.finish());
        columns.put_ref(name::RESOURCE_ATTRIBUTES, self.resource.finish()?);
        columns.put(name::RECORD_HASH, self.record_hash.finish());
        columns.finish(self.rows)
    }
}

#[derive(Clone)]
struct SeenResource {
    text: Arc<str>,
    hash: Arc<str>,
    key: Option<i32>,
}

struct Row {
    time: i64,
    observed: i64,
    said: Said,
    body: Option<String>,
    attributes: String,
}

impl Row {
    fn canonical(&self, service: &str, resource_hash: &str) -> String {
        let (time, observed) = (self.time.to_string(), self.observed.to_string());
        let columns = [
            (name::TIME_UNIX_NANO, Some(time.as_str())),
            (name::OBSERVED_UNIX_NANO, Some(&observed)),
            (name::EVENT_NAME, self.said.event_name.as_deref()),
            (name::ACTOR_ID, self.said.actor_id.as_deref()),
            (name::ACTOR_TYPE, self.said.actor_type.as_deref()),
            (name::ACTION, self.said.action.as_deref()),
            (name::OUTCOME, self.said.outcome.as_deref()),
            (name::TARGET_ID, self.said.target_id.as_deref()),
            (name::TARGET_TYPE, self.said.target_type.as_deref()),
            (name::SOURCE_ID, self.said.source_id.as_deref()),
            (name::BODY, self.body.as_deref()),
            (name::SERVICE_NAME, Some(service)),
            (name::ATTRIBUTES, Some(&self.attributes)),
            (name::RESOURCE_ATTRIBUTES, Some(resource_hash)),
        ];
        let mut text = String::from("tracelake.audit.v1\n");
        for (column, value) in columns {
            let _ = match value {
                Some(value) => writeln!(text, "{column}:{}:{value}", value.len()),
                None => writeln!(text, "{column}:-"),
            };
        }
        text
    }
}

/// JSON text of all attributes. What the table has no column for, trace, span and severity, becomes an attribute too
/// unless the sender uses its key.
fn attributes_text(record: &mut LogRecord<'_>, tidied: &Tidied) -> String {
    let trace_id = TraceId::from_bytes(record.trace_id).map(|id| id.to_string());
    let span_id = SpanId::from_bytes(record.span_id).map(|id| id.to_string());
    let severity = i64::from(record.severity_number);
    let no_time = (record.time_unix_nano == 0).then_some(Any::Text(NO_TIME));
    let ours = [
        (name::TRACE_ID, trace_id.as_deref().map(Any::Text)),
        (name::SPAN_ID, span_id.as_deref().map(Any::Text)),
        (name::SEVERITY_NUMBER, (severity != 0).then_some(Any::Int(severity))),
        (name::SEVERITY_TEXT, (!record.severity_text.is_empty()).then_some(Any::Text(record.severity_text))),
        (CLOCK, no_time),
    ];
    let mut attributes = std::mem::take(&mut record.attributes);
    for (key, value) in ours {
        if let Some(value) = value
            && attributes.iter().all(|(known, _)| *known != key)
        {
            attributes.push((Key::from(key), value));
        }
    }
    let mut text = String::new();
    push_object(&mut text, &attributes, tidied);
    text
}
