//! Which statements are let through: one at a time, and only those that read.
//!
//! An allow-list over the syntax tree: what is not named here is refused, whatever DataFusion could do with it. It is
//! the first of three gates; the others are DataFusion's own options (`statement.rs`) and a catalog without files
//! (`session.rs`).

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as Sql, Visit, Visitor};

use crate::error::Error;

/// Refuses a statement that may do more than read.
pub(crate) fn check(statement: &Statement) -> Result<(), Error> {
    let (sql, explained) = match statement {
        Statement::Statement(sql) => (sql, false),
        Statement::Explain(explain) => match explain.statement.as_ref() {
            Statement::Statement(sql) => (sql, true),
            other => return Err(refusal(&first_word(&other.to_string()))),
        },
        other => return Err(refusal(&first_word(&other.to_string()))),
    };
    match sql.as_ref() {
        Sql::Query(_) => {}
        Sql::ShowTables { .. } | Sql::ExplainTable { .. } | Sql::ShowColumns { .. } if !explained => {}
        Sql::Explain { statement, .. } if matches!(statement.as_ref(), Sql::Query(_)) => {}
        other => return Err(refusal(&first_word(&other.to_string()))),
    }
    match sql.visit(&mut Reads) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(refusal(&what)),
    }
}

/// Breaks at the first part that does more than read.
struct Reads;

impl Visitor for Reads {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if !query.locks.is_empty() {
            return ControlFlow::Break("FOR UPDATE".to_owned());
        }
        reads(&query.body)
    }
}

fn reads(body: &SetExpr) -> ControlFlow<String> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break("SELECT INTO".to_owned()),
        // A nested query is visited on its own.
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            reads(left)?;
            reads(right)
        }
        other => ControlFlow::Break(first_word(&other.to_string())),
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or("this statement").to_uppercase()
}

fn refusal(what: &str) -> Error {
    Error::Invalid(format!(
        "{what} is not allowed: SQL here only reads; use SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES or DESCRIBE"
    ))
}
