//! Values of which a row must hold some, as value indexes know them: read off the comparisons of a predicate.
//!
//! Only ever too wide, never too narrow: what is not understood asks for nothing. Equality alone asks for anything; what
//! is `!=`, an order, a pattern or NULL does not.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use tracelake_model::Table;
use tracelake_model::column::{ATTRIBUTES_REST, NAME, RESOURCE_ATTRIBUTES, SERVICE_NAME};
use tracelake_model::semconv::{RESOURCE, SPAN};
use tracelake_storage::value_key;

use crate::function::attr::Attr;

/// Values of one list at most, and lists: with more of them asking costs more than it saves.
const VALUES_MAX: usize = 64;
const LISTS_MAX: usize = 16;

/// Of each of some lists of values a row must hold one at least. Without lists any row may pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<Vec<u64>>);

impl Wanted {
    /// A row must hold one of these values, by their hashes.
    pub(crate) fn one_of(hashes: impl IntoIterator<Item = u64>) -> Self {
        let mut hashes: Vec<u64> = hashes.into_iter().collect();
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() > VALUES_MAX { Self::default() } else { Self(vec![hashes]) }
    }

    /// A row must hold one of these values, or one of a key's that is neither a text nor a number nor a boolean.
    pub(crate) fn one_of_or_odd(hashes: &[u64], key: &str) -> Self {
        let or = |odd| Self::one_of(hashes.iter().copied().chain([odd]));
        value_key::odd(key).map(or).into_iter().fold(Self::default(), Self::and)
    }

    /// A row must hold what both ask for.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for list in other.0 {
            if !self.0.contains(&list) && self.0.len() < LISTS_MAX {
                self.0.push(list);
            }
        }
        self
    }

    /// A row must hold what one of the two asks for.
    pub(crate) fn or(self, other: &Self) -> Self {
        // Of each side one list stands for all: the shortest, which is the least common as a rule.
        let shortest = |lists: &[Vec<u64>]| lists.iter().min_by_key(|list| list.len()).cloned();
        match (shortest(&self.0), shortest(&other.0)) {
            (Some(one), Some(other)) => Self::one_of(one.into_iter().chain(other)),
            _ => Self::default(),
        }
    }

    /// Whether any row may pass.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lists.
    pub(crate) fn lists(&self) -> &[Vec<u64>] {
        &self.0
    }
}

/// What stands in an index where a key's value, shown as text, is this one, numbers by their value; unless it is one that
/// the index does not tell apart.
pub(crate) fn shown_as(key: &str, text: &str) -> Vec<u64> {
    let number = text.parse().ok().map(|number| value_key::number(key, number));
    std::iter::once(value_key::text(key, text)).chain(number).collect()
}

/// What rows of a table must hold to pass all of `filters`, over columns as files hold them.
pub(crate) fn wanted(table: Table, filters: &[Expr]) -> Wanted {
    if table != Table::Spans {
        return Wanted::default();
    }
    filters.iter().map(of).fold(Wanted::default(), Wanted::and)
}

fn of(filter: &Expr) -> Wanted {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => of(left).and(of(right)),
            Operator::Or => of(left).or(&of(right)),
            Operator::Eq => equal(left, right).or_else(|| equal(right, left)).unwrap_or_default(),
            _ => Wanted::default(),
        },
        Expr::InList(list) if !list.negated => {
            shown(&list.expr).map_or_else(Wanted::default, |shown| shown.one_of(&list.list))
        }
        _ => Wanted::default(),
    }
}

fn equal(left: &Expr, value: &Expr) -> Option<Wanted> {
    Some(shown(left)?.one_of(std::slice::from_ref(value)))
}

/// The key whose values an expression shows, as they are or as text.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    key: String,
    /// Whether they come out of JSON: then they may be bytes, arrays or maps.
    of_json: bool,
}

impl Shown {
    /// What rows must hold where a value equals one of some literals.
    fn one_of(&self, values: &[Expr]) -> Wanted {
        let Some(all) = values.iter().map(|value| self.hashes(value)).collect::<Option<Vec<_>>>() else {
            return Wanted::default();
        };
        let is_odd = self.of_json && all.iter().any(|(_, is_text)| *is_text);
        let hashes: Vec<u64> = all.into_iter().flat_map(|(hashes, _)| hashes).collect();
        if is_odd { Wanted::one_of_or_odd(&hashes, &self.key) } else { Wanted::one_of(hashes) }
    }

    /// What stands in an index where a value equals a literal, and whether that is a text; none for NULL, which nothing
    /// equals.
    fn hashes(&self, value: &Expr) -> Option<(Vec<u64>, bool)> {
        let Expr::Literal(value, _) = value else { return None };
        let key = &self.key;
        match value {
            _ if value.is_null() => None,
            #[expect(clippy::cast_precision_loss, reason = "an index knows numbers as doubles")]
            ScalarValue::Int64(Some(number)) => Some((vec![value_key::number(key, *number as f64)], false)),
            ScalarValue::Float64(Some(number)) => Some((vec![value_key::number(key, *number)], false)),
            ScalarValue::Boolean(Some(value)) => Some((vec![value_key::flag(key, *value)], false)),
            text => Some((shown_as(key, text.try_as_str().flatten()?), true)),
        }
    }
}

fn shown(expr: &Expr) -> Option<Shown> {
    match expr {
        Expr::Column(column) => Some(Shown { key: key_of_column(&column.name)?.to_owned(), of_json: false }),
        Expr::Cast(Cast { expr, field }) if field.data_type().is_string() => shown(expr),
        Expr::ScalarFunction(call) if call.func.inner().is::<Attr>() => match call.args.as_slice() {
            [Expr::Column(column), Expr::Literal(key, _)]
                if matches!(column.name.as_str(), ATTRIBUTES_REST | RESOURCE_ATTRIBUTES) =>
            {
                Some(Shown { key: key.try_as_str().flatten()?.to_owned(), of_json: true })
            }
            _ => None,
        },
        Expr::ScalarFunction(call) if call.name() == "coalesce" => {
            let all: Vec<Shown> = call.args.iter().map(shown).collect::<Option<_>>()?;
            let of_json = all.iter().any(|one| one.of_json);
            let key = all.first()?.key.clone();
            all.iter().all(|one| one.key == key).then_some(Shown { key, of_json })
        }
        _ => None,
    }
}

/// The key whose values a column holds.
fn key_of_column(column: &str) -> Option<&'static str> {
    match column {
        SERVICE_NAME => Some(value_key::SERVICE),
        NAME => Some(value_key::SPAN_NAME),
        _ => SPAN.iter().chain(RESOURCE).find(|promoted| promoted.column == column).map(|promoted| promoted.key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;
    use datafusion::functions::core::expr_fn::coalesce;
    use datafusion::logical_expr::{ScalarUDF, cast};
    use datafusion::prelude::{col, lit};

    use crate::function::attr::AttrType;

    fn attr(result: AttrType, column: &str, key: &str) -> Expr {
        ScalarUDF::from(Attr::new(result)).call(vec![col(column), lit(key)])
    }

    /// Of JSON, which may hold something odd.
    fn text(key: &str, text: &str) -> Wanted {
        Wanted::one_of_or_odd(&shown_as(key, text), key)
    }

    /// Of a column of its own, which holds nothing odd.
    fn plain(key: &str, text: &str) -> Wanted {
        Wanted::one_of(shown_as(key, text))
    }

    #[test]
    fn equality_asks_for_values_and_nothing_else_does() {
        let check = |filters: &[Expr], expected: Wanted| {
            assert_eq!(wanted(Table::Spans, filters), expected, "{filters:?}");
        };
        let (none, number) = (Wanted::default, |key: &str, number| Wanted::one_of([value_key::number(key, number)]));
        let rest = || attr(AttrType::Text, ATTRIBUTES_REST, "k");
        let route = || col("http_route").eq(lit("/a"));
        check(&[], none());
        check(&[route()], plain("http.route", "/a"));
        check(&[lit("/a").eq(col("http_route"))], plain("http.route", "/a"));
        check(&[rest().eq(lit("5"))], text("k", "5"));
        assert_eq!(text("k", "5").0.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(text("k", "x").0.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        check(&[attr(AttrType::Int, RESOURCE_ATTRIBUTES, "k").eq(lit(5_i64))], number("k", 5.0));
        check(
            &[attr(AttrType::Bool, ATTRIBUTES_REST, "k").eq(lit(true))],
            Wanted::one_of([value_key::text("k", "true")]),
        );
        check(&[col("http_status_code").eq(lit(5_i64))], number("http.status_code", 5.0));
        check(&[cast(col("http_status_code"), DataType::Utf8).eq(lit("5"))], plain("http.status_code", "5"));
        let either = coalesce(vec![col("http_route"), attr(AttrType::Text, ATTRIBUTES_REST, "http.route")]);
        check(&[either.eq(lit("/a"))], text("http.route", "/a"));
        let mixed = coalesce(vec![col("http_route"), rest()]);
        check(&[mixed.eq(lit("/a"))], none());
        check(&[col(SERVICE_NAME).eq(lit("x")), route()], plain("service.name", "x").and(plain("http.route", "/a")));
        check(&[route().and(rest().eq(lit("5")))], plain("http.route", "/a").and(text("k", "5")));
        check(&[route().or(rest().eq(lit("5")))], plain("http.route", "/a").or(&text("k", "5")));
        check(&[route().or(rest().not_eq(lit("5")))], none());
        check(&[rest().in_list(vec![lit("5")], false)], text("k", "5"));
        check(&[rest().in_list(vec![lit("5")], true)], none());
        check(&[rest().in_list(vec![lit("5"), col(NAME)], false)], none());
        check(&[rest().in_list((0..80).map(|n| lit(n.to_string())).collect(), false)], none());
        check(&[rest().eq(lit(ScalarValue::Utf8(None)))], none());
        check(&[rest().gt(lit("5")), rest().like(lit("5%")), rest().is_null(), rest().not_eq(lit("5"))], none());
        check(&[cast(col("http_route"), DataType::Int64).eq(lit(5_i64))], none());
        check(&[col("scope_name").eq(lit("x")), attr(AttrType::Text, "scope_attributes", "k").eq(lit("x"))], none());
        assert!(wanted(Table::Logs, &[col("http_route").eq(lit("/a"))]).is_empty());
    }
}
