//! A snapshot as DataFusion tables.
//!
//! | file | holds |
//! |---|---|
//! | `provider.rs` | one table of one snapshot: Parquet parts that a predicate may touch, and the unflushed tail |
//! | `prune.rs` | the time range that a predicate leaves open |
//! | `tail.rs` | tail batches as a stream of plain columns |
//!
//! Rows come out as files hold them (`Table::file_schema()`); what SQL sees on top is `sql/view.rs`.

pub(crate) mod provider;
mod prune;
mod tail;
