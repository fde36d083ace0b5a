//! An object that is read here and there, a block at a time.
//!
//! Parquet asks for many small ranges, the last ones first; the store is asked for the end and for whole blocks, each
//! once. Blocks stay in an unlinked file below the data directory while the object is open, so a merge of large parts
//! holds little more memory than one of local files. Deliberately shares nothing between two openings: parts are merged once.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use object_store::Error;
use object_store::path::Path as Location;
use parking_lot::Mutex;

use crate::bucket::client::Client;
use crate::disk::{Disk, DiskFile};
use crate::files::fault::told;
use crate::files::file::Source;
use crate::name::unique;

/// Bytes that are asked for at once.
const BLOCK_BYTES: u64 = 4 << 20;
/// Bytes at the end that are read when an object is opened and held in memory: a part's footer, a small part whole.
const TAIL_BYTES: u64 = 256 << 10;
/// Bytes of all open objects below the data directory; a merge takes as many as a few parts, 128 MiB each.
const SPOOL_BYTES_MAX: u64 = 2 << 30;

/// Where blocks are kept.
#[derive(Clone, Debug)]
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    bytes: Arc<AtomicU64>,
}

impl Spool {
    /// A spool in a directory that is made when it is needed. A crash can leave an empty file there, no more.
    pub(crate) fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Self {
        Self { disk, directory, bytes: Arc::default() }
    }

    /// Takes room for an object, and a file without a name.
    fn take(&self, bytes: u64) -> io::Result<Room> {
        let mut room = Room { spool: self.clone(), bytes, file: None };
        if self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes > SPOOL_BYTES_MAX {
            let detail = format!("more than {SPOOL_BYTES_MAX} bytes of objects would be open at once");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, detail));
        }
        self.disk.create_dir(&self.directory)?;
        let path = self.directory.join(unique()?);
        let file = self.disk.create(&path, 0)?;
        self.disk.remove(&path)?;
        room.file = Some(file);
        Ok(room)
    }
}

/// Room for one object, given back when it is closed.
#[derive(Debug)]
struct Room {
    spool: Spool,
    bytes: u64,
    file: Option<Arc<dyn DiskFile>>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.spool.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// An open object.
pub(crate) struct SpooledFile {
    client: Client,
    spool: Spool,
    at: Location,
    bytes: u64,
    /// Its end, where the footer of a part is; of a small object all.
    tail: Bytes,
    /// The blocks before it, once one was asked for, and which have come.
    blocks: Mutex<Option<(Room, Vec<bool>)>>,
}

impl SpooledFile {
    /// Opens an object by reading its end, which tells how large it is.
    pub(crate) fn open(client: Client, spool: &Spool, at: Location) -> io::Result<Self> {
        let (asked, from) = (client.clone(), at.clone());
        let (tail, bytes) = match client.wait(async move { asked.get_tail(&from, TAIL_BYTES).await })? {
            Ok(read) => read,
            Err(fault @ (Error::NotFound { .. } | Error::PermissionDenied { .. })) => return Err(told(fault)),
            // Of an empty object no range can be had.
            Err(fault) => {
                let (asked, from) = (client.clone(), at.clone());
                let meta = client.wait(async move { asked.head(&from).await })?.map_err(told)?;
                if meta.size > 0 {
                    return Err(told(fault));
                }
                (Bytes::new(), 0)
            }
        };
        Ok(Self { client, spool: spool.clone(), at, bytes, tail, blocks: Mutex::default() })
    }

    /// Reads a range that begins before the tail.
    fn read_blocks(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut blocks = self.blocks.lock();
        let (room, came) = match &mut *blocks {
            Some(blocks) => blocks,
            none => {
                let count = usize::try_from(self.bytes.div_ceil(BLOCK_BYTES)).map_err(io::Error::other)?;
                none.insert((self.spool.take(self.bytes)?, vec![false; count]))
            }
        };
        self.fetch(room, came, offset, offset + len as u64)?;
        room.read(offset, len)
    }

    /// Has the blocks of a range come.
    fn fetch(&self, room: &Room, came: &mut [bool], offset: u64, end: u64) -> io::Result<()> {
        for block in offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES) {
            let Some(here) = usize::try_from(block).ok().and_then(|block| came.get_mut(block)) else { continue };
            if *here {
                continue;
            }
            let range = block * BLOCK_BYTES..((block + 1) * BLOCK_BYTES).min(self.bytes);
            let (asked, at, of) = (self.client.clone(), self.at.clone(), range.clone());
            let (content, bytes) = self.client.wait(async move { asked.get_range(&at, of).await })?.map_err(told)?;
            if bytes != self.bytes {
                return Err(io::Error::other(format!("{} changed while it was read", self.at)));
            }
            room.write(range.start, &content)?;
            *here = true;
        }
        Ok(())
    }
}

impl Room {
    fn write(&self, offset: u64, content: &[u8]) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.write_at(offset, content))
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_at(offset, len).map(Bytes::from)
    }
}

impl Source for SpooledFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = bytes.min(left);
        if len == 0 {
            return Ok(Bytes::new());
        }
        let tail_at = self.bytes - self.tail.len() as u64;
        match offset.checked_sub(tail_at).map(usize::try_from) {
            Some(start) => {
                let start = start.map_err(io::Error::other)?;
                Ok(self.tail.slice(start..start + len))
            }
            None => self.read_blocks(offset, len),
        }
    }
}

impl fmt::Debug for SpooledFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpooledFile").field("at", &self.at).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
