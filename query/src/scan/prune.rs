//! The time range and the ids that a predicate leaves open, read off comparisons of columns with literals.
//!
//! Only ever too wide, never too narrow: what is not understood does not prune.

use std::collections::BTreeSet;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use tracelake_model::{TimeRange, UnixNano};

/// Instants that rows must have to pass all of `filters`, where `column` holds Unix nanoseconds.
///
/// The end lies outside; a range that reaches [`UnixNano::MAX`] includes it, because no filter bounds it.
pub(crate) fn time_bounds(filters: &[Expr], column: &str) -> TimeRange {
    let mut range = TimeRange::ALL;
    for filter in filters {
        narrow(&mut range, filter, column);
    }
    range
}

/// Whether rows between `min` and `max`, both inside, may fall into `range`.
pub(crate) fn overlaps(range: TimeRange, min: UnixNano, max: UnixNano) -> bool {
    max >= range.start && (min < range.end || range.end == UnixNano::MAX)
}

/// Ids of which a row must have one in `column` to pass all of `filters`; `None` when any id may pass.
pub(crate) fn ids(filters: &[Expr], column: &str) -> Option<BTreeSet<Vec<u8>>> {
    filters.iter().filter_map(|filter| ids_of(filter, column)).reduce(|a, b| &a & &b)
}

fn ids_of(filter: &Expr, column: &str) -> Option<BTreeSet<Vec<u8>>> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => ids(&[left.as_ref().clone(), right.as_ref().clone()], column),
            Operator::Or => Some(&ids_of(left, column)? | &ids_of(right, column)?),
            Operator::Eq if is_column(left, column) => Some(id(right)?.into_iter().collect()),
            Operator::Eq if is_column(right, column) => Some(id(left)?.into_iter().collect()),
            _ => None,
        },
        Expr::InList(list) if !list.negated && is_column(&list.expr, column) => {
            let ids = list.list.iter().map(id).collect::<Option<Vec<_>>>()?;
            Some(ids.into_iter().flatten().collect())
        }
        _ => None,
    }
}

/// The id of a literal; none for NULL, which nothing equals.
fn id(expr: &Expr) -> Option<Option<Vec<u8>>> {
    match expr {
        Expr::Literal(ScalarValue::Binary(id), _) => Some(id.clone()),
        _ => None,
    }
}

fn narrow(range: &mut TimeRange, filter: &Expr, column: &str) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            narrow(range, left, column);
            narrow(range, right, column);
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if let (true, Some(nanos)) = (is_column(left, column), literal(right)) {
                compare(range, *op, nanos);
            } else if let (Some(nanos), true, Some(op)) = (literal(left), is_column(right, column), op.swap()) {
                compare(range, op, nanos);
            }
        }
        Expr::Between(between) if !between.negated && is_column(&between.expr, column) => {
            if let Some(low) = literal(&between.low) {
                compare(range, Operator::GtEq, low);
            }
            if let Some(high) = literal(&between.high) {
                compare(range, Operator::LtEq, high);
            }
        }
        _ => {}
    }
}

fn compare(range: &mut TimeRange, op: Operator, nanos: i64) {
    let (at, after) = (UnixNano(nanos), UnixNano(nanos.saturating_add(1)));
    match op {
        Operator::GtEq => range.start = range.start.max(at),
        Operator::Gt => range.start = range.start.max(after),
        Operator::Lt => range.end = range.end.min(at),
        Operator::LtEq => range.end = range.end.min(after),
        Operator::Eq => {
            range.start = range.start.max(at);
            range.end = range.end.min(after);
        }
        _ => {}
    }
}

fn is_column(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Column(column) if column.name == name)
}

fn literal(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::Int64(value), _) => *value,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    #[test]
    fn a_predicate_bounds_the_time_it_leaves_open() {
        let check = |filter: Expr, start: i64, end: i64| {
            let range = time_bounds(std::slice::from_ref(&filter), "t");
            assert_eq!((range.start.0, range.end.0), (start, end), "{filter}");
        };
        let (min, max) = (i64::MIN, i64::MAX);
        check(col("t").gt_eq(lit(5_i64)), 5, max);
        check(col("t").gt(lit(5_i64)), 6, max);
        check(col("t").lt(lit(5_i64)), min, 5);
        check(col("t").lt_eq(lit(5_i64)), min, 6);
        check(col("t").eq(lit(5_i64)), 5, 6);
        check(lit(5_i64).lt_eq(col("t")), 5, max);
        check(col("t").between(lit(3_i64), lit(5_i64)), 3, 6);
        check(col("t").not_between(lit(3_i64), lit(5_i64)), min, max);
        check(col("t").gt_eq(lit(3_i64)).and(col("x").eq(lit(1_i64))).and(col("t").lt(lit(9_i64))), 3, 9);
        check(col("t").gt_eq(lit(3_i64)).or(col("x").eq(lit(1_i64))), min, max);
        check(col("x").gt_eq(lit(3_i64)), min, max);
        check(col("t").lt_eq(lit(i64::MAX)), min, max);
    }

    #[test]
    fn a_predicate_names_the_ids_it_leaves_open() {
        let is = |id: u8| col("id").eq(lit(vec![id]));
        let any = |ids: &[u8]| col("id").in_list(ids.iter().map(|id| lit(vec![*id])).collect(), false);
        let check = |filters: &[Expr], expected: Option<&[u8]>| {
            let found = ids(filters, "id").map(|ids| ids.into_iter().flatten().collect::<Vec<u8>>());
            assert_eq!(found.as_deref(), expected, "{filters:?}");
        };
        check(&[], None);
        check(&[col("t").gt(lit(5_i64))], None);
        check(&[is(1)], Some(&[1]));
        check(&[lit(vec![1_u8]).eq(col("id"))], Some(&[1]));
        check(&[any(&[3, 1, 3])], Some(&[1, 3]));
        check(&[any(&[1, 2, 3]), col("t").gt(lit(5_i64)), any(&[2, 3, 4])], Some(&[2, 3]));
        check(&[is(1).or(is(2)).and(col("t").gt(lit(5_i64)))], Some(&[1, 2]));
        check(&[is(1), is(2)], Some(&[]));
        check(&[is(1).or(col("t").gt(lit(5_i64)))], None);
        check(&[col("id").not_eq(lit(vec![1_u8]))], None);
        check(&[col("id").in_list(vec![lit(vec![1_u8])], true)], None);
        check(&[col("id").in_list(vec![lit(vec![1_u8]), col("other")], false)], None);
        check(&[col("other").eq(lit(vec![1_u8]))], None);
        check(&[is(1).or(lit(ScalarValue::Binary(None)).eq(col("id")))], Some(&[1]));
    }

    #[test]
    fn the_greatest_instant_is_kept_when_nothing_bounds_the_end() {
        assert!(overlaps(TimeRange::ALL, UnixNano::MAX, UnixNano::MAX));
        let range = TimeRange { start: UnixNano(3), end: UnixNano(9) };
        assert!(overlaps(range, UnixNano(8), UnixNano(20)) && overlaps(range, UnixNano(0), UnixNano(3)));
        assert!(!overlaps(range, UnixNano(9), UnixNano(20)) && !overlaps(range, UnixNano(0), UnixNano(2)));
    }
}
