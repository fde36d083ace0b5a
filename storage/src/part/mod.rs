//! One Parquet file of a table.
//!
//! | file | holds |
//! |---|---|
//! | `file.rs` | [`file::Part`]: where a part lies and what it covers |

pub(crate) mod file;
