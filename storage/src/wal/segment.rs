//! The segment files of a log: their names, reuse, and which may go.
//!
//! Deliberately never reads or writes a frame.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};

/// Spare files kept for reuse.
const SPARES_MAX: usize = 2;
/// On a disk that is nearly full, a segment may be this many times smaller.
const SMALLER: [u64; 2] = [8, 64];

/// One use of a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Which use; orders segments.
    pub(crate) generation: u64,
    /// The first position it may hold.
    pub(crate) base: u64,
    /// The last position it holds; `base - 1` when it holds none.
    pub(crate) last: u64,
    /// The last position that taps see; 0 when it holds none.
    pub(crate) observable: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

impl Segment {
    pub(crate) fn file_name(&self) -> String {
        format!("{:016x}-{:016x}.wal", self.generation, self.base)
    }

    /// Reads a name; `last`, `observable` and `bytes` are for recovery to fill.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (generation, base) = numbers(name.strip_suffix(".wal")?)?;
        Some(Self { generation, base, last: base.saturating_sub(1), observable: 0, bytes: 0 })
    }
}

fn numbers(name: &str) -> Option<(u64, u64)> {
    let (first, second) = name.split_once('-')?;
    let hex = |text: &str| if text.len() == 16 { u64::from_str_radix(text, 16).ok() } else { None };
    Some((hex(first)?, hex(second)?))
}

/// The files of one log. Shared by the writer, the flusher and readers.
#[derive(Debug)]
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    sealed: VecDeque<Segment>,
    active: Option<Segment>,
    /// Bytes written in the active segment.
    active_bytes: u64,
    spares: Vec<String>,
    /// Segments that began at this position or before are deleted, not used again.
    wiped: u64,
    next_generation: u64,
    next_spare: u64,
}

/// A segment opened for writing.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) generation: u64,
    pub(crate) bytes: u64,
    pub(crate) file: Arc<dyn DiskFile>,
}

impl Segments {
    /// Takes over the segments that recovery found, oldest first, and the spares in the directory.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_bytes: u64,
        sealed: Vec<Segment>,
    ) -> io::Result<Arc<Self>> {
        let next_generation = sealed.last().map_or(1, |segment| segment.generation + 1);
        let (mut spares, mut next_spare) = (Vec::new(), 1);
        for name in disk.list(dir)? {
            let Some((number, bytes)) = name.strip_suffix(".spare").and_then(numbers) else { continue };
            next_spare = next_spare.max(number + 1);
            if bytes == segment_bytes {
                spares.push(name);
            } else {
                disk.remove(&dir.join(name))?;
            }
        }
        let state = State {
            sealed: sealed.into(),
            active: None,
            active_bytes: 0,
            spares,
            wiped: 0,
            next_generation,
            next_spare,
        };
        Ok(Arc::new(Self { disk, dir: dir.to_owned(), segment_bytes, state: Mutex::new(state) }))
    }

    /// Starts a new segment that begins with position `base` and has room for `need` bytes; its name is durable.
    pub(crate) fn begin(&self, base: u64, need: u64) -> io::Result<Active> {
        let bytes = self.segment_bytes.max(need);
        let (generation, spare) = {
            let mut state = self.state.lock();
            state.next_generation += 1;
            let spare = if bytes == self.segment_bytes { state.spares.pop() } else { None };
            (state.next_generation - 1, spare)
        };
        let segment = Segment { generation, base, last: base.saturating_sub(1), observable: 0, bytes };
        let path = self.dir.join(segment.file_name());
        let made = match spare {
            Some(spare) => {
                let renamed = self.disk.rename(&self.dir.join(spare), &path);
                renamed.and_then(|()| Ok((self.disk.open(&path)?, bytes)))
            }
            None => self.create(&path, need),
        };
        let named = made.and_then(|made| self.disk.sync_dir(&self.dir).map(|()| made));
        let (file, bytes) = named.inspect_err(|_| {
            // It holds nothing yet, and the next attempt makes another.
            let _ = self.disk.remove(&path);
        })?;
        let segment = Segment { bytes, ..segment };
        let mut state = self.state.lock();
        let old = state.active.replace(segment);
        state.sealed.extend(old);
        state.active_bytes = 0;
        Ok(Active { generation, bytes, file })
    }

    /// A new file for a segment; a small one where there is no space for a whole one.
    fn create(&self, path: &Path, need: u64) -> io::Result<(Arc<dyn DiskFile>, u64)> {
        let whole = self.segment_bytes.max(need);
        let sizes = SMALLER.map(|part| self.segment_bytes / part).into_iter();
        for bytes in std::iter::once(whole).chain(sizes.filter(|bytes| (need..whole).contains(bytes))) {
            match self.disk.create(path, bytes) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                made => return Ok((made?, bytes)),
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Notes what the active segment holds now.
    pub(crate) fn advance(&self, last: u64, observable: Option<u64>, written_bytes: u64) {
        let mut state = self.state.lock();
        state.active_bytes = written_bytes;
        if let Some(active) = &mut state.active {
            active.last = last;
            active.observable = observable.unwrap_or(active.observable);
        }
    }

    /// The last position of the oldest segments that may go: everything below `needed` is flushed, and every tap that
    /// asks for it is at `taps`. `None` when none may go.
    pub(crate) fn droppable(&self, needed: u64, taps: Option<u64>) -> Option<u64> {
        let state = self.state.lock();
        let free = |segment: &&Segment| segment.last < needed && taps.is_none_or(|at| segment.observable <= at);
        // The newest segment's name remembers the next position, so it stays even when its frames are not needed.
        let newest = usize::from(state.active.is_none());
        let candidates = state.sealed.iter().take(state.sealed.len().saturating_sub(newest));
        candidates.take_while(free).last().map(|segment| segment.last)
    }

    /// Lets the segments up to `last` go, oldest first.
    pub(crate) fn drop_through(&self, last: u64) -> io::Result<()> {
        loop {
            let (name, spare) = {
                let mut state = self.state.lock();
                let Some(front) = state.sealed.front().copied().filter(|segment| segment.last <= last) else {
                    return Ok(());
                };
                let keep =
                    state.spares.len() < SPARES_MAX && front.bytes == self.segment_bytes && front.base > state.wiped;
                let spare = keep.then(|| format!("{:016x}-{:016x}.spare", state.next_spare, front.bytes));
                state.next_spare += u64::from(keep);
                (front.file_name(), spare)
            };
            let path = self.dir.join(&name);
            match &spare {
                Some(spare) => self.disk.rename(&path, &self.dir.join(spare))?,
                None => self.disk.remove(&path)?,
            }
            {
                // Before the sync: if that fails, the file has its new name all the same.
                let mut state = self.state.lock();
                state.sealed.pop_front();
                state.spares.extend(spare);
            }
            self.disk.sync_dir(&self.dir)?;
        }
    }

    /// From now on nothing that was written up to `last` is left in a file that is used again: spares go at once,
    /// segments when they are not needed any more.
    pub(crate) fn wipe(&self, last: u64) -> io::Result<()> {
        let spares = {
            let mut state = self.state.lock();
            state.wiped = state.wiped.max(last);
            std::mem::take(&mut state.spares)
        };
        for spare in spares {
            self.disk.remove(&self.dir.join(spare))?;
        }
        self.disk.sync_dir(&self.dir)
    }

    /// Whether any segment may hold what was written up to `last`.
    pub(crate) fn holds(&self, last: u64) -> bool {
        let state = self.state.lock();
        state.sealed.iter().chain(state.active.iter()).any(|segment| segment.base <= last)
    }

    /// Makes a spare ahead of need, once the active segment is half full (or at once if `pressed`), so that the writer
    /// need not wait for it.
    pub(crate) fn prepare(&self, pressed: bool) -> io::Result<()> {
        let number = {
            let mut state = self.state.lock();
            let half = state.active.is_some_and(|active| state.active_bytes > active.bytes / 2);
            if !(half || pressed) || !state.spares.is_empty() {
                return Ok(());
            }
            state.next_spare += 1;
            state.next_spare - 1
        };
        let name = format!("{:016x}-{:016x}.spare", number, self.segment_bytes);
        self.disk.create(&self.dir.join(&name), self.segment_bytes)?;
        // Before the sync: if that fails, the file is there all the same.
        self.state.lock().spares.push(name);
        self.disk.sync_dir(&self.dir)
    }

    /// Bytes of the log that hold frames somebody may need: sealed segments whole, the active one as far as written.
    pub(crate) fn used_bytes(&self) -> u64 {
        let state = self.state.lock();
        state.sealed.iter().map(|segment| segment.bytes).sum::<u64>() + state.active_bytes
    }

    /// How many segments hold frames.
    pub(crate) fn count(&self) -> usize {
        let state = self.state.lock();
        state.sealed.len() + usize::from(state.active.is_some())
    }

    /// All segments, oldest first, with their paths.
    pub(crate) fn files(&self) -> Vec<(Segment, PathBuf)> {
        let state = self.state.lock();
        let all = state.sealed.iter().chain(state.active.iter());
        all.map(|segment| (*segment, self.dir.join(segment.file_name()))).collect()
    }
}
