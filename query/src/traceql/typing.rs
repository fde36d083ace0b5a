//! Which types an operator takes, and what it gives. Attributes hold whatever was sent, so they fit everywhere.

use crate::traceql::ast::{BinaryOp, FieldExpr, Scalar};
use crate::traceql::literal::Type;

/// The type of a binary operation, or why there is none.
pub(crate) fn binary(op: BinaryOp, left: Type, right: Type) -> Result<Type, String> {
    let is = |side: Type, wanted: Type| side == wanted || side == Type::Unknown;
    if op.is_arithmetic() {
        return match [left, right].into_iter().find(|side| !is(*side, Type::Number)) {
            Some(other) => Err(format!("`{op}` takes numbers and durations, not {}", other.name())),
            None => Ok(Type::Number),
        };
    }
    if !op.is_comparison() {
        return match [left, right].into_iter().find(|side| !is(*side, Type::Bool)) {
            Some(other) => Err(format!("`{op}` joins conditions, and {} is none", other.name())),
            None => Ok(Type::Bool),
        };
    }
    let is_equality = matches!(op, BinaryOp::Equal | BinaryOp::NotEqual);
    let known = if left == Type::Unknown { right } else { left };
    if left == Type::Nil || right == Type::Nil {
        return if is_equality {
            Ok(Type::Bool)
        } else {
            Err(format!("nil has no order; use `=` or `!=`, not `{op}`"))
        };
    }
    if !is(left, known) || !is(right, known) {
        return Err(format!("`{op}` cannot compare {} with {}", left.name(), right.name()));
    }
    if !is_equality && matches!(known, Type::Bool | Type::Status | Type::Kind) {
        return Err(format!("{} has no order; use `=` or `!=`, not `{op}`", known.name()));
    }
    Ok(Type::Bool)
}

/// The type of an expression that was built by the parser.
pub(crate) fn of(expr: &FieldExpr) -> Type {
    match expr {
        FieldExpr::Literal(value) => value.of_type(),
        FieldExpr::Field(field) => field.of_type(),
        FieldExpr::Negate(_) => Type::Number,
        FieldExpr::Not(_) | FieldExpr::Match { .. } => Type::Bool,
        FieldExpr::Binary { op, .. } => {
            if op.is_arithmetic() {
                Type::Number
            } else {
                Type::Bool
            }
        }
    }
}

/// Whether an expression looks at the span at all.
pub(crate) fn looks_at_span(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Literal(_) => false,
        FieldExpr::Field(_) => true,
        FieldExpr::Not(of) | FieldExpr::Negate(of) | FieldExpr::Match { of, .. } => looks_at_span(of),
        FieldExpr::Binary { left, right, .. } => looks_at_span(left) || looks_at_span(right),
    }
}

/// Whether a scalar is told of spans, and not by literals alone.
pub(crate) fn looks_at_spans(scalar: &Scalar) -> bool {
    match scalar {
        Scalar::Literal(_) => false,
        Scalar::Aggregate { .. } | Scalar::Pipeline { .. } => true,
        Scalar::Negate(of) => looks_at_spans(of),
        Scalar::Binary { left, right, .. } => looks_at_spans(left) || looks_at_spans(right),
    }
}
