//! Writes Thrift's binary protocol: a value knows its type number and its bytes, a struct is a list of numbered values.

/// A type's number and a value's bytes.
#[derive(Clone)]
pub(crate) struct Value(u8, Vec<u8>);

pub(crate) fn bool(value: bool) -> Value {
    Value(2, vec![u8::from(value)])
}

pub(crate) fn double(value: f64) -> Value {
    Value(4, value.to_be_bytes().to_vec())
}

pub(crate) fn i32(value: i32) -> Value {
    Value(8, value.to_be_bytes().to_vec())
}

pub(crate) fn i64(value: i64) -> Value {
    Value(10, value.to_be_bytes().to_vec())
}

pub(crate) fn bytes(value: &[u8]) -> Value {
    let length = u32::try_from(value.len()).expect("short");
    Value(11, [&length.to_be_bytes(), value].concat())
}

pub(crate) fn text(value: &str) -> Value {
    bytes(value.as_bytes())
}

pub(crate) fn list(values: &[Value]) -> Value {
    let kind = values.first().map_or(12, |value| value.0);
    let count = u32::try_from(values.len()).expect("short");
    let inside: Vec<u8> = values.iter().flat_map(|value| value.1.clone()).collect();
    Value(15, [&[kind][..], &count.to_be_bytes(), &inside].concat())
}

pub(crate) fn structure(fields: &[(i16, Value)]) -> Value {
    let mut inside = Vec::new();
    for (number, Value(kind, bytes)) in fields {
        inside.push(*kind);
        inside.extend_from_slice(&number.to_be_bytes());
        inside.extend_from_slice(bytes);
    }
    inside.push(0);
    Value(12, inside)
}

/// The bytes of a message.
pub(crate) fn message(value: &Value) -> Vec<u8> {
    value.1.clone()
}
