//! SQL: the views it sees, how a statement runs. The gate it passes and the planner stand in the crate `statement`.
//!
//! | file | holds |
//! |---|---|
//! | `session.rs` | settings, functions and rules of every session; a tenant's catalog |
//! | `view.rs` | how SQL shows a table: times as timestamps, ids as hex, all attributes as one text |
//! | `issue.rs` | the view `issues` |
//! | `series.rs` | the view `traces_metrics` |
//! | `rewrite.rs` | comparisons on shown values become comparisons on stored columns |
//! | `statement.rs` | one statement from its text to its rows |
//! | `condition.rs` | a condition over a view as a test of stored rows, for erasures |
//! | `answer.rs` | [`SqlAnswer`] |

pub(crate) mod answer;
mod condition;
#[cfg(test)]
mod condition_tests;
mod issue;
mod rewrite;
mod series;
pub(crate) mod session;
pub(crate) mod statement;
#[cfg(test)]
mod tests;
pub(crate) mod view;

pub use answer::SqlAnswer;
