//! What a half-written query already says: editors ask for completions while one is typed.
//!
//! Gives the comparisons of a field with a literal that stand in it, as one condition; none where they are joined by
//! anything but `&&`, so that no completion is left out that the finished query could mean.

use crate::traceql::ast::{Pipeline, Query};
use crate::traceql::field::Field;
use crate::traceql::lexer::words;
use crate::traceql::literal::Static;
use crate::traceql::parse::parse;
use crate::traceql::token::{Placed, Token};

/// The query itself where it can be read, else what can be read of it.
pub(crate) fn pipeline(query: &str) -> Option<Pipeline> {
    if let Ok(Query { pipeline, .. }) = parse(query) {
        return Some(pipeline);
    }
    let words = words(query).ok()?;
    let is_plain = |word: &Placed| !matches!(word.token, Token::Symbol("||" | "!" | "(" | ")" | "|"));
    if !words.iter().all(is_plain) {
        return None;
    }
    let conditions = words.windows(4).filter(|four| is_comparison(four)).filter_map(|four| {
        let text = query.get(four[0].at..four[3].at)?.trim();
        parse(&format!("{{ {text} }}")).ok().map(|_| text)
    });
    let conditions: Vec<&str> = conditions.collect();
    if conditions.is_empty() {
        return None;
    }
    parse(&format!("{{ {} }}", conditions.join(" && "))).ok().map(|query| query.pipeline)
}

/// A field, an operator, a literal; and behind them nothing that the literal could be part of.
fn is_comparison(words: &[Placed]) -> bool {
    let is_field = match &words[0].token {
        Token::Field(_) => true,
        Token::Word(word) => Field::intrinsic(word).is_some(),
        _ => false,
    };
    let is_operator = matches!(words[1].token, Token::Symbol("=" | "!=" | "<" | "<=" | ">" | ">=" | "=~" | "!~"));
    let is_literal = match &words[2].token {
        Token::Text(_) | Token::Int(_) | Token::Float(_) | Token::Duration(_) => true,
        Token::Word(word) => Static::of_word(word).is_some(),
        _ => false,
    };
    is_field && is_operator && is_literal && matches!(words[3].token, Token::Symbol("&&" | "}") | Token::End)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_query_says_what_it_already_says() {
        let check = |query: &str, expected: Option<&str>| {
            assert_eq!(pipeline(query).map(|found| found.to_string()).as_deref(), expected, "{query}");
        };
        check("{ .a = 1 }", Some("{ .a = 1 }"));
        check("{ .a = 1 && name = }", Some("{ .a = 1 }"));
        check(
            "{ resource.service.name=\"x\" && status = error && ",
            Some("{ (resource.service.name = \"x\") && (status = error) }"),
        );
        check("{ name = ", None);
        check("{ .a = 1 || name = ", None);
        check("{ .a = 1 + ", None);
        check("{ name = 1 && .a = 2 && ", Some("{ .a = 2 }"));
        check("{ .a = \"open", None);
        check("", None);
    }
}
