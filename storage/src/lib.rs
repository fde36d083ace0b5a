//! The storage wing: batches in, snapshots out.
//!
//! A payload becomes durable in the write-ahead log, is visible at once in the hot tail, and is flushed to Parquet
//! parts of Delta tables. Deliberately knows no protocol: payloads are opaque bytes that a `model::Decoder` reads.
//!
//! | file | holds |
//! |---|---|
//! | `store.rs` | [`Store`]: the door, and the write path on one page |
//! | `config.rs` `error.rs` `stats.rs` | limits, failures, figures |
//! | `disk.rs` | files behind a seam, so that tests cut the power |
//! | `snapshot.rs` | [`Snapshot`]: parts and tail of one instant |
//! | `part/` | one Parquet file |
//! | `table/` | the Delta log of a table |
//! | `document.rs` | the small documents that people edit |

mod config;
mod document;
mod error;
mod part;
mod snapshot;
mod store;
mod table;

pub use config::Config;
pub use error::Error;
pub use part::file::Part;
pub use snapshot::Snapshot;
pub use store::{FlushReport, Store};
