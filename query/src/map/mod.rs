//! The service map: who calls whom, computed from stored spans.
//!
//! | file | holds |
//! |---|---|
//! | `span.rs` | [`span::SpanSet`]: the few columns of a span that maps and figures need, interned, each span once |
//! | `parent.rs` | which span of a trace is the parent of another (ids shared by client and server included) |
//! | `node.rs` | what a span without instrumented callee talks to: database, queue or external service |
//! | `edge.rs` | spans to edges, a pure function |
//! | `red.rs` | requests, errors, exact percentiles |
//! | `load.rs` | reads the spans of a range, and the parents that lie outside it |
//! | `graph.rs` | the answer of the map's route |

mod edge;
pub(crate) mod graph;
pub(crate) mod load;
pub(crate) mod node;
pub(crate) mod parent;
pub(crate) mod red;
pub(crate) mod span;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod truth;
