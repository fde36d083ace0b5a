//! Log rows of a batch as rules see them: named fields, service, severity.
//!
//! Deliberately borrows everything: a row's text is copied only when it becomes a sample.

use std::borrow::Cow;

use arrow::array::{Array, AsArray, BooleanArray, DictionaryArray, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int8Type, Int32Type, Int64Type};
use model::{Value, column, semconv};
use tracelake_model as model;

/// Records of one kind that rules can look at.
pub(crate) trait Records {
    /// How many.
    fn len(&self) -> usize;
    /// A field's text: `body`, a record attribute, or a resource attribute, in this order.
    fn field(&self, row: usize, key: &str) -> Option<Cow<'_, str>>;
    /// The service's name.
    fn service(&self, row: usize) -> &str;
    /// OTLP severity number.
    fn severity(&self, row: usize) -> u8;
    /// The field's whole column when it is one of text or distinct values; `None` when it must be asked row by row.
    fn whole_column(&self, key: &str) -> Option<Column<'_>>;
}

/// One column as text.
#[derive(Clone, Copy)]
pub(crate) enum Column<'a> {
    /// Plain text.
    Text(&'a StringArray),
    /// Few distinct texts.
    Interned(&'a DictionaryArray<Int32Type>, &'a StringArray),
    /// Integers.
    Int(&'a Int64Array),
    /// Booleans.
    Bool(&'a BooleanArray),
}

impl<'a> Column<'a> {
    /// The batch's column of that name, if it is one of these kinds.
    pub(crate) fn of(rows: &'a RecordBatch, name: &str) -> Option<Self> {
        let column = rows.column_by_name(name)?;
        match column.data_type() {
            DataType::Utf8 => Some(Self::Text(column.as_string::<i32>())),
            DataType::Dictionary(_, _) => {
                let interned = column.as_dictionary_opt::<Int32Type>()?;
                Some(Self::Interned(interned, interned.values().as_string_opt::<i32>()?))
            }
            DataType::Int64 => Some(Self::Int(column.as_primitive::<Int64Type>())),
            DataType::Boolean => Some(Self::Bool(column.as_boolean())),
            _ => None,
        }
    }

    /// The row's text, `None` when null.
    pub(crate) fn text(&self, row: usize) -> Option<Cow<'a, str>> {
        match *self {
            Self::Text(texts) => texts.is_valid(row).then(|| Cow::Borrowed(texts.value(row))),
            Self::Interned(keys, values) => {
                let key = keys.key(row)?;
                values.is_valid(key).then(|| Cow::Borrowed(values.value(key)))
            }
            Self::Int(numbers) => numbers.is_valid(row).then(|| Cow::Owned(numbers.value(row).to_string())),
            Self::Bool(values) => values.is_valid(row).then(|| Cow::Owned(values.value(row).to_string())),
        }
    }

    /// The row's text without a copy, empty when null or no text column.
    pub(crate) fn borrowed(&self, row: usize) -> &'a str {
        match self.text(row) {
            Some(Cow::Borrowed(text)) => text,
            _ => "",
        }
    }
}

/// One attribute out of a JSON text of attributes, as plain text.
pub(crate) fn attribute(json: &str, key: &str) -> Option<String> {
    // Most rows lack the key; looking for its text is far cheaper than parsing.
    if !json.contains(key) {
        return None;
    }
    let entries = Value::parse_attributes(json).ok()?;
    entries.into_iter().find(|(name, _)| name == key).map(|(_, value)| value.to_text())
}

/// A 16 or 8 byte id of a row as hex, `None` when null.
pub(crate) fn id_hex(rows: &RecordBatch, name: &str, row: usize) -> Option<String> {
    let ids = rows.column_by_name(name)?.as_binary_opt::<i32>()?;
    ids.is_valid(row).then(|| model::to_hex(ids.value(row)))
}

/// An integer column's value of a row, 0 when null or absent.
pub(crate) fn integer(rows: &RecordBatch, name: &str, row: usize) -> i64 {
    rows.column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .map_or(0, |numbers| if numbers.is_valid(row) { numbers.value(row) } else { 0 })
}

/// The column that holds an attribute of a record or its resource, if it has one of its own.
pub(crate) fn promoted_column(of_record: &[semconv::Promoted], key: &str) -> Option<&'static str> {
    let own = of_record.iter().find(|promoted| promoted.key == key);
    own.or_else(|| semconv::RESOURCE.iter().find(|promoted| promoted.key == key)).map(|promoted| promoted.column)
}

/// The rows of a `logs` batch.
pub(crate) struct LogRows<'a> {
    rows: &'a RecordBatch,
    service: Option<Column<'a>>,
    severity: Option<&'a Int8Array>,
    rest: Option<Column<'a>>,
    resource: Option<Column<'a>>,
}

impl<'a> LogRows<'a> {
    pub(crate) fn new(rows: &'a RecordBatch) -> Self {
        Self {
            rows,
            service: Column::of(rows, column::SERVICE_NAME),
            severity: rows
                .column_by_name(column::SEVERITY_NUMBER)
                .and_then(|column| column.as_primitive_opt::<Int8Type>()),
            rest: Column::of(rows, column::ATTRIBUTES_REST),
            resource: Column::of(rows, column::RESOURCE_ATTRIBUTES),
        }
    }

    fn own_column(key: &str) -> Option<&'static str> {
        match key {
            "body" => Some(column::BODY),
            "severity_text" => Some(column::SEVERITY_TEXT),
            "event_name" => Some(column::EVENT_NAME),
            "service.name" => Some(column::SERVICE_NAME),
            _ => promoted_column(semconv::LOG, key),
        }
    }
}

impl Records for LogRows<'_> {
    fn len(&self) -> usize {
        self.rows.num_rows()
    }

    fn field(&self, row: usize, key: &str) -> Option<Cow<'_, str>> {
        let own = Self::own_column(key).and_then(|name| Column::of(self.rows, name)?.text(row));
        let of_record = || attribute(self.rest?.borrowed(row), key);
        let of_resource = || attribute(self.resource?.borrowed(row), key);
        own.or_else(|| of_record().or_else(of_resource).map(Cow::Owned))
    }

    fn service(&self, row: usize) -> &str {
        self.service.map_or("", |column| column.borrowed(row))
    }

    fn severity(&self, row: usize) -> u8 {
        self.severity.map_or(0, |numbers| u8::try_from(numbers.value(row)).unwrap_or(0))
    }

    fn whole_column(&self, key: &str) -> Option<Column<'_>> {
        // Promoted attributes of another type stand in the rest, so only these columns are the whole truth.
        matches!(key, "body" | "severity_text" | "event_name" | "service.name")
            .then(|| Column::of(self.rows, Self::own_column(key)?))?
    }
}
