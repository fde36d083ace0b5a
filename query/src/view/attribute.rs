//! Attributes of spans and log records from wherever they stand: promoted columns, the rest, the resource.

use arrow::array::{Array, BooleanArray, Int64Array, RecordBatch, StringArray};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value};
use tracelake_model::column::{ATTRIBUTES_REST, RESOURCE_ATTRIBUTES};
use tracelake_model::semconv::{Promoted, PromotedKind};
use tracelake_model::{Table, Value, push_json_string};

use crate::view::column::{boolean, int, text, text_at};

/// The columns that hold attributes of a table's records.
pub(crate) fn columns(table: Table) -> Vec<&'static str> {
    let promoted = table.promoted().iter().map(|promoted| promoted.column);
    promoted.chain([ATTRIBUTES_REST, RESOURCE_ATTRIBUTES]).collect()
}

/// A promoted column.
pub(crate) enum PromotedColumn<'a> {
    Text(&'a StringArray),
    Int(&'a Int64Array),
    Bool(&'a BooleanArray),
}

impl<'a> PromotedColumn<'a> {
    /// The column of a promoted attribute.
    pub(crate) fn new(batch: &'a RecordBatch, promoted: &Promoted) -> Self {
        match promoted.kind {
            PromotedKind::String => Self::Text(text(batch, promoted.column)),
            PromotedKind::Int => Self::Int(int(batch, promoted.column)),
            PromotedKind::Bool => Self::Bool(boolean(batch, promoted.column)),
        }
    }

    /// The value of a row, `None` for null.
    pub(crate) fn value(&self, row: usize) -> Option<Value> {
        match self {
            Self::Text(column) => text_at(column, row).map(|text| Value::String(text.to_owned())),
            Self::Int(column) => column.is_valid(row).then(|| Value::Int(column.value(row))),
            Self::Bool(column) => column.is_valid(row).then(|| Value::Bool(column.value(row))),
        }
    }
}

/// All attributes of the records of a batch.
pub(crate) struct Attributes<'a> {
    promoted: Vec<(&'static str, PromotedColumn<'a>)>,
    rest: &'a StringArray,
}

impl<'a> Attributes<'a> {
    /// The attributes of a batch of `table` that has [`columns`].
    pub(crate) fn new(batch: &'a RecordBatch, table: Table) -> Self {
        let column = |promoted: &'static Promoted| (promoted.key, PromotedColumn::new(batch, promoted));
        Self { promoted: table.promoted().iter().map(column).collect(), rest: text(batch, ATTRIBUTES_REST) }
    }

    /// Keys and values of a row: the promoted ones first, then the rest as sent.
    pub(crate) fn of(&self, row: usize) -> Vec<(String, Value)> {
        let promoted = self.promoted.iter().filter_map(|(key, column)| Some(((*key).to_owned(), column.value(row)?)));
        promoted.chain(parse(text_at(self.rest, row))).collect()
    }
}

/// Reads a column's JSON text of attributes; none for null. Text that is not ours reads as no attributes.
pub(crate) fn parse(json: Option<&str>) -> Vec<(String, Value)> {
    json.and_then(|json| Value::parse_attributes(json).ok()).unwrap_or_default()
}

/// Finds keys in JSON texts of attributes, mostly without parsing them.
#[derive(Clone, Debug)]
pub(crate) struct KeyFinder {
    key: String,
    quoted: String,
}

impl KeyFinder {
    /// A finder of one key.
    pub(crate) fn new(key: &str) -> Self {
        let mut quoted = String::new();
        push_json_string(&mut quoted, &if key.starts_with('$') { format!("${key}") } else { key.to_owned() });
        Self { key: key.to_owned(), quoted }
    }

    /// The value of the key in a JSON text of attributes.
    pub(crate) fn find(&self, json: &str) -> Option<Value> {
        if !json.contains(&self.quoted) {
            return None;
        }
        parse(Some(json)).into_iter().find(|(key, _)| *key == self.key).map(|(_, value)| value)
    }
}

/// Attributes as protobuf has them.
pub(crate) fn key_values(attributes: Vec<(String, Value)>) -> Vec<KeyValue> {
    let pair = |(key, value)| KeyValue { key, value: Some(any_value(value)), ..KeyValue::default() };
    attributes.into_iter().map(pair).collect()
}

fn any_value(value: Value) -> AnyValue {
    use any_value::Value as Proto;
    let value = match value {
        Value::Empty => None,
        Value::String(text) => Some(Proto::StringValue(text)),
        Value::Bool(value) => Some(Proto::BoolValue(value)),
        Value::Int(value) => Some(Proto::IntValue(value)),
        Value::Double(value) => Some(Proto::DoubleValue(value)),
        Value::Bytes(bytes) => Some(Proto::BytesValue(bytes)),
        Value::Array(values) => {
            Some(Proto::ArrayValue(ArrayValue { values: values.into_iter().map(any_value).collect() }))
        }
        Value::Map(entries) => Some(Proto::KvlistValue(KeyValueList { values: key_values(entries) })),
    };
    AnyValue { value }
}

/// Attributes as a JSON object for our own answers. What JSON numbers cannot say is text: `NaN`, `Infinity`.
pub(crate) fn json_object(attributes: Vec<(String, Value)>) -> serde_json::Map<String, serde_json::Value> {
    attributes.into_iter().map(|(key, value)| (key, json_value(value))).collect()
}

fn json_value(value: Value) -> serde_json::Value {
    use base64::Engine as _;
    match value {
        Value::Empty => serde_json::Value::Null,
        Value::String(text) => text.into(),
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Double(value) if value.is_nan() => "NaN".into(),
        Value::Double(value) if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
        Value::Double(value) => value.into(),
        Value::Bytes(bytes) => base64::prelude::BASE64_STANDARD.encode(bytes).into(),
        Value::Array(values) => values.into_iter().map(json_value).collect(),
        Value::Map(entries) => json_object(entries).into(),
    }
}
