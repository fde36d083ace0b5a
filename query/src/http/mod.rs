//! The query wing's routes.
//!
//! | file | holds |
//! |---|---|
//! | `route.rs` | the table of routes |
//! | `native.rs` `trace.rs` `log.rs` | our own API: services, map, issues, metrics; traces; logs |
//! | `jaeger/` | the query API of Jaeger |
//! | `sql.rs` | `POST /api/v1/sql` |
//! | `tempo/` | the API of Tempo, as Grafana's data source calls it |
//! | `parameter.rs` | typed query parameters; unknown ones are refused |
//! | `reply.rs` `heal.rs` | JSON replies, problem bodies, warnings; asking again without a damaged part |
//! | `rows.rs` `cell.rs` | rows as JSON, NDJSON, CSV or an Arrow stream |

#[cfg(test)]
pub(crate) mod asking;
pub(crate) mod cell;
mod heal;
mod jaeger;
mod log;
mod native;
#[cfg(test)]
mod native_tests;
pub(crate) mod parameter;
mod question;
#[cfg(test)]
mod record_tests;
pub(crate) mod reply;
mod route;
mod rows;
#[cfg(test)]
mod search_tests;
mod sql;
mod tempo;
#[cfg(test)]
mod tests;
mod trace;
#[cfg(test)]
mod trace_tests;
#[cfg(test)]
mod value_tests;

pub use route::router;
