//! The query wing: snapshots in, answers out.
//!
//! | file | holds |
//! |---|---|
//! | `engine.rs` | [`Engine`]: a tenant and a question become a stream of batches |
//! | `limit.rs` | time, row and concurrency limits around a stream |
//! | `tail_feed.rs` | durable log records as they arrive, for live tails |
//! | `scan/` | a snapshot as a DataFusion table: pruned parts and the unflushed tail |
//! | `function/` | SQL functions |
//! | `sql/` | the views SQL sees, the read-only gate, running a statement |
//! | `view/` | questions everyone asks: traces, searches, services, logs, issues |
//! | `map/` | the service map and the figures of calls |
//! | `traceql/` | the query language of Tempo: parser, planner, evaluation |
//! | `http/` | routes, parameters and replies |
//!
//! Knows nothing of ingest or alerting, writes nothing but the minutes of the service map, and opens no file but through
//! storage's object store.

mod config;
mod engine;
#[cfg(test)]
mod engine_tests;
mod error;
#[cfg(test)]
mod fixture;
mod function;
mod http;
mod limit;
mod map;
mod scan;
mod sql;
mod tail_feed;
mod traceql;
mod view;

pub use config::{Config, ConfigError};
pub use engine::{Engine, Order, Scan};
pub use error::Error;
pub use http::router;
pub use map::minute::thread::MapKeeper;
pub use sql::SqlAnswer;
