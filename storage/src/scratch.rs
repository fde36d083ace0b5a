//! A file without a name, for what does not fit into memory for a while.
//!
//! It lies below the data directory and loses its name as soon as it is made, so nothing is left of it once it is closed,
//! also by a crash (an empty file at most). Deliberately never synced: who needs it again after a crash begins again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::name::unique;

/// Bytes of one file at most.
const BYTES_MAX: u64 = 8 << 30;
/// Bytes that stay free on the disk: the records need them more.
const FREE_MIN: u64 = 512 << 20;
/// Free bytes are looked at each time that so many have been written.
const LOOK_EVERY: u64 = 16 << 20;

/// A file that grows at its end and is read anywhere. Every call blocks.
#[derive(Debug)]
pub struct Scratch {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// At this size the disk is looked at again.
    look_at: u64,
}

impl Scratch {
    /// An empty file in a directory that is made when it is not there.
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: &Path) -> io::Result<Self> {
        disk.create_dir(directory)?;
        let path = directory.join(unique()?);
        let file = disk.create(&path, 0)?;
        disk.remove(&path)?;
        Ok(Self { disk, directory: directory.to_owned(), file, bytes: 0, look_at: 0 })
    }

    /// Writes bytes at the end; the offset at which they begin.
    ///
    /// # Errors
    /// `QuotaExceeded` beyond 8 GiB, `StorageFull` when less than 512 MiB of the disk would stay free, else the system's.
    pub fn append(&mut self, content: &[u8]) -> io::Result<u64> {
        let (offset, end) = (self.bytes, self.bytes + content.len() as u64);
        if end > BYTES_MAX {
            let detail = format!("more than {BYTES_MAX} bytes would have to be put aside on disk");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, detail));
        }
        if end > self.look_at {
            if self.disk.free_bytes(&self.directory)? < FREE_MIN + LOOK_EVERY {
                let detail = "the disk is nearly full, nothing is put aside on it; free some space";
                return Err(io::Error::new(io::ErrorKind::StorageFull, detail));
            }
            self.look_at = end + LOOK_EVERY;
        }
        self.file.write_at(offset, content)?;
        self.bytes = end;
        Ok(offset)
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// `UnexpectedEof` where less was written, else the system's.
    pub fn read(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let content = self.file.read_at(offset, bytes)?;
        if content.len() < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn what_is_put_aside_is_read_again_and_leaves_no_name() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("spool");
        let mut scratch = Scratch::new(Arc::new(RealDisk), &at).expect("a file");
        assert_eq!(scratch.append(b"some").expect("room"), 0);
        assert_eq!(scratch.append(b"more").expect("room"), 4);
        assert_eq!(scratch.read(2, 4).expect("bytes"), b"memo");
        assert_eq!(scratch.read(6, 4).expect_err("past the end").kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(std::fs::read_dir(&at).expect("the directory").count(), 0);
    }
}
