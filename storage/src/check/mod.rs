//! Whether everything on disk is as it was written: the log, every table with every part, the small files.
//!
//! | file | holds |
//! |---|---|
//! | `report.rs` | [`report::CheckReport`]: what was looked at and what was found; how far a check is |
//! | `run.rs` | a directory that no server uses; a running store |
//! | `table.rs` | a table: its log and its parts |
//! | `log.rs` | the write-ahead log, frame by frame |
//! | `small.rs` | `FORMAT`, the log's id, payload hashes, documents |
//! | `repair.rs` | damaged files to quarantine |
//! | `scrub.rs` | the same look at parts, slowly, all the time |
//!
//! A check changes nothing unless it is asked to repair; repairing deletes nothing.

mod log;
mod repair;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod scrub;
mod small;
mod table;
