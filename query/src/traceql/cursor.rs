//! Words one after the other, for parsers: what comes next, what was expected, how deep and how long it may get.

use crate::traceql::lexer::words;
use crate::traceql::place::SyntaxError;
use crate::traceql::token::{Placed, Token};

/// How deep parentheses and signs may stand in each other.
const DEPTH_MAX: usize = 64;

/// Operators of one query, so that no tree grows deeper than a stack.
const OPERATORS_MAX: usize = 500;

/// A place among the words of a query.
pub(crate) struct Cursor<'a> {
    query: &'a str,
    words: Vec<Placed>,
    next: usize,
    depth: usize,
    operators: usize,
}

impl<'a> Cursor<'a> {
    /// The beginning of a query.
    pub(crate) fn new(query: &'a str) -> Result<Self, SyntaxError> {
        Ok(Self { query, words: words(query)?, next: 0, depth: 0, operators: 0 })
    }

    /// The word that comes next.
    pub(crate) fn peek(&self) -> &Token {
        &self.words[self.next].token
    }

    /// The word after it.
    pub(crate) fn peek_second(&self) -> &Token {
        &self.words[(self.next + 1).min(self.words.len() - 1)].token
    }

    /// The byte where the next word begins.
    pub(crate) fn at(&self) -> usize {
        self.words[self.next].at
    }

    /// Takes the next word; the end stays.
    pub(crate) fn bump(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.words.len() - 1);
        token
    }

    /// The symbol that comes next, if it is one.
    pub(crate) fn symbol(&self) -> Option<&'static str> {
        if let Token::Symbol(symbol) = self.peek() { Some(symbol) } else { None }
    }

    /// The bare word that comes next, if it is one.
    pub(crate) fn word(&self) -> Option<&str> {
        if let Token::Word(word) = self.peek() { Some(word) } else { None }
    }

    /// Takes a symbol if it comes next.
    pub(crate) fn eat(&mut self, symbol: &str) -> bool {
        let fits = self.symbol() == Some(symbol);
        if fits {
            self.bump();
        }
        fits
    }

    /// Takes a symbol that must come next.
    pub(crate) fn expect(&mut self, symbol: &str) -> Result<(), SyntaxError> {
        if self.eat(symbol) { Ok(()) } else { Err(self.expected(&format!("`{symbol}`"))) }
    }

    /// The error that something else stands here than `what`.
    pub(crate) fn expected(&self, what: &str) -> SyntaxError {
        self.fault(self.at(), format!("expected {what}, found {}", self.peek().shown()))
    }

    /// An error at a byte.
    pub(crate) fn fault(&self, at: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.query, at, message)
    }

    /// Goes one level deeper; [`Cursor::leave`] comes back.
    pub(crate) fn enter(&mut self) -> Result<(), SyntaxError> {
        self.depth += 1;
        if self.depth <= DEPTH_MAX {
            return Ok(());
        }
        Err(self.fault(self.at(), format!("the query is nested deeper than {DEPTH_MAX} levels")))
    }

    /// Comes back from a level.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Counts an operator.
    pub(crate) fn count_operator(&mut self, at: usize) -> Result<(), SyntaxError> {
        self.operators += 1;
        if self.operators <= OPERATORS_MAX {
            return Ok(());
        }
        Err(self.fault(at, format!("the query has more than {OPERATORS_MAX} operators")))
    }
}
