//! The routes under `/api/v1/alerting/`.
//!
//! | file | holds |
//! |---|---|
//! | `route.rs` | all routes in one table |
//! | `reply.rs` | problem bodies, query parameters, permissions |
//! | `rule.rs` `receiver.rs` | what people edit |
//! | `alert.rs` | alerts and notices |

mod alert;
mod receiver;
mod reply;
pub(crate) mod route;
mod rule;
