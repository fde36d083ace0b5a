//! TraceQL, the language of Tempo's documentation: text to tree to answers.
//!
//! | file | holds |
//! |---|---|
//! | `place.rs` | errors that point at a place |
//! | `literal.rs` `field.rs` | values; fields by scope and by nature |
//! | `token.rs` `string.rs` `lexer.rs` | text to words |
//! | `ast.rs` `show.rs` | a query as a tree, and its canonical text |
//! | `cursor.rs` `typing.rs` | words one by one under limits; which types operators take |
//! | `parse_field.rs` `parse_metric.rs` `parse.rs` | words to tree |
//! | `lenient.rs` | what a half-written query already says |
//! | `operate.rs` `slot.rs` | what operators do with values; expressions that are ready to run |
//! | `weaken.rs` `push.rs` `hold.rs` `plan.rs` | what one row can tell, what a scan can apply, what a row must hold, a query made ready |
//! | `row.rs` `load.rs` `tree.rs` | values out of rows; whole traces; who is whose parent |
//! | `structure.rs` `pipeline.rs` | structural operators; a pipeline over one trace |
//! | `work.rs` | off the threads that others wait for |
//! | `search.rs` | the newest traces of an answer |
//! | `measure.rs` `series.rs` `compare.rs` | metrics queries: spans measured, series over time, `compare` |
//! | `tags.rs` | which attributes and values there are |

pub(crate) mod ast;
mod compare;
mod cursor;
#[cfg(test)]
mod differential_tests;
pub(crate) mod field;
mod hold;
pub(crate) mod lenient;
mod lexer;
pub(crate) mod literal;
pub(crate) mod load;
pub(crate) mod measure;
pub(crate) mod operate;
#[cfg(test)]
mod oracle;
pub(crate) mod parse;
mod parse_field;
mod parse_metric;
#[cfg(test)]
mod parse_tests;
pub(crate) mod pipeline;
pub(crate) mod place;
pub(crate) mod plan;
mod push;
pub(crate) mod row;
pub(crate) mod search;
pub(crate) mod series;
mod show;
pub(crate) mod slot;
mod string;
mod structure;
pub(crate) mod tags;
mod token;
pub(crate) mod tree;
mod typing;
mod weaken;
mod work;
