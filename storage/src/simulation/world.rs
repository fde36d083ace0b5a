//! Files, directories and names of the simulated disk: what is seen, what is durable, and what waits in between.
//!
//! A copy shares all content, so an image of the whole disk costs little. Deliberately knows no faults.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracelake_model::UnixNano;

use crate::disk::About;

/// The whole disk at one moment.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(super) inodes: Vec<Arc<Inode>>,
    pub(super) directories: BTreeMap<PathBuf, Arc<Directory>>,
    /// Changing operations so far.
    pub(crate) operations: u64,
    /// Power cuts so far.
    pub(super) epoch: u64,
}

/// A file's content, whatever its names.
#[derive(Clone, Debug)]
pub(super) struct Inode {
    /// What readers get.
    pub(super) seen: Arc<Vec<u8>>,
    /// What the disk has for certain.
    pub(super) durable: Arc<Vec<u8>>,
    /// Writes since the last sync, in order: offset and bytes.
    pub(super) unsynced: Vec<(usize, Arc<[u8]>)>,
    /// A sync failed: `seen` holds what no later sync will write.
    pub(super) lossy: bool,
    modified: UnixNano,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(usize),
    Directory,
}

/// A change of a directory's names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Set(String, Node),
    Remove(String),
    /// At once: there is no moment with neither name, and none with both.
    Rename(String, String),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    pub(super) names: BTreeMap<String, Node>,
    pub(super) durable: BTreeMap<String, Node>,
    /// Changes since the last sync, in order.
    pub(super) unsynced: Vec<Change>,
}

impl Change {
    pub(super) fn apply(self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Set(name, node) => drop(names.insert(name, node)),
            Self::Remove(name) => drop(names.remove(&name)),
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
        }
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.clone().apply(&mut self.names);
        self.unsynced.push(change);
    }
}

/// Puts bytes into a content, which grows by zeros where it must.
pub(super) fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Default for World {
    fn default() -> Self {
        let directories = BTreeMap::from([(PathBuf::from("/"), Arc::default())]);
        Self { inodes: Vec::new(), directories, operations: 0, epoch: 0 }
    }
}

impl World {
    pub(super) fn inode(&self, path: &Path) -> io::Result<usize> {
        match self.node(path)? {
            Node::File(inode) => Ok(inode),
            Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        let (directory, name) = split(path)?;
        let names = &self.directories.get(directory).ok_or(io::ErrorKind::NotFound)?.names;
        names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        self.directories.contains_key(path)
    }

    pub(super) fn about(&self, path: &Path) -> io::Result<About> {
        if self.is_directory(path) {
            return Ok(About { is_directory: true, bytes: 0, modified: UnixNano(0) });
        }
        let inode = &self.inodes[self.inode(path)?];
        Ok(About { is_directory: false, bytes: inode.seen.len() as u64, modified: inode.modified })
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let directory = self.directories.get(dir).ok_or(io::ErrorKind::NotFound)?;
        Ok(directory.names.keys().cloned().collect())
    }

    pub(super) fn seen(&self, inode: usize) -> &Arc<Vec<u8>> {
        &self.inodes[inode].seen
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        self.change(path, |name| Change::Set(name, Node::Directory))?;
        self.directories.insert(path.to_owned(), Arc::default());
        Ok(())
    }

    /// A new, empty file.
    pub(super) fn add(&mut self, path: &Path, now: UnixNano) -> io::Result<usize> {
        self.must_be_free(path)?;
        let inode = self.inodes.len();
        self.change(path, |name| Change::Set(name, Node::File(inode)))?;
        let content: Arc<Vec<u8>> = Arc::default();
        let (seen, durable) = (Arc::clone(&content), content);
        self.inodes.push(Arc::new(Inode { seen, durable, unsynced: Vec::new(), lossy: false, modified: now }));
        Ok(inode)
    }

    pub(super) fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.inode(from)?;
        self.must_be_free(to)?;
        self.change(to, |name| Change::Set(name, Node::File(inode)))
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.inode(from)?;
        assert_eq!(from.parent(), to.parent(), "a rename stays in its directory");
        let old = split(from)?.1.to_owned();
        self.change(to, |name| Change::Rename(old, name))
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.inode(path)?;
        self.change(path, Change::Remove)
    }

    pub(super) fn write(&mut self, inode: usize, offset: usize, bytes: &[u8], now: UnixNano) {
        let inode = Arc::make_mut(&mut self.inodes[inode]);
        put(Arc::make_mut(&mut inode.seen), offset, bytes);
        inode.unsynced.push((offset, Arc::from(bytes)));
        inode.modified = now;
    }

    pub(super) fn sync(&mut self, inode: usize) {
        let inode = Arc::make_mut(&mut self.inodes[inode]);
        if inode.lossy {
            let durable = Arc::make_mut(&mut inode.durable);
            inode.unsynced.drain(..).for_each(|(offset, bytes)| put(durable, offset, &bytes));
        } else {
            inode.unsynced.clear();
            inode.durable = Arc::clone(&inode.seen);
        }
    }

    /// A sync fails as on Linux: the pages count as clean from now on, a later sync does not write them.
    pub(super) fn fail_sync(&mut self, inode: usize) {
        let inode = Arc::make_mut(&mut self.inodes[inode]);
        inode.lossy |= !inode.unsynced.is_empty();
        inode.unsynced.clear();
    }

    pub(super) fn sync_names(&mut self, dir: &Path) -> io::Result<()> {
        let directory = Arc::make_mut(self.directories.get_mut(dir).ok_or(io::ErrorKind::NotFound)?);
        directory.unsynced.clear();
        directory.durable = directory.names.clone();
        Ok(())
    }

    pub(super) fn is_settled(&self) -> bool {
        let mut inodes = self.inodes.iter();
        let names_are = self.directories.values().all(|directory| directory.unsynced.is_empty());
        names_are && inodes.all(|inode| Arc::ptr_eq(&inode.seen, &inode.durable))
    }

    /// Changes a file's content as nobody should: seen and durable alike.
    pub(super) fn damage(&mut self, inode: usize, change: impl Fn(&mut Vec<u8>)) {
        let inode = Arc::make_mut(&mut self.inodes[inode]);
        let is_synced = Arc::ptr_eq(&inode.seen, &inode.durable);
        change(Arc::make_mut(&mut inode.seen));
        if is_synced {
            inode.durable = Arc::clone(&inode.seen);
        } else {
            change(Arc::make_mut(&mut inode.durable));
        }
    }

    fn must_be_free(&self, path: &Path) -> io::Result<()> {
        if self.node(path).is_ok() { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    fn change(&mut self, path: &Path, change: impl FnOnce(String) -> Change) -> io::Result<()> {
        let (directory, name) = split(path)?;
        let directory = self.directories.get_mut(directory).ok_or(io::ErrorKind::NotFound)?;
        Arc::make_mut(directory).change(change(name.to_owned()));
        Ok(())
    }
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok((path.parent().ok_or(io::ErrorKind::InvalidInput)?, name.ok_or(io::ErrorKind::InvalidInput)?))
}
