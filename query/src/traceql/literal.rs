//! Values of the language: what literals say, what fields hold, what expressions give.
//!
//! Deliberately knows no field and no operator.

use std::fmt;
use std::sync::Arc;

use tracelake_model::push_json_string;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Static {
    /// Nothing: the field is absent.
    Nil,
    /// True or false.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// OTLP number of a status code.
    Status(i8),
    /// OTLP number of a span kind.
    Kind(i8),
    /// Several values of one field: an array, or one of each event or link.
    List(Arc<[Static]>),
}

/// What is known of an expression's value before a span is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// An attribute holds whatever was sent.
    Unknown,
    /// `nil`.
    Nil,
    /// True or false.
    Bool,
    /// Integers, doubles and durations, which compare with each other.
    Number,
    /// Text.
    Text,
    /// `ok error unset`.
    Status,
    /// `server client ...`.
    Kind,
}

impl Type {
    /// As messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "an attribute",
            Self::Nil => "nil",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Status => "a status",
            Self::Kind => "a kind",
        }
    }
}

const STATUSES: [&str; 3] = ["unset", "ok", "error"];
const KINDS: [&str; 6] = ["unspecified", "internal", "server", "client", "producer", "consumer"];

impl Static {
    /// Text.
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }

    /// The literal that a bare word is, if it is one.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        let place = |names: &[&str]| names.iter().position(|name| *name == word).and_then(|at| i8::try_from(at).ok());
        match word {
            "true" => Some(Self::Bool(true)),
            "false" => Some(Self::Bool(false)),
            "nil" => Some(Self::Nil),
            "minInt" => Some(Self::Int(i64::MIN)),
            "maxInt" => Some(Self::Int(i64::MAX)),
            _ => place(&STATUSES).map(Self::Status).or_else(|| place(&KINDS).map(Self::Kind)),
        }
    }

    /// What it is.
    pub(crate) fn of_type(&self) -> Type {
        match self {
            Self::Nil => Type::Nil,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) | Self::Float(_) | Self::Duration(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::Status(_) => Type::Status,
            Self::Kind(_) => Type::Kind,
            Self::List(_) => Type::Unknown,
        }
    }

    /// As a number; durations in nanoseconds.
    #[expect(clippy::cast_precision_loss, reason = "numbers of different kinds compare as doubles")]
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) | Self::Duration(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// As plain text, for labels and lists of values: strings bare, all else as queries write it.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Static {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |names: &[&'static str], number: i8| {
            usize::try_from(number).ok().and_then(|at| names.get(at).copied()).unwrap_or(names[0])
        };
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => {
                let mut quoted = String::new();
                push_json_string(&mut quoted, text);
                f.write_str(&quoted)
            }
            Self::Duration(nanos) => write_duration(f, *nanos),
            Self::Status(status) => f.write_str(named(&STATUSES, *status)),
            Self::Kind(kind) => f.write_str(named(&KINDS, *kind)),
            Self::List(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

/// Units of durations, greatest first, with their nanoseconds.
pub(crate) const UNITS: [(&str, u64); 8] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ns", 1),
];

fn write_duration(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    if nanos == 0 {
        return f.write_str("0s");
    }
    if nanos < 0 {
        f.write_str("-")?;
    }
    let mut rest = nanos.unsigned_abs();
    for (unit, length) in UNITS.into_iter().filter(|(unit, _)| unit.is_ascii()) {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            write!(f, "{count}{unit}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_queries_write_them() {
        let check = |value: Static, shown: &str| assert_eq!(value.to_string(), shown);
        check(Static::Duration(5_400_000_000_000), "1h30m");
        check(Static::Duration(-1_500_000), "-1ms500us");
        check(Static::Duration(0), "0s");
        check(Static::Float(1.0), "1.0");
        check(Static::text("a\"b\n"), "\"a\\\"b\\n\"");
        check(Static::Status(2), "error");
        check(Static::Kind(5), "consumer");
        check(Static::List([Static::Int(1), Static::Nil].into()), "[1, nil]");
    }

    #[test]
    fn bare_words_are_literals() {
        assert_eq!(Static::of_word("ok"), Some(Static::Status(1)));
        assert_eq!(Static::of_word("client"), Some(Static::Kind(3)));
        assert_eq!(Static::of_word("maxInt"), Some(Static::Int(i64::MAX)));
        assert_eq!(Static::of_word("name"), None);
    }
}
