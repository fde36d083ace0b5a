//! `/api/v1/admin/...`: what operators do to a running server. Needs the role admin.
//!
//! | file | holds |
//! |---|---|
//! | `route.rs` `refuse.rs` | the table of routes, flushing; the role, bodies and refusals |
//! | `erase.rs` | delete by query |
//! | `hold.rs` | legal holds |
//! | `maintain.rs` | check and backup, with progress |
//! | `record.rs` | erasures and holds as audit records |

mod erase;
mod hold;
mod maintain;
mod record;
mod refuse;
mod route;

pub(crate) use route::router;
