//! Questions everyone asks, answered as plain values: traces, searches, services, logs, issues.
//!
//! | file | holds |
//! |---|---|
//! | `column.rs` `attribute.rs` `name.rs` | typed columns, attributes from wherever they stand, names of kinds and codes |
//! | `trace.rs` `otlp.rs` `summary.rs` | one trace; as OTLP/JSON; root, self times, critical path, what is missing |
//! | `condition.rs` `span_filter.rs` | conditions on attributes; conditions on a span |
//! | `search.rs` `newest.rs` | exact trace search, newest first; the newest of many in bounded memory |
//! | `window.rs` | a time range from its newest end backwards |
//! | `service.rs` | services and operations with their figures |
//! | `log_filter.rs` `log_row.rs` `log.rs` | which log records; one as an answer shows it; search |
//! | `log_tail.rs` | log records as they arrive |
//! | `issue.rs` `metric.rs` | exceptions grouped by fingerprint; names of metrics |

pub(crate) mod attribute;
pub(crate) mod column;
pub(crate) mod condition;
pub(crate) mod issue;
pub(crate) mod log;
pub(crate) mod log_filter;
pub(crate) mod log_row;
pub(crate) mod log_tail;
pub(crate) mod metric;
pub(crate) mod name;
mod newest;
pub(crate) mod otlp;
pub(crate) mod search;
pub(crate) mod service;
pub(crate) mod span_filter;
pub(crate) mod summary;
pub(crate) mod trace;
mod window;
