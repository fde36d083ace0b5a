//! Expressions made ready to run: each field has a place among the values that are read of a span.

use std::borrow::Cow;
use std::sync::Arc;

use regex::Regex;

use crate::traceql::ast::{BinaryOp, FieldExpr};
use crate::traceql::field::{Field, Intrinsic, Scope};
use crate::traceql::literal::Static;
use crate::traceql::operate::{arithmetic, compare, holds, matches, negate};

/// Place of the span's name, which every answer shows.
pub(crate) const NAME: usize = 0;
/// Place of the service's name.
pub(crate) const SERVICE: usize = 1;
/// Place of the status.
pub(crate) const STATUS: usize = 2;

/// The fields that a query needs, by their places.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    fields: Vec<Field>,
}

impl Default for Slots {
    fn default() -> Self {
        let intrinsic = |what: Intrinsic, spelled: &'static str| Field::Intrinsic { what, spelled };
        let fields = vec![
            intrinsic(Intrinsic::Name, "name"),
            Field::attribute(Scope::Resource, "service.name"),
            intrinsic(Intrinsic::Status, "status"),
        ];
        Self { fields }
    }
}

impl Slots {
    /// No field at all.
    pub(crate) fn empty() -> Self {
        Self { fields: Vec::new() }
    }

    /// The place of a field, which it gets if it has none yet.
    pub(crate) fn place(&mut self, field: &Field) -> usize {
        if let Some(place) = self.fields.iter().position(|known| known == field) {
            return place;
        }
        if let Some(own) = of_parent(field) {
            self.place(&own);
        }
        self.fields.push(field.clone());
        self.fields.len() - 1
    }

    /// The place of a field that has one.
    pub(crate) fn find(&self, field: &Field) -> Option<usize> {
        self.fields.iter().position(|known| known == field)
    }

    /// All fields in the order of their places.
    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }
}

/// The field of the parent span that a `parent.` field shows.
pub(crate) fn of_parent(field: &Field) -> Option<Field> {
    let Field::Attribute { scope, name } = field else { return None };
    let scope = match scope {
        Scope::Parent => Scope::Any,
        Scope::ParentSpan => Scope::Span,
        Scope::ParentResource => Scope::Resource,
        _ => return None,
    };
    Some(Field::Attribute { scope, name: Arc::clone(name) })
}

/// An expression that runs over a span's values.
#[derive(Clone, Debug)]
pub(crate) enum Eval {
    Literal(Static),
    Slot(usize),
    Not(Box<Eval>),
    Negate(Box<Eval>),
    And(Box<Eval>, Box<Eval>),
    Or(Box<Eval>, Box<Eval>),
    Compare(BinaryOp, Box<Eval>, Box<Eval>),
    Arithmetic(BinaryOp, Box<Eval>, Box<Eval>),
    Absent(Box<Eval>, bool),
    Match(Box<Eval>, Regex, bool),
}

impl Eval {
    /// Makes an expression ready; its fields get places.
    pub(crate) fn new(expr: &FieldExpr, slots: &mut Slots) -> Self {
        let mut boxed = |expr: &FieldExpr| Box::new(Self::new(expr, slots));
        match expr {
            FieldExpr::Literal(value) => Self::Literal(value.clone()),
            FieldExpr::Field(field) => Self::Slot(slots.place(field)),
            FieldExpr::Not(of) => Self::Not(boxed(of)),
            FieldExpr::Negate(of) => Self::Negate(boxed(of)),
            FieldExpr::Match { of, pattern, negated } => Self::Match(boxed(of), pattern.regex.clone(), *negated),
            FieldExpr::Binary { op, left, right } => {
                if let Some(asked) = nil_asked(left, right) {
                    return Self::Absent(boxed(asked), *op == BinaryOp::NotEqual);
                }
                let (left, right) = (boxed(&padded(left, right)), boxed(&padded(right, left)));
                match op {
                    BinaryOp::And => Self::And(left, right),
                    BinaryOp::Or => Self::Or(left, right),
                    op if op.is_comparison() => Self::Compare(*op, left, right),
                    op => Self::Arithmetic(*op, left, right),
                }
            }
        }
    }

    /// Its value for a span.
    pub(crate) fn value<'a>(&'a self, values: &'a [Static]) -> Cow<'a, Static> {
        let own = |value: Static| Cow::Owned(value);
        match self {
            Self::Literal(value) => Cow::Borrowed(value),
            Self::Slot(place) => values.get(*place).map_or(Cow::Owned(Static::Nil), Cow::Borrowed),
            Self::Negate(of) => own(negate(&of.value(values))),
            Self::Arithmetic(op, left, right) => own(arithmetic(*op, &left.value(values), &right.value(values))),
            Self::Not(of) => match of.value(values).as_ref() {
                Static::Bool(value) => own(Static::Bool(!value)),
                _ => own(Static::Nil),
            },
            _ => own(Static::Bool(self.holds(values))),
        }
    }

    /// Whether it is true of a span.
    pub(crate) fn holds(&self, values: &[Static]) -> bool {
        match self {
            Self::And(left, right) => left.holds(values) && right.holds(values),
            Self::Or(left, right) => left.holds(values) || right.holds(values),
            Self::Compare(op, left, right) => compare(*op, &left.value(values), &right.value(values)),
            Self::Absent(of, negated) => (*of.value(values) == Static::Nil) != *negated,
            Self::Match(of, regex, negated) => matches(&of.value(values), regex, *negated),
            _ => holds(&self.value(values)),
        }
    }
}

/// The side of a comparison that is compared with a literal `nil`.
fn nil_asked<'a>(left: &'a FieldExpr, right: &'a FieldExpr) -> Option<&'a FieldExpr> {
    let is_nil = |side: &FieldExpr| matches!(side, FieldExpr::Literal(Static::Nil));
    if is_nil(right) { Some(left) } else { is_nil(left).then_some(right) }
}

/// An id in a literal as ids are held: lower-case hex of full length. Other literals stay.
fn padded(side: &FieldExpr, other: &FieldExpr) -> FieldExpr {
    let FieldExpr::Field(Field::Intrinsic { what, .. }) = other else { return side.clone() };
    let digits = match what {
        Intrinsic::TraceId | Intrinsic::LinkTraceId => 32,
        Intrinsic::SpanId | Intrinsic::ParentId | Intrinsic::LinkSpanId => 16,
        _ => return side.clone(),
    };
    match side {
        FieldExpr::Literal(Static::Text(text)) if is_id(text, digits) => {
            FieldExpr::Literal(Static::text(&format!("{:0>digits$}", text.to_ascii_lowercase())))
        }
        other => other.clone(),
    }
}

fn is_id(text: &str, digits: usize) -> bool {
    !text.is_empty() && text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
