//! Which log records are wanted: the parameters of the log routes and the language of their `q`.
//!
//! `q`: words, all of them, anywhere in the body and whatever their case; `"several words"` as they stand; `-` before a
//! term turns it round; `field:value` compares a field exactly (service, severity, trace_id, span_id, event_name, or
//! the key of an attribute of the record or its resource), `body:text` is the same as the text alone.

use arrow::array::{Array, BinaryArray, Int8Array, Int64Array, RecordBatch, StringArray};
use datafusion::common::ScalarValue;
use datafusion::prelude::{Expr, col, lit};
use regex::Regex;
use tracelake_model::column::{
    ATTRIBUTES_REST, BODY, EVENT_NAME, RESOURCE_ATTRIBUTES, SERVICE_NAME, SEVERITY_NUMBER, SEVERITY_TEXT, SPAN_ID,
    TIME_UNIX_NANO, TRACE_ID,
};
use tracelake_model::{SpanId, Table, TimeRange, TraceId, UnixNano, from_hex};

use crate::view::attribute::{KeyFinder, PromotedColumn};
use crate::view::column::{binary, bytes_at, int, small, text, text_at};
use crate::view::condition::{Condition, substring};
use crate::view::name::parse_severity;

/// Terms of one question.
const TERMS_MAX: usize = 64;

/// The conditions.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter {
    pub(crate) terms: Vec<Term>,
    pub(crate) service: Option<String>,
    /// The least OTLP severity number.
    pub(crate) severity_min: Option<i8>,
    pub(crate) trace_id: Option<TraceId>,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) range: TimeRange,
}

/// One term of `q`.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    negated: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Body(Regex),
    Service(String),
    /// A level by number (`WARN` is 13 to 16) or as the source spells it.
    Severity {
        level: Option<(i8, i8)>,
        text: String,
    },
    Trace(Vec<u8>),
    Span(Vec<u8>),
    Event(String),
    Attribute(Condition, KeyFinder),
}

/// Reads a `q`; the error says what is wrong with it.
pub(crate) fn parse_terms(q: &str) -> Result<Vec<Term>, String> {
    let mut terms = Vec::new();
    let mut rest = q.trim_start();
    while !rest.is_empty() {
        let negated = rest.starts_with('-') && rest[1..].starts_with(|c: char| !c.is_whitespace());
        rest = &rest[usize::from(negated)..];
        let (test, after) = parse_term(rest)?;
        terms.push(Term { negated, test });
        rest = after.trim_start();
    }
    if terms.len() > TERMS_MAX {
        return Err(format!("more than {TERMS_MAX} terms"));
    }
    Ok(terms)
}

fn parse_term(text: &str) -> Result<(Test, &str), String> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let field = text[..end].split_once(':').filter(|(name, value)| is_field(name) && !value.starts_with("//"));
    match field {
        Some((name, value)) if !value.is_empty() => {
            let (value, after) = parse_value(&text[name.len() + 1..])?;
            Ok((field_test(name, &value)?, after))
        }
        _ => {
            let (value, after) = parse_value(text)?;
            Ok((Test::Body(substring(&value)?), after))
        }
    }
}

fn is_field(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/'))
}

/// A word, or a phrase in quotes (`\"` and `\\` inside); and what follows it.
fn parse_value(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    Err("a quote is opened and not closed".to_owned())
}

fn field_test(name: &str, value: &str) -> Result<Test, String> {
    let id = |bytes: usize| {
        let id = from_hex(value).filter(|id| id.len() == bytes);
        id.ok_or_else(|| format!("{name}: {value:?} is not {} hexadecimal digits", 2 * bytes))
    };
    Ok(match name {
        "service" => Test::Service(value.to_owned()),
        "severity" | "level" => {
            let is_number = value.parse::<i8>().is_ok();
            let level = parse_severity(value).map(|least| (least, if is_number { least } else { least + 3 }));
            Test::Severity { level, text: value.to_owned() }
        }
        "trace_id" => Test::Trace(id(16)?),
        "span_id" => Test::Span(id(8)?),
        "event_name" => Test::Event(value.to_owned()),
        "body" => Test::Body(substring(value)?),
        key => Test::Attribute(Condition::equal(key, value), KeyFinder::new(key)),
    })
}

impl LogFilter {
    /// What a scan can apply by itself: conditions on plain columns.
    pub(crate) fn expression(&self) -> Option<Expr> {
        let id = |name: &str, bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| col(name).eq(Expr::Literal(ScalarValue::Binary(Some(bytes)), None)))
        };
        [
            self.service.as_ref().map(|service| col(SERVICE_NAME).eq(lit(service.clone()))),
            self.severity_min.map(|least| col(SEVERITY_NUMBER).gt_eq(lit(least))),
            id(TRACE_ID, self.trace_id.map(|id| id.0.to_vec())),
            id(SPAN_ID, self.span_id.map(|id| id.0.to_vec())),
        ]
        .into_iter()
        .flatten()
        .chain(self.terms.iter().filter_map(|term| match &term.test {
            Test::Trace(bytes) if !term.negated => id(TRACE_ID, Some(bytes.clone())),
            Test::Span(bytes) if !term.negated => id(SPAN_ID, Some(bytes.clone())),
            _ => None,
        }))
        .reduce(Expr::and)
    }

    /// Whether only records of one trace are wanted.
    pub(crate) fn names_trace(&self) -> bool {
        let named = |term: &Term| !term.negated && matches!(term.test, Test::Trace(_));
        self.trace_id.is_some() || self.terms.iter().any(named)
    }

    /// The exact test on the rows of a batch that has all columns of a log record.
    pub(crate) fn matcher<'a>(&'a self, batch: &'a RecordBatch) -> LogMatcher<'a> {
        let promoted = |term: &Term| match &term.test {
            Test::Attribute(condition, _) => {
                let known = Table::Logs.promoted().iter().find(|promoted| promoted.key == condition.key());
                known.map(|promoted| PromotedColumn::new(batch, promoted))
            }
            _ => None,
        };
        LogMatcher {
            filter: self,
            time: int(batch, TIME_UNIX_NANO),
            service: text(batch, SERVICE_NAME),
            severity: small(batch, SEVERITY_NUMBER),
            severity_text: text(batch, SEVERITY_TEXT),
            body: text(batch, BODY),
            event: text(batch, EVENT_NAME),
            trace: binary(batch, TRACE_ID),
            span: binary(batch, SPAN_ID),
            rest: text(batch, ATTRIBUTES_REST),
            resource: text(batch, RESOURCE_ATTRIBUTES),
            promoted: self.terms.iter().map(promoted).collect(),
        }
    }
}

/// Tests rows of one batch.
pub(crate) struct LogMatcher<'a> {
    filter: &'a LogFilter,
    time: &'a Int64Array,
    service: &'a StringArray,
    severity: &'a Int8Array,
    severity_text: &'a StringArray,
    body: &'a StringArray,
    event: &'a StringArray,
    trace: &'a BinaryArray,
    span: &'a BinaryArray,
    rest: &'a StringArray,
    resource: &'a StringArray,
    /// The promoted column of each term that asks for one.
    promoted: Vec<Option<PromotedColumn<'a>>>,
}

impl LogMatcher<'_> {
    /// Whether a row fulfils all conditions.
    pub(crate) fn matches(&self, row: usize) -> bool {
        let filter = self.filter;
        filter.range.contains(UnixNano(self.time.value(row)))
            && filter.severity_min.is_none_or(|least| self.severity.value(row) >= least)
            && filter.service.as_ref().is_none_or(|service| self.service.value(row) == service)
            && filter.trace_id.is_none_or(|id| bytes_at(self.trace, row) == Some(&id.0))
            && filter.span_id.is_none_or(|id| bytes_at(self.span, row) == Some(&id.0))
            && filter.terms.iter().enumerate().all(|(at, term)| self.holds(at, &term.test, row) != term.negated)
    }

    fn holds(&self, at: usize, test: &Test, row: usize) -> bool {
        match test {
            Test::Body(wanted) => text_at(self.body, row).is_some_and(|body| wanted.is_match(body)),
            Test::Service(service) => self.service.value(row) == service,
            Test::Severity { level, text } => {
                let number = self.severity.value(row);
                level.is_some_and(|(least, most)| (least..=most).contains(&number))
                    || text_at(self.severity_text, row).is_some_and(|found| found.eq_ignore_ascii_case(text))
            }
            Test::Trace(id) => bytes_at(self.trace, row) == Some(id),
            Test::Span(id) => bytes_at(self.span, row) == Some(id),
            Test::Event(name) => text_at(self.event, row) == Some(name),
            Test::Attribute(condition, finder) => {
                let json = |texts: &StringArray| finder.find(texts.is_valid(row).then(|| texts.value(row))?);
                let promoted = self.promoted[at].as_ref().and_then(|column| column.value(row));
                condition.holds(promoted.or_else(|| json(self.rest)).into_iter().chain(json(self.resource)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_taken_apart_into_terms() {
        let check = |q: &str, expected: &[&str]| {
            let terms = parse_terms(q).expect("a question");
            let tell = |term: &Term| {
                let sign = if term.negated { "-" } else { "" };
                match &term.test {
                    Test::Body(regex) => format!("{sign}body {regex}"),
                    Test::Service(name) => format!("{sign}service {name}"),
                    Test::Severity { level, text } => format!("{sign}severity {level:?} {text}"),
                    Test::Trace(id) | Test::Span(id) => format!("{sign}id {}", tracelake_model::to_hex(id)),
                    Test::Event(name) => format!("{sign}event {name}"),
                    Test::Attribute(condition, _) => format!("{sign}attribute {}", condition.key()),
                }
            };
            assert_eq!(terms.iter().map(tell).collect::<Vec<_>>(), expected, "{q}");
        };
        check("", &[]);
        check("  time out ", &["body time", "body out"]);
        check("\"time out\" -\"not this\"", &["body time out", "-body not this"]);
        check("\"say \\\"hi\\\"\"", &["body say \"hi\""]);
        check("a-b - -c", &["body a\\-b", "body \\-", "-body c"]);
        check("service:cart -service:\"my cart\"x", &["service cart", "-service my cart", "body x"]);
        check("severity:warn", &["severity Some((13, 16)) warn"]);
        check("span_id:00f0ab1234567890", &["id 00f0ab1234567890"]);
        check("http.route:/a/b k8s.pod.name:p-1", &["attribute http.route", "attribute k8s.pod.name"]);
        check("https://host/x 12:30:45 key:", &["body https://host/x", "body 12:30:45", "body key:"]);
        check("오류 결제", &["body 오류", "body 결제"]);
    }

    #[test]
    fn a_question_that_cannot_be_read_is_refused() {
        for bad in ["\"open", "trace_id:xyz", "span_id:00", "service:\"open"] {
            assert!(parse_terms(bad).is_err(), "{bad}");
        }
        assert!(parse_terms(&"a ".repeat(65)).is_err());
    }
}
