//! Expressions over the fields of one span: what stands between braces, and in the parentheses of functions.
//!
//! Operators from loose to tight: `&& ||`, comparisons, `+ -`, `! -x`, `* / %`, `^` (from the right). `&&` and `||`
//! bind alike, from the left. Source: Tempo's public grammar of TraceQL.

use regex::RegexBuilder;

use crate::traceql::ast::{BinaryOp, FieldExpr, Pattern};
use crate::traceql::cursor::Cursor;
use crate::traceql::field::Field;
use crate::traceql::literal::{Static, Type};
use crate::traceql::place::SyntaxError;
use crate::traceql::token::Token;
use crate::traceql::typing;

/// Bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

const WHAT: &str = "a field, a literal, `!`, `-` or `(`";

/// How tight the operand of a sign holds on to what follows.
const SIGN: u8 = 5;

enum Operator {
    Binary(BinaryOp),
    Match { negated: bool },
}

/// A condition: `{ condition }` from its brace on; `{ }` holds for every span.
pub(crate) fn filter(cursor: &mut Cursor<'_>) -> Result<FieldExpr, SyntaxError> {
    cursor.expect("{")?;
    if cursor.eat("}") {
        return Ok(FieldExpr::Literal(Static::Bool(true)));
    }
    let at = cursor.at();
    let condition = expression(cursor)?;
    if cursor.symbol() != Some("}") {
        return Err(cursor.expected("an operator or `}`"));
    }
    let found = typing::of(&condition);
    if !matches!(found, Type::Bool | Type::Unknown) {
        return Err(cursor.fault(at, format!("expected a condition between the braces, found {}", found.name())));
    }
    cursor.bump();
    Ok(condition)
}

/// An expression of any type.
pub(crate) fn expression(cursor: &mut Cursor<'_>) -> Result<FieldExpr, SyntaxError> {
    cursor.enter()?;
    let found = climb(cursor, 1)?;
    cursor.leave();
    Ok(found)
}

/// A number of the span, as aggregates take it.
pub(crate) fn number(cursor: &mut Cursor<'_>) -> Result<FieldExpr, SyntaxError> {
    let at = cursor.at();
    let found = of_span(cursor)?;
    match typing::of(&found) {
        Type::Number | Type::Unknown => Ok(found),
        other => Err(cursor.fault(at, format!("expected a number or a duration, found {}", other.name()))),
    }
}

/// An expression that looks at the span.
pub(crate) fn of_span(cursor: &mut Cursor<'_>) -> Result<FieldExpr, SyntaxError> {
    let at = cursor.at();
    let found = expression(cursor)?;
    if typing::looks_at_span(&found) {
        return Ok(found);
    }
    Err(cursor.fault(at, "expected an expression with a field of the span, found literals only"))
}

/// One field.
pub(crate) fn field(cursor: &mut Cursor<'_>) -> Result<Field, SyntaxError> {
    let found = match cursor.peek() {
        Token::Field(field) => Some(field.clone()),
        Token::Word(word) => Field::intrinsic(word),
        _ => None,
    };
    let found = found.ok_or_else(|| cursor.expected("a field"))?;
    cursor.bump();
    Ok(found)
}

/// Fields with commas between, in parentheses; at least one, at most `most`.
pub(crate) fn fields(cursor: &mut Cursor<'_>, most: usize) -> Result<Vec<Field>, SyntaxError> {
    cursor.expect("(")?;
    let mut found = Vec::new();
    loop {
        if found.len() == most {
            return Err(cursor.fault(cursor.at(), format!("expected at most {most} fields")));
        }
        found.push(field(cursor)?);
        if cursor.eat(",") {
            continue;
        }
        if cursor.eat(")") {
            return Ok(found);
        }
        return Err(cursor.expected("`,` or `)`"));
    }
}

fn climb(cursor: &mut Cursor<'_>, least: u8) -> Result<FieldExpr, SyntaxError> {
    let begin = cursor.at();
    let mut left = operand(cursor)?;
    while let Some((operator, tight)) = cursor.symbol().and_then(operator).filter(|(_, tight)| *tight >= least) {
        let at = cursor.at();
        cursor.bump();
        cursor.count_operator(at)?;
        left = match operator {
            Operator::Match { negated } => matching(cursor, left, negated, at)?,
            Operator::Binary(op) => {
                let right_at = cursor.at();
                let right = climb(cursor, if op == BinaryOp::Power { tight } else { tight + 1 })?;
                let (left_type, right_type) = (typing::of(&left), typing::of(&right));
                typing::binary(op, left_type, right_type).map_err(|message| {
                    cursor.fault(culprit(op, [(left_type, begin), (right_type, right_at)], at), message)
                })?;
                FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) }
            }
        };
    }
    Ok(left)
}

/// Where to point: at the operand that does not fit, or at the operator when the two do not fit each other.
fn culprit(op: BinaryOp, sides: [(Type, usize); 2], operator: usize) -> usize {
    let wanted = if op.is_arithmetic() { Type::Number } else { Type::Bool };
    let misfit = sides.into_iter().find(|(side, _)| !op.is_comparison() && *side != wanted && *side != Type::Unknown);
    misfit.map_or(operator, |(_, at)| at)
}

fn operator(symbol: &str) -> Option<(Operator, u8)> {
    use BinaryOp::{
        Add, And, Divide, Equal, Greater, GreaterEqual, Less, LessEqual, Modulo, Multiply, NotEqual, Or, Power,
        Subtract,
    };
    let binary = |op: BinaryOp, tight: u8| Some((Operator::Binary(op), tight));
    match symbol {
        "&&" => binary(And, 1),
        "||" => binary(Or, 1),
        "=" => binary(Equal, 2),
        "!=" => binary(NotEqual, 2),
        "<" => binary(Less, 2),
        "<=" => binary(LessEqual, 2),
        ">" => binary(Greater, 2),
        ">=" => binary(GreaterEqual, 2),
        "=~" => Some((Operator::Match { negated: false }, 2)),
        "!~" => Some((Operator::Match { negated: true }, 2)),
        "+" => binary(Add, 3),
        "-" => binary(Subtract, 3),
        "*" => binary(Multiply, SIGN),
        "/" => binary(Divide, SIGN),
        "%" => binary(Modulo, SIGN),
        "^" => binary(Power, 6),
        _ => None,
    }
}

/// The right side of a regular expression's operator.
fn matching(cursor: &mut Cursor<'_>, of: FieldExpr, negated: bool, operator: usize) -> Result<FieldExpr, SyntaxError> {
    let at = cursor.at();
    let Token::Text(text) = cursor.peek().clone() else {
        return Err(cursor.expected("a regular expression in quotes"));
    };
    cursor.bump();
    let found = typing::of(&of);
    if !matches!(found, Type::Text | Type::Unknown) {
        return Err(cursor.fault(operator, format!("regular expressions match strings, not {}", found.name())));
    }
    let built = RegexBuilder::new(&format!("^(?:{text})$")).size_limit(REGEX_BYTES_MAX).build();
    let regex = built.map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        cursor.fault(at, format!("not a regular expression: {why}"))
    })?;
    Ok(FieldExpr::Match { of: Box::new(of), pattern: Pattern { text, regex }, negated })
}

fn operand(cursor: &mut Cursor<'_>) -> Result<FieldExpr, SyntaxError> {
    match cursor.symbol() {
        Some("(") => {
            cursor.bump();
            let inner = expression(cursor)?;
            if cursor.eat(")") { Ok(inner) } else { Err(cursor.expected("an operator or `)`")) }
        }
        Some(sign @ ("!" | "-")) => signed(cursor, sign),
        Some(_) => Err(cursor.expected(WHAT)),
        None => leaf(cursor),
    }
}

fn signed(cursor: &mut Cursor<'_>, sign: &str) -> Result<FieldExpr, SyntaxError> {
    if sign == "-"
        && let Some(literal) = negative(cursor)?
    {
        return Ok(FieldExpr::Literal(literal));
    }
    cursor.bump();
    cursor.enter()?;
    let at = cursor.at();
    let of = climb(cursor, SIGN)?;
    cursor.leave();
    let (wanted, found) = (if sign == "!" { Type::Bool } else { Type::Number }, typing::of(&of));
    if found != wanted && found != Type::Unknown {
        return Err(cursor.fault(at, format!("`{sign}` takes {}, not {}", wanted.name(), found.name())));
    }
    let of = Box::new(of);
    Ok(if sign == "!" { FieldExpr::Not(of) } else { FieldExpr::Negate(of) })
}

/// A sign with the number behind it, as one literal.
pub(crate) fn negative(cursor: &mut Cursor<'_>) -> Result<Option<Static>, SyntaxError> {
    let value = match cursor.peek_second() {
        Token::Int(value) => match 0_i64.checked_sub_unsigned(*value) {
            Some(value) => Static::Int(value),
            None => return Err(cursor.fault(cursor.at(), "the number is smaller than minInt")),
        },
        Token::Float(value) => Static::Float(-value),
        Token::Duration(value) => Static::Duration(-value),
        _ => return Ok(None),
    };
    cursor.bump();
    cursor.bump();
    Ok(Some(value))
}

/// A number or a duration without a sign, if one comes next.
pub(crate) fn positive(cursor: &mut Cursor<'_>) -> Result<Option<Static>, SyntaxError> {
    let value = match cursor.peek() {
        Token::Int(value) => match i64::try_from(*value) {
            Ok(value) => Static::Int(value),
            Err(_) => return Err(cursor.fault(cursor.at(), "the number is greater than maxInt")),
        },
        Token::Float(value) => Static::Float(*value),
        Token::Duration(value) => Static::Duration(*value),
        _ => return Ok(None),
    };
    cursor.bump();
    Ok(Some(value))
}

fn leaf(cursor: &mut Cursor<'_>) -> Result<FieldExpr, SyntaxError> {
    if let Some(value) = positive(cursor)? {
        return Ok(FieldExpr::Literal(value));
    }
    let found = match cursor.peek() {
        Token::Text(text) => FieldExpr::Literal(Static::text(text)),
        Token::Field(field) => FieldExpr::Field(field.clone()),
        Token::Word(word) => match (Field::intrinsic(word), Static::of_word(word)) {
            (Some(field), _) => FieldExpr::Field(field),
            (None, Some(value)) => FieldExpr::Literal(value),
            (None, None) => {
                let message =
                    format!("`{word}` is no field; attributes carry a scope, such as `span.{word}` or `.{word}`");
                return Err(cursor.fault(cursor.at(), message));
            }
        },
        _ => return Err(cursor.expected(WHAT)),
    };
    cursor.bump();
    Ok(found)
}
