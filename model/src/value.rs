//! One attribute value (OpenTelemetry `AnyValue`) and its JSON text form, as columns hold it.
//!
//! The text keeps types: integers bare, doubles always with `.` or `e`, and what JSON cannot say as an object of one
//! `$` key: `{"$bytes":"<base64>"}`, `{"$double":"NaN"}`. A map's own key that begins with `$` gets one more `$`.
//! Deliberately does not depend on a protobuf type: decoders build [`Value`]s or push text themselves.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One attribute value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value was set.
    Empty,
    /// Text.
    String(String),
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double; NaN and infinities included.
    Double(f64),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    Array(Vec<Value>),
    /// Keys with values, in order, as sent.
    Map(Vec<(String, Value)>),
}

/// Text that is not the JSON form of a value.
#[derive(Debug, thiserror::Error)]
#[error("not the JSON text of an attribute value")]
pub struct ValueError(#[source] serde_json::Error);

impl Value {
    /// Reads the JSON text form.
    pub fn parse(text: &str) -> Result<Value, ValueError> {
        serde_json::from_str(text).map_err(ValueError)
    }

    /// Reads a JSON object of attributes; order and types kept.
    pub fn parse_attributes(text: &str) -> Result<Vec<(String, Value)>, ValueError> {
        match Self::parse(text)? {
            Value::Map(entries) => Ok(entries),
            _ => Err(ValueError(serde::de::Error::custom("attributes are not a JSON object"))),
        }
    }

    /// The JSON text form.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.push_json(&mut text);
        text
    }

    /// Appends the JSON text form.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::String(text) => push_json_string(out, text),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Int(value) => push_json_int(out, *value),
            Self::Double(value) => push_double(out, *value),
            Self::Bytes(bytes) => {
                out.push_str("{\"$bytes\":\"");
                push_base64(out, bytes);
                out.push_str("\"}");
            }
            Self::Array(values) => {
                out.push('[');
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    value.push_json(out);
                }
                out.push(']');
            }
            Self::Map(entries) => Self::push_attributes(entries, out),
        }
    }

    /// Appends a JSON object of attributes.
    pub fn push_attributes(entries: &[(String, Value)], out: &mut String) {
        out.push('{');
        for (i, (key, value)) in entries.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_key(out, key);
            out.push(':');
            value.push_json(out);
        }
        out.push('}');
    }

    /// The value as plain text, as `attr()` shows it: strings bare, everything else its JSON form.
    pub fn to_text(&self) -> String {
        match self {
            Self::String(text) => text.clone(),
            Self::Empty => String::new(),
            other => other.to_json(),
        }
    }
}

fn push_key(out: &mut String, key: &str) {
    if key.starts_with('$') {
        push_json_string(out, &format!("${key}"));
    } else {
        push_json_string(out, key);
    }
}

/// Appends an integer as JSON.
pub fn push_json_int(out: &mut String, value: i64) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.push_str(str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends text as a JSON string with its quotes (RFC 8259 section 7).
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let plain = plain_bytes(rest.as_bytes());
        out.push_str(&rest[..plain]);
        match rest.as_bytes().get(plain) {
            None => break,
            Some(b'"') => out.push_str("\\\""),
            Some(b'\\') => out.push_str("\\\\"),
            Some(b'\n') => out.push_str("\\n"),
            Some(b'\r') => out.push_str("\\r"),
            Some(b'\t') => out.push_str("\\t"),
            Some(byte) => drop(write!(out, "\\u{byte:04x}")),
        }
        rest = &rest[plain + 1..];
    }
    out.push('"');
}

/// How many bytes stand in JSON as they are, from the first one on. Sixteen at a time is what compilers make one step of.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (chunks, rest) = bytes.as_chunks::<16>();
    let plain = chunks.iter().take_while(|chunk| !chunk.iter().fold(false, |some, byte| some | needs_escape(*byte)));
    let at = plain.count() * 16;
    let left = if at < chunks.len() * 16 { &bytes[at..] } else { rest };
    at + left.iter().position(|byte| needs_escape(*byte)).unwrap_or(left.len())
}

fn needs_escape(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\')
}

fn push_double(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("{\"$double\":\"NaN\"}");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "{\"$double\":\"Infinity\"}" } else { "{\"$double\":\"-Infinity\"}" });
    } else {
        // Debug prints the shortest text that reads back as the same double, always with a point or an exponent.
        let _ = write!(out, "{value:?}");
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn push_base64(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let digit = usize::try_from(word >> (18 - 6 * i) & 63).unwrap_or(0);
            out.push(if i <= chunk.len() { char::from(BASE64[digit]) } else { '=' });
        }
    }
}

fn parse_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut word, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let digit = BASE64.iter().position(|&d| d == byte)?;
        word = word << 6 | u32::try_from(digit).ok()?;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the JSON text of an attribute value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Empty)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "an integer past 64 bits was never written by us; nearest double")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Double(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        if let [(key, Value::String(text))] = entries.as_slice()
            && let Some(value) = special(key, text)
        {
            return Ok(value);
        }
        for (key, _) in &mut entries {
            if key.starts_with("$$") {
                key.remove(0);
            }
        }
        Ok(Value::Map(entries))
    }
}

fn special(key: &str, text: &str) -> Option<Value> {
    match (key, text) {
        ("$bytes", text) => parse_base64(text).map(Value::Bytes),
        ("$double", "NaN") => Some(Value::Double(f64::NAN)),
        ("$double", "Infinity") => Some(Value::Double(f64::INFINITY)),
        ("$double", "-Infinity") => Some(Value::Double(f64::NEG_INFINITY)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &Value, expected: &str) {
        assert_eq!(value.to_json(), expected);
        let back = Value::parse(expected).expect("own text reads back");
        assert_eq!(format!("{back:?}"), format!("{value:?}"), "{expected}");
    }

    #[test]
    fn every_value_reads_back_with_its_type() {
        check(&Value::Empty, "null");
        check(&Value::String("a \"quote\"\n\u{1} é 한".into()), "\"a \\\"quote\\\"\\n\\u0001 é 한\"");
        for number in [i64::MIN, -10, -1, 0, 9, 10, 1_234_567_890, i64::MAX] {
            check(&Value::Int(number), &number.to_string());
        }
        check(&Value::Double(1.0), "1.0");
        check(&Value::Double(-0.0), "-0.0");
        check(&Value::Double(5e-324), "5e-324");
        check(&Value::Double(0.1 + 0.2), "0.30000000000000004");
        check(&Value::Double(f64::NAN), "{\"$double\":\"NaN\"}");
        check(&Value::Double(f64::NEG_INFINITY), "{\"$double\":\"-Infinity\"}");
        for length in 0..5_u8 {
            let bytes = Value::Bytes((250..250 + length).collect());
            assert_eq!(Value::parse(&bytes.to_json()).expect("reads back"), bytes);
        }
        check(&Value::Bytes(vec![255, 0, 62]), "{\"$bytes\":\"/wA+\"}");
        check(&Value::Array(vec![Value::Bool(true), Value::Map(vec![])]), "[true,{}]");
    }

    #[test]
    fn text_is_escaped_wherever_it_must_be() {
        for before in (0..40).chain([100]) {
            for (escaped, special) in [("\\\"", '"'), ("\\\\", '\\'), ("\\n", '\n'), ("\\u001f", '\u{1f}'), ("é", 'é')]
            {
                let text = format!("{}{special}{special}{}", "a".repeat(before), "b".repeat(100 - before));
                let json = format!("\"{}{escaped}{escaped}{}\"", "a".repeat(before), "b".repeat(100 - before));
                check(&Value::String(text), &json);
            }
        }
    }

    #[test]
    fn a_map_that_looks_like_a_special_value_stays_a_map() {
        let map = Value::Map(vec![("$bytes".into(), Value::String("AA==".into()))]);
        check(&map, "{\"$$bytes\":\"AA==\"}");
        check(&Value::Map(vec![("$$x".into(), Value::Int(1))]), "{\"$$$x\":1}");
    }
}
