//! The query API of Jaeger, as Grafana's Jaeger data source and Jaeger UI call it.
//!
//! | file | holds |
//! |---|---|
//! | `route.rs` | the table of routes and their handlers |
//! | `ask.rs` | parameters: microseconds, `1.2ms`, tags as JSON and logfmt |
//! | `span.rs` | traces as Jaeger's JSON |
//! | `answer.rs` | the envelope of every answer, and of errors |
//!
//! Source: Jaeger's HTTP JSON API (`/api/traces` and the like of jaeger-query, version 1), which has no specification of
//! its own, and OpenTelemetry's "OpenTelemetry to Jaeger Transformation".

mod answer;
mod ask;
mod route;
mod span;
#[cfg(test)]
mod tests;

pub(crate) use route::routes;
