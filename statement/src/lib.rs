//! The text of SQL: parsed, let through when it only reads, planned.
//!
//! A crate of its own for the sake of build times: DataFusion's planner and the visitors of its syntax tree are generic,
//! so whoever calls them compiles them anew, a third of all the code that `query` had. Here, at optimisation level 1 as
//! the planner's own crates, they are shared with those (docs/decisions/0019-build-times.md). Deliberately knows no table,
//! no tenant and no limit of time or memory: those are `query`'s.
//!
//! | file | holds |
//! |---|---|
//! | `error.rs` | why a text is not planned |
//! | `parse.rs` | a text as one statement, or as one condition over a row |
//! | `permit.rs` | which statements are let through: those that only read |
//! | `plan.rs` | a statement's logical plan |

mod error;
mod parse;
mod permit;
mod plan;

pub use error::Error;
pub use parse::{condition, statement};
pub use plan::plan;
