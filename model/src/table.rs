//! The tables: their columns as Parquet files hold them, sort keys, and the column that gives a row its day.
//!
//! Interned columns ([`Table::schema`] says `Dictionary(Int32, Utf8)`) hold few distinct values per batch; files and
//! query results hold them as plain text ([`Table::file_schema`]). Only types that every Delta reader understands.
//! Times are Unix nanoseconds as `BIGINT`; ids are raw bytes; nested ids (links, exemplars) are lower-case hex text.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use crate::column::*;
use crate::semconv::{self, Promoted};

/// A table of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Spans with their events and links.
    Spans,
    /// Log records.
    Logs,
    /// Metric points.
    Metrics,
    /// Audit records, numbered without gaps.
    Audit,
    /// Occurrences of exceptions, from span events and log records (derived).
    Exceptions,
    /// State changes of alerts (derived).
    Alerts,
    /// Delivery attempts of notices (derived).
    Notices,
    /// Calls between services, databases, queues and peers outside, by minute (derived).
    ServiceEdges,
    /// Spans, calls, errors and latency of services and operations, by minute (derived).
    ServiceMinutes,
}

/// One column of a sort key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// By the column's value, ascending, nulls first.
    Column(&'static str),
    /// By the minute of a column of Unix nanoseconds.
    Minute(&'static str),
    /// By its second.
    Second(&'static str),
}

impl Table {
    /// All tables.
    pub const ALL: [Table; 9] = [
        Self::Spans,
        Self::Logs,
        Self::Metrics,
        Self::Audit,
        Self::Exceptions,
        Self::Alerts,
        Self::Notices,
        Self::ServiceEdges,
        Self::ServiceMinutes,
    ];

    /// The name in SQL, in paths and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spans => "spans",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Audit => "audit",
            Self::Exceptions => "exceptions",
            Self::Alerts => "alerts",
            Self::Notices => "notices",
            Self::ServiceEdges => "service_edges",
            Self::ServiceMinutes => "service_minutes",
        }
    }

    /// The table of a name.
    pub fn parse(name: &str) -> Option<Table> {
        Self::ALL.into_iter().find(|table| table.as_str() == name)
    }

    /// Columns of a batch of this table; interned ones are dictionaries.
    pub fn schema(self) -> SchemaRef {
        Arc::clone(&SCHEMAS[self as usize].0)
    }

    /// Columns as files and query results hold them: like [`Table::schema`] with dictionaries as plain text.
    pub fn file_schema(self) -> SchemaRef {
        Arc::clone(&SCHEMAS[self as usize].1)
    }

    /// The column of Unix nanoseconds that gives a row its day and its place in time.
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Spans => START_UNIX_NANO,
            Self::ServiceEdges | Self::ServiceMinutes => MINUTE_UNIX_NANO,
            _ => TIME_UNIX_NANO,
        }
    }

    /// Whether its rows stand in generations: of the rows of one minute, those with the greatest
    /// [`GENERATION`] count, the others gave way to them.
    pub fn has_generations(self) -> bool {
        matches!(self, Self::ServiceEdges | Self::ServiceMinutes)
    }

    /// The promoted attributes of this table's records, without those of the resource.
    pub fn promoted(self) -> &'static [Promoted] {
        match self {
            Self::Spans => semconv::SPAN,
            Self::Logs => semconv::LOG,
            _ => &[],
        }
    }

    /// Order of rows in a part. Rows with equal keys stand in the order in which they were stored; all columns of a
    /// span's identity that are no ids of spans are keys, so this tells which of several rows of a span came last.
    pub fn sort_keys(self) -> &'static [SortKey] {
        use SortKey::{Column, Minute, Second};
        match self {
            Self::Spans => &[Second(START_UNIX_NANO), Column(SERVICE_NAME), Column(TRACE_ID)],
            Self::Logs => &[Minute(TIME_UNIX_NANO), Column(SERVICE_NAME), Column(TIME_UNIX_NANO)],
            Self::Metrics => &[Column(NAME), Column(SERVICE_NAME), Column(ATTRIBUTES), Column(TIME_UNIX_NANO)],
            Self::Audit => &[Column(SEQ)],
            Self::Exceptions | Self::Alerts | Self::Notices => &[Column(TIME_UNIX_NANO)],
            Self::ServiceEdges | Self::ServiceMinutes => &[Column(MINUTE_UNIX_NANO)],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

static SCHEMAS: LazyLock<Vec<(SchemaRef, SchemaRef)>> = LazyLock::new(|| {
    Table::ALL
        .into_iter()
        .map(|table| {
            let fields = fields(table);
            let plain: Vec<Field> = fields.iter().map(plain).collect();
            (Arc::new(Schema::new(fields)), Arc::new(Schema::new(plain)))
        })
        .collect()
});

fn plain(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, value) => field.clone().with_data_type(value.as_ref().clone()),
        _ => field.clone(),
    }
}

fn fields(table: Table) -> Vec<Field> {
    match table {
        Table::Spans => spans(),
        Table::Logs => logs(),
        Table::Metrics => metrics(),
        Table::Audit => audit(),
        Table::Exceptions => exceptions(),
        Table::Alerts => alerts(),
        Table::Notices => notices(),
        Table::ServiceEdges => service_edges(),
        Table::ServiceMinutes => service_minutes(),
    }
}

fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn interned() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn list(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

fn promoted(set: &[Promoted]) -> impl Iterator<Item = Field> {
    set.iter().map(|promoted| optional(promoted.column, promoted.kind.data_type()))
}

/// What the resource and the scope of a record bring along.
fn origin() -> Vec<Field> {
    let mut fields = vec![required(RESOURCE_ATTRIBUTES, interned())];
    fields.extend(promoted(semconv::RESOURCE).map(|field| field.with_data_type(interned())));
    fields.extend([
        optional(RESOURCE_SCHEMA_URL, interned()),
        optional(SCOPE_NAME, interned()),
        optional(SCOPE_VERSION, interned()),
        optional(SCOPE_ATTRIBUTES, interned()),
        optional(SCHEMA_URL, interned()),
    ]);
    fields
}

fn spans() -> Vec<Field> {
    use DataType::{Binary, Int8, Int64, Utf8};
    let mut fields = vec![
        required(TRACE_ID, Binary),
        required(SPAN_ID, Binary),
        optional(PARENT_SPAN_ID, Binary),
        optional(TRACE_STATE, Utf8),
        required(FLAGS, Int64),
        required(SERVICE_NAME, interned()),
        required(NAME, interned()),
        required(KIND, Int8),
        required(START_UNIX_NANO, Int64),
        required(END_UNIX_NANO, Int64),
        required(DURATION_NS, Int64),
        required(STATUS_CODE, Int8),
        optional(STATUS_MESSAGE, Utf8),
    ];
    fields.extend(promoted(semconv::SPAN));
    fields.push(optional(ATTRIBUTES_REST, Utf8));
    fields.extend(origin());
    fields.extend([
        optional(EVENTS, list(DataType::Struct(event_fields()))),
        optional(LINKS, list(DataType::Struct(link_fields()))),
        required(DROPPED_ATTRIBUTES_COUNT, Int64),
        required(DROPPED_EVENTS_COUNT, Int64),
        required(DROPPED_LINKS_COUNT, Int64),
    ]);
    fields
}

/// Fields of one span event: time (Unix nanoseconds), name, attributes (JSON text, null when none), dropped.
pub fn event_fields() -> Fields {
    Fields::from(vec![
        optional("time", DataType::Int64),
        optional("name", DataType::Utf8),
        optional("attributes", DataType::Utf8),
        optional("dropped", DataType::Int64),
    ])
}

/// Fields of one span link: ids as hex, tracestate, attributes (JSON text, null when none), flags, dropped.
pub fn link_fields() -> Fields {
    Fields::from(vec![
        optional("trace_id", DataType::Utf8),
        optional("span_id", DataType::Utf8),
        optional("trace_state", DataType::Utf8),
        optional("attributes", DataType::Utf8),
        optional("flags", DataType::Int64),
        optional("dropped", DataType::Int64),
    ])
}

fn logs() -> Vec<Field> {
    use DataType::{Binary, Int8, Int64, Utf8};
    let mut fields = vec![
        required(TIME_UNIX_NANO, Int64),
        required(OBSERVED_UNIX_NANO, Int64),
        required(SERVICE_NAME, interned()),
        required(SEVERITY_NUMBER, Int8),
        optional(SEVERITY_TEXT, interned()),
        optional(BODY, Utf8),
        optional(BODY_TYPE, interned()),
        optional(EVENT_NAME, interned()),
        optional(TRACE_ID, Binary),
        optional(SPAN_ID, Binary),
        required(FLAGS, Int64),
    ];
    fields.extend(promoted(semconv::LOG));
    fields.push(optional(ATTRIBUTES_REST, Utf8));
    fields.extend(origin());
    fields.push(required(DROPPED_ATTRIBUTES_COUNT, Int64));
    fields
}

fn metrics() -> Vec<Field> {
    use DataType::{Boolean, Float64, Int32, Int64};
    let mut fields = vec![
        required(TIME_UNIX_NANO, Int64),
        required(START_UNIX_NANO, Int64),
        required(NAME, interned()),
        optional(DESCRIPTION, interned()),
        optional(UNIT, interned()),
        required(TYPE, interned()),
        optional(TEMPORALITY, interned()),
        optional(MONOTONIC, Boolean),
        required(SERVICE_NAME, interned()),
        optional(VALUE, Float64),
        optional(VALUE_INT, Int64),
        optional(COUNT, Int64),
        optional(SUM, Float64),
        optional(MIN, Float64),
        optional(MAX, Float64),
        optional(BUCKET_COUNTS, list(Int64)),
        optional(EXPLICIT_BOUNDS, list(Float64)),
        optional(SCALE, Int32),
        optional(ZERO_COUNT, Int64),
        optional(ZERO_THRESHOLD, Float64),
        optional(POSITIVE_OFFSET, Int32),
        optional(POSITIVE_COUNTS, list(Int64)),
        optional(NEGATIVE_OFFSET, Int32),
        optional(NEGATIVE_COUNTS, list(Int64)),
        optional(QUANTILES, list(DataType::Struct(quantile_fields()))),
        optional(EXEMPLARS, list(DataType::Struct(exemplar_fields()))),
        required(FLAGS, Int64),
        optional(METADATA, interned()),
        required(ATTRIBUTES, interned()),
    ];
    fields.extend(origin());
    fields
}

/// Fields of one summary quantile.
pub fn quantile_fields() -> Fields {
    Fields::from(vec![optional("quantile", DataType::Float64), optional("value", DataType::Float64)])
}

/// Fields of one exemplar: time (Unix nanoseconds), value as double, value when sent as integer, ids as hex, filtered
/// attributes (JSON text, null when none).
pub fn exemplar_fields() -> Fields {
    Fields::from(vec![
        optional("time", DataType::Int64),
        optional("value", DataType::Float64),
        optional("value_int", DataType::Int64),
        optional("trace_id", DataType::Utf8),
        optional("span_id", DataType::Utf8),
        optional("attributes", DataType::Utf8),
    ])
}

fn audit() -> Vec<Field> {
    use DataType::{Int64, Utf8};
    vec![
        required(SEQ, Int64),
        required(RECORD_ID, Utf8),
        required(TIME_UNIX_NANO, Int64),
        required(OBSERVED_UNIX_NANO, Int64),
        optional(EVENT_NAME, interned()),
        optional(ACTOR_ID, Utf8),
        optional(ACTOR_TYPE, interned()),
        optional(ACTION, interned()),
        optional(OUTCOME, interned()),
        optional(TARGET_ID, Utf8),
        optional(TARGET_TYPE, interned()),
        optional(SOURCE_ID, Utf8),
        optional(BODY, Utf8),
        required(SERVICE_NAME, interned()),
        required(ATTRIBUTES, Utf8),
        required(RESOURCE_ATTRIBUTES, interned()),
        required(RECORD_HASH, Utf8),
    ]
}

fn exceptions() -> Vec<Field> {
    use DataType::{Binary, Int64, Utf8};
    vec![
        required(TIME_UNIX_NANO, Int64),
        required(SERVICE_NAME, interned()),
        optional(TYPE, Utf8),
        optional(MESSAGE, Utf8),
        optional(STACKTRACE, Utf8),
        required(FINGERPRINT, Utf8),
        required(SOURCE, interned()),
        optional(TRACE_ID, Binary),
        optional(SPAN_ID, Binary),
        optional(SERVICE_VERSION, interned()),
        optional(ATTRIBUTES, Utf8),
    ]
}

fn alerts() -> Vec<Field> {
    use DataType::{Int64, Utf8};
    vec![
        required(TIME_UNIX_NANO, Int64),
        required(RULE_ID, Utf8),
        required(RULE_KIND, Utf8),
        required(SEVERITY, Utf8),
        required(GROUP, Utf8),
        required(EPISODE, Utf8),
        required(STATE, Utf8),
        required(TITLE, Utf8),
        required(FIRST_SEEN_UNIX_NANO, Int64),
        required(LAST_SEEN_UNIX_NANO, Int64),
        required(COUNT, Int64),
        optional(TRACE_ID, DataType::Binary),
    ]
}

fn notices() -> Vec<Field> {
    use DataType::{Int64, Utf8};
    vec![
        required(TIME_UNIX_NANO, Int64),
        required(NOTICE_ID, Utf8),
        required(RULE_ID, Utf8),
        required(RECEIVER_ID, Utf8),
        required(TYPE, Utf8),
        required(TITLE, Utf8),
        required(ATTEMPT, Int64),
        required(STATUS, Utf8),
        optional(NEXT_ATTEMPT_UNIX_NANO, Int64),
        optional(ANSWER, Utf8),
    ]
}

/// Fields of a latency: a sparse exponential histogram of durations in nanoseconds. With base 2^(2^-scale), `counts[i]`
/// durations are above base^offset[i] and at most base^(offset[i]+1), as OpenTelemetry numbers buckets; `zero` are 0.
pub fn latency_fields() -> Fields {
    Fields::from(vec![
        optional("scale", DataType::Int32),
        optional("zero", DataType::Int64),
        optional("offset", list(DataType::Int32)),
        optional("counts", list(DataType::Int64)),
    ])
}

/// Fields of an example of a call: trace id as hex, duration in nanoseconds, whether it failed.
pub fn example_fields() -> Fields {
    Fields::from(vec![
        optional("trace_id", DataType::Utf8),
        optional("duration_ns", DataType::Int64),
        optional("error", DataType::Boolean),
    ])
}

fn service_edges() -> Vec<Field> {
    use DataType::{Boolean, Float64, Int64, Struct};
    vec![
        required(MINUTE_UNIX_NANO, Int64),
        required(GENERATION, Int64),
        required(SOURCE, interned()),
        required(TARGET, interned()),
        required(SOURCE_KIND, interned()),
        required(TARGET_KIND, interned()),
        required(KIND, interned()),
        required(CALLS, Int64),
        required(ERRORS, Int64),
        required(CALLS_ESTIMATED, Float64),
        required(ERRORS_ESTIMATED, Float64),
        optional(LATENCY, Struct(latency_fields())),
        required(INFERRED, Boolean),
        optional(EXAMPLES, list(Struct(example_fields()))),
    ]
}

fn service_minutes() -> Vec<Field> {
    use DataType::{Boolean, Float64, Int8, Int64, Struct};
    vec![
        required(MINUTE_UNIX_NANO, Int64),
        required(GENERATION, Int64),
        optional(SERVICE_NAME, interned()),
        optional(NAME, interned()),
        optional(KIND, Int8),
        required(SPANS, Int64),
        required(CALLS, Int64),
        required(ERRORS, Int64),
        required(CALLS_ESTIMATED, Float64),
        required(ERRORS_ESTIMATED, Float64),
        optional(LATENCY, Struct(latency_fields())),
        optional(WHOLE, Boolean),
        optional(COMMITS, list(Int64)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_be_found_by_name_and_has_its_time_and_sort_columns() {
        for table in Table::ALL {
            assert_eq!(Table::parse(table.as_str()), Some(table));
            let schema = table.schema();
            let time = schema.field_with_name(table.time_column()).expect("time column");
            assert_eq!(time.data_type(), &DataType::Int64);
            for key in table.sort_keys() {
                let (SortKey::Column(name) | SortKey::Minute(name) | SortKey::Second(name)) = key;
                assert!(schema.field_with_name(name).is_ok(), "{table}.{name}");
            }
        }
    }

    #[test]
    fn no_column_stands_twice() {
        for table in Table::ALL {
            let schema = table.schema();
            let mut names: Vec<_> = schema.fields().iter().map(|field| field.name()).collect();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), schema.fields().len(), "{table}");
        }
    }
}
