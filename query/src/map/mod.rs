//! The service map: who calls whom, computed from stored spans.
//!
//! | file | holds |
//! |---|---|
//! | `span.rs` | [`span::SpanSet`]: the few columns of a span that maps and figures need, interned, each span once |
//! | `attribute.rs` | the attributes that the rules read, by their newer and older names |
//! | `role.rs` | the part a span plays: sends, receives, processes; a timer's start; a sidecar's |
//! | `sampling.rs` | how many spans a sampled one stands for |
//! | `parent.rs` | which span of a trace is the parent of another (ids shared by client and server included) |
//! | `fold.rs`, `tree.rs` | sidecars fold into their services; parents past them |
//! | `node.rs` | what a span without instrumented callee talks to: database, queue or external service |
//! | `exit.rs` | which of a trace's spans lead there |
//! | `message.rs` | who took up whose messages, by parent or link |
//! | `edge.rs` | spans to edges, a pure function |
//! | `near.rs` | which spans are near each other in time |
//! | `red.rs` | requests, errors, percentiles, estimates |
//! | `load.rs` | reads the spans of a range, and those around it that decide about its edges |
//! | `minute/` | the minutes that are kept, and answers from them |
//! | `graph.rs` | the answer of the map's route |
//! | `change.rs` `compare.rs` | what became of the map since another range |

mod attribute;
mod change;
pub(crate) mod compare;
mod edge;
mod exit;
mod fold;
pub(crate) mod graph;
pub(crate) mod load;
mod message;
pub(crate) mod minute;
mod near;
pub(crate) mod node;
pub(crate) mod parent;
pub(crate) mod red;
mod role;
mod sampling;
pub(crate) mod span;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod topology;
mod tree;
#[cfg(test)]
pub(crate) mod truth;
