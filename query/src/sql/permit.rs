//! Which statements are let through: one at a time, and only those that read.
//!
//! An allow-list over the syntax tree: what is not named here is refused, whatever DataFusion could do with it. It is
//! the first of three gates; the others are DataFusion's own options (`statement.rs`) and a catalog without files
//! (`session.rs`).

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as Sql, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::Error;

/// Operators of one statement. Each may deepen the syntax tree by one, which parser and planner walk recursively:
/// between 1,000 and 3,000 in a row run out of a thread's 2 MiB of stack, which would end the process.
const OPERATORS_MAX: usize = 600;
/// Tables that one statement may name, counting repeats: each deepens the plan.
const TABLES_MAX: usize = 64;

/// Refuses a text that would parse to a tree deeper than a stack; before it is parsed.
pub(crate) fn check_depth(query: &str) -> Result<(), Error> {
    // A text that is no sequence of tokens is the parser's to complain about, which says where.
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default();
    let operators = tokens.iter().filter(|token| deepens(token)).count();
    if operators <= OPERATORS_MAX {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "the statement has {operators} operators, at most {OPERATORS_MAX} are allowed; write long ORs as IN (...)"
    )))
}

/// Whether a token may deepen the tree. Parentheses may too, but the parser limits those itself; lists are flat.
fn deepens(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::NOT
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::MINUS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::IN
                | Keyword::IS
                | Keyword::DIV
                | Keyword::COLLATE
                | Keyword::AT
                | Keyword::OVERLAPS
        ),
        Token::Whitespace(_) | Token::Comma | Token::Period | Token::LParen | Token::RParen | Token::SemiColon => false,
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::Placeholder(_) => {
            false
        }
        _ => true,
    }
}

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
    match sql.visit(&mut Reads::default()) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(fault) => Err(fault),
    }
}

/// Breaks at the first part that does more than read.
#[derive(Default)]
struct Reads {
    table_count: usize,
}

impl Visitor for Reads {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(refusal("FOR UPDATE"));
        }
        reads(&query.body)
    }

    fn pre_visit_table_factor(&mut self, _: &TableFactor) -> ControlFlow<Error> {
        self.table_count += 1;
        if self.table_count <= TABLES_MAX {
            return ControlFlow::Continue(());
        }
        let told = format!("the statement names more than {TABLES_MAX} tables; ask in several statements");
        ControlFlow::Break(Error::Invalid(told))
    }
}

fn reads(body: &SetExpr) -> ControlFlow<Error> {
    match body {
        SetExpr::Select(select) if select.into.is_some() => ControlFlow::Break(refusal("SELECT INTO")),
        // A nested query is visited on its own.
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Query(_) => ControlFlow::Continue(()),
        SetExpr::SetOperation { left, right, .. } => {
            reads(left)?;
            reads(right)
        }
        other => ControlFlow::Break(refusal(&first_word(&other.to_string()))),
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
