//! What one row can tell of a query: conditions that every span of the answer fulfils.
//!
//! A condition that only the whole trace can decide is taken as true where that widens the condition. Whatever is left
//! holds for every span that the query gives, and seldom for many more.

use crate::traceql::ast::{BinaryOp, FieldExpr, Form, Pipeline, Spanset, SpansetOp, Stage};
use crate::traceql::field::{Field, Intrinsic};
use crate::traceql::literal::Static;

const TRUE: FieldExpr = FieldExpr::Literal(Static::Bool(true));

/// The condition that every span of a pipeline's answer fulfils, told by its row alone.
pub(crate) fn of_pipeline(pipeline: &Pipeline) -> FieldExpr {
    let conditions = pipeline.stages.iter().filter_map(|stage| match stage {
        Stage::Spans(spans) => Some(of_spanset(spans)),
        _ => None,
    });
    conditions.fold(TRUE, |all, one| join(BinaryOp::And, all, one))
}

fn of_spanset(spans: &Spanset) -> FieldExpr {
    match spans {
        Spanset::Filter(condition) => weaken(condition),
        Spanset::Pipeline(pipeline) => of_pipeline(pipeline),
        Spanset::Operation { op, left, right } => match op {
            SpansetOp::Related { form: Form::Plain | Form::Not, .. } => of_spanset(right),
            _ => join(BinaryOp::Or, of_spanset(left), of_spanset(right)),
        },
    }
}

/// A condition that holds wherever `condition` does, and that a row can tell.
pub(crate) fn weaken(condition: &FieldExpr) -> FieldExpr {
    match condition {
        FieldExpr::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
            join(*op, weaken(left), weaken(right))
        }
        other if !needs_trace(other) => other.clone(),
        FieldExpr::Binary { op, left, right } if asks_for_root(*op, left, right) => FieldExpr::Binary {
            op: BinaryOp::Equal,
            left: Box::new(FieldExpr::Field(Field::Intrinsic { what: Intrinsic::ParentId, spelled: "span:parentID" })),
            right: Box::new(FieldExpr::Literal(Static::Nil)),
        },
        _ => TRUE,
    }
}

/// Whether an expression looks at a field that only the whole trace tells.
pub(crate) fn needs_trace(expr: &FieldExpr) -> bool {
    match expr {
        FieldExpr::Literal(_) => false,
        FieldExpr::Field(field) => field.is_of_trace(),
        FieldExpr::Not(of) | FieldExpr::Negate(of) | FieldExpr::Match { of, .. } => needs_trace(of),
        FieldExpr::Binary { left, right, .. } => needs_trace(left) || needs_trace(right),
    }
}

/// `nestedSetParent < 0` and `nestedSetParent = -1`, which hold for roots alone: they name no parent.
fn asks_for_root(op: BinaryOp, left: &FieldExpr, right: &FieldExpr) -> bool {
    let is_parent = matches!(left, FieldExpr::Field(Field::Intrinsic { what: Intrinsic::NestedSetParent, .. }));
    let FieldExpr::Literal(Static::Int(number)) = right else { return false };
    is_parent && (op == BinaryOp::Less && *number <= 0 || op == BinaryOp::Equal && *number == -1)
}

fn join(op: BinaryOp, left: FieldExpr, right: FieldExpr) -> FieldExpr {
    match (op, left == TRUE, right == TRUE) {
        (BinaryOp::And, true, _) => right,
        (BinaryOp::And, _, true) => left,
        (BinaryOp::Or, true, _) | (BinaryOp::Or, _, true) => TRUE,
        _ => FieldExpr::Binary { op, left: Box::new(left), right: Box::new(right) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traceql::parse::parse;

    #[test]
    fn what_a_row_can_tell_holds_for_every_span_of_the_answer() {
        let check = |query: &str, expected: &str| {
            let query = parse(query).expect("a query");
            assert_eq!(of_pipeline(&query.pipeline).to_string(), expected, "{query}");
        };
        check("{ .a = 1 }", ".a = 1");
        check("{ .a } && { .b }", ".a || .b");
        check("{ .a } >> { .b }", ".b");
        check("{ .a } !> { .b }", ".b");
        check("{ .a } &> { .b }", ".a || .b");
        check("{ .a } | { .b } | count() > 2", ".a && .b");
        check("count() > 2", "true");
        check("{ .a && trace:duration > 1s }", ".a");
        check("{ .a || trace:duration > 1s }", "true");
        check("{ !(trace:duration > 1s && .a) }", "true");
        check("{ nestedSetParent < 0 && .a }", "(span:parentID = nil) && .a");
        check("({ .a } | { .b }) || { .c }", "(.a && .b) || .c");
        check("{ parent.a = 1 }", "true");
    }
}
