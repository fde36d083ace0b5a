//! What a value index knows a value by: a hash of an attribute's key and of its value.
//!
//! Numbers are hashed as doubles, so that `200` finds 200 and 200.0; texts and booleans by their text, an empty value as
//! the empty text. Values that have parts of their own (bytes, arrays, maps) are not told apart: their key alone is
//! noted ([`odd`]), so whoever asks for a value asks for that too. The service of a span stands under `service.name`,
//! its name under [`SPAN_NAME`], the service of one that failed under [`failed`] besides: of all pairs of conditions it is
//! the one that is asked for most. Whoever writes an index and whoever asks it share these functions and nothing else.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Under this key stands the name of a span.
pub const SPAN_NAME: &str = "span:name";
/// Under this key stands its service, also where the resource names none.
pub const SERVICE: &str = "service.name";
/// Under this key stands the service of a span that failed, and the empty text for any.
const FAILED: &str = "span:failed";

/// Keeps numbers and what is odd apart from texts.
const NUMBER: u64 = 0x9e37_79b9_7f4a_7c15;
const ODD: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// A boolean's text.
pub(crate) fn flag_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The seed of a key.
pub(crate) fn seed(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

/// A text under a key's seed.
pub(crate) fn text_of(seed: u64, text: &[u8]) -> u64 {
    xxh3_64_with_seed(text, seed)
}

/// A number under a key's seed.
pub(crate) fn number_of(seed: u64, number: f64) -> u64 {
    // One zero, one NaN.
    let number = if number == 0.0 { 0.0 } else { number };
    let bits = if number.is_nan() { f64::NAN.to_bits() } else { number.to_bits() };
    xxh3_64_with_seed(&bits.to_le_bytes(), seed ^ NUMBER)
}

/// Any value with parts under a key's seed.
pub(crate) fn odd_of(seed: u64) -> [u64; 2] {
    [&[][..], &[1]].map(|which| xxh3_64_with_seed(which, seed ^ ODD))
}

/// Rows that have an attribute, of their own or of their resource, with this text, or a boolean that is written so.
pub fn text(key: &str, text: &str) -> u64 {
    text_of(seed(key), text.as_bytes())
}

/// Rows that have an attribute with this boolean, or the text that it is written as.
pub fn flag(key: &str, value: bool) -> u64 {
    text(key, flag_text(value))
}

/// Rows that have an attribute with this number, an integer or a double.
pub fn number(key: &str, number: f64) -> u64 {
    number_of(seed(key), number)
}

/// Rows that have an attribute whose value is neither a text nor a number nor a boolean: bytes, an array, a map. Such rows
/// hold both: everybody asks for this besides what they look for, so it should hardly ever be found for nothing.
pub fn odd(key: &str) -> [u64; 2] {
    odd_of(seed(key))
}

/// Rows of spans of a service, or of any, whose status is an error.
pub fn failed(service: Option<&str>) -> u64 {
    text(FAILED, service.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_one_by_value_and_apart_from_their_texts() {
        assert_eq!(number("k", 0.0), number("k", -0.0));
        assert_eq!(number("k", f64::NAN), number("k", -f64::NAN));
        let apart = [
            text("k", "1"),
            text("k", ""),
            text("l", "1"),
            number("k", 1.0),
            number("l", 1.0),
            number("k", 2.0),
            odd("k")[0],
            odd("k")[1],
            odd("l")[0],
            odd("l")[1],
            text("k1", ""),
            failed(None),
            failed(Some("1")),
        ];
        for (at, one) in apart.iter().enumerate() {
            assert!(!apart[..at].contains(one), "{at}");
        }
    }
}
