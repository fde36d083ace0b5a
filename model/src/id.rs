//! Trace and span ids (W3C Trace Context): 16 and 8 bytes, never all zero, lower-case hex in text.

use std::fmt;

/// An id that is not the right number of hex digits, or is all zero.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of {digits} hexadecimal digits that are not all zero")]
pub struct IdError {
    text: String,
    digits: usize,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Takes raw bytes; `None` when the length is wrong or all bytes are zero.
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let id = Self(bytes.try_into().ok()?);
                (id.0 != [0; $bytes]).then_some(id)
            }

            /// Reads hex of either case.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let fault = || IdError { text: text.chars().take(64).collect(), digits: 2 * $bytes };
                from_hex(text).and_then(|bytes| Self::from_bytes(&bytes)).ok_or_else(fault)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&to_hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// A trace's id, 16 bytes.
    TraceId,
    16
);
id!(
    /// A span's id, 8 bytes.
    SpanId,
    8
);

/// Bytes as lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Hex of either case as bytes; `None` when it is not hex or of odd length.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_from_their_text_and_nothing_else_is_an_id() {
        let id = SpanId::parse("00F0ab1234567890").expect("an id");
        assert_eq!(id.to_string(), "00f0ab1234567890");
        assert_eq!(SpanId::parse(&id.to_string()), Ok(id));
        for bad in
            ["", "0000000000000000", "00f0ab123456789", "00f0ab123456789g", "00f0ab12345678900", "é0f0ab123456789"]
        {
            assert!(SpanId::parse(bad).is_err(), "{bad}");
        }
        assert!(TraceId::from_bytes(&[0; 16]).is_none());
        assert!(TraceId::from_bytes(&[1; 15]).is_none());
    }
}
