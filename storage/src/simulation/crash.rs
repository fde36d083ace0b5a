//! What a power cut leaves of the simulated disk: everything synced, and any part of the rest that a disk may keep.
//!
//! Of a file, each sector keeps any of its versions, whatever the order of the writes; its new length may stand without
//! its content. Of a directory, the changes up to some moment stand; directories and files are independent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::SmallRng;

use crate::simulation::world::{Inode, Node, World, put};

/// What may be torn apart: the sector of an old disk, the page of a new one.
const SECTORS: [usize; 2] = [512, 4096];

impl World {
    /// Loses power and comes back; what remains of everything unsynced is drawn from `random`.
    pub(super) fn lose_power(&mut self, random: &mut SmallRng) {
        let stale = self.stale(random);
        for inode in &mut self.inodes {
            if !inode.unsynced.is_empty() {
                Arc::make_mut(inode).lose_power(random, &stale);
            }
            if !Arc::ptr_eq(&inode.seen, &inode.durable) {
                let inode = Arc::make_mut(inode);
                inode.seen = Arc::clone(&inode.durable);
                inode.lossy = false;
            }
        }
        for directory in self.directories.values_mut().filter(|directory| !directory.unsynced.is_empty()) {
            let directory = Arc::make_mut(directory);
            let kept = some_of(random, directory.unsynced.len());
            for change in directory.unsynced.drain(..).take(kept) {
                change.apply(&mut directory.durable);
            }
            directory.names = directory.durable.clone();
        }
        self.forget_unreachable();
        self.epoch += 1;
    }

    /// What a block held before it became part of a growing file: nothing, noise, or another file's bytes.
    fn stale(&self, random: &mut SmallRng) -> Arc<Vec<u8>> {
        match random.random_range(0..4) {
            0 => Arc::new(Vec::new()),
            1 => Arc::new((0..4096).map(|_| random.random()).collect()),
            _ if self.inodes.is_empty() => Arc::default(),
            _ => Arc::clone(&self.inodes[random.random_range(0..self.inodes.len())].durable),
        }
    }

    /// Directories whose own name did not survive are gone with all that is in them.
    fn forget_unreachable(&mut self) {
        let mut reached: BTreeSet<PathBuf> = BTreeSet::from([PathBuf::from("/")]);
        for (path, directory) in &self.directories {
            // A parent stands before its children in the map.
            if reached.contains(path) {
                let inside = directory.names.iter().filter(|(_, node)| **node == Node::Directory);
                reached.extend(inside.map(|(name, _)| path.join(name)));
            }
        }
        self.directories.retain(|path, _| reached.contains(path));
        for path in reached {
            self.directories.entry(path).or_default();
        }
    }
}

/// How many of so many changes in a row stand: often none or all.
fn some_of(random: &mut SmallRng, all: usize) -> usize {
    match random.random_range(0..4) {
        0 => 0,
        1 => all,
        _ => random.random_range(0..=all),
    }
}

impl Inode {
    fn lose_power(&mut self, random: &mut SmallRng, stale: &[u8]) {
        let sector = SECTORS[random.random_range(0..SECTORS.len())];
        let writes = std::mem::take(&mut self.unsynced);
        let lengths: Vec<usize> = writes.iter().map(|(offset, bytes)| offset + bytes.len()).collect();
        let pieces = pieces(&writes, sector);
        let old = self.durable.len();
        let durable = Arc::make_mut(&mut self.durable);
        // Sectors in order of the file: a cut among them is a write that stopped half-way.
        let (mode, cut) = (random.random_range(0..4), random.random_range(0..=pieces.len()));
        let mut end = old;
        for (number, versions) in pieces.values().enumerate() {
            let kept = match mode {
                0 => versions.len() * usize::from(number < cut),
                1 => versions.len(),
                2 => {
                    if random.random_bool(0.9) {
                        versions.len()
                    } else {
                        0
                    }
                }
                _ => random.random_range(0..=versions.len()),
            };
            for (offset, bytes) in &versions[..kept] {
                grow(durable, *offset, stale);
                put(durable, *offset, bytes);
                end = end.max(offset + bytes.len());
            }
        }
        // The length is written apart from the content.
        let length = match random.random_range(0..4) {
            0 => old,
            1 => lengths.into_iter().max().unwrap_or(old),
            2 => lengths[random.random_range(0..lengths.len())],
            _ => end,
        };
        let length = length.max(old);
        grow(durable, length, stale);
        durable.truncate(length);
    }
}

/// The writes cut at the borders of sectors: for each sector its versions, oldest first.
fn pieces(writes: &[(usize, Arc<[u8]>)], sector: usize) -> BTreeMap<usize, Vec<(usize, &[u8])>> {
    let mut pieces: BTreeMap<usize, Vec<(usize, &[u8])>> = BTreeMap::new();
    for (offset, bytes) in writes {
        let mut at = 0;
        while at < bytes.len() {
            let number = (offset + at) / sector;
            let end = bytes.len().min((number + 1) * sector - offset);
            pieces.entry(number).or_default().push((offset + at, &bytes[at..end]));
            at = end;
        }
    }
    pieces
}

/// Makes a content so long; what is new is what the blocks held before.
fn grow(content: &mut Vec<u8>, length: usize, stale: &[u8]) {
    while content.len() < length {
        let at = content.len();
        content.push(stale.get(at).copied().unwrap_or(0));
    }
}
