//! Broken and odd requests without end, from printed seeds: against the walker, the JSON reader and both doors.
//!
//! | file | holds |
//! |---|---|
//! | `budget.rs` | how long, from which seed |
//! | `tree.rs` | protobuf as a tree of fields, and what can be done to it |
//! | `corpus.rs` | requests to begin with: made by hand, recorded |
//! | `agree.rs` | one request decoded by the product and by the reference, compared cell by cell |
//! | `walker.rs` `json.rs` | the walker and the JSON reader |
//! | `door.rs` | the doors: framing, compression, lengths, answers, memory |
//! | `foreign.rs` | the translators of other protocols |
//!
//! Not coverage-guided: instrumented builds (`cargo-fuzz`, `-Zsanitizer`) need a nightly compiler.

mod agree;
mod budget;
mod corpus;
mod door;
mod foreign;
mod json;
mod tree;
mod walker;
