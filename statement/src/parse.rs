//! One statement, or one condition, from its text. Errors of the parser say where.

use std::ops::ControlFlow;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{ExprWithAlias, Query, Visit, Visitor};

use crate::{Error, permit};

/// Exactly one statement that only reads.
///
/// # Errors
/// No statement, several, one that may do more than read, one too deep for a stack, or what the parser does not know.
pub fn statement(query: &str) -> Result<Statement, Error> {
    permit::check_depth(query)?;
    let mut statements = DFParserBuilder::new(query).build()?.parse_statements()?;
    let statement = match (statements.pop_front(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(Error::Refused("there is no statement; write for example SELECT 1".to_owned())),
        (Some(_), _) => return Err(Error::Refused("several statements at once; send one at a time".to_owned())),
    };
    permit::check(&statement)?;
    Ok(statement)
}

/// Exactly one expression that asks no other question.
///
/// # Errors
/// As [`statement`]; and an expression with a subquery or a name of its own.
pub fn condition(text: &str) -> Result<ExprWithAlias, Error> {
    permit::check_depth(text)?;
    let parsed = DFParserBuilder::new(text).build()?.parse_into_expr()?;
    if parsed.alias.is_some() || parsed.visit(&mut Single).is_break() {
        return Err(Error::Refused(
            "a condition looks at one row of one table: no subquery, no other table, no AS".to_owned(),
        ));
    }
    Ok(parsed)
}

/// Breaks at a query within an expression.
struct Single;

impl Visitor for Single {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
