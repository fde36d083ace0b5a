//! What tables need of the place where they live. Deliberately says nothing about what the files hold.

use std::fmt;
use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path as Location;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use tracelake_model::UnixNano;

/// A tree of files that are written once and read by many. Paths are relative to its root.
///
/// Ordering: what a call has written is durable with its name when it returns. Errors are those of the system
/// (`NotFound`, `StorageFull`); after any other error of a writing call its effect may or may not stand.
pub(crate) trait Files: Send + Sync + fmt::Debug {
    /// Makes a file if nobody has; false when somebody was first.
    fn put_new(&self, at: &Location, content: &[u8]) -> io::Result<bool>;
    /// Writes a small file whole: a reader finds the old content or the new.
    fn replace(&self, at: &Location, content: &[u8]) -> io::Result<()>;
    /// Begins a large file with a name that nobody uses.
    fn create(&self, at: &Location) -> io::Result<Box<dyn Draft>>;
    /// Opens a file for reading here and there; it can be read even if it is removed meanwhile.
    fn open(&self, at: &Location) -> io::Result<Arc<dyn Source>>;
    /// Bytes of a file.
    fn bytes(&self, at: &Location) -> io::Result<u64> {
        self.open(at).map(|file| file.bytes())
    }
    /// Reads a file whole.
    fn read(&self, at: &Location) -> io::Result<Bytes>;
    /// Reads files whole, `None` where there is none; places that are far away are asked for several at once.
    fn read_many(&self, at: &[Location]) -> io::Result<Vec<Option<Bytes>>> {
        let read = |at: &Location| match self.read(at) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            content => content.map(Some),
        };
        at.iter().map(read).collect()
    }
    /// The files right below a directory, in no order; none when it is missing.
    fn list(&self, dir: &Location) -> io::Result<Vec<Found>>;
    /// The names of the files right below a directory that sort after `name`, in no order; none when it is missing.
    fn names_after(&self, dir: &Location, name: &str) -> io::Result<Vec<String>> {
        let names = self.list(dir)?.into_iter().map(|found| found.name);
        Ok(names.filter(|found| found.as_str() > name).collect())
    }
    /// The names of the directories right below a directory, in no order; none when it is missing.
    fn directories(&self, dir: &Location) -> io::Result<Vec<String>>;
    /// Gives a file's content a second name that nobody uses; `AlreadyExists` when somebody does. Deliberately general:
    /// places that can do it without moving bytes do so.
    fn copy(&self, from: &Location, to: &Location) -> io::Result<()> {
        let source = self.open(from)?;
        let (mut draft, mut at) = (self.create(to)?, 0);
        while at < source.bytes() {
            let piece = source.read_at(at, COPY_BYTES)?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            draft.write_all(&piece)?;
            at += piece.len() as u64;
        }
        draft.finish().map(drop)
    }
    /// Whether [`Files::path`] is a path of this machine's disk.
    fn is_local(&self) -> bool {
        false
    }
    /// Removes a file; false when it was not there. A removal need not be durable: it is tried again.
    fn remove(&self, at: &Location) -> io::Result<bool>;
    /// Makes sure that names in a directory are durable that an earlier, failed call may have left.
    fn sync(&self, dir: &Location) -> io::Result<()>;
    /// Bytes that are free for us; very many where nobody tells.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Where a file is, for messages.
    fn path(&self, at: &Location) -> PathBuf;
    /// The same files for libraries that want an object store.
    fn object_store(&self) -> Arc<dyn ObjectStore>;
}

/// All files below a directory, however deep, with their places; in no order.
pub(crate) fn walk(files: &dyn Files, dir: &Location) -> io::Result<Vec<(Location, Found)>> {
    let mut all: Vec<_> =
        files.list(dir)?.into_iter().map(|file| (dir.clone().join(file.name.as_str()), file)).collect();
    for name in files.directories(dir)? {
        all.extend(walk(files, &dir.clone().join(name.as_str()))?);
    }
    Ok(all)
}

/// A file right below a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name.
    pub(crate) name: String,
    /// Its size.
    pub(crate) bytes: u64,
    /// When it was last written.
    pub(crate) modified: UnixNano,
}

/// A large file under way, written from front to back. One that is dropped before it is finished is removed.
pub(crate) trait Draft: io::Write + Send {
    /// Makes it durable with its name; its size. Nothing is written after.
    fn finish(&mut self) -> io::Result<u64>;
}

/// An open file.
pub(crate) trait Source: Send + Sync + fmt::Debug {
    /// Its size.
    fn bytes(&self) -> u64;
    /// Reads a range; fewer bytes than asked for only at its end.
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Bytes>;
}

/// Bytes that are copied at once.
const COPY_BYTES: usize = 1 << 20;
/// Bytes that a sequential read fetches at once.
const READ_AHEAD_BYTES: usize = 64 << 10;

/// A source as the Parquet reader wants it.
#[derive(Clone, Debug)]
pub(crate) struct Chunks(pub(crate) Arc<dyn Source>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for Chunks {
    type T = Sequence;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Sequence> {
        Ok(Sequence { source: Arc::clone(&self.0), next: start, ready: Cursor::new(Bytes::new()) })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.0.read_at(start, length)?;
        if bytes.len() == length {
            return Ok(bytes);
        }
        Err(ParquetError::EOF(format!("the file ends {} bytes early", length - bytes.len())))
    }
}

/// Reads a source from one place on.
#[derive(Debug)]
pub(crate) struct Sequence {
    source: Arc<dyn Source>,
    next: u64,
    ready: Cursor<Bytes>,
}

impl io::Read for Sequence {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready.position() >= self.ready.get_ref().len() as u64 {
            let bytes = self.source.read_at(self.next, READ_AHEAD_BYTES.max(buffer.len()))?;
            self.next += bytes.len() as u64;
            self.ready = Cursor::new(bytes);
        }
        self.ready.read(buffer)
    }
}
