//! The journal: an append-only file of entries, each synced before it counts, rewritten whole when it has grown.
//!
//! Layout: 8 bytes `TLALERT1`; then entries of `length u32 LE, crc32 u32 LE, JSON`, where the crc covers the length
//! and the JSON. One entry is one write and one fdatasync. A kill leaves at most one torn entry at the end, which is cut
//! away at the next open: nothing of it was ever acted on. An entry that is damaged with others behind it is no torn
//! end: the file is kept aside and told. Deliberately knows nothing of what entries mean.

use std::fs::{File, OpenOptions, create_dir_all, rename};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tracing::{error, info};

use crate::error::Error;

const MAGIC: &[u8; 8] = b"TLALERT1";
const ENTRY_BYTES_MAX: usize = 1 << 30;
const FILE: &str = "journal";
const FILE_NEW: &str = "journal.new";
const FILE_DAMAGED: &str = "journal.damaged";

/// The open journal.
pub(crate) struct Journal {
    dir: PathBuf,
    file: File,
    /// Where the last whole entry ends.
    len: u64,
    /// A write or sync failed: the file's end is unknown, so only a rewrite may follow.
    broken: bool,
}

/// What reading a journal found.
struct Contents {
    entries: Vec<Vec<u8>>,
    /// Where the last whole entry ends.
    len: u64,
    damaged: bool,
}

impl Journal {
    /// Opens or makes the journal of a directory and hands over its entries, oldest first.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<Vec<u8>>), Error> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Journal { path, source }
        };
        create_dir_all(dir).map_err(fault(dir))?;
        let path = dir.join(FILE);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(fault(&path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fault(&path))?;
        let contents = read(&bytes).ok_or_else(|| Error::Format(path.clone()))?;
        let mut journal = Self { dir: dir.to_owned(), file, len: contents.len, broken: false };
        journal.settle(&bytes, contents.damaged).map_err(fault(&path))?;
        Ok((journal, contents.entries))
    }

    /// Makes the file end where its last whole entry does.
    fn settle(&mut self, bytes: &[u8], damaged: bool) -> io::Result<()> {
        if damaged {
            let aside = self.dir.join(FILE_DAMAGED);
            write_synced(&aside, bytes)?;
            error!(at = self.len, kept = %aside.display(), "alerting journal is damaged; what follows the damage is lost");
        } else if bytes.len() as u64 > self.len.max(8) {
            info!(bytes = bytes.len() as u64 - self.len, "cutting a torn entry off the alerting journal");
        }
        if self.len == 0 {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(MAGIC)?;
            self.len = MAGIC.len() as u64;
        } else if bytes.len() as u64 > self.len {
            self.file.set_len(self.len)?;
        }
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.sync_all()?;
        sync_dir(&self.dir)
    }

    /// Writes one entry; durable when it returns. After a failure only [`Journal::rewrite`] may follow.
    pub(crate) fn append(&mut self, entry: &[u8]) -> Result<(), Error> {
        let path = self.dir.join(FILE);
        if self.broken {
            let source = io::Error::other("an earlier write failed");
            return Err(Error::Journal { path, source });
        }
        let framed = frame(entry);
        let outcome = self.file.write_all(&framed).and_then(|()| self.file.sync_data());
        self.broken = outcome.is_err();
        outcome.map_err(|source| Error::Journal { path, source })?;
        self.len += framed.len() as u64;
        Ok(())
    }

    /// Replaces all entries by one; either the old or the new ones are there after a kill.
    pub(crate) fn rewrite(&mut self, entry: &[u8]) -> Result<(), Error> {
        let fresh = self.dir.join(FILE_NEW);
        let fault = |source| Error::Journal { path: fresh.clone(), source };
        let bytes = image(entry);
        let replaced = write_synced(&fresh, &bytes)
            .and_then(|()| rename(&fresh, self.dir.join(FILE)))
            .and_then(|()| sync_dir(&self.dir))
            .and_then(|()| OpenOptions::new().read(true).append(true).open(self.dir.join(FILE)));
        // A rename that may or may not be durable leaves the old handle pointing nowhere: never append to it again.
        self.broken = replaced.is_err();
        self.file = replaced.map_err(fault)?;
        self.len = bytes.len() as u64;
        Ok(())
    }

    /// Bytes of all whole entries.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether only a rewrite may follow.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// A journal's file that holds one entry.
pub(crate) fn image(entry: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(frame(entry));
    bytes
}

fn frame(entry: &[u8]) -> Vec<u8> {
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut framed = Vec::with_capacity(entry.len() + 8);
    framed.extend(length);
    framed.extend(checksum(length, entry).to_le_bytes());
    framed.extend(entry);
    framed
}

fn checksum(length: [u8; 4], entry: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(entry);
    hasher.finalize()
}

/// One whole entry at `at`, with where it ends.
fn entry_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    let length = word(at)?;
    let end = (at + 8).checked_add(u32::from_le_bytes(length) as usize)?;
    let entry = bytes.get(at + 8..end).filter(|entry| !entry.is_empty() && entry.len() <= ENTRY_BYTES_MAX)?;
    (checksum(length, entry) == u32::from_le_bytes(word(at + 4)?)).then_some((entry, end))
}

/// `None` when the bytes are no journal.
fn read(bytes: &[u8]) -> Option<Contents> {
    let mut entries = Vec::new();
    if bytes.len() < MAGIC.len() {
        // Killed while the file was made.
        return MAGIC.starts_with(bytes).then_some(Contents { entries, len: 0, damaged: false });
    }
    if bytes[..8].iter().all(|&byte| byte == 0) && bytes.iter().all(|&byte| byte == 0) {
        return Some(Contents { entries, len: 0, damaged: false });
    }
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let mut at = MAGIC.len();
    while let Some((entry, end)) = entry_at(bytes, at) {
        entries.push(entry.to_vec());
        at = end;
    }
    // A torn end is one unfinished entry; a whole entry somewhere behind the break means damage before it.
    let damaged = (at + 1..bytes.len()).any(|later| entry_at(bytes, later).is_some());
    Some(Contents { entries, len: at as u64, damaged })
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Vec<u8>> {
        vec![b"{\"seq\":1}".to_vec(), "{\"이름\":\"값\"}".as_bytes().to_vec(), vec![b'x'; 300]]
    }

    fn written(dir: &Path) -> Vec<u8> {
        let (mut journal, before) = Journal::open(dir).unwrap();
        assert!(before.is_empty());
        for entry in entries() {
            journal.append(&entry).unwrap();
        }
        std::fs::read(dir.join(FILE)).unwrap()
    }

    #[test]
    fn a_kill_at_any_byte_loses_only_the_entry_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = written(dir.path());
        let ends: Vec<usize> = entries()
            .iter()
            .scan(8, |end, entry| {
                *end += 8 + entry.len();
                Some(*end)
            })
            .collect();
        for cut in 0..=bytes.len() {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), &bytes[..cut]).unwrap();
            let (mut journal, found) = Journal::open(dir.path()).unwrap();
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(found, entries()[..whole], "cut at {cut}");
            journal.append(b"after").unwrap();
            let (_, found) = Journal::open(dir.path()).unwrap();
            assert_eq!(found.last().unwrap(), b"after", "cut at {cut}");
            assert_eq!(found.len(), whole + 1, "cut at {cut}");
            assert!(!dir.path().join(FILE_DAMAGED).exists(), "cut at {cut}");
        }
    }

    #[test]
    fn a_power_cut_that_leaves_zeros_at_the_end_is_a_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = written(dir.path());
        bytes.extend([0; 600]);
        std::fs::write(dir.path().join(FILE), &bytes).unwrap();
        assert_eq!(Journal::open(dir.path()).unwrap().1, entries());
        assert!(!dir.path().join(FILE_DAMAGED).exists());
    }

    #[test]
    fn damage_before_the_end_is_kept_aside_and_not_taken_for_a_torn_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = written(dir.path());
        bytes[8 + 8] ^= 1;
        std::fs::write(dir.path().join(FILE), &bytes).unwrap();
        assert!(Journal::open(dir.path()).unwrap().1.is_empty());
        assert_eq!(std::fs::read(dir.path().join(FILE_DAMAGED)).unwrap(), bytes);
    }

    #[test]
    fn a_rewrite_replaces_everything_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path());
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.rewrite(b"all").unwrap();
        journal.append(b"more").unwrap();
        assert_eq!(Journal::open(dir.path()).unwrap().1, [b"all".to_vec(), b"more".to_vec()]);
        std::fs::write(dir.path().join(FILE_NEW), b"half a rewrite").unwrap();
        assert_eq!(Journal::open(dir.path()).unwrap().1.len(), 2);
    }

    #[test]
    fn a_file_that_is_no_journal_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), b"something else entirely").unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(Error::Format(_))));
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), b"something else entirely");
    }
}
