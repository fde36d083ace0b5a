//! A directory of a disk as the place of tables: what is written is synced, and so are the names.
//!
//! Deliberately does not retry a failed sync: what the system then holds of the file is unknown.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path as Location;
use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::files::file::{Draft, Files, Found, Source};
use crate::files::object::DiskStore;
use crate::name::unique;

/// Drafts of small files: names that Delta readers pass over, and that a sweep knows.
pub(crate) const DRAFT_START: &str = "_draft_";
pub(crate) const DRAFT_END: &str = ".tmp";

/// Directories that are remembered as made, at most.
const MADE_MAX: usize = 4096;

/// A directory.
#[derive(Clone, Debug)]
pub(crate) struct DiskFiles {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Directories whose names are durable for certain.
    made: Arc<Mutex<HashSet<PathBuf>>>,
}

impl DiskFiles {
    /// The tree below `root`, which need not be there yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { disk, root: root.to_owned(), made: Arc::default() }
    }

    /// Makes the root or a directory below it, durable with its name. One that is there may be the rest of an attempt that
    /// failed, or whose process died, before its name was synced.
    fn make(&self, directory: &Path) -> io::Result<()> {
        if self.made.lock().contains(directory) {
            return Ok(());
        }
        let above: Vec<&Path> = directory.ancestors().take_while(|at| at.starts_with(&self.root)).collect();
        for (at, parent) in above.into_iter().rev().filter_map(|at| Some((at, at.parent()?))) {
            self.disk.create_dir(at)?;
            self.disk.sync_dir(parent)?;
        }
        let mut made = self.made.lock();
        if made.len() >= MADE_MAX {
            made.clear();
        }
        made.insert(directory.to_owned());
        Ok(())
    }

    fn parent(&self, at: &Location) -> PathBuf {
        self.path(at).parent().map_or_else(|| self.root.clone(), Path::to_owned)
    }

    /// Writes a new file beside `at` and syncs its content; one that could not be written whole is removed.
    fn draft(&self, directory: &Path, content: &[u8]) -> io::Result<PathBuf> {
        self.make(directory)?;
        let path = directory.join(format!("{DRAFT_START}{}{DRAFT_END}", unique()?));
        let file = match self.disk.create(&path, 0) {
            // Somebody removed the directory by hand.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                self.made.lock().clear();
                self.make(directory)?;
                self.disk.create(&path, 0)?
            }
            created => created?,
        };
        let written = file.write_at(0, content).and_then(|()| file.sync_data());
        self.or_remove(&path, written).map(|()| path)
    }

    fn or_remove<T>(&self, path: &Path, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|_| {
            // A sweep finds what this leaves.
            let _ = self.disk.remove(path);
        })
    }
}

impl Files for DiskFiles {
    fn put_new(&self, at: &Location, content: &[u8]) -> io::Result<bool> {
        let (directory, path) = (self.parent(at), self.path(at));
        let draft = self.draft(&directory, content)?;
        let linked = self.disk.link(&draft, &path);
        let _ = self.disk.remove(&draft);
        match linked {
            Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(fault) => Err(fault),
            Ok(()) => self.disk.sync_dir(&directory).map(|()| true),
        }
    }

    fn replace(&self, at: &Location, content: &[u8]) -> io::Result<()> {
        let directory = self.parent(at);
        let draft = self.draft(&directory, content)?;
        self.or_remove(&draft, self.disk.rename(&draft, &self.path(at)))?;
        self.disk.sync_dir(&directory)
    }

    fn create(&self, at: &Location) -> io::Result<Box<dyn Draft>> {
        let (directory, path) = (self.parent(at), self.path(at));
        self.make(&directory)?;
        let file = self.disk.create(&path, 0)?;
        Ok(Box::new(DiskDraft { disk: Arc::clone(&self.disk), directory, path, file, bytes: 0, finished: false }))
    }

    fn open(&self, at: &Location) -> io::Result<Arc<dyn Source>> {
        let file = self.disk.open(&self.path(at))?;
        Ok(Arc::new(DiskSource { bytes: file.bytes()?, file }))
    }

    fn read(&self, at: &Location) -> io::Result<Bytes> {
        self.disk.read(&self.path(at)).map(Bytes::from)
    }

    fn list(&self, dir: &Location) -> io::Result<Vec<Found>> {
        let (directory, mut found) = (self.path(dir), Vec::new());
        for name in or_none(self.disk.list(&directory))? {
            // What goes meanwhile is not there.
            let Some(about) = or_gone(self.disk.about(&directory.join(&name)))? else { continue };
            if !about.is_directory {
                found.push(Found { name, bytes: about.bytes, modified: about.modified });
            }
        }
        Ok(found)
    }

    fn names_after(&self, dir: &Location, name: &str) -> io::Result<Vec<String>> {
        let names = or_none(self.disk.list(&self.path(dir)))?;
        Ok(names.into_iter().filter(|found| found.as_str() > name).collect())
    }

    fn directories(&self, dir: &Location) -> io::Result<Vec<String>> {
        let (directory, mut names) = (self.path(dir), Vec::new());
        for name in or_none(self.disk.list(&directory))? {
            if or_gone(self.disk.about(&directory.join(&name)))?.is_some_and(|about| about.is_directory) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn copy(&self, from: &Location, to: &Location) -> io::Result<()> {
        let directory = self.parent(to);
        self.make(&directory)?;
        self.disk.link(&self.path(from), &self.path(to))?;
        self.disk.sync_dir(&directory)
    }

    fn is_local(&self) -> bool {
        true
    }

    fn remove(&self, at: &Location) -> io::Result<bool> {
        or_gone(self.disk.remove(&self.path(at))).map(|removed| removed.is_some())
    }

    fn sync(&self, dir: &Location) -> io::Result<()> {
        self.disk.sync_dir(&self.path(dir))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.disk.free_bytes(&self.root)
    }

    fn path(&self, at: &Location) -> PathBuf {
        self.root.join(at.as_ref())
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(DiskStore::new(Arc::new(self.clone())))
    }
}

fn or_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn or_none(names: io::Result<Vec<String>>) -> io::Result<Vec<String>> {
    match names {
        Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        names => names,
    }
}

struct DiskDraft {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    finished: bool,
}

impl Write for DiskDraft {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.bytes, content)?;
        self.bytes += content.len() as u64;
        Ok(content.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for DiskDraft {
    fn finish(&mut self) -> io::Result<u64> {
        self.file.sync_data()?;
        self.disk.sync_dir(&self.directory)?;
        self.finished = true;
        Ok(self.bytes)
    }
}

impl Drop for DiskDraft {
    fn drop(&mut self) {
        if !self.finished {
            // A sweep finds what this leaves.
            let _ = self.disk.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct DiskSource {
    file: Arc<dyn DiskFile>,
    bytes: u64,
}

impl Source for DiskSource {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.file.read_at(offset, bytes.min(left)).map(Bytes::from)
    }
}
