//! Comparisons on what views show become comparisons on what is stored, so that they prune and push down: `trace_id =
//! 'hex'`, `start_time >= timestamp`, `kind = 'SERVER'`, `status_code = 'ERROR'`; and `attr(attributes, 'promoted')`
//! becomes the promoted column.
//!
//! Every rewritten expression has the same value for every row, in filters at least the same rows. What is not
//! understood stays as it is and is computed row by row.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, LogicalPlan, Operator, ScalarUDF, cast};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use datafusion::prelude::lit;
use tracelake_model::from_hex;
use tracelake_model::semconv::PromotedKind;

use crate::function::attr::{Attr, AttrType};
use crate::function::attributes::{Attributes, Owner};
use crate::function::hex::Hex;
use crate::function::label::Label;

/// DataFusion's rules with ours among them.
pub(crate) fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Vec::new();
    for rule in Optimizer::new().rules {
        // Ours run where a predicate has just met the scan, before equal parts of expressions are drawn together.
        let meets_scan = matches!(rule.name(), "push_down_filter" | "push_down_leaf_projections");
        rules.push(rule);
        if meets_scan {
            rules.push(Arc::new(ToStored) as Arc<dyn OptimizerRule + Send + Sync>);
        }
    }
    rules.push(Arc::new(DropResourceColumns));
    rules
}

/// Comparisons and attributes, see above.
#[derive(Debug)]
struct ToStored;

impl OptimizerRule for ToStored {
    fn name(&self) -> &str {
        "to_stored_columns"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let filters = matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::TableScan(_));
        map_named(plan, |expr| {
            let stored = expr.transform_up(to_stored)?;
            if filters { stored.transform_data(to_column_filter) } else { Ok(stored) }
        })
    }
}

/// `all_resource_attributes(text, promoted...)` is the text itself; the promoted columns stood there for `attr()` to
/// find, and are not read any more once it has.
#[derive(Debug)]
struct DropResourceColumns;

impl OptimizerRule for DropResourceColumns {
    fn name(&self) -> &str {
        "drop_resource_columns"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        map_named(plan, |expr| {
            expr.transform_up(|expr| match attributes_call(&expr) {
                Some((Owner::Resource, args)) => Ok(Transformed::yes(args[0].clone())),
                _ => Ok(Transformed::no(expr)),
            })
        })
    }
}

/// Rewrites a plan's expressions and keeps the names of its columns.
fn map_named(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(rewrite(expr)?.update_data(|expr| name.restore(expr)))
    })?;
    if !rewritten.transformed {
        return Ok(rewritten);
    }
    rewritten.map_data(LogicalPlan::recompute_schema)
}

pub(crate) fn to_stored(expr: Expr) -> Result<Transformed<Expr>> {
    let stored = match &expr {
        Expr::ScalarFunction(call) => attribute(call),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => comparison(left, *op, right),
        Expr::InList(list) => in_list(list),
        _ => None,
    };
    Ok(stored.map_or_else(|| Transformed::no(expr), Transformed::yes))
}

/// `attr(all_attributes(rest, promoted...), 'key')` over the columns themselves.
fn attribute(call: &ScalarFunction) -> Option<Expr> {
    let result = call.func.inner().downcast_ref::<Attr>()?.result;
    let [attributes, Expr::Literal(ScalarValue::Utf8(Some(key)), _)] = call.args.as_slice() else { return None };
    let (owner, args) = attributes_call(attributes)?;
    let rest = || ScalarUDF::from(Attr::new(result)).call(vec![args[0].clone(), lit(key.as_str())]);
    let place = owner.promoted().iter().position(|promoted| promoted.key == key);
    let Some(place) = place else { return Some(rest()) };
    let column = args.get(place + 1)?.clone();
    Some(match (result, owner.promoted()[place].kind) {
        (AttrType::Int, PromotedKind::Int) | (AttrType::Bool, PromotedKind::Bool) => column,
        (AttrType::Text, PromotedKind::String) => coalesce(vec![column, rest()]),
        (AttrType::Text, _) => coalesce(vec![cast(column, DataType::Utf8), rest()]),
        _ => rest(),
    })
}

fn comparison(left: &Expr, op: Operator, right: &Expr) -> Option<Expr> {
    match (left, right) {
        (shown, Expr::Literal(value, _)) => compare(shown, op, value),
        (Expr::Literal(value, _), shown) => compare(shown, op.swap()?, value),
        (left, right) if matches!(op, Operator::Eq | Operator::NotEq) => {
            Some(binary(hex_argument(left)?.clone(), op, hex_argument(right)?.clone()))
        }
        _ => None,
    }
}

fn compare(shown: &Expr, op: Operator, value: &ScalarValue) -> Option<Expr> {
    let equality = matches!(op, Operator::Eq | Operator::NotEq);
    let (column, stored) = stored_value(shown, value)?;
    let ordered = matches!(stored, ScalarValue::Int64(_));
    let order = matches!(op, Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    (equality || ordered && order).then(|| binary(column.clone(), op, lit(stored)))
}

fn in_list(list: &InList) -> Option<Expr> {
    let mut column = None;
    let mut values = Vec::with_capacity(list.list.len());
    for item in &list.list {
        let Expr::Literal(value, _) = item else { return None };
        let (stored_column, stored) = stored_value(&list.expr, value)?;
        column = Some(stored_column);
        values.push(lit(stored));
    }
    Some(column?.clone().in_list(values, list.negated))
}

/// The stored column behind a shown one, and the stored value that is shown as `value`; `None` when there is no
/// single one.
fn stored_value<'a>(shown: &'a Expr, value: &ScalarValue) -> Option<(&'a Expr, ScalarValue)> {
    match (shown, value) {
        (Expr::ScalarFunction(call), ScalarValue::Utf8(Some(text))) => {
            let function = call.func.inner();
            let stored = if function.is::<Hex>() {
                // An id is shown in lower case, so no other text equals it.
                let canonical = !text.bytes().any(|byte| byte.is_ascii_uppercase());
                ScalarValue::Binary(Some(from_hex(text).filter(|_| canonical)?))
            } else {
                ScalarValue::Int8(Some(function.downcast_ref::<Label>()?.number(text)?))
            };
            Some((call.args.first()?, stored))
        }
        (Expr::Cast(Cast { expr, field }), ScalarValue::TimestampNanosecond(Some(nanos), _)) => {
            let nanos_of_column =
                matches!(expr.as_ref(), Expr::Column(_)) && matches!(field.data_type(), DataType::Timestamp(..));
            nanos_of_column.then(|| (expr.as_ref(), ScalarValue::Int64(Some(*nanos))))
        }
        _ => None,
    }
}

/// In a filter, `coalesce(column, attr(rest, key)) = 'text'` needs only the column when no value in the rest can be
/// shown as that text: the rest holds this key only with a value that is no string, and such a value's text is JSON.
fn to_column_filter(expr: Expr) -> Result<Transformed<Expr>> {
    let narrowed = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let left = to_column_filter(left.as_ref().clone())?;
            let right = to_column_filter(right.as_ref().clone())?;
            (left.transformed || right.transformed).then(|| left.data.and(right.data))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (promoted_text(left), right.as_ref()) {
            (Some(column), Expr::Literal(value, _)) if only_string(value) => {
                Some(binary(column.clone(), Operator::Eq, right.as_ref().clone()))
            }
            _ => None,
        },
        Expr::InList(list) if !list.negated => promoted_text(&list.expr).and_then(|column| {
            let strings = list.list.iter().all(|item| matches!(item, Expr::Literal(value, _) if only_string(value)));
            strings.then(|| column.clone().in_list(list.list.clone(), false))
        }),
        _ => None,
    };
    Ok(narrowed.map_or_else(|| Transformed::no(expr), Transformed::yes))
}

/// The column of `coalesce(column, attr(rest, key))`.
fn promoted_text(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let [column @ Expr::Column(_), Expr::ScalarFunction(rest)] = call.args.as_slice() else { return None };
    (call.name() == "coalesce" && rest.func.inner().is::<Attr>()).then_some(column)
}

fn only_string(value: &ScalarValue) -> bool {
    matches!(value, ScalarValue::Utf8(Some(text)) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err())
}

fn attributes_call(expr: &Expr) -> Option<(Owner, &[Expr])> {
    let Expr::ScalarFunction(call) = expr else { return None };
    let attributes = call.func.inner().downcast_ref::<Attributes>()?;
    Some((attributes.owner, call.args.as_slice()))
}

fn hex_argument(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.inner().is::<Hex>() => call.args.first(),
        _ => None,
    }
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}
