//! A disk that asks the gate before each operation, for one actor.
//!
//! A library's own threads read without asking: they do so side by side, in an order that no seed makes. While they
//! work for an actor, that actor has the turn.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, ThreadId};

use crate::disk::{About, Disk, DiskFile, Lock};
use crate::simulation::SimDisk;
use crate::tests::race::gate::Gate;

/// The disk as an actor sees it.
#[derive(Clone, Debug)]
pub(crate) struct GatedDisk {
    disk: SimDisk,
    turn: Turn,
}

#[derive(Clone, Debug)]
struct Turn {
    gate: Arc<Gate>,
    actor: usize,
    thread: ThreadId,
}

impl Turn {
    fn change(&self) {
        self.gate.step(self.actor);
    }

    fn look(&self) {
        if thread::current().id() == self.thread {
            self.gate.step(self.actor);
        }
    }
}

impl GatedDisk {
    /// The disk for the actor that the calling thread is.
    pub(crate) fn new(disk: SimDisk, gate: Arc<Gate>, actor: usize) -> Self {
        Self { disk, turn: Turn { gate, actor, thread: thread::current().id() } }
    }

    /// Counts commits that stand before a checkpoint: their number was free because an entry was cleaned away.
    fn note_hole(&self, path: &Path) {
        let version = |name: &str| Some((name.split_once('.')?.0.parse::<u64>().ok()?, name.ends_with(".parquet")));
        let of = |path: &Path| path.file_name().and_then(|name| version(&name.to_string_lossy()));
        let (Some((commit, _)), Some(directory)) = (of(path), path.parent()) else { return };
        let names = self.disk.list(directory).unwrap_or_default();
        if names.iter().filter_map(|name| version(name)).any(|(at, is_checkpoint)| is_checkpoint && at > commit) {
            self.turn.gate.note_hole();
        }
    }

    fn gated(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(GatedFile { file, turn: self.turn.clone() })
    }
}

impl Disk for GatedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.turn.change();
        Ok(self.gated(self.disk.create(path, bytes)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.turn.look();
        Ok(self.gated(self.disk.open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.turn.look();
        self.disk.read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn.change();
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn.gate.commit(self.turn.actor);
        let linked = self.disk.link(from, to);
        if linked.is_ok() {
            self.note_hole(to);
        }
        linked
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        self.disk.about(path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.turn.change();
        self.disk.remove(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.turn.look();
        self.disk.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.turn.change();
        self.disk.sync_dir(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }

    fn mark(&self, dir: &Path) -> io::Result<Option<String>> {
        self.disk.mark(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}

/// Writes into a file that nobody else knows yet interleave with nothing, so they do not ask.
#[derive(Debug)]
struct GatedFile {
    file: Arc<dyn DiskFile>,
    turn: Turn,
}

impl DiskFile for GatedFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.file.read_at(offset, bytes)
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.turn.change();
        self.file.sync_data()
    }
}
