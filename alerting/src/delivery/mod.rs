//! How notices reach their receivers.
//!
//! | file | holds |
//! |---|---|
//! | `receiver.rs` | [`Receiver`] as configuration and API write it |
//! | `courier.rs` | the task that takes due notices and records outcomes |
//! | `webhook.rs` | one POST as Standard Webhooks describes it |
//! | `retry.rs` `breaker.rs` | when to try again; when to leave a receiver alone |
//! | `guard.rs` | which addresses may be connected to |

pub(crate) mod breaker;
pub(crate) mod courier;
pub(crate) mod guard;
pub(crate) mod receiver;
pub(crate) mod retry;
pub(crate) mod webhook;

pub use receiver::{Receiver, ReceiverKind, Secret};
