//! Where tables live: a directory of a disk. Everything below the data root is read and written through here.
//!
//! | file | holds |
//! |---|---|
//! | `file.rs` | [`file::Files`]: what tables need of a place; [`file::Draft`], [`file::Source`]: a large file written, read |
//! | `disk.rs` | [`disk::DiskFiles`]: a directory of a disk, real or simulated |
//! | `object.rs` | the same directory as an object store, for libraries that want one |

pub(crate) mod disk;
pub(crate) mod file;
mod object;
