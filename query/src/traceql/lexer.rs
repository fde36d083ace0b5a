//! A query's text into words. Decides what is a field, a number, a duration; deliberately knows no grammar.

use crate::traceql::field::{Field, INTRINSICS, SCOPES, Scope, is_name_char};
use crate::traceql::literal::UNITS;
use crate::traceql::place::SyntaxError;
use crate::traceql::string::{quoted_name, quoted_text};
use crate::traceql::token::{Placed, SYMBOLS, Token};

/// Bytes of a query; a longer one is refused unread.
pub(crate) const QUERY_BYTES_MAX: usize = 32 << 10;

/// All words of a query, the end last.
pub(crate) fn words(query: &str) -> Result<Vec<Placed>, SyntaxError> {
    if query.len() > QUERY_BYTES_MAX {
        let message = format!("the query has {} bytes, {QUERY_BYTES_MAX} is the limit", query.len());
        return Err(SyntaxError::new(query, QUERY_BYTES_MAX, message));
    }
    let mut lexer = Lexer { query, at: 0 };
    let mut words = Vec::new();
    loop {
        lexer.skip_space();
        let at = lexer.at;
        let token = lexer.next()?;
        let is_end = token == Token::End;
        words.push(Placed { token, at });
        if is_end {
            return Ok(words);
        }
    }
}

struct Lexer<'a> {
    query: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.query[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn fault<T>(&self, at: usize, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(self.query, at, message))
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn next(&mut self) -> Result<Token, SyntaxError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        let second = self.rest().chars().nth(1);
        match first {
            '"' | '`' => self.text(),
            '.' if second.is_none_or(|c| !c.is_ascii_digit()) => {
                self.at += 1;
                self.attribute(Scope::Any, ".")
            }
            '.' | '0'..='9' => self.number(),
            c if c.is_alphabetic() || c == '_' => self.word(),
            _ => self.symbol(first),
        }
    }

    fn symbol(&mut self, first: char) -> Result<Token, SyntaxError> {
        let rest = self.rest();
        let fits = |symbol: &&&str| rest.starts_with(**symbol);
        match SYMBOLS.iter().filter(fits).max_by_key(|symbol| symbol.len()) {
            Some(&"==") => self.fault(self.at, "`==` is no operator here; equality is `=`"),
            Some(&"&") => self.fault(self.at, "`&` is no operator; use `&&`, or `&>`, `&>>`, `&<`, `&<<`, `&~`"),
            Some(&";") => self.fault(self.at, "`;` ends nothing here; a query is one expression"),
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None if first == '\'' => self.fault(self.at, "strings stand in double quotes or backticks"),
            None => self.fault(self.at, format!("the character {first:?} means nothing here")),
        }
    }

    fn text(&mut self) -> Result<Token, SyntaxError> {
        let (text, length) =
            quoted_text(self.rest()).or_else(|(offset, message)| self.fault(self.at + offset, message))?;
        self.at += length;
        Ok(Token::Text(text))
    }

    /// The name of an attribute, behind its scope and point: plain and quoted pieces.
    fn attribute(&mut self, scope: Scope, prefix: &str) -> Result<Token, SyntaxError> {
        let begin = self.at;
        let mut name = String::new();
        loop {
            name.push_str(self.take_while(is_name_char));
            if self.peek() != Some('"') {
                break;
            }
            let piece = quoted_name(self.rest());
            let (piece, length) = piece.or_else(|(offset, message)| self.fault(self.at + offset, message))?;
            name.push_str(&piece);
            self.at += length;
        }
        if name.is_empty() {
            return self.fault(begin, format!("expected an attribute's name after `{prefix}`"));
        }
        Ok(Token::Field(Field::attribute(scope, &name)))
    }

    fn word(&mut self) -> Result<Token, SyntaxError> {
        let begin = self.at;
        if let Some((prefix, scope)) = SCOPES.iter().find(|(prefix, _)| self.is_scope(prefix)) {
            self.at += prefix.len() + 1;
            return self.attribute(*scope, &format!("{prefix}."));
        }
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
        match self.peek() {
            Some('.') => {
                let known: Vec<&str> = SCOPES.iter().map(|(prefix, _)| *prefix).rev().collect();
                let message = format!("`{word}.` is no scope; known are {}, and `.` for any", known.join(", "));
                self.fault(begin, message)
            }
            Some(':') => {
                self.at += 1;
                let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
                let spelled = format!("{word}:{name}");
                Field::intrinsic(&spelled).map(Token::Field).ok_or(()).or_else(|()| {
                    let prefix = format!("{word}:");
                    let known = INTRINSICS.iter().map(|(spelled, _)| *spelled).filter(|known| known.contains(':'));
                    let near: Vec<&str> = known.clone().filter(|known| known.starts_with(&prefix)).collect();
                    let near = if near.is_empty() { known.collect() } else { near };
                    self.fault(begin, format!("`{spelled}` is no field; known are {}", near.join(", ")))
                })
            }
            _ => Ok(Token::Word(word.to_owned())),
        }
    }

    fn is_scope(&self, prefix: &str) -> bool {
        self.rest().strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
    }

    /// An integer, a double, or a duration such as `1h30m` or `1.5s`.
    fn number(&mut self) -> Result<Token, SyntaxError> {
        let begin = self.at;
        let plain = self.digits();
        let unit = self.unit();
        if unit.is_empty() {
            return match (plain.parse::<u64>(), plain.parse::<f64>()) {
                (Ok(value), _) => Ok(Token::Int(value)),
                (_, Ok(value)) if plain.contains(['.', 'e', 'E']) && value.is_finite() => Ok(Token::Float(value)),
                _ => self.fault(begin, "the number is too large, or none"),
            };
        }
        let (mut piece, mut unit, mut total) = (plain, unit, 0.0);
        loop {
            let Some((_, length)) = UNITS.iter().find(|(known, _)| *known == unit) else {
                return self.fault(begin, format!("`{unit}` is no unit of time; use ns, us, ms, s, m or h"));
            };
            let Ok(count) = piece.parse::<f64>() else { return self.fault(begin, "expected a number before the unit") };
            total += nanos(count, *length);
            if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
                break;
            }
            piece = self.digits();
            unit = self.unit();
        }
        // The greatest duration is 292 years.
        if total >= 9.2e18 {
            return self.fault(begin, "the duration is longer than 290 years");
        }
        Ok(Token::Duration(total.round() as i64))
    }

    fn unit(&mut self) -> &'a str {
        self.take_while(char::is_alphabetic)
    }

    /// Digits with at most one point, and an exponent where one follows.
    fn digits(&mut self) -> &'a str {
        let begin = self.at;
        self.take_while(|c| c.is_ascii_digit());
        if self.peek() == Some('.') {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
        }
        let exponent = self.rest().strip_prefix(['e', 'E']).map(|rest| rest.trim_start_matches(['+', '-']));
        if exponent.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            self.at += 1;
            self.take_while(|c| matches!(c, '+' | '-'));
            self.take_while(|c| c.is_ascii_digit());
        }
        &self.query[begin..self.at]
    }
}

#[expect(clippy::cast_precision_loss, reason = "units are powers of ten times at most 3600")]
fn nanos(count: f64, unit: u64) -> f64 {
    count * unit as f64
}
