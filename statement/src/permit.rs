//! Which statements are let through: one at a time, and only those that read.
//!
//! An allow-list over the syntax tree: what is not named here is refused, whatever DataFusion could do with it. It is
//! the first of three gates; the others are DataFusion's own options (`plan.rs`) and a catalog without files (`query`'s
//! `sql/session.rs`).

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as Sql, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::Error;

/// Operators of one statement. Each may deepen the syntax tree by one, which parser and planner walk recursively:
/// between 1,000 and 3,000 in a row run out of a thread's 2 MiB of stack, which would end the process.
const OPERATORS_MAX: usize = 600;
/// Tables that one statement may name, counting repeats: each deepens the plan.
const TABLES_MAX: usize = 64;
/// Uses of WITH queries in one statement. Each use is planned anew, so that a chain of self-joined ones would double the
/// plan at every step; so many uses can make at most some 360 copies.
const WITH_USES_MAX: usize = 16;

/// Refuses a text that would parse to a tree deeper than a stack; before it is parsed.
pub(crate) fn check_depth(query: &str) -> Result<(), Error> {
    // A text that is no sequence of tokens is the parser's to complain about, which says where.
    let tokens = Tokenizer::new(&GenericDialect {}, query).tokenize().unwrap_or_default();
    let operators = tokens.iter().filter(|token| deepens(token)).count();
    if operators <= OPERATORS_MAX {
        return Ok(());
    }
    Err(Error::Refused(format!(
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
        Token::Whitespace(_)
        | Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::SemiColon
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Placeholder(_) => false,
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
    with_names: HashSet<String>,
    with_use_count: usize,
}

impl Visitor for Reads {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        if !query.locks.is_empty() {
            return ControlFlow::Break(refusal("FOR UPDATE"));
        }
        let named = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with_names.extend(named.map(|table| table.alias.name.value.to_lowercase()));
        reads(&query.body)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        self.table_count += 1;
        if let TableFactor::Table { name, .. } = factor {
            let name = name.to_string().replace('"', "").to_lowercase();
            self.with_use_count += usize::from(self.with_names.contains(&name));
        }
        let told = match (self.table_count > TABLES_MAX, self.with_use_count > WITH_USES_MAX) {
            (true, _) => format!("the statement names more than {TABLES_MAX} tables; ask in several statements"),
            (_, true) => format!("the statement uses WITH queries more than {WITH_USES_MAX} times; ask in several"),
            _ => return ControlFlow::Continue(()),
        };
        ControlFlow::Break(Error::Refused(told))
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
    Error::Refused(format!(
        "{what} is not allowed: SQL here only reads; use SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES or DESCRIBE"
    ))
}
