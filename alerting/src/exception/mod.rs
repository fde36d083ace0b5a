//! Exceptions: found in span events and log records, grouped by fingerprint.
//!
//! | file | holds |
//! |---|---|
//! | `occurrence.rs` | one exception as it happened; finding them in batches; rows of `exceptions` |
//! | `stack.rs` | frames of stack traces of seven languages |
//! | `fingerprint.rs` | which occurrences are one issue |

pub(crate) mod fingerprint;
pub(crate) mod occurrence;
pub(crate) mod stack;

pub use fingerprint::fingerprint;
