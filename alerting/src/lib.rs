//! The alerting wing: sightings in, notices out.
//!
//! Watches every durable request as a `model::Tap`, matches rules, groups exceptions, keeps alert episodes, and delivers
//! notices at least once with a stable id. Never imports ingest, storage internals, or a file format of tables.
//!
//! | file | holds |
//! |---|---|
//! | `alerting.rs` `config.rs` `error.rs` | the wing as the binary sees it |
//! | `tap.rs` `queue.rs` `matching.rs` | from storage's thread to the matching thread |
//! | `rule/` `keyword.rs` `record.rs` | rules, compiled, and the records they look at |
//! | `exception/` | exceptions found and grouped |
//! | `state.rs` `episode.rs` `notice.rs` | what a match does; one alert's episode; what is told |
//! | `outbox.rs` `journal.rs` `ledger.rs` | durable before visible: the file, and what it adds up to |
//! | `derived.rs` | rows of `alerts` and `notices` |
//! | `delivery/` | webhooks, retries, and where they may connect to |
//! | `http/` | the routes under `/api/v1/alerting/` |
//!
//! A record's way: `tap` → `queue` → `matching` → `keyword` → `state` → `outbox` (fsync) → `courier` → `webhook`.

mod alerting;
mod config;
mod delivery;
mod derived;
mod episode;
mod error;
mod exception;
mod http;
mod journal;
mod keyword;
mod ledger;
mod matching;
mod notice;
mod outbox;
mod queue;
mod record;
mod rule;
#[cfg(test)]
mod sample_data;
mod state;
mod tap;
#[cfg(test)]
mod wing_tests;

pub use alerting::Alerting;
pub use config::Config;
pub use delivery::{Receiver, ReceiverKind, Secret};
pub use error::Error;
pub use exception::fingerprint;
pub use rule::{AlertSeverity, Period, Rule, RuleKind, RuleSignal};
