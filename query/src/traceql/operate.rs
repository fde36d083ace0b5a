//! What operators do with values. Pure.
//!
//! Values of different types fulfil no comparison, and an absent value none but those with `nil`. Integers, doubles and
//! durations compare with each other. Where a field has several values `=`, `=~` and orders ask for one that fits; `!=`
//! and `!~` ask that none does, of those that could. Integers divide as integers; what has no result gives `nil`.

use std::cmp::Ordering;

use regex::Regex;

use crate::traceql::ast::BinaryOp;
use crate::traceql::literal::Static;

/// Whether a value is true; a condition holds in no other way.
pub(crate) fn holds(value: &Static) -> bool {
    matches!(value, Static::Bool(true))
}

/// Whether a comparison holds between two values.
pub(crate) fn compare(op: BinaryOp, left: &Static, right: &Static) -> bool {
    let pairs = || elements(left).iter().flat_map(|left| elements(right).iter().map(move |right| (left, right)));
    if op == BinaryOp::NotEqual {
        let mut alike = pairs().filter_map(|(left, right)| order(left, right)).peekable();
        return alike.peek().is_some() && alike.all(|order| order != Some(Ordering::Equal));
    }
    pairs().filter_map(|(left, right)| order(left, right)).any(|order| match op {
        BinaryOp::Equal => order == Some(Ordering::Equal),
        BinaryOp::Less => order == Some(Ordering::Less),
        BinaryOp::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        BinaryOp::Greater => order == Some(Ordering::Greater),
        BinaryOp::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    })
}

/// Whether a regular expression matches a text, or no text where `negated`.
pub(crate) fn matches(value: &Static, regex: &Regex, negated: bool) -> bool {
    let texts = elements(value).iter().filter_map(|one| if let Static::Text(text) = one { Some(text) } else { None });
    let mut found = texts.map(|text| regex.is_match(text)).peekable();
    if negated { found.peek().is_some() && found.all(|hit| !hit) } else { found.any(|hit| hit) }
}

/// The sum, product ... of two numbers; `nil` of anything else.
pub(crate) fn arithmetic(op: BinaryOp, left: &Static, right: &Static) -> Static {
    use Static::{Duration, Float, Int, Nil};
    let (Some(a), Some(b)) = (left.number(), right.number()) else { return Nil };
    if let (Int(a), Int(b)) = (left, right) {
        return integers(op, *a, *b);
    }
    let result = match op {
        BinaryOp::Add => a + b,
        BinaryOp::Subtract => a - b,
        BinaryOp::Multiply => a * b,
        BinaryOp::Divide | BinaryOp::Modulo if b == 0.0 => return Nil,
        BinaryOp::Divide => a / b,
        BinaryOp::Modulo => a % b,
        BinaryOp::Power => a.powf(b),
        _ => return Nil,
    };
    let is_duration = match op {
        BinaryOp::Divide | BinaryOp::Power => matches!((left, right), (Duration(_), Int(_) | Float(_))),
        _ => matches!(left, Duration(_)) || matches!(right, Duration(_)),
    };
    if is_duration && result.abs() < 9.2e18 { Duration(result.round() as i64) } else { Float(result) }
}

#[expect(clippy::cast_precision_loss, reason = "what an integer cannot hold is told as a double")]
fn integers(op: BinaryOp, a: i64, b: i64) -> Static {
    let (exact, rough) = match op {
        BinaryOp::Add => (a.checked_add(b), a as f64 + b as f64),
        BinaryOp::Subtract => (a.checked_sub(b), a as f64 - b as f64),
        BinaryOp::Multiply => (a.checked_mul(b), a as f64 * b as f64),
        BinaryOp::Divide | BinaryOp::Modulo if b == 0 => return Static::Nil,
        BinaryOp::Divide => (a.checked_div(b), a as f64 / b as f64),
        BinaryOp::Modulo => (a.checked_rem(b), 0.0),
        BinaryOp::Power => (u32::try_from(b).ok().and_then(|b| a.checked_pow(b)), (a as f64).powf(b as f64)),
        _ => return Static::Nil,
    };
    exact.map_or(Static::Float(rough), Static::Int)
}

/// A number with the other sign; `nil` of anything else.
pub(crate) fn negate(value: &Static) -> Static {
    match value {
        Static::Int(value) => arithmetic(BinaryOp::Subtract, &Static::Int(0), &Static::Int(*value)),
        Static::Float(value) => Static::Float(-value),
        Static::Duration(value) => Static::Duration(value.saturating_neg()),
        _ => Static::Nil,
    }
}

fn elements(value: &Static) -> &[Static] {
    if let Static::List(values) = value { values } else { std::slice::from_ref(value) }
}

/// How two values lie to each other: `None` when they do not compare, `Some(None)` when one is no number (NaN) or the
/// two are unequal without an order.
#[expect(clippy::option_option, reason = "that values compare and how they do are two answers")]
fn order(left: &Static, right: &Static) -> Option<Option<Ordering>> {
    use Static::{Bool, Duration, Int, Kind, Status, Text};
    let equality = |equal: bool| Some(equal.then_some(Ordering::Equal));
    match (left, right) {
        (Int(a) | Duration(a), Int(b) | Duration(b)) => Some(Some(a.cmp(b))),
        (Text(a), Text(b)) => Some(Some(a.cmp(b))),
        (Bool(a), Bool(b)) => equality(a == b),
        (Status(a), Status(b)) | (Kind(a), Kind(b)) => equality(a == b),
        _ => Some(left.number()?.partial_cmp(&right.number()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[Static]) -> Static {
        Static::List(values.into())
    }

    #[test]
    fn values_of_one_type_compare_and_others_never_do() {
        use BinaryOp::{Equal, Greater, Less, NotEqual};
        let check = |left: &Static, op: BinaryOp, right: &Static, expected: bool| {
            assert_eq!(compare(op, left, right), expected, "{left} {op} {right}");
        };
        let (one, two, text, nil) = (Static::Int(1), Static::Float(2.0), Static::text("b"), Static::Nil);
        check(&one, Less, &two, true);
        check(&Static::Duration(1), Equal, &one, true);
        check(&Static::Int(i64::MAX), Greater, &Static::Int(i64::MAX - 1), true);
        check(&text, Greater, &Static::text("a"), true);
        check(&text, NotEqual, &one, false);
        check(&nil, NotEqual, &one, false);
        check(&nil, Equal, &nil, false);
        check(&Static::Status(2), NotEqual, &Static::Status(0), true);
        check(&Static::Float(f64::NAN), NotEqual, &one, true);
        check(&Static::Float(f64::NAN), Less, &one, false);
        let several = list(&[one.clone(), text.clone()]);
        check(&several, Equal, &text, true);
        check(&several, NotEqual, &text, false);
        check(&several, NotEqual, &Static::text("z"), true);
        check(&several, NotEqual, &Static::Bool(true), false);
        check(&list(&[]), NotEqual, &one, false);
    }

    #[test]
    fn arithmetic_keeps_integers_and_durations() {
        use BinaryOp::{Add, Divide, Modulo, Multiply, Power};
        let check = |left: Static, op: BinaryOp, right: Static, expected: Static| {
            assert_eq!(arithmetic(op, &left, &right), expected, "{left} {op} {right}");
        };
        check(Static::Int(7), Divide, Static::Int(2), Static::Int(3));
        check(Static::Int(7), Divide, Static::Int(0), Static::Nil);
        check(Static::Int(7), Modulo, Static::Int(0), Static::Nil);
        check(Static::Int(i64::MAX), Add, Static::Int(1), Static::Float(9.223_372_036_854_776e18));
        check(Static::Int(2), Power, Static::Int(10), Static::Int(1024));
        check(Static::Duration(10), Multiply, Static::Float(0.5), Static::Duration(5));
        check(Static::Duration(10), Divide, Static::Duration(4), Static::Float(2.5));
        check(Static::text("a"), Add, Static::Int(1), Static::Nil);
        assert_eq!(negate(&Static::Int(i64::MIN)), Static::Float(9.223_372_036_854_776e18));
    }
}
