//! `attr, attr_int, attr_double, attr_bool`: one attribute out of the JSON text of attributes (`model::Value`'s form).
//!
//! `attr` gives text whatever the type; the others NULL unless the value has their type. An absent or empty value is
//! NULL. A text is read only up to the key, and not at all when the key does not occur in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, StringArray, StringBuilder,
};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ExpressionPlacement, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use tracelake_model::Value;

/// What a function of the family gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AttrType {
    Text,
    Int,
    Double,
    Bool,
}

impl AttrType {
    pub(crate) const ALL: [AttrType; 4] = [Self::Text, Self::Int, Self::Double, Self::Bool];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "attr",
            Self::Int => "attr_int",
            Self::Double => "attr_double",
            Self::Bool => "attr_bool",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Bool => DataType::Boolean,
        }
    }
}

/// One function of the family.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attr {
    /// What it gives.
    pub(crate) result: AttrType,
    signature: Signature,
}

impl Attr {
    pub(crate) fn new(result: AttrType) -> Self {
        Self { result, signature: Signature::exact(vec![DataType::Utf8, DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Attr {
    fn name(&self) -> &str {
        self.result.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.data_type())
    }

    /// Moves towards the scan, where `sql/rewrite.rs` finds the column that holds the attribute.
    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        match args {
            [ExpressionPlacement::Column, ExpressionPlacement::Literal] => ExpressionPlacement::MoveTowardsLeafNodes,
            _ => ExpressionPlacement::KeepInPlace,
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts = args.args[0].to_array(args.number_rows)?;
        let keys = args.args[1].to_array(args.number_rows)?;
        let values = Values::new(texts.as_string::<i32>(), keys.as_string::<i32>());
        Ok(ColumnarValue::Array(collect(self.result, values)))
    }
}

fn collect(result: AttrType, values: Values<'_>) -> ArrayRef {
    match result {
        AttrType::Text => {
            let mut texts = StringBuilder::new();
            for value in values {
                texts.append_option(value.as_ref().and_then(text));
            }
            Arc::new(texts.finish())
        }
        AttrType::Int => {
            let mut numbers = Int64Builder::new();
            for value in values {
                numbers.append_option(match value {
                    Some(Value::Int(value)) => Some(value),
                    _ => None,
                });
            }
            Arc::new(numbers.finish())
        }
        AttrType::Double => {
            let mut numbers = Float64Builder::new();
            for value in values {
                numbers.append_option(match value {
                    Some(Value::Double(value)) => Some(value),
                    _ => None,
                });
            }
            Arc::new(numbers.finish())
        }
        AttrType::Bool => {
            let mut flags = BooleanBuilder::new();
            for value in values {
                flags.append_option(match value {
                    Some(Value::Bool(value)) => Some(value),
                    _ => None,
                });
            }
            Arc::new(flags.finish())
        }
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Empty => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_json())),
    }
}

/// The value of each row. Neighbours often have the very same text (resources), which is then read once.
struct Values<'a> {
    texts: &'a StringArray,
    keys: &'a StringArray,
    row: usize,
    last: Option<(&'a str, &'a str, Option<Value>)>,
}

impl<'a> Values<'a> {
    fn new(texts: &'a StringArray, keys: &'a StringArray) -> Self {
        Self { texts, keys, row: 0, last: None }
    }
}

impl Iterator for Values<'_> {
    type Item = Option<Value>;

    fn next(&mut self) -> Option<Option<Value>> {
        if self.row >= self.texts.len() {
            return None;
        }
        let row = self.row;
        self.row += 1;
        if self.texts.is_null(row) || self.keys.is_null(row) {
            return Some(None);
        }
        let (text, key) = (self.texts.value(row), self.keys.value(row));
        if let Some((last_text, last_key, value)) = &self.last
            && *last_text == text
            && *last_key == key
        {
            return Some(value.clone());
        }
        let value = find(text, key);
        self.last = Some((text, key, value.clone()));
        Some(value)
    }
}

/// The value of `key` in a JSON object of attributes; `None` when absent or when the text is no such object.
pub(crate) fn find(text: &str, key: &str) -> Option<Value> {
    // Our writer escapes only control characters, quotes and backslashes; any other key stands there as it is.
    let stands_plain = key.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    if stands_plain && !text.contains(key) {
        return None;
    }
    let key = if key.starts_with('$') { Cow::Owned(format!("${key}")) } else { Cow::Borrowed(key) };
    let mut found = None;
    // Reading ends with an error once the key is found: the rest of the text is not wanted.
    let _ = serde_json::Deserializer::from_str(text).deserialize_map(Search { key: &key, found: &mut found });
    found
}

struct Search<'a> {
    key: &'a str,
    found: &'a mut Option<Value>,
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of attributes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(hit) = map.next_key_seed(IsKey(self.key))? {
            if hit {
                *self.found = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Compares a key without keeping it.
struct IsKey<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> std::result::Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_found_by_its_very_key() {
        let text = r#"{"a":1,"a.b":"x","n":{"a":2},"$$d":true,"q\"":1.5,"e":null,"l":[1,"y"],"s":"a\nb"}"#;
        let check = |key: &str, expected: Option<Value>| assert_eq!(find(text, key), expected, "{key}");
        check("a", Some(Value::Int(1)));
        check("a.b", Some(Value::String("x".into())));
        check("$d", Some(Value::Bool(true)));
        check("q\"", Some(Value::Double(1.5)));
        check("e", Some(Value::Empty));
        check("s", Some(Value::String("a\nb".into())));
        check("l", Some(Value::Array(vec![Value::Int(1), Value::String("y".into())])));
        check("b", None);
        check("x", None);
        check("$$d", None);
        for broken in ["", "null", "[1]", "{\"a\"", "a"] {
            assert_eq!(find(broken, "a"), None, "{broken}");
        }
    }
}
