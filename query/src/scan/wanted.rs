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
const LISTS_MAX: usize = 8;

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

/// What stands in an index where a key's value, shown as text, is this one: numbers by their value, and anything that
/// the index does not tell apart.
pub(crate) fn shown_as(key: &str, text: &str) -> impl Iterator<Item = u64> {
    let number = text.parse().ok().map(|number| value_key::number(key, number));
    [value_key::text(key, text), value_key::odd(key)].into_iter().chain(number)
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
            let Some(shown) = shown(&list.expr) else { return Wanted::default() };
            let all: Option<Vec<Vec<u64>>> = list.list.iter().map(|value| shown.hashes(value)).collect();
            all.map(|all| Wanted::one_of(all.into_iter().flatten())).unwrap_or_default()
        }
        _ => Wanted::default(),
    }
}

fn equal(left: &Expr, value: &Expr) -> Option<Wanted> {
    Some(Wanted::one_of(shown(left)?.hashes(value)?))
}

/// The key whose values an expression shows, as they are or as text.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    key: String,
    /// Whether they come out of JSON: then they may be bytes, arrays or maps.
    of_json: bool,
}

impl Shown {
    /// What stands in an index where a value equals a literal; none for NULL, which nothing equals.
    fn hashes(&self, value: &Expr) -> Option<Vec<u64>> {
        let Expr::Literal(value, _) = value else { return None };
        let key = &self.key;
        match value {
            _ if value.is_null() => None,
            #[expect(clippy::cast_precision_loss, reason = "an index knows numbers as doubles")]
            ScalarValue::Int64(Some(number)) => Some(vec![value_key::number(key, *number as f64)]),
            ScalarValue::Float64(Some(number)) => Some(vec![value_key::number(key, *number)]),
            ScalarValue::Boolean(Some(value)) => Some(vec![value_key::flag(key, *value)]),
            text => {
                let odd = value_key::odd(key);
                let all = shown_as(key, text.try_as_str().flatten()?);
                Some(all.filter(|hash| self.of_json || *hash != odd).collect())
            }
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

    fn text(key: &str, text: &str) -> Vec<u64> {
        let mut hashes: Vec<u64> = shown_as(key, text).collect();
        hashes.sort_unstable();
        hashes
    }

    /// Of a column of its own, which holds nothing odd.
    fn plain(key: &str, value: &str) -> Vec<u64> {
        text(key, value).into_iter().filter(|hash| *hash != value_key::odd(key)).collect()
    }

    #[test]
    fn equality_asks_for_values_and_nothing_else_does() {
        let check = |filters: &[Expr], lists: &[Vec<u64>]| {
            assert_eq!(wanted(Table::Spans, filters), Wanted(lists.to_vec()), "{filters:?}");
        };
        let rest = || attr(AttrType::Text, ATTRIBUTES_REST, "k");
        let route = || col("http_route").eq(lit("/a"));
        check(&[], &[]);
        check(&[route()], &[vec![value_key::text("http.route", "/a")]]);
        check(&[lit("/a").eq(col("http_route"))], &[plain("http.route", "/a")]);
        check(&[rest().eq(lit("5"))], &[text("k", "5")]);
        assert_eq!((text("k", "5").len(), text("k", "x").len()), (3, 2));
        check(&[attr(AttrType::Int, RESOURCE_ATTRIBUTES, "k").eq(lit(5_i64))], &[vec![value_key::number("k", 5.0)]]);
        check(&[attr(AttrType::Bool, ATTRIBUTES_REST, "k").eq(lit(true))], &[vec![value_key::text("k", "true")]]);
        check(&[col("http_status_code").eq(lit(5_i64))], &[vec![value_key::number("http.status_code", 5.0)]]);
        check(&[cast(col("http_status_code"), DataType::Utf8).eq(lit("5"))], &[plain("http.status_code", "5")]);
        let either = coalesce(vec![col("http_route"), attr(AttrType::Text, ATTRIBUTES_REST, "http.route")]);
        check(&[either.eq(lit("/a"))], &[text("http.route", "/a")]);
        let mixed = coalesce(vec![col("http_route"), rest()]);
        check(&[mixed.eq(lit("/a"))], &[]);
        check(&[col(SERVICE_NAME).eq(lit("x")), route()], &[plain("service.name", "x"), plain("http.route", "/a")]);
        check(&[route().and(rest().eq(lit("5")))], &[plain("http.route", "/a"), text("k", "5")]);
        let mut both: Vec<u64> = plain("http.route", "/a").into_iter().chain(text("k", "5")).collect();
        both.sort_unstable();
        check(&[route().or(rest().eq(lit("5")))], &[both.clone()]);
        check(&[route().or(rest().not_eq(lit("5")))], &[]);
        check(&[rest().in_list(vec![lit("5")], false)], &[text("k", "5")]);
        check(&[rest().in_list(vec![lit("5")], true)], &[]);
        check(&[rest().in_list(vec![lit("5"), col(NAME)], false)], &[]);
        check(&[rest().in_list((0..80).map(|n| lit(n.to_string())).collect(), false)], &[]);
        check(&[rest().eq(lit(ScalarValue::Utf8(None)))], &[]);
        check(&[rest().gt(lit("5")), rest().like(lit("5%")), rest().is_null(), rest().not_eq(lit("5"))], &[]);
        check(&[cast(col("http_route"), DataType::Int64).eq(lit(5_i64))], &[]);
        check(&[col("scope_name").eq(lit("x")), attr(AttrType::Text, "scope_attributes", "k").eq(lit("x"))], &[]);
        assert!(wanted(Table::Logs, &[col("http_route").eq(lit("/a"))]).is_empty());
    }
}
