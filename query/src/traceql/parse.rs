//! A query's text into its tree: pipelines of stages, spansets and their operators, scalars, and what follows them.
//!
//! What stands in parentheses may be a spanset, a scalar or a whole pipeline, and only its end tells which; so one climb
//! over operators builds [`Node`]s, and each operator says which of them it takes.

use crate::traceql::ast::{
    Aggregate, BinaryOp, Compare, Form, Pipeline, Query, Relation, Scalar, Spanset, SpansetOp, Stage,
};
use crate::traceql::cursor::Cursor;
use crate::traceql::literal::{Static, Type};
use crate::traceql::parse_field::{fields, filter, negative, number, of_span, positive};
use crate::traceql::parse_metric::{hints, is_function, metric, series};
use crate::traceql::place::SyntaxError;
use crate::traceql::token::Token;
use crate::traceql::typing;

/// Fields of one `select`.
const SELECT_MAX: usize = 64;

const STAGE: &str = "`{`, `(`, an aggregate, `by`, `coalesce`, `select` or a metrics function";

/// Reads a query.
pub(crate) fn parse(query: &str) -> Result<Query, SyntaxError> {
    let mut cursor = Cursor::new(query)?;
    let cursor = &mut cursor;
    let mut stages = Vec::new();
    let mut found = None;
    loop {
        let at = cursor.at();
        if cursor.word().is_some_and(is_function) {
            if stages.is_empty() {
                return Err(cursor.fault(at, "expected spans before the metrics function, as in `{ } | rate()`"));
            }
            found = Some(metric(cursor)?);
            break;
        }
        let node = stage(cursor)?;
        stages.push(node.into_stage(cursor, at)?);
        if !cursor.eat("|") {
            break;
        }
    }
    let series = if found.is_some() { series(cursor)? } else { Vec::new() };
    let hints = hints(cursor)?;
    if *cursor.peek() != Token::End {
        let what = if found.is_some() { "`|`, `by`, a comparison, `with`" } else { "an operator, `|`, `with`" };
        return Err(cursor.expected(&format!("{what} or the end")));
    }
    Ok(Query { pipeline: Pipeline { stages }, metric: found, series, hints })
}

/// What an operand may be.
enum Node {
    Spans(Spanset),
    Scalar(Scalar),
    Compare(Compare),
    Stage(Stage),
}

impl Node {
    /// As a stage of its own.
    fn into_stage(self, cursor: &Cursor<'_>, at: usize) -> Result<Stage, SyntaxError> {
        match self {
            Self::Spans(spans) => Ok(Stage::Spans(spans)),
            Self::Compare(compare) => Ok(Stage::Compare(compare)),
            Self::Stage(stage) => Ok(stage),
            Self::Scalar(_) => {
                if *cursor.peek() != Token::End && cursor.symbol().is_none() {
                    return Err(cursor.expected("a comparison, as in `count() > 2`"));
                }
                Err(cursor.fault(at, "expected the number to be compared, as in `count() > 2`"))
            }
        }
    }

    /// As a selection of spans, where it is one.
    fn into_spans(self) -> Result<Spanset, Scalar> {
        let stage = match self {
            Self::Spans(spans) => return Ok(spans),
            Self::Scalar(scalar) => return Err(scalar),
            Self::Compare(compare) => Stage::Compare(compare),
            Self::Stage(stage) => stage,
        };
        Ok(Spanset::Pipeline(Box::new(Pipeline { stages: vec![stage] })))
    }
}

fn stage(cursor: &mut Cursor<'_>) -> Result<Node, SyntaxError> {
    let keyword = cursor.word().unwrap_or_default().to_owned();
    let stage = match keyword.as_str() {
        "by" => {
            cursor.bump();
            cursor.expect("(")?;
            let of = of_span(cursor)?;
            close(cursor)?;
            Stage::By(of)
        }
        "coalesce" => {
            cursor.bump();
            cursor.expect("(")?;
            cursor.expect(")")?;
            Stage::Coalesce
        }
        "select" => {
            cursor.bump();
            Stage::Select(fields(cursor, SELECT_MAX)?)
        }
        _ => return climb(cursor, 1),
    };
    Ok(Node::Stage(stage))
}

fn climb(cursor: &mut Cursor<'_>, least: u8) -> Result<Node, SyntaxError> {
    let mut left = operand(cursor)?;
    while let Some((symbol, tight)) = cursor.symbol().and_then(tightness).filter(|(_, tight)| *tight >= least) {
        let at = cursor.at();
        cursor.bump();
        cursor.count_operator(at)?;
        let right = climb(cursor, if symbol == "^" { tight } else { tight + 1 })?;
        left = combine(cursor, symbol, at, left, right)?;
    }
    Ok(left)
}

fn tightness(symbol: &'static str) -> Option<(&'static str, u8)> {
    let tight = match symbol {
        "&&" | "||" => 1,
        "+" | "-" => 3,
        "*" | "/" | "%" => 5,
        "^" => 6,
        _ if BinaryOp::comparison(symbol).is_some() || relation(symbol).is_some() => 2,
        _ => return None,
    };
    Some((symbol, tight))
}

fn arithmetic(symbol: &str) -> Option<BinaryOp> {
    use BinaryOp::{Add, Divide, Modulo, Multiply, Power, Subtract};
    [Add, Subtract, Multiply, Divide, Modulo, Power].into_iter().find(|op| op.symbol() == symbol)
}

/// The structural operator that a symbol is between spansets.
fn relation(symbol: &str) -> Option<SpansetOp> {
    let (form, rest) = match symbol.as_bytes().first()? {
        b'!' => (Form::Not, &symbol[1..]),
        b'&' => (Form::Union, &symbol[1..]),
        _ => (Form::Plain, symbol),
    };
    let relation = match rest {
        ">" => Relation::Child,
        ">>" => Relation::Descendant,
        "<" => Relation::Parent,
        "<<" => Relation::Ancestor,
        "~" => Relation::Sibling,
        _ => return None,
    };
    Some(SpansetOp::Related { relation, form })
}

fn combine(cursor: &Cursor<'_>, symbol: &str, at: usize, left: Node, right: Node) -> Result<Node, SyntaxError> {
    let spans_op = match symbol {
        "&&" => Some(SpansetOp::And),
        "||" => Some(SpansetOp::Union),
        _ => relation(symbol),
    };
    match (left.into_spans(), right.into_spans()) {
        (Ok(left), Ok(right)) => {
            let op = spans_op.ok_or_else(|| {
                cursor.fault(at, format!("`{symbol}` stands between numbers; between spansets use && || > >> < << ~"))
            })?;
            Ok(Node::Spans(Spanset::Operation { op, left: Box::new(left), right: Box::new(right) }))
        }
        (Err(left), Err(right)) => scalars(cursor, symbol, at, left, right),
        _ => Err(cursor.fault(at, format!("`{symbol}` stands between a spanset and a number; it takes two of one"))),
    }
}

fn scalars(cursor: &Cursor<'_>, symbol: &str, at: usize, left: Scalar, right: Scalar) -> Result<Node, SyntaxError> {
    if let Some(op) = arithmetic(symbol) {
        return Ok(Node::Scalar(Scalar::Binary { op, left: Box::new(left), right: Box::new(right) }));
    }
    let op = BinaryOp::comparison(symbol)
        .ok_or_else(|| cursor.fault(at, format!("`{symbol}` stands between spansets, not between numbers")))?;
    if !typing::looks_at_spans(&left) && !typing::looks_at_spans(&right) {
        return Err(cursor.fault(at, "expected an aggregate on one side of the comparison, found literals only"));
    }
    Ok(Node::Compare(Compare { op, left, right }))
}

fn operand(cursor: &mut Cursor<'_>) -> Result<Node, SyntaxError> {
    match cursor.symbol() {
        Some("{") => return Ok(Node::Spans(Spanset::Filter(filter(cursor)?))),
        Some("(") => return parenthesised(cursor),
        Some("-") => return negated(cursor),
        _ => {}
    }
    if let Some(value) = positive(cursor)? {
        return Ok(Node::Scalar(Scalar::Literal(value)));
    }
    let word = cursor.word().map(str::to_owned);
    match word.as_deref() {
        Some(word) if Aggregate::parse(word).is_some() => aggregate(cursor),
        Some(word) if is_function(word) => {
            Err(cursor.fault(cursor.at(), format!("`{word}` stands behind `|` at the end of a query, not within it")))
        }
        Some(word) => match Static::of_word(word).filter(|value| value.of_type() == Type::Number) {
            Some(value) => {
                cursor.bump();
                Ok(Node::Scalar(Scalar::Literal(value)))
            }
            None => Err(cursor.expected(STAGE)),
        },
        None => Err(cursor.expected(STAGE)),
    }
}

fn negated(cursor: &mut Cursor<'_>) -> Result<Node, SyntaxError> {
    if let Some(value) = negative(cursor)? {
        return Ok(Node::Scalar(Scalar::Literal(value)));
    }
    let at = cursor.at();
    cursor.bump();
    cursor.enter()?;
    let of = climb(cursor, 5)?;
    cursor.leave();
    match of {
        Node::Scalar(of) => Ok(Node::Scalar(Scalar::Negate(Box::new(of)))),
        _ => Err(cursor.fault(at, "`-` stands before numbers, not before spansets")),
    }
}

fn aggregate(cursor: &mut Cursor<'_>) -> Result<Node, SyntaxError> {
    let Some(kind) = cursor.word().and_then(Aggregate::parse) else { return Err(cursor.expected("an aggregate")) };
    cursor.bump();
    cursor.expect("(")?;
    if kind == Aggregate::Count {
        if !cursor.eat(")") {
            return Err(cursor.expected("`)`: count takes no argument"));
        }
        return Ok(Node::Scalar(Scalar::Aggregate { kind, of: None }));
    }
    let of = number(cursor)?;
    close(cursor)?;
    Ok(Node::Scalar(Scalar::Aggregate { kind, of: Some(of) }))
}

fn parenthesised(cursor: &mut Cursor<'_>) -> Result<Node, SyntaxError> {
    cursor.bump();
    cursor.enter()?;
    let mut stages: Vec<Stage> = Vec::new();
    let last = loop {
        let at = cursor.at();
        if cursor.word().is_some_and(is_function) {
            return Err(cursor.fault(at, "metrics functions stand at the end of a query, not in parentheses"));
        }
        let node = stage(cursor)?;
        if !cursor.eat("|") {
            break node;
        }
        stages.push(node.into_stage(cursor, at)?);
    };
    if !cursor.eat(")") {
        return Err(cursor.expected("an operator, `|` or `)`"));
    }
    cursor.leave();
    if stages.is_empty() {
        return Ok(last);
    }
    let last = match last {
        Node::Scalar(value) => {
            let pipeline = Pipeline { stages };
            return Ok(Node::Scalar(Scalar::Pipeline { pipeline, value: Box::new(value) }));
        }
        Node::Spans(spans) => Stage::Spans(spans),
        Node::Compare(compare) => Stage::Compare(compare),
        Node::Stage(stage) => stage,
    };
    stages.push(last);
    Ok(Node::Spans(Spanset::Pipeline(Box::new(Pipeline { stages }))))
}

fn close(cursor: &mut Cursor<'_>) -> Result<(), SyntaxError> {
    if cursor.eat(")") { Ok(()) } else { Err(cursor.expected("an operator or `)`")) }
}
