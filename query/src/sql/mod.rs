//! SQL: the views it sees, the gate it passes, how a statement runs.
//!
//! | file | holds |
//! |---|---|
//! | `session.rs` | settings, functions and rules of every session; a tenant's catalog |
//! | `view.rs` | how SQL shows a table: times as timestamps, ids as hex, all attributes as one text |
//! | `issue.rs` | the view `issues` |
//! | `rewrite.rs` | comparisons on shown values become comparisons on stored columns |
//! | `permit.rs` | which statements are let through: those that only read |
//! | `statement.rs` | one statement from its text to its rows |
//! | `condition.rs` | a condition over a view as a test of stored rows, for erasures |
//! | `answer.rs` | [`SqlAnswer`] |

pub(crate) mod answer;
mod condition;
#[cfg(test)]
mod condition_tests;
mod issue;
mod permit;
mod rewrite;
pub(crate) mod session;
pub(crate) mod statement;
#[cfg(test)]
mod tests;
pub(crate) mod view;

pub use answer::SqlAnswer;
