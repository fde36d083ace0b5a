//! What a scan can apply by itself: a condition over stored columns that holds wherever a query's condition does.
//!
//! Promoted attributes become their columns; others leave the test whether their key occurs in the JSON text at all.
//! Never narrows: a value of an unexpected type stands in the rest, so the rest is asked as well.

use datafusion::common::ScalarValue;
use datafusion::prelude::{Expr, col, lit};
use tracelake_model::column::{
    ATTRIBUTES_REST, DURATION_NS, EVENTS, KIND, LINKS, NAME, PARENT_SPAN_ID, RESOURCE_ATTRIBUTES, SCOPE_ATTRIBUTES,
    SCOPE_NAME, SCOPE_VERSION, SERVICE_NAME, SPAN_ID, STATUS_CODE, TRACE_ID,
};
use tracelake_model::from_hex;
use tracelake_model::semconv::{PromotedKind, RESOURCE, SPAN};

use crate::traceql::ast::{BinaryOp, FieldExpr};
use crate::traceql::field::{Field, Intrinsic, Scope};
use crate::traceql::literal::Static;

/// Which columns a condition may be pushed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All.
    Any,
    /// Those of a span's identity: rows of one span are then kept or left out together.
    Identity,
}

/// The condition as far as a scan can apply it.
pub(crate) fn push(condition: &FieldExpr, reach: Reach) -> Option<Expr> {
    match condition {
        FieldExpr::Binary { op: BinaryOp::And, left, right } => {
            let sides = [push(left, reach), push(right, reach)];
            sides.into_iter().flatten().reduce(Expr::and)
        }
        FieldExpr::Binary { op: BinaryOp::Or, left, right } => Some(push(left, reach)?.or(push(right, reach)?)),
        FieldExpr::Binary { op, left, right } if op.is_comparison() => match (left.as_ref(), right.as_ref()) {
            (FieldExpr::Field(field), FieldExpr::Literal(value)) => compared(field, *op, value, reach),
            (FieldExpr::Literal(value), FieldExpr::Field(field)) => compared(field, mirrored(*op), value, reach),
            _ => None,
        },
        FieldExpr::Match { of, .. } if reach == Reach::Any => match of.as_ref() {
            FieldExpr::Field(field) => present(field),
            _ => None,
        },
        FieldExpr::Literal(Static::Bool(false)) => Some(lit(false)),
        FieldExpr::Field(field @ Field::Attribute { .. }) if reach == Reach::Any => present(field),
        _ => None,
    }
}

fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Less => BinaryOp::Greater,
        BinaryOp::LessEqual => BinaryOp::GreaterEqual,
        BinaryOp::Greater => BinaryOp::Less,
        BinaryOp::GreaterEqual => BinaryOp::LessEqual,
        other => other,
    }
}

fn compared(field: &Field, op: BinaryOp, value: &Static, reach: Reach) -> Option<Expr> {
    if *value == Static::Nil {
        return asked_for_nil(field, op, reach);
    }
    match field {
        Field::Intrinsic { what, .. } => intrinsic(*what, op, value, reach),
        Field::Attribute { scope, name } if *scope == Scope::Resource && name.as_ref() == "service.name" => {
            text(SERVICE_NAME, op, value)
        }
        _ if reach == Reach::Identity => None,
        Field::Attribute { scope, name } => {
            let promoted = match scope {
                Scope::Span => SPAN.iter().find(|promoted| promoted.key == name.as_ref()),
                Scope::Resource => RESOURCE.iter().find(|promoted| promoted.key == name.as_ref()),
                _ => None,
            };
            let Some(promoted) = promoted else { return present(field) };
            let stored = match (promoted.kind, value) {
                (PromotedKind::String, Static::Text(text)) => lit(text.to_string()),
                (PromotedKind::Int, Static::Int(number) | Static::Duration(number)) => lit(*number),
                (PromotedKind::Bool, Static::Bool(flag)) => lit(*flag),
                (PromotedKind::Int, Static::Float(_)) => return present(field),
                // Only the rest can hold a value of that type.
                _ => return elsewhere(*scope, name),
            };
            let held = comparison(col(promoted.column), op, stored)?;
            Some(match elsewhere(*scope, name) {
                Some(rest) => held.or(col(promoted.column).is_null().and(rest)),
                None => held.or(col(promoted.column).is_null()),
            })
        }
    }
}

/// `= nil` and `!= nil`.
fn asked_for_nil(field: &Field, op: BinaryOp, reach: Reach) -> Option<Expr> {
    let is_parent = matches!(field, Field::Intrinsic { what: Intrinsic::ParentId, .. });
    match op {
        _ if reach == Reach::Identity => None,
        BinaryOp::Equal if is_parent => Some(col(PARENT_SPAN_ID).is_null()),
        BinaryOp::NotEqual if is_parent => Some(col(PARENT_SPAN_ID).is_not_null()),
        BinaryOp::NotEqual => present(field),
        _ => None,
    }
}

fn intrinsic(what: Intrinsic, op: BinaryOp, value: &Static, reach: Reach) -> Option<Expr> {
    match (what, value) {
        (Intrinsic::Kind, Static::Kind(kind)) => comparison(col(KIND), op, lit(*kind)),
        (Intrinsic::TraceId, value) => id(TRACE_ID, 32, op, value),
        (Intrinsic::SpanId, value) => id(SPAN_ID, 16, op, value),
        _ if reach == Reach::Identity => None,
        (Intrinsic::Name, value) => text(NAME, op, value),
        (Intrinsic::InstrumentationName, value) => text(SCOPE_NAME, op, value),
        (Intrinsic::InstrumentationVersion, value) => text(SCOPE_VERSION, op, value),
        (Intrinsic::Status, Static::Status(status)) => comparison(col(STATUS_CODE), op, lit(*status)),
        (Intrinsic::Duration, Static::Duration(nanos) | Static::Int(nanos)) => {
            comparison(col(DURATION_NS), op, lit(*nanos))
        }
        (Intrinsic::ParentId, value) => id(PARENT_SPAN_ID, 16, op, value),
        (Intrinsic::EventName | Intrinsic::EventTimeSinceStart, _) => Some(col(EVENTS).is_not_null()),
        (Intrinsic::LinkTraceId | Intrinsic::LinkSpanId, _) => Some(col(LINKS).is_not_null()),
        _ => None,
    }
}

fn text(column: &str, op: BinaryOp, value: &Static) -> Option<Expr> {
    let Static::Text(text) = value else { return None };
    comparison(col(column), op, lit(text.to_string()))
}

/// An id written in hex, padded as ids are.
fn id(column: &str, digits: usize, op: BinaryOp, value: &Static) -> Option<Expr> {
    let Static::Text(text) = value else { return None };
    let bytes = from_hex(&format!("{text:0>digits$}")).filter(|bytes| bytes.len() == digits / 2)?;
    let bytes = Expr::Literal(ScalarValue::Binary(Some(bytes)), None);
    (op == BinaryOp::Equal).then(|| col(column).eq(bytes))
}

fn comparison(column: Expr, op: BinaryOp, value: Expr) -> Option<Expr> {
    match op {
        BinaryOp::Equal => Some(column.eq(value)),
        BinaryOp::NotEqual => Some(column.not_eq(value)),
        BinaryOp::Less => Some(column.lt(value)),
        BinaryOp::LessEqual => Some(column.lt_eq(value)),
        BinaryOp::Greater => Some(column.gt(value)),
        BinaryOp::GreaterEqual => Some(column.gt_eq(value)),
        _ => None,
    }
}

/// That a field may have a value.
fn present(field: &Field) -> Option<Expr> {
    let Field::Attribute { scope, name } = field else { return None };
    let span = || {
        let column = SPAN.iter().find(|promoted| promoted.key == name.as_ref());
        let rest = elsewhere(Scope::Span, name)?;
        Some(column.map_or(rest.clone(), |promoted| col(promoted.column).is_not_null().or(rest)))
    };
    let resource = || elsewhere(Scope::Resource, name);
    match scope {
        _ if name.as_ref() == "service.name" => None,
        Scope::Span => span(),
        Scope::Resource => resource(),
        Scope::Any => Some(span()?.or(resource()?)),
        Scope::Instrumentation => mentions(SCOPE_ATTRIBUTES, name),
        Scope::Event => Some(col(EVENTS).is_not_null()),
        Scope::Link => Some(col(LINKS).is_not_null()),
        Scope::Parent | Scope::ParentSpan | Scope::ParentResource => None,
    }
}

/// That the JSON text of a scope's attributes mentions a key.
fn elsewhere(scope: Scope, name: &str) -> Option<Expr> {
    mentions(if scope == Scope::Resource { RESOURCE_ATTRIBUTES } else { ATTRIBUTES_REST }, name)
}

/// A key stands in quotes; wildcards within it only widen the test. Keys that are escaped there are not looked for.
fn mentions(column: &str, name: &str) -> Option<Expr> {
    let plain = name.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    plain.then(|| col(column).like(lit(format!("%\"{name}\"%"))))
}
