//! Questions everyone asks, answered as plain values: traces, searches, services, logs, issues.
//!
//! | file | holds |
//! |---|---|
//! | `column.rs` `attribute.rs` `name.rs` | typed columns, attributes from wherever they stand, names of kinds and codes |
//! | `trace.rs` `span_row.rs` `otlp.rs` | one trace; its rows as OTLP spans; as OTLP/JSON |
//! | `outline.rs` `tree.rs` `path.rs` `skew.rs` | a trace in outline; who is whose child, self times; the critical path; clocks that disagree |
//! | `completeness.rs` `related.rs` `summary.rs` | what is missing or odd; links, logs and exceptions; all of it in one answer |
//! | `condition.rs` `span_filter.rs` | conditions on attributes; conditions on a span |
//! | `search.rs` `newest.rs` | exact trace search, newest first; the newest of many in bounded memory |
//! | `window.rs` | a time range from its newest end backwards |
//! | `service.rs` `known.rs` | services and operations with their figures; their names alone |
//! | `log_filter.rs` `log_row.rs` `log.rs` | which log records; one as an answer shows it; search |
//! | `log_tail.rs` | log records as they arrive |
//! | `issue.rs` `metric.rs` | exceptions grouped by fingerprint; names of metrics |

pub(crate) mod attribute;
pub(crate) mod column;
pub(crate) mod completeness;
pub(crate) mod condition;
pub(crate) mod issue;
pub(crate) mod known;
pub(crate) mod log;
pub(crate) mod log_filter;
pub(crate) mod log_row;
pub(crate) mod log_tail;
pub(crate) mod metric;
pub(crate) mod name;
pub(crate) mod newest;
pub(crate) mod otlp;
pub(crate) mod outline;
mod path;
pub(crate) mod related;
pub(crate) mod search;
pub(crate) mod service;
pub(crate) mod skew;
pub(crate) mod span_filter;
mod span_row;
pub(crate) mod summary;
pub(crate) mod trace;
pub(crate) mod tree;
pub(crate) mod window;
