//! OTLP/JSON rewritten as protobuf, so that both encodings decode by one walk and mean the same.
//!
//! Reads by the table in `schema.rs`: 64-bit integers as number or string, hex ids, base64 bytes, enums as number or
//! name, `null` as absent, unknown keys ignored, NaN and infinities as strings. What makes one record unacceptable
//! (text that is not UTF-8, an id that is not hex, values too deep) passes through in a form that the walk refuses alone.
//! Deep values neither overflow the stack nor meet the parser's own limit: every few levels begin with a fresh parser.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tracelake_model::{Signal, from_hex};

use crate::error::Error;
use crate::otlp::schema::{ANY, Field, Kind, request};

/// Levels of values per parser. Each takes four levels of JSON, of which a parser allows 128.
const LEVELS_PER_PARSER: u32 = 16;
/// Room for a message's length, written when the message has ended.
const LENGTH_BYTES: usize = 5;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Rewrites one export request. `nesting` is the limit of nested values; one level more is kept, for the walk to refuse.
pub(crate) fn to_protobuf(signal: Signal, nesting: u32, json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(json.len());
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(out);
    }
    let mut parser = serde_json::Deserializer::from_slice(json);
    let seed = Message { fields: request(signal), at: At { out: &mut out, nesting, level: 0 } };
    let read = seed.deserialize(&mut parser).and_then(|()| parser.end());
    read.map_err(|error| Error::Malformed { format: "OTLP/JSON", detail: error.to_string() })?;
    Ok(out)
}

/// Where output goes, and how deep it is.
struct At<'o> {
    out: &'o mut Vec<u8>,
    nesting: u32,
    level: u32,
}

impl At<'_> {
    fn again(&mut self) -> At<'_> {
        At { out: &mut *self.out, nesting: self.nesting, level: self.level }
    }

    fn tag(&mut self, number: u32, wire_type: u8) {
        self.varint(u64::from(number << 3 | u32::from(wire_type)));
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, 2);
        self.varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn fixed64(&mut self, number: u32, bits: u64) {
        self.tag(number, 1);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    /// A message whose length is written, in a fixed number of bytes, once its content is.
    fn message<E: de::Error>(&mut self, number: u32, fill: impl FnOnce(At<'_>) -> Result<(), E>) -> Result<(), E> {
        self.tag(number, 2);
        let start = self.out.len();
        self.out.extend_from_slice(&[0x80; LENGTH_BYTES]);
        fill(self.again())?;
        let length = self.out.len() - start - LENGTH_BYTES;
        if length >> (7 * LENGTH_BYTES) > 0 {
            return Err(E::custom("a message is longer than protobuf allows"));
        }
        for (at, byte) in self.out[start..start + LENGTH_BYTES].iter_mut().enumerate() {
            let more = if at + 1 < LENGTH_BYTES { 0x80 } else { 0 };
            *byte = (length >> (7 * at)) as u8 & 0x7f | more;
        }
        Ok(())
    }
}

/// A JSON object as a message.
struct Message<'o> {
    fields: &'static [Field],
    at: At<'o>,
}

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(field) = map.next_key_seed(Key(self.fields))? {
            match field {
                Some(field) => {
                    map.next_value_seed(Nullable { number: field.number, kind: field.kind, at: self.at.again() })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// A key as the field it names.
struct Key(&'static [Field]);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Self::Value, E> {
        self.visit_bytes(key.as_bytes())
    }

    fn visit_bytes<E: de::Error>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|field| field.key.as_bytes() == key))
    }
}

/// One value of a field, or `null` for none.
struct Nullable<'o> {
    number: u32,
    kind: Kind,
    at: At<'o>,
}

impl<'de> DeserializeSeed<'de> for Nullable<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Nullable<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let number = self.number;
        match self.kind {
            Kind::List(kind) => deserializer.deserialize_seq(List { number, kind: *kind, at: self.at }),
            Kind::Message(fields) => self.at.message(number, |at| Message { fields, at }.deserialize(deserializer)),
            Kind::Any => self.at.message(number, |at| any(at, deserializer)),
            Kind::Text | Kind::Base64 | Kind::Hex => deserializer.deserialize_bytes(Scalar(self)),
            Kind::Bool => deserializer.deserialize_bool(Scalar(self)),
            _ => deserializer.deserialize_any(Scalar(self)),
        }
    }
}

/// One more level of nested values.
fn any<'de, D: Deserializer<'de>>(mut at: At<'_>, deserializer: D) -> Result<(), D::Error> {
    at.level += 1;
    if at.level > at.nesting {
        return de::Deserialize::deserialize(deserializer).map(|_: IgnoredAny| ());
    }
    if !at.level.is_multiple_of(LEVELS_PER_PARSER) {
        return Message { fields: ANY, at }.deserialize(deserializer);
    }
    let raw: &RawValue = de::Deserialize::deserialize(deserializer)?;
    let mut parser = serde_json::Deserializer::from_str(raw.get());
    Message { fields: ANY, at }.deserialize(&mut parser).map_err(de::Error::custom)
}

/// A JSON array as a repeated field.
struct List<'o> {
    number: u32,
    kind: Kind,
    at: At<'o>,
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let (number, kind) = (self.number, self.kind);
        while seq.next_element_seed(Nullable { number, kind, at: self.at.again() })?.is_some() {}
        Ok(())
    }
}

/// A JSON string, number or bool as a scalar field.
struct Scalar<'o>(Nullable<'o>);

impl Scalar<'_> {
    fn int<E: de::Error>(mut self, value: i128) -> Result<(), E> {
        let number = self.0.number;
        let fault = || E::custom(format!("{value} does not fit field {number}"));
        let at = &mut self.0.at;
        match self.0.kind {
            Kind::Int64 => {
                at.tag(number, 0);
                at.varint(i64::try_from(value).map_err(|_| fault())? as u64);
            }
            Kind::Uint => {
                at.tag(number, 0);
                at.varint(u64::try_from(value).map_err(|_| fault())?);
            }
            Kind::Enum(_) => {
                at.tag(number, 0);
                at.varint(i64::from(i32::try_from(value).map_err(|_| fault())?) as u64);
            }
            Kind::Sint32 => {
                let value = i32::try_from(value).map_err(|_| fault())?;
                at.tag(number, 0);
                at.varint(u64::from((value << 1 ^ value >> 31) as u32));
            }
            Kind::Fixed32 => {
                let value = u32::try_from(value).map_err(|_| fault())?;
                at.tag(number, 5);
                at.out.extend_from_slice(&value.to_le_bytes());
            }
            Kind::Fixed64 => at.fixed64(number, u64::try_from(value).map_err(|_| fault())?),
            Kind::Sfixed64 => at.fixed64(number, i64::try_from(value).map_err(|_| fault())? as u64),
            _ => return Err(E::custom(format!("a number where field {number} has none"))),
        }
        Ok(())
    }

    fn text<E: de::Error>(mut self, text: &[u8]) -> Result<(), E> {
        let number = self.0.number;
        match self.0.kind {
            Kind::Text => self.0.at.bytes(number, text),
            // An id that is not hex has a wrong length, whatever it is: one byte.
            Kind::Hex => {
                let id = str::from_utf8(text).ok().and_then(from_hex).unwrap_or_else(|| vec![0]);
                self.0.at.bytes(number, &id);
            }
            Kind::Base64 => {
                let bytes = BASE64.decode(text).or_else(|_| BASE64_URL.decode(text));
                self.0.at.bytes(number, &bytes.map_err(|_| E::custom("bytes that are not base64"))?);
            }
            Kind::Double => {
                let value = match text {
                    b"NaN" => Some(f64::NAN),
                    b"Infinity" => Some(f64::INFINITY),
                    b"-Infinity" => Some(f64::NEG_INFINITY),
                    other => plain_double(other),
                };
                let value = value.ok_or_else(|| E::custom("a string that is not a number"))?;
                self.0.at.fixed64(number, value.to_bits());
            }
            Kind::Enum(names) => {
                let value = names.iter().position(|name| name.as_bytes() == text).map(|place| place as i128);
                let value = value.or_else(|| integer(text));
                return self.int(value.ok_or_else(|| E::custom("an enum value without meaning"))?);
            }
            _ => return self.int(integer(text).ok_or_else(|| E::custom("a string that is not an integer"))?),
        }
        Ok(())
    }
}

fn integer(text: &[u8]) -> Option<i128> {
    let text = str::from_utf8(text).ok()?;
    // i128 would also take a leading plus, which JSON has not.
    if text.starts_with('+') { None } else { text.parse().ok() }
}

fn plain_double(text: &[u8]) -> Option<f64> {
    let numeric = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
    if numeric { str::from_utf8(text).ok()?.parse().ok() } else { None }
}

impl Visitor<'_> for Scalar<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value for field {}", self.0.number)
    }

    fn visit_bool<E: de::Error>(mut self, value: bool) -> Result<(), E> {
        if !matches!(self.0.kind, Kind::Bool) {
            return Err(E::custom(format!("a bool where field {} has none", self.0.number)));
        }
        self.0.at.tag(self.0.number, 0);
        self.0.at.varint(u64::from(value));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON has one kind of number; a double field takes the nearest")]
    fn visit_i64<E: de::Error>(mut self, value: i64) -> Result<(), E> {
        if matches!(self.0.kind, Kind::Double) {
            self.0.at.fixed64(self.0.number, (value as f64).to_bits());
            return Ok(());
        }
        self.int(i128::from(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON has one kind of number; a double field takes the nearest")]
    fn visit_u64<E: de::Error>(mut self, value: u64) -> Result<(), E> {
        if matches!(self.0.kind, Kind::Double) {
            self.0.at.fixed64(self.0.number, (value as f64).to_bits());
            return Ok(());
        }
        self.int(i128::from(value))
    }

    fn visit_f64<E: de::Error>(mut self, value: f64) -> Result<(), E> {
        if matches!(self.0.kind, Kind::Double) {
            self.0.at.fixed64(self.0.number, value.to_bits());
            return Ok(());
        }
        // Protobuf's JSON mapping takes 1e3 and 1.0 for integers.
        if value.fract() == 0.0 && value.abs() < 1e19 {
            return self.int(value as i128);
        }
        Err(E::custom(format!("{value} is not an integer")))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.text(text.as_bytes())
    }

    fn visit_bytes<E: de::Error>(self, text: &[u8]) -> Result<(), E> {
        self.text(text)
    }
}
