//! Credentials become [`tracelake_model::Caller`]s; nothing else tells a tenant.
//!
//! | file | holds |
//! |---|---|
//! | `token.rs` | the file of static bearer tokens, looked up by hash |
//! | `guard.rs` | the layer in front of every guarded route |
//! | `refuse.rs` | a refusal in the words of each door's protocol |
//! | `origin.rs` | keeps foreign web pages away from a server without authentication |

pub(crate) mod guard;
mod origin;
mod refuse;
pub(crate) mod token;
