//! A snapshot as DataFusion tables.
//!
//! | file | holds |
//! |---|---|
//! | `provider.rs` | one table of one snapshot: Parquet parts that a predicate may touch, and the unflushed tail |
//! | `prune.rs` | the time range and the ids that a predicate leaves open |
//! | `wanted.rs` `held.rs` | the values that a predicate asks for; the rows of a part that may hold them |
//! | `outline.rs` | what is kept of parts' footers between questions |
//! | `tail.rs` | tail batches as a stream of plain columns |
//! | `order.rs` | partitions of a plan one after the other, so that rows come in the order they were stored in |
//! | `seek.rs` `seek_part.rs` | rows from the newest backwards, as far as somebody wants to read |
//! | `pick.rs` `pick_part.rs` | the rows of some traces, taken out of parts and tail without a plan |
//!
//! Rows come out as files hold them (`Table::file_schema()`); what SQL sees on top is `sql/view.rs`.

pub(crate) mod held;
pub(crate) mod order;
pub(crate) mod outline;
pub(crate) mod pick;
pub(crate) mod pick_part;
pub(crate) mod provider;
pub(crate) mod prune;
pub(crate) mod seek;
pub(crate) mod seek_part;
mod tail;
#[cfg(test)]
mod tests;
pub(crate) mod wanted;
