//! The Delta log of a table, seen nowhere else: which parts live, and how far the WAL and derived streams are in it.
//!
//! A table lies at `<data root>/<tenant>/<table>/`; its log in `_delta_log/` is that of the Delta Lake protocol
//! (reader version 1, writer version 2, partition column `date`):
//!
//! | name | holds |
//! |---|---|
//! | `00000000000000000000.json` ... | one commit each: JSON actions, one per line; made if absent |
//! | `00000000000000000100.checkpoint.parquet` | all that lives at a version, every hundred commits |
//! | `_checkpoint_00000000000000000100.xxh3` | the checksums of that checkpoint and of the note below |
//! | `_last_checkpoint` | which checkpoint is the newest |
//! | `_draft_*.tmp` | a commit that is being written, or was when the power went |
//!
//! `txn` actions tie a table to its sources: `wal/<wal id>` holds the position up to which this table is flushed,
//! `derived/<source>` the position of a derived stream. Commits that remove parts count in `compact/wal/<wal id>`,
//! `retain/wal/<wal id>` and `erase/wal/<wal id>`.
//!
//! | file | holds |
//! |---|---|
//! | `log.rs` | [`log::TableLog`]: one committer of a table |
//! | `live.rs` | what the log adds up to: live parts, transactions, metadata |
//! | `action.rs` | our commits as actions of the protocol |
//! | `inspect.rs` | every file of a log looked at, for a check |
//! | `export.rs` | the files of a log that a backup of a version needs |
//! | `entry.rs` | the files of commits: put if absent, read, found |
//! | `checkpoint.rs` | checkpoints written, read and found |

pub(crate) mod action;
mod checkpoint;
mod entry;
mod export;
pub(crate) mod inspect;
mod live;
pub(crate) mod log;

#[cfg(test)]
mod tests;
