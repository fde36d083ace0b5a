//! The values of a query's fields, out of the rows of a scanned batch. Reads the columns that the fields need, no more.
//!
//! Fields that only the whole trace tells stay `nil` here. Neighbouring rows often share their texts, which are then
//! kept and read once.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, Int8Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use tracelake_model::column::{
    ATTRIBUTES_REST, DURATION_NS, EVENTS, KIND, LINKS, NAME, PARENT_SPAN_ID, RESOURCE_ATTRIBUTES, SCOPE_ATTRIBUTES,
    SCOPE_NAME, SCOPE_VERSION, SERVICE_NAME, SPAN_ID, START_UNIX_NANO, STATUS_CODE, STATUS_MESSAGE, TRACE_ID,
};
use tracelake_model::semconv::{Promoted, SPAN};
use tracelake_model::{Value, to_hex};

use crate::function::attr::find;
use crate::traceql::field::{Field, Intrinsic, Scope};
use crate::traceql::literal::Static;
use crate::traceql::slot::Slots;
use crate::view::attribute::PromotedColumn;
use crate::view::column::{binary, bytes_at, int, list, small, text, text_at};

/// The columns that hold the fields.
pub(crate) fn columns(slots: &Slots) -> Vec<&'static str> {
    let mut columns: Vec<&'static str> = slots.fields().iter().flat_map(columns_of).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn columns_of(field: &Field) -> Vec<&'static str> {
    match field {
        Field::Intrinsic { what, .. } => match what {
            Intrinsic::Name => vec![NAME],
            Intrinsic::Status => vec![STATUS_CODE],
            Intrinsic::StatusMessage => vec![STATUS_MESSAGE],
            Intrinsic::Kind => vec![KIND],
            Intrinsic::Duration => vec![DURATION_NS],
            Intrinsic::SpanId => vec![SPAN_ID],
            Intrinsic::ParentId => vec![PARENT_SPAN_ID],
            Intrinsic::TraceId => vec![TRACE_ID],
            Intrinsic::EventName => vec![EVENTS],
            Intrinsic::EventTimeSinceStart => vec![EVENTS, START_UNIX_NANO],
            Intrinsic::LinkTraceId | Intrinsic::LinkSpanId => vec![LINKS],
            Intrinsic::InstrumentationName => vec![SCOPE_NAME],
            Intrinsic::InstrumentationVersion => vec![SCOPE_VERSION],
            _ => Vec::new(),
        },
        Field::Attribute { scope, name } => {
            let span = || promoted(name).map(|promoted| promoted.column).into_iter().chain([ATTRIBUTES_REST]);
            let resource = if is_service(name) { SERVICE_NAME } else { RESOURCE_ATTRIBUTES };
            match scope {
                Scope::Any => span().chain([resource]).collect(),
                Scope::Span => span().collect(),
                Scope::Resource => vec![resource],
                Scope::Event => vec![EVENTS],
                Scope::Link => vec![LINKS],
                Scope::Instrumentation => vec![SCOPE_ATTRIBUTES],
                Scope::Parent | Scope::ParentSpan | Scope::ParentResource => Vec::new(),
            }
        }
    }
}

fn promoted(name: &str) -> Option<&'static Promoted> {
    SPAN.iter().find(|promoted| promoted.key == name)
}

fn is_service(name: &str) -> bool {
    name == "service.name"
}

/// Reads the rows of one batch.
pub(crate) struct Rows<'a> {
    sources: Vec<Source<'a>>,
}

impl<'a> Rows<'a> {
    /// Of a batch that has [`columns`].
    pub(crate) fn new(batch: &'a RecordBatch, slots: &'a Slots) -> Self {
        Self { sources: slots.fields().iter().map(|field| Source::new(batch, field)).collect() }
    }

    /// The values of a row, by the places of the fields.
    pub(crate) fn values(&mut self, row: usize) -> Vec<Static> {
        let mut values = Vec::new();
        self.fill(row, &mut values);
        values
    }

    /// The same into a buffer that is used again.
    pub(crate) fn fill(&mut self, row: usize, values: &mut Vec<Static>) {
        values.clear();
        values.extend(self.sources.iter_mut().map(|source| source.value(row)));
    }
}

/// Where a field's values are.
enum Source<'a> {
    OfTrace,
    Text(Texts<'a>),
    /// Text that is empty where it is absent.
    Words(Texts<'a>),
    Status(&'a Int8Array),
    Kind(&'a Int8Array),
    Duration(&'a Int64Array),
    Hex(&'a BinaryArray),
    Promoted(PromotedColumn<'a>, Json<'a>),
    Json(Json<'a>),
    Either(Box<Source<'a>>, Box<Source<'a>>),
    Items {
        lists: &'a ListArray,
        starts: Option<&'a Int64Array>,
        read: Item<'a>,
    },
}

/// What is read of each event or link.
#[derive(Clone, Copy)]
enum Item<'a> {
    Text(&'static str),
    SinceStart,
    Attribute(&'a str),
}

impl<'a> Source<'a> {
    fn new(batch: &'a RecordBatch, field: &'a Field) -> Self {
        let words = |name: &str| Texts { column: text(batch, name), last: None };
        match field {
            Field::Attribute { scope, name } => Self::of_attribute(batch, *scope, name),
            Field::Intrinsic { what, .. } => match what {
                Intrinsic::Name => Self::Text(words(NAME)),
                Intrinsic::StatusMessage => Self::Words(words(STATUS_MESSAGE)),
                Intrinsic::InstrumentationName => Self::Text(words(SCOPE_NAME)),
                Intrinsic::InstrumentationVersion => Self::Text(words(SCOPE_VERSION)),
                Intrinsic::Status => Self::Status(small(batch, STATUS_CODE)),
                Intrinsic::Kind => Self::Kind(small(batch, KIND)),
                Intrinsic::Duration => Self::Duration(int(batch, DURATION_NS)),
                Intrinsic::SpanId => Self::Hex(binary(batch, SPAN_ID)),
                Intrinsic::ParentId => Self::Hex(binary(batch, PARENT_SPAN_ID)),
                Intrinsic::TraceId => Self::Hex(binary(batch, TRACE_ID)),
                Intrinsic::EventName => Self::items(batch, EVENTS, Item::Text("name")),
                Intrinsic::EventTimeSinceStart => Self::items(batch, EVENTS, Item::SinceStart),
                Intrinsic::LinkTraceId => Self::items(batch, LINKS, Item::Text("trace_id")),
                Intrinsic::LinkSpanId => Self::items(batch, LINKS, Item::Text("span_id")),
                _ => Self::OfTrace,
            },
        }
    }

    fn of_attribute(batch: &'a RecordBatch, scope: Scope, name: &'a str) -> Self {
        let json = |column: &str| Json { texts: text(batch, column), key: name, last: None };
        match scope {
            Scope::Any => Self::Either(
                Box::new(Self::of_attribute(batch, Scope::Span, name)),
                Box::new(Self::of_attribute(batch, Scope::Resource, name)),
            ),
            Scope::Span => match promoted(name) {
                Some(promoted) => Self::Promoted(PromotedColumn::new(batch, promoted), json(ATTRIBUTES_REST)),
                None => Self::Json(json(ATTRIBUTES_REST)),
            },
            Scope::Resource if is_service(name) => Self::Text(Texts { column: text(batch, SERVICE_NAME), last: None }),
            Scope::Resource => Self::Json(json(RESOURCE_ATTRIBUTES)),
            Scope::Instrumentation => Self::Json(json(SCOPE_ATTRIBUTES)),
            Scope::Event => Self::items(batch, EVENTS, Item::Attribute(name)),
            Scope::Link => Self::items(batch, LINKS, Item::Attribute(name)),
            Scope::Parent | Scope::ParentSpan | Scope::ParentResource => Self::OfTrace,
        }
    }

    fn items(batch: &'a RecordBatch, column: &str, read: Item<'a>) -> Self {
        let starts = matches!(read, Item::SinceStart).then(|| int(batch, START_UNIX_NANO));
        Self::Items { lists: list(batch, column), starts, read }
    }

    fn value(&mut self, row: usize) -> Static {
        match self {
            Self::OfTrace => Static::Nil,
            Self::Text(texts) => texts.value(row),
            Self::Words(texts) => match texts.value(row) {
                Static::Nil => Static::text(""),
                words => words,
            },
            Self::Status(column) => Static::Status(column.value(row)),
            Self::Kind(column) => Static::Kind(column.value(row)),
            Self::Duration(column) => Static::Duration(column.value(row)),
            Self::Hex(column) => match bytes_at(column, row) {
                Some(bytes) if bytes.iter().any(|byte| *byte != 0) => Static::text(&to_hex(bytes)),
                _ => Static::Nil,
            },
            Self::Promoted(column, rest) => column.value(row).map_or_else(|| rest.value(row), from_value),
            Self::Json(json) => json.value(row),
            Self::Either(first, second) => match first.value(row) {
                Static::Nil => second.value(row),
                found => found,
            },
            Self::Items { lists, starts, read } => {
                items(lists, row, *read, starts.map_or(0, |starts| starts.value(row)))
            }
        }
    }
}

/// A text column, with the last text kept.
struct Texts<'a> {
    column: &'a StringArray,
    last: Option<Arc<str>>,
}

impl Texts<'_> {
    fn value(&mut self, row: usize) -> Static {
        let Some(text) = text_at(self.column, row) else { return Static::Nil };
        match &self.last {
            Some(last) if **last == *text => Static::Text(Arc::clone(last)),
            _ => {
                let fresh: Arc<str> = Arc::from(text);
                self.last = Some(Arc::clone(&fresh));
                Static::Text(fresh)
            }
        }
    }
}

/// One key of a column of JSON texts, with the last text's value kept.
struct Json<'a> {
    texts: &'a StringArray,
    key: &'a str,
    last: Option<(&'a str, Static)>,
}

impl Json<'_> {
    fn value(&mut self, row: usize) -> Static {
        let Some(text) = text_at(self.texts, row) else { return Static::Nil };
        if let Some((last, value)) = &self.last
            && *last == text
        {
            return value.clone();
        }
        let value = find(text, self.key).map_or(Static::Nil, from_value);
        self.last = Some((text, value.clone()));
        value
    }
}

/// A recorded value as the language sees it; bytes and maps are their JSON text.
pub(crate) fn from_value(value: Value) -> Static {
    match value {
        Value::Empty => Static::Nil,
        Value::String(text) => Static::Text(Arc::from(text)),
        Value::Bool(value) => Static::Bool(value),
        Value::Int(value) => Static::Int(value),
        Value::Double(value) => Static::Float(value),
        Value::Array(values) => Static::List(values.into_iter().map(from_value).collect()),
        other @ (Value::Bytes(_) | Value::Map(_)) => Static::text(&other.to_json()),
    }
}

/// One value of each event or link that has it.
fn items(lists: &ListArray, row: usize, read: Item<'_>, start: i64) -> Static {
    if lists.is_null(row) || lists.value_length(row) == 0 {
        return Static::Nil;
    }
    let items = lists.value(row);
    let items = items.as_struct();
    let texts = |name: &str| items.column_by_name(name).and_then(|column| column.as_string_opt::<i32>().cloned());
    let mut found: Vec<Static> = Vec::new();
    match read {
        Item::Text(name) => {
            let texts = texts(name);
            let texts = texts.iter().flat_map(|texts| texts.iter().flatten());
            found.extend(texts.map(Static::text));
        }
        Item::SinceStart => {
            let times = items.column_by_name("time").and_then(|column| column.as_primitive_opt::<Int64Type>());
            let times = times.into_iter().flat_map(|times| times.iter().flatten());
            found.extend(times.map(|time| Static::Duration(time.saturating_sub(start))));
        }
        Item::Attribute(key) => {
            let texts = texts("attributes");
            for text in texts.iter().flat_map(|texts| texts.iter().flatten()) {
                match find(text, key).map_or(Static::Nil, from_value) {
                    Static::Nil => {}
                    Static::List(values) => found.extend(values.iter().cloned()),
                    one => found.push(one),
                }
            }
        }
    }
    match found.len() {
        0 => Static::Nil,
        1 => found.swap_remove(0),
        _ => Static::List(found.into()),
    }
}
