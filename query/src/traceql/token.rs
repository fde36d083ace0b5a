//! The words of the language, each with its place.

use crate::traceql::field::Field;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A bracket, a comma or an operator.
    Symbol(&'static str),
    /// A name without scope: a keyword, a function, a literal such as `ok`.
    Word(String),
    /// An attribute, or an intrinsic with a colon.
    Field(Field),
    /// A string without its quotes.
    Text(String),
    /// Digits; a sign is an operator.
    Int(u64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Nanoseconds.
    Duration(i64),
    /// The end of the query.
    End,
}

impl Token {
    /// As messages name it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::Word(word) => format!("`{word}`"),
            Self::Field(field) => format!("`{field}`"),
            Self::Text(_) => "a string".to_owned(),
            Self::Int(_) | Self::Float(_) => "a number".to_owned(),
            Self::Duration(_) => "a duration".to_owned(),
            Self::End => "the end of the query".to_owned(),
        }
    }
}

/// A word with the byte where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) token: Token,
    pub(crate) at: usize,
}

/// Brackets and operators; of two that fit the longer comes first.
pub(crate) const SYMBOLS: [&str; 38] = [
    "!>>", "!<<", "&>>", "&<<", "&&", "||", "!=", "=~", "!~", "!>", "!<", "&>", "&<", "&~", "<=", ">=", "<<", ">>",
    "{", "}", "(", ")", ",", "|", "=", "!", "<", ">", "~", "+", "-", "*", "/", "%", "^", "==", "&", ";",
];
