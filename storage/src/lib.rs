//! The storage wing: batches in, snapshots out.
//!
//! A payload becomes durable in the write-ahead log, is visible at once in the hot tail, and is flushed to Parquet
//! parts of Delta tables. Deliberately knows no protocol: payloads are opaque bytes that a `model::Decoder` reads.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | [`Store`]: the door, and the write path on one page |
//! | `core.rs` | what the threads share; who may append now |
//! | `write.rs` `flush.rs` `mover.rs` `tap.rs` `driver.rs` | the steps: to disk, to parts, to taps; the threads that repeat them |
//! | `upkeep.rs` `keeper.rs` `plan.rs` `compact.rs` `retain.rs` `sweep.rs` `follow.rs` | what runs beside: which parts to merge, merging them, removing old ones, deleting files; seeing other servers' commits |
//! | `erase.rs` `erasure.rs` `erasing.rs` | delete by query: doing it; what is asked and answered; which run |
//! | `hold.rs` `holding.rs` | legal holds; their documents |
//! | `queue.rs` `feed.rs` `signal.rs` `gather_signal.rs` | what waits for the writer, for taps, for the flusher, for the gatherer |
//! | `arrival.rs` `table_set.rs` `point.rs` | rows of a frame; a set of tables; moments at which tests let it die |
//! | `dedup.rs` `audit.rs` `derived.rs` `rows.rs` | payloads seen before; audit numbers; derived rows; frames to rows |
//! | `traces.rs` `trace_load.rs` | the trace indexes of live parts: which parts may hold rows of a trace; reading them at start |
//! | `open.rs` `replay.rs` `relief.rs` | a data directory opened, its log replayed within the memory's limit |
//! | `tail.rs` `generation.rs` `gather.rs` | rows that are in no part yet: by tenant, by table; small batches become larger ones |
//! | `snapshot.rs` | [`Snapshot`]: parts and tail of one instant |
//! | `wal/` | the write-ahead log |
//! | `part/` | one Parquet file |
//! | `table/` `logs.rs` | the Delta log of a table; all of them |
//! | `document.rs` | the small documents that people edit |
//! | `backup/` | copies of a store while it runs, and a store made from one |
//! | `check/` `checksum.rs` | whether everything on disk is as it was written |
//! | `reads.rs` | the files that queries read, and which they read last |
//! | `damage.rs` `quarantine.rs` | what is known to be damaged; damaged files out of service |
//! | `config.rs` `error.rs` `counter.rs` `stats.rs` | limits, failures, figures |
//! | `seam.rs` `disk.rs` | what tests replace; files, so that they can cut the power (`simulation.rs`) |
//! | `files/` `name.rs` `scratch.rs` | the files of tables: in a directory of a disk, in an object store; unused names; files without one |
//! | `home.rs` `place.rs` `bucket/` | where tables and documents live, as configured; requests to an object store |

mod arrival;
mod audit;
mod backup;
mod bucket;
mod check;
mod checksum;
mod compact;
mod config;
mod core;
mod counter;
mod damage;
mod dedup;
mod derived;
mod disk;
mod document;
mod driver;
mod erase;
mod erasing;
mod erasure;
mod error;
mod feed;
mod files;
mod flush;
mod follow;
mod gather;
mod gather_signal;
mod generation;
mod hold;
mod holding;
mod home;
mod keeper;
mod logs;
mod mover;
mod name;
mod open;
mod part;
mod place;
mod plan;
mod point;
mod quarantine;
mod queue;
mod reads;
mod relief;
mod replay;
mod retain;
mod rows;
mod scratch;
mod seam;
mod signal;
#[cfg(test)]
mod simulation;
mod snapshot;
mod stats;
mod store;
mod sweep;
mod table;
mod table_set;
mod tail;
mod tap;
mod trace_load;
mod traces;
mod upkeep;
mod wal;
mod write;

#[cfg(test)]
mod tests;

pub use backup::manifest::{Manifest, PartCopy, TableCopy};
pub use backup::restore::{RestoreAsk, RestoreReport, list_backups, restore};
pub use backup::take::{BackupAsk, BackupReport};
pub use bucket::settings::S3;
pub use check::report::{CheckAsk, CheckProgress, CheckReport, Finding, FindingKind, TableReport};
pub use config::{Config, Durability};
pub use damage::Gap;
pub use erasure::{Condition, Erased, Erasure};
pub use error::Error;
pub use hold::{Hold, Holds};
pub use part::file::{Commits, Part};
pub use part::value_index::{ValuePlace, places as value_places};
pub use part::value_key;
pub use scratch::Scratch;
pub use signal::FlushReport;
pub use snapshot::Snapshot;
pub use store::Store;
pub use traces::TracePart;
