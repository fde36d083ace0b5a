//! One Parquet file of a table: rows in, a durable file and its figures out.
//!
//! A part lies at `<tenant>/<table>/date=YYYY-MM-DD/part-<32 hex digits>.parquet` below the data root. Its name is
//! random and never used again. A file that no commit names is no part: nobody reads it.
//!
//! | file | holds |
//! |---|---|
//! | `file.rs` | [`file::Part`]: where a part lies and what it covers; [`file::NewPart`]: one that waits for its commit |
//! | `writer.rs` | [`writer::write_parts`]: rows to files, one per day; [`writer::PartWriter`]: one of them |
//! | `merge.rs` `input.rs` | [`merge::Merge`]: parts of one day become one; each as it is read |
//! | `splice.rs` | [`splice::Splice`]: parts become one whose row groups are theirs |
//! | `filter.rs` | a part without some of its rows |
//! | `gather.rs` | rows of many batches as one |
//! | `column/` | [`column::group::Groups`]: rows to encoded columns |
//! | `sort.rs` `small.rs` | the order of rows in a part; its keys as numbers |
//! | `encoding.rs` | how each column is encoded |
//! | `verify.rs` | whether a file is what its commit says |
//! | `trace_index.rs` `trace_read.rs` | [`trace_index::TraceIndex`]: which traces a part holds and where; read back from a part |
//! | `value_index.rs` | [`value_index::ValueGroup`]: which values a row group holds and about where |
//! | `value_key.rs` `value_rows.rs` `value_json.rs` | what it knows values by; how they get there; out of JSON texts |
//! | `stats.rs` | what a commit says about the columns of a part |

mod column;
mod encoding;
pub(crate) mod file;
pub(crate) mod filter;
pub(crate) mod gather;
pub(crate) mod input;
pub(crate) mod merge;
mod small;
pub(crate) mod sort;
pub(crate) mod splice;
mod stats;
pub(crate) mod trace_index;
pub(crate) mod trace_read;
pub(crate) mod value_index;
mod value_json;
pub mod value_key;
pub(crate) mod value_rows;
pub(crate) mod verify;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
