//! The older search by `tags`, `minDuration` and `maxDuration`, as a pipeline of the language.
//!
//! A trace is found when each tag is somewhere in it, as text that holds the value whatever its case (as Tempo's
//! documentation says), or as the same number or boolean.

use regex::RegexBuilder;

use crate::error::Error;
use crate::traceql::ast::{BinaryOp, FieldExpr, Pattern, Pipeline, Spanset, SpansetOp, Stage};
use crate::traceql::field::{Field, Scope};
use crate::traceql::literal::Static;

const TAGS_MAX: usize = 32;
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The pipeline; `{ }` where nothing is asked for.
pub(crate) fn pipeline(tags: Option<&str>, least: Option<i64>, most: Option<i64>) -> Result<Pipeline, Error> {
    let pairs = logfmt(tags.unwrap_or_default())?;
    if pairs.len() > TAGS_MAX {
        return Err(Error::Invalid(format!("invalid tags: at most {TAGS_MAX} may be given")));
    }
    let filters = pairs.iter().map(|(key, value)| condition(key, value).map(Spanset::Filter));
    let filters = filters.collect::<Result<Vec<_>, _>>()?;
    let both = |left, right| Spanset::Operation { op: SpansetOp::And, left: Box::new(left), right: Box::new(right) };
    let all = filters.into_iter().reduce(both);
    let mut stages = vec![Stage::Spans(all.unwrap_or(Spanset::Filter(FieldExpr::Literal(Static::Bool(true)))))];
    for (op, bound) in [(BinaryOp::GreaterEqual, least), (BinaryOp::LessEqual, most)] {
        if let (Some(bound), Some(field)) = (bound, Field::intrinsic("trace:duration")) {
            let (left, right) = (FieldExpr::Field(field), FieldExpr::Literal(Static::Duration(bound)));
            stages.push(Stage::Spans(Spanset::Filter(binary(op, left, right))));
        }
    }
    Ok(Pipeline { stages })
}

fn condition(key: &str, value: &str) -> Result<FieldExpr, Error> {
    let field = match key {
        "name" | "status" | "kind" | "statusMessage" | "rootName" | "rootServiceName" => Field::intrinsic(key),
        "status.code" => Field::intrinsic("status"),
        _ => None,
    };
    let field = field.unwrap_or_else(|| Field::attribute(Scope::Any, key));
    let of = || FieldExpr::Field(field.clone());
    let equal = |value: Static| binary(BinaryOp::Equal, of(), FieldExpr::Literal(value));
    let literal = value.parse::<i64>().map(Static::Int).or_else(|_| value.parse::<f64>().map(Static::Float)).ok();
    let literal = literal.or_else(|| Static::of_word(value).filter(|word| *word != Static::Nil));
    if matches!(field, Field::Intrinsic { spelled: "status" | "kind", .. }) {
        let what = format!("invalid tags: {value:?} is no {field}");
        return literal.filter(|found| found.of_type() == field.of_type()).map(equal).ok_or(Error::Invalid(what));
    }
    let text = format!("(?is).*{}.*", regex::escape(value));
    let regex = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(REGEX_BYTES_MAX).build();
    let regex = regex.map_err(|_| Error::Invalid(format!("invalid tags: the value of {key} is too long")))?;
    let contains = FieldExpr::Match { of: Box::new(of()), pattern: Pattern { text, regex }, negated: false };
    let literal = literal.filter(|value| matches!(value, Static::Int(_) | Static::Float(_) | Static::Bool(_)));
    Ok(match literal.filter(|_| matches!(field, Field::Attribute { .. })) {
        Some(literal) => binary(BinaryOp::Or, contains, equal(literal)),
        None => contains,
    })
}

fn binary(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
}

/// `key=value key2="two words"`.
fn logfmt(text: &str) -> Result<Vec<(String, String)>, Error> {
    let fault = |at: usize, what: &str| {
        let column = text[..at].chars().count() + 1;
        Error::Invalid(format!("invalid tags at column {column}: {what}"))
    };
    let (mut pairs, mut at) = (Vec::new(), 0);
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if at == text.len() {
            return Ok(pairs);
        }
        let length = text[at..].find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len() - at);
        let key = &text[at..at + length];
        if key.is_empty() || !text[at + length..].starts_with('=') {
            return Err(fault(at, "expected key=value"));
        }
        at += length + 1;
        let mut value = String::new();
        if text[at..].starts_with('"') {
            let begin = at;
            let mut rest = text[at + 1..].char_indices();
            let closed = loop {
                match rest.next() {
                    None => break None,
                    Some((end, '"')) => break Some(begin + 2 + end),
                    Some((_, '\\')) => value.extend(rest.next().map(|(_, c)| c)),
                    Some((_, c)) => value.push(c),
                }
            };
            at = closed.ok_or_else(|| fault(begin, "the value has no closing quote"))?;
        } else {
            let length = text[at..].find(char::is_whitespace).unwrap_or(text.len() - at);
            value.push_str(&text[at..at + length]);
            at += length;
        }
        pairs.push((key.to_owned(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_durations_become_a_pipeline() {
        let check = |tags: &str, least: Option<i64>, expected: &str| {
            assert_eq!(pipeline(Some(tags), least, None).expect(tags).to_string(), expected);
        };
        check("", None, "{ true }");
        check("service.name=api", None, "{ .service.name =~ \"(?is).*api.*\" }");
        check("a=1 name=\"GET /\"", None, "{ (.a =~ \"(?is).*1.*\") || (.a = 1) } && { name =~ \"(?is).*GET /.*\" }");
        check("status=error", Some(1_000_000), "{ status = error } | { trace:duration >= 1ms }");
        for bad in ["a", "a=1 b", "=1", "a=\"x", "status=bad"] {
            assert!(pipeline(Some(bad), None, None).is_err(), "{bad}");
        }
    }
}
