//! The text of SQL: parsed, let through when it only reads, planned.
//!
//! A crate of its own for the sake of build times: DataFusion's planner and the visitors of its syntax tree are generic,
//! so whoever calls them compiles them anew, a third of all the code that `query` had. Here, at optimisation level 1 as
//! the planner's own crates, they are shared with those (docs/decisions/0019-build-times.md). Deliberately knows no table,
//! no tenant and no limit of time or memory: those are `query`'s.
//!
//! | file | holds |
//! |---|---|
//! | `parse.rs` | a text as one statement, or as one condition over a row |
//! | `permit.rs` | which statements are let through: those that only read |
//! | `plan.rs` | a statement's logical plan |

mod parse;
mod permit;
mod plan;

pub use parse::{condition, statement};
pub use plan::plan;

use datafusion::common::DataFusionError;

/// Why a text is not planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Understood, and not allowed here; the text says what is.
    #[error("{0}")]
    Refused(String),
    /// Not understood by parser or planner.
    #[error(transparent)]
    Planner(#[from] DataFusionError),
}
