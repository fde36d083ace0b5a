//! A disk in memory that loses power: a crash keeps any part of what was written and not synced. Tests only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use tracelake_model::{Clock as _, ManualClock, UnixNano};

use crate::disk::{About, Disk, DiskFile, Lock};

const SECTOR: usize = 512;

/// The simulated disk. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<World>>, ManualClock);

#[derive(Debug, Default)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<(PathBuf, Option<usize>)>,
    epoch: u64,
    operations: u64,
    cut_at: Option<u64>,
    fail_sync: bool,
    full: bool,
    used_bytes: u64,
    mark: Option<String>,
}

/// Bytes that the disk can hold, as far as it tells.
const SPACE_BYTES: u64 = 1 << 40;

#[derive(Debug)]
struct Inode {
    modified: UnixNano,
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    epoch: u64,
}

#[derive(Debug)]
struct SimLock;

impl Lock for SimLock {}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new(ManualClock::new(UnixNano(0)))
    }
}

impl SimDisk {
    /// An empty disk; files are as old as the clock says.
    pub(crate) fn new(clock: ManualClock) -> Self {
        Self(Arc::default(), clock)
    }

    /// Cuts the power when that many further changing operations are done.
    pub(crate) fn cut_after(&self, operations: u64) {
        let mut world = self.0.lock();
        world.cut_at = Some(world.operations + operations);
    }

    /// Loses power and comes back: of everything unsynced any part may remain, chosen by the seed.
    pub(crate) fn crash(&self, seed: u64) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut world = self.0.lock();
        let kept = random.random_range(0..=world.unsynced_names.len());
        let ops: Vec<_> = world.unsynced_names.drain(..).take(kept).collect();
        for (path, inode) in ops {
            world.durable_names.apply(path, inode);
        }
        world.names = world.durable_names.clone();
        for inode in &mut world.inodes {
            let share = [0.0, 0.5, 0.9, 1.0][random.random_range(0..4)];
            for (offset, bytes) in std::mem::take(&mut inode.unsynced) {
                for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                    if random.random_bool(share) {
                        put(&mut inode.durable, offset + index * SECTOR, sector);
                    }
                }
            }
            inode.seen.clone_from(&inode.durable);
        }
        world.epoch += 1;
        (world.cut_at, world.fail_sync) = (None, false);
    }

    /// The next sync fails; what it should have kept is seen, and gone after a crash.
    pub(crate) fn fail_next_sync(&self) {
        self.0.lock().fail_sync = true;
    }

    /// Leaves so many bytes free, as far as it tells.
    pub(crate) fn set_free(&self, bytes: u64) {
        self.0.lock().used_bytes = SPACE_BYTES - bytes;
    }

    /// What tells its directories from copies, from now on.
    pub(crate) fn set_mark(&self, mark: Option<&str>) {
        self.0.lock().mark = mark.map(str::to_owned);
    }

    /// No space for new bytes, or space again.
    pub(crate) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// Changes one byte under everybody's feet.
    pub(crate) fn flip(&self, path: &Path, offset: usize) {
        let mut world = self.0.lock();
        let inode = world.names[path];
        world.inodes[inode].durable[offset] ^= 0x40;
        world.inodes[inode].seen[offset] ^= 0x40;
    }

    fn change(&self) -> io::Result<parking_lot::MutexGuard<'_, World>> {
        let mut world = self.0.lock();
        if world.cut_at.is_some_and(|at| world.operations >= at) {
            return Err(io::Error::other("power is off"));
        }
        world.operations += 1;
        Ok(world)
    }

    fn file(&self, inode: usize, epoch: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), inode, epoch })
    }
}

trait Names {
    fn apply(&mut self, path: PathBuf, inode: Option<usize>);
}

impl Names for BTreeMap<PathBuf, usize> {
    fn apply(&mut self, path: PathBuf, inode: Option<usize>) {
        match inode {
            Some(inode) => self.insert(path, inode),
            None => self.remove(&path),
        };
    }
}

impl World {
    fn set(&mut self, path: &Path, inode: Option<usize>) {
        self.names.apply(path.to_owned(), inode);
        self.unsynced_names.push((path.to_owned(), inode));
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if content.len() < offset + bytes.len() {
        content.resize(offset + bytes.len(), 0);
    }
    content[offset..offset + bytes.len()].copy_from_slice(bytes);
}

impl Disk for SimDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        self.change().map(drop)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.change()?;
        if world.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let zeros = vec![0; usize::try_from(bytes).expect("small files")];
        let inode = world.inodes.len();
        world.inodes.push(Inode { modified: self.1.now(), seen: zeros.clone(), durable: zeros, unsynced: Vec::new() });
        world.set(path, Some(inode));
        let epoch = world.epoch;
        Ok(self.file(inode, epoch))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(SPACE_BYTES - self.0.lock().used_bytes)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let world = self.0.lock();
        Ok(self.file(world.find(path)?, world.epoch))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let world = self.0.lock();
        Ok(world.inodes[world.find(path)?].seen.clone())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.change()?;
        let inode = world.find(from)?;
        world.set(to, Some(inode));
        world.set(from, None);
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.change()?;
        let inode = world.find(from)?;
        if world.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.set(to, Some(inode));
        Ok(())
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        let world = self.0.lock();
        if let Ok(inode) = world.find(path) {
            let bytes = world.inodes[inode].seen.len() as u64;
            return Ok(About { is_directory: false, bytes, modified: world.inodes[inode].modified });
        }
        let is_directory = world.names.keys().any(|name| name.starts_with(path));
        if is_directory {
            Ok(About { is_directory, bytes: 0, modified: UnixNano(0) })
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.change()?;
        world.find(path)?;
        world.set(path, None);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.0.lock();
        let inside = world.names.keys().filter_map(|path| path.strip_prefix(dir).ok()?.components().next());
        let names: BTreeSet<_> = inside.map(|name| name.as_os_str().to_string_lossy().into_owned()).collect();
        Ok(names.into_iter().collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.change()?;
        let ops = std::mem::take(&mut world.unsynced_names);
        let (synced, rest) = ops.into_iter().partition(|(path, _)| path.parent() == Some(dir));
        world.unsynced_names = rest;
        let synced: Vec<_> = synced;
        for (path, inode) in synced {
            world.durable_names.apply(path, inode);
        }
        Ok(())
    }

    fn mark(&self, _dir: &Path) -> io::Result<Option<String>> {
        Ok(self.0.lock().mark.clone())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(SimLock))
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.change()?;
        assert_eq!(world.epoch, self.epoch, "a file must not be used across a crash");
        let offset = usize::try_from(offset).expect("small files");
        let full = world.full;
        let inode = &mut world.inodes[self.inode];
        if full && inode.seen.len() < offset + bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        put(&mut inode.seen, offset, bytes);
        inode.modified = self.disk.1.now();
        inode.unsynced.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let world = self.disk.0.lock();
        let seen = &world.inodes[self.inode].seen;
        let start = usize::try_from(offset).expect("small files").min(seen.len());
        Ok(seen[start..(start + bytes).min(seen.len())].to_vec())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.inode].seen.len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.change()?;
        if std::mem::take(&mut world.fail_sync) {
            // As Linux does: the pages count as clean from now on, a later sync does not write them.
            world.inodes[self.inode].unsynced.clear();
            return Err(io::Error::other("sync failed"));
        }
        let inode = &mut world.inodes[self.inode];
        for (offset, bytes) in std::mem::take(&mut inode.unsynced) {
            put(&mut inode.durable, offset, &bytes);
        }
        Ok(())
    }
}
