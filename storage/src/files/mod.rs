//! Where tables live: a directory of a disk, or an object store. Everything below the data root is read and written through here.
//!
//! | file | holds |
//! |---|---|
//! | `file.rs` | [`file::Files`]: what tables need of a place; [`file::Draft`], [`file::Source`]: a large file written, read |
//! | `disk.rs` | [`disk::DiskFiles`]: a directory of a disk, real or simulated |
//! | `remote.rs` | [`remote::RemoteFiles`]: an object store |
//! | `upload.rs` `spool.rs` `fault.rs` | its large files written and read; its failures |
//! | `object.rs` | the same directory as an object store, for libraries that want one |

pub(crate) mod disk;
mod fault;
pub(crate) mod file;
mod object;
pub(crate) mod remote;
pub(crate) mod spool;
mod upload;
