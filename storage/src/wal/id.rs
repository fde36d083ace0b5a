//! The ids of a log: made with it, kept in its directory, renewed in a copy.
//!
//! Tables remember how far a log is in them by its id, so two directories that go on from one copied log need two. The
//! file notes what a copy cannot take along (when the directory was made); where that differs, the log goes on under a
//! new id. Earlier ids stay named, a line for each copy that was made of a copy: segments from before are read under
//! them, and derived streams go on where they were.
//!
//! ```text
//! 0123456789abcdef            the id, and what follows is absent in files of the first version
//! from 42                     the first position under it
//! place born-1700000000000    what tells this directory from a copy
//! before fedcba9876543210 1   an earlier id and its first position, newest first
//! check 0123456789abcdef      the checksum of what stands above
//! ```
//! With a wrong id the log's frames would count as those of another log, so one flipped bit here is found and mended.
//! Deliberately never guesses: a directory that tells nothing is never taken for a copy.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::checksum;
use crate::disk::{Disk, replace};
use crate::error::Error;
use crate::wal::frame::WalId;

pub(crate) const FILE: &str = "id";

/// Begins the line of the checksum.
const CHECK: &str = "check ";

/// An id with the first position under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reign {
    id: WalId,
    from: u64,
}

/// The ids of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    current: Reign,
    place: Option<String>,
    /// Newest first.
    earlier: Vec<Reign>,
}

impl Ids {
    /// One id from the first position on.
    pub(crate) fn new(id: WalId) -> Self {
        Self { current: Reign { id, from: 1 }, place: None, earlier: Vec::new() }
    }

    /// Reads the ids of a log, or makes them at random for a new one.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        match disk.read(&path) {
            Ok(content) => match Self::parse(&String::from_utf8_lossy(&content)) {
                Some(ids) => Ok(ids),
                None => {
                    let damaged = || Error::Damaged { path, detail: "it is not as it was written".into() };
                    let ids = Self::mend(&content).ok_or_else(damaged)?;
                    tracing::error!(dir = %dir.display(), "the log's id had a flipped bit, it is mended");
                    ids.save(disk, dir).map(|()| ids)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let ids = Self { place: mark(disk, dir)?, ..Self::new(draw(&path)?) };
                ids.save(disk, dir)?;
                Ok(ids)
            }
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Reads the ids of a log; `None` when there are none that are whole.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&disk.read(&dir.join(FILE)).ok()?))
    }

    /// A log that begins in a new directory at position `next`, beside one that it came from.
    pub(crate) fn begin(disk: &dyn Disk, dir: &Path, next: u64) -> Result<WalId, Error> {
        let current = Reign { id: draw(&dir.join(FILE))?, from: next };
        Self { current, place: mark(disk, dir)?, earlier: Vec::new() }.save(disk, dir)?;
        Ok(current.id)
    }

    /// What a file said before one of its bits was flipped, if a checksum tells.
    fn mend(content: &[u8]) -> Option<Self> {
        (0..content.len() * 8).find_map(|bit| {
            let mut mended = content.to_vec();
            mended[bit / 8] ^= 1 << (bit % 8);
            let text = String::from_utf8(mended).ok()?;
            text.contains(CHECK).then(|| Self::parse(&text))?
        })
    }

    /// The id under which frames are written.
    pub(crate) fn current(&self) -> WalId {
        self.current.id
    }

    /// The ids before the current one, newest first.
    pub(crate) fn earlier(&self) -> Vec<String> {
        self.earlier.iter().map(|reign| reign.id.to_text()).collect()
    }

    /// The first position under the current id. What stands before it is in the tables already.
    pub(crate) fn first(&self) -> u64 {
        self.current.from
    }

    /// The id under which a segment was written that begins at position `base`.
    pub(crate) fn of(&self, base: u64) -> WalId {
        let mut all = [&self.current].into_iter().chain(&self.earlier);
        all.find(|reign| reign.from <= base).or(self.earlier.last()).map_or(self.current.id, |reign| reign.id)
    }

    /// Whether this is another directory than the one that the ids were made in. A directory that was not noted yet is
    /// noted now.
    pub(crate) fn are_copied(&mut self, disk: &dyn Disk, dir: &Path) -> Result<bool, Error> {
        let here = mark(disk, dir)?;
        if here.is_none() || here == self.place {
            return Ok(false);
        }
        if self.place.is_some() {
            return Ok(true);
        }
        self.place = here;
        self.save(disk, dir).map(|()| false)
    }

    /// Goes on under a new id from position `next` on; durable when it returns. Everything before `next` must be in the
    /// tables.
    pub(crate) fn renew(&self, disk: &dyn Disk, dir: &Path, next: u64) -> Result<WalId, Error> {
        let current = Reign { id: draw(&dir.join(FILE))?, from: next };
        let earlier = [&self.current].into_iter().chain(&self.earlier).copied().collect();
        Self { current, place: mark(disk, dir)?, earlier }.save(disk, dir)?;
        Ok(current.id)
    }

    fn save(&self, disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        let mut text = format!("{}\nfrom {}\n", self.current.id.to_text(), self.current.from);
        if let Some(place) = &self.place {
            let _ = writeln!(text, "place {place}");
        }
        for reign in &self.earlier {
            let _ = writeln!(text, "before {} {}", reign.id.to_text(), reign.from);
        }
        let sum = checksum::of(text.as_bytes());
        let _ = writeln!(text, "{CHECK}{}", checksum::to_text(sum));
        replace(disk, dir, FILE, text.as_bytes()).map_err(Error::io("write", &dir.join(FILE)))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = match text.split_once(CHECK) {
            Some((body, sum)) => {
                let told = checksum::from_text(sum.strip_suffix('\n')?)?;
                (told == checksum::of(body.as_bytes()) && sum == sum.to_ascii_lowercase()).then_some(body)?
            }
            None => text,
        };
        let mut lines = text.lines();
        let mut ids = Self::new(parse_id(lines.next()?.trim())?);
        for line in lines {
            match line.split_once(' ')? {
                ("from", position) => ids.current.from = position.parse().ok()?,
                ("place", place) => ids.place = Some(place.to_owned()),
                ("before", reign) => {
                    let (id, from) = reign.split_once(' ')?;
                    ids.earlier.push(Reign { id: parse_id(id)?, from: from.parse().ok()? });
                }
                _ => return None,
            }
        }
        Some(ids)
    }
}

fn parse_id(text: &str) -> Option<WalId> {
    tracelake_model::from_hex(text).and_then(|bytes| bytes.try_into().ok()).map(WalId)
}

fn draw(path: &Path) -> Result<WalId, Error> {
    let mut bytes = [0; 8];
    let fault = |error: getrandom::Error| Error::io("draw a random id for", path)(io::Error::other(error));
    getrandom::fill(&mut bytes).map_err(fault)?;
    Ok(WalId(bytes))
}

fn mark(disk: &dyn Disk, dir: &Path) -> Result<Option<String>, Error> {
    disk.mark(dir).map_err(Error::io("look at", dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::SimDisk;

    const A: WalId = WalId([0xa; 8]);

    #[test]
    fn a_file_of_the_first_version_is_read_and_every_file_reads_back() {
        let first = Ids::parse("0a0a0a0a0a0a0a0a\n").expect("an id");
        assert_eq!(first, Ids::new(A));
        let (disk, dir) = (SimDisk::default(), Path::new("/wal"));
        disk.create_dir(dir).expect("made");
        let renewed = first.renew(&disk, dir, 42).expect("renewed");
        let again = Ids::open(&disk, dir).expect("it reads");
        assert_eq!((again.current(), again.first()), (renewed, 42));
        assert_eq!([1, 41, 42, 99].map(|base| again.of(base)), [A, A, renewed, renewed]);
        let third = again.renew(&disk, dir, 50).expect("renewed");
        let again = Ids::open(&disk, dir).expect("it reads");
        assert_eq!([41, 42, 49, 50].map(|base| again.of(base)), [A, renewed, renewed, third]);
        assert_eq!(again.earlier(), [renewed.to_text(), A.to_text()]);
        for damaged in ["", "0a0a\n", "0a0a0a0a0a0a0a0a\nfrom x\n", "0a0a0a0a0a0a0a0a\ncolour red\n"] {
            assert!(Ids::parse(damaged).is_none(), "{damaged:?}");
        }
    }

    #[test]
    fn every_flipped_bit_is_found_and_mended() {
        let (disk, dir) = (SimDisk::default(), Path::new("/wal"));
        disk.create_dir(dir).expect("made");
        disk.set_mark(Some("born-1"));
        let ids = Ids::open(&disk, dir).expect("made");
        ids.renew(&disk, dir, 42).expect("renewed");
        let whole = disk.read(&dir.join(FILE)).expect("read");
        let ids = Ids::open(&disk, dir).expect("read");
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            replace(&disk, dir, FILE, &flipped).expect("written");
            assert_eq!(Ids::read(&disk, dir), None, "bit {bit}");
            assert_eq!(Ids::open(&disk, dir).expect("mended"), ids, "bit {bit}");
            assert_eq!(disk.read(&dir.join(FILE)).expect("read"), whole, "bit {bit}");
        }
    }

    #[test]
    fn a_copied_directory_is_noticed_and_one_that_tells_nothing_is_no_copy() {
        let (disk, dir) = (SimDisk::default(), Path::new("/wal"));
        disk.create_dir(dir).expect("made");
        let mut ids = Ids::open(&disk, dir).expect("made");
        assert!(!ids.are_copied(&disk, dir).expect("asked"));
        disk.set_mark(Some("born-1"));
        assert!(!ids.are_copied(&disk, dir).expect("asked"), "it is noted only now");
        assert_eq!(Ids::open(&disk, dir).expect("it reads"), ids);
        disk.set_mark(Some("born-2"));
        assert!(ids.are_copied(&disk, dir).expect("asked"));
        disk.set_mark(None);
        assert!(!ids.are_copied(&disk, dir).expect("asked"));
    }
}
