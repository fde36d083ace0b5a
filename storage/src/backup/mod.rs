//! Backups: a copy of a store while it runs, many of them in one repository, and a store made from one.
//!
//! | file | holds |
//! |---|---|
//! | `manifest.rs` | [`manifest::Manifest`]: what a backup holds, with checksums |
//! | `repository.rs` | a directory of many backups that share their parts; which may go |
//! | `cut.rs` | what every table is at one instant, and the wait for taps |
//! | `take.rs` | a backup made |
//! | `restore.rs` | a data directory made from one |
//!
//! ```text
//! <repository>/REPOSITORY                 "tracelake backups 1"
//! <repository>/lock                       held by whoever makes or removes backups
//! <repository>/parts/<tenant>/<table>/... parts, shared by all backups; a second name of the store's file where both
//!                                         lie on one file system
//! <repository>/backups/<id>/small         table logs, documents, hashes, alerting's state: one after another
//! <repository>/backups/<id>/manifest.json written last: a backup without one is none
//! ```
//! # What a backup holds
//! Every row of spans, logs, metrics and audit that was acknowledged before the call, and of later ones those that were
//! flushed with them; never half a request. Rows computed from them (exceptions, alerts, notices) and alerting's state are
//! taken after taps have seen all of these rows. What comes in later is not in it.

mod cut;
pub(crate) mod manifest;
pub(crate) mod repository;
pub(crate) mod restore;
pub(crate) mod take;
