//! Where in a query something stands, and what is wrong there.

use std::fmt;

/// What is wrong with a query, and where. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// Line of the first character that does not fit.
    pub(crate) line: usize,
    /// Its column.
    pub(crate) column: usize,
    /// What was expected, or what is wrong.
    pub(crate) message: String,
}

impl SyntaxError {
    /// An error at a byte of the query.
    pub(crate) fn new(query: &str, at: usize, message: impl Into<String>) -> Self {
        let mut at = at.min(query.len());
        while !query.is_char_boundary(at) {
            at -= 1;
        }
        let before = &query[..at];
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line, column: before[start..].chars().count() + 1, message: message.into() }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse error at line {}, col {}: {}", self.line, self.column, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let check = |at: usize, line: usize, column: usize| {
            let error = SyntaxError::new("{ é }\n| x", at, "no");
            assert_eq!((error.line, error.column), (line, column), "{at}");
        };
        check(0, 1, 1);
        check(2, 1, 3);
        check(3, 1, 3);
        check(4, 1, 4);
        check(7, 2, 1);
        check(99, 2, 4);
    }
}
