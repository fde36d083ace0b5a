//! The API of Tempo, as Grafana's Tempo data source calls it. Shapes, units and errors are Tempo's: seconds in
//! requests, nanoseconds as text in answers, errors as plain text.
//!
//! | file | holds |
//! |---|---|
//! | `route.rs` | the table of routes |
//! | `question.rs` `reply.rs` | parameters; errors and values as Tempo writes them |
//! | `trace.rs` | a trace by its id |
//! | `search.rs` `legacy.rs` | search by TraceQL; the older search by tags and durations |
//! | `metric.rs` | series of metrics functions |
//! | `tag.rs` | names of attributes, and their values |
//!
//! Source: Tempo's public HTTP API documentation.

mod legacy;
mod metric;
mod question;
mod reply;
mod route;
mod search;
mod tag;
#[cfg(test)]
mod tests;
mod trace;

pub(crate) use route::routes;
