//! Values of which a row must hold some for a condition to be true, as value indexes know them.
//!
//! Rows of one span may hold different values, so this serves only where whole traces decide afterwards. Deliberately
//! looks at equality alone: of a field of the span, its resource or its name, with a literal.

use tracelake_storage::value_key;

use crate::scan::wanted::Wanted;
use crate::traceql::ast::{BinaryOp, FieldExpr};
use crate::traceql::field::{Field, Intrinsic, Scope};
use crate::traceql::literal::Static;

/// What rows must hold.
pub(crate) fn hold(condition: &FieldExpr) -> Wanted {
    match condition {
        FieldExpr::Binary { op: BinaryOp::And, left, right } => hold(left).and(hold(right)),
        FieldExpr::Binary { op: BinaryOp::Or, left, right } => hold(left).or(&hold(right)),
        FieldExpr::Binary { op: BinaryOp::Equal, left, right } => match (left.as_ref(), right.as_ref()) {
            (FieldExpr::Field(field), FieldExpr::Literal(value))
            | (FieldExpr::Literal(value), FieldExpr::Field(field)) => equal(field, value),
            _ => Wanted::default(),
        },
        _ => Wanted::default(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an index knows numbers as doubles")]
fn equal(field: &Field, value: &Static) -> Wanted {
    let key = match field {
        Field::Intrinsic { what: Intrinsic::Name, .. } => value_key::SPAN_NAME,
        Field::Attribute { scope: Scope::Any | Scope::Span | Scope::Resource, name } => name,
        _ => return Wanted::default(),
    };
    let hash = match value {
        Static::Text(text) => value_key::text(key, text),
        Static::Bool(value) => value_key::flag(key, *value),
        Static::Int(number) | Static::Duration(number) => value_key::number(key, *number as f64),
        Static::Float(number) => value_key::number(key, *number),
        Static::Nil | Static::Status(_) | Static::Kind(_) | Static::List(_) => return Wanted::default(),
    };
    // An array equals what one of its values equals, and a map its text.
    Wanted::one_of_or_odd(&[hash], key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traceql::parse::parse;
    use crate::traceql::weaken::of_pipeline;

    #[test]
    fn equality_with_a_literal_asks_for_a_value_and_nothing_else_does() {
        let check = |query: &str, expected: &[&str]| {
            let parsed = parse(query).expect("a query");
            let expected = expected.iter().fold(Wanted::default(), |all, text| {
                let (key, text) = text.split_once('=').expect("key=value");
                let number = text.strip_prefix('#').map(|number| number.parse().expect("a number"));
                let hash = number.map_or(value_key::text(key, text), |number| value_key::number(key, number));
                all.and(Wanted::one_of_or_odd(&[hash], key))
            });
            assert_eq!(hold(&of_pipeline(&parsed.pipeline)), expected, "{query}");
        };
        check("{ .a = \"x\" }", &["a=x"]);
        check("{ \"x\" = span.a }", &["a=x"]);
        check("{ resource.a = 5 && name = \"op\" }", &["a=#5", "span:name=op"]);
        check("{ .a = 5.0 }", &["a=#5"]);
        check("{ .a = 5ns }", &["a=#5"]);
        check("{ .a = true }", &["a=true"]);
        check("{ .a = \"x\" } >> { .b = \"y\" }", &["b=y"]);
        for none in [
            "{ .a != \"x\" }",
            "{ .a =~ \"x\" }",
            "{ .a > 5 }",
            "{ .a }",
            "{ .a = nil }",
            "{ .a = .b }",
            "{ .a = error }",
            "{ !(.a = \"x\") }",
            "{ .a = \"x\" || .b > 1 }",
            "{ event.a = \"x\" }",
            "{ instrumentation.a = \"x\" }",
            "{ parent.a = \"x\" }",
            "{ kind = server && status = error }",
            "{ }",
        ] {
            check(none, &[]);
        }
        let either = parse("{ .a = \"x\" || .b = 5 }").expect("a query");
        let (a, b) = (value_key::text("a", "x"), value_key::number("b", 5.0));
        let expected = Wanted::one_of([a, value_key::odd("a")[0], b, value_key::odd("b")[0]]);
        let first = |wanted: Wanted| wanted.lists().first().map(Vec::len);
        assert_eq!(first(hold(&of_pipeline(&either.pipeline))), first(expected));
    }
}
