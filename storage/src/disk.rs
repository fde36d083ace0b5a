//! Files behind a seam: the real disk here, a simulated one that loses power in tests.
//!
//! Deliberately knows no formats: the log's files and everything below the data root (`files/`) stand on it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tracelake_model::UnixNano;

/// A held lock; dropping it lets go.
pub(crate) trait Lock: Send + Sync + fmt::Debug {}

/// A directory tree.
///
/// Ordering: a write is durable after `sync_data` of its file, a name after `sync_dir` of its directory; before that a
/// power cut keeps any part of it. Errors are those of the system (`StorageFull` when the disk is full).
pub(crate) trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory and its parents, durable when it returns.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a new file of zeros whose content is durable when it returns (its name is not). Leaves nothing on failure.
    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Reads a file whole.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Gives a file another name in the same directory, replacing what stood there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; `AlreadyExists` when it is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// What a name stands for.
    fn about(&self, path: &Path) -> io::Result<About>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes the names of a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that are free for us on the file system of a directory; very many where it does not tell.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// What a directory does not share with its copies; the same for as long as it is there. `None` where the file system
    /// does not tell.
    fn mark(&self, dir: &Path) -> io::Result<Option<String>>;
    /// Takes a file's lock for as long as the answer lives; `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Whether it is a directory.
    pub(crate) is_directory: bool,
    /// Bytes of a file.
    pub(crate) bytes: u64,
    /// When its content last changed.
    pub(crate) modified: UnixNano,
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync + fmt::Debug {
    /// Writes all bytes at an offset.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads a range; fewer bytes only where the file ends.
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Its size.
    fn bytes(&self) -> io::Result<u64>;
    /// Makes everything written durable, and the size that reading it needs.
    fn sync_data(&self) -> io::Result<()>;
}

/// Writes a small file whole and durable: a reader finds the old content or the new, never a mixture.
pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let (path, fresh) = (dir.join(name), dir.join(format!("{name}.new")));
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&fresh, 0)?;
    file.write_at(0, content)?;
    file.sync_data()?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir)
}

/// Makes a directory, and its name and those above it durable, whoever began to make them.
pub(crate) fn make_durable(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.create_dir(path)?;
    for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        match disk.sync_dir(above) {
            // It is not ours to make durable.
            Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => {
                break;
            }
            synced => synced?,
        }
    }
    Ok(())
}

/// The machine's disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock for RealLock {}

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir(parent)?;
        }
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn create(&self, path: &Path, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        let sync = || if bytes == 0 { Ok(()) } else { file.sync_all() };
        let filled = fill(&file, bytes).and_then(|()| sync());
        if let Err(error) = filled {
            // The disk is likely full: a half-made file must not keep it so.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(RealFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn about(&self, path: &Path) -> io::Result<About> {
        let found = fs::metadata(path)?;
        let age = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(About { is_directory: found.is_dir(), bytes: found.len(), modified: UnixNano(0).plus(age) })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let about = rustix::fs::statvfs(dir)?;
        if about.f_blocks == 0 {
            // Some file systems do not tell; that is not a full disk.
            return Ok(u64::MAX / 4);
        }
        Ok(about.f_bavail.saturating_mul(about.f_frsize))
    }

    fn mark(&self, dir: &Path) -> io::Result<Option<String>> {
        // Copies cannot set when they were made. Numbers of devices and, on some file systems, of inodes change when a
        // volume is mounted again.
        let born = fs::metadata(dir)?.created();
        let age = born.ok().and_then(|born| born.duration_since(UNIX_EPOCH).ok());
        Ok(age.map(|age| format!("born-{}", age.as_nanos())))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let step = usize::try_from(left).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
        file.write_all(&ZEROS[..step])?;
        left -= step as u64;
    }
    Ok(())
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let (mut content, mut read) = (vec![0; bytes], 0);
        while read < bytes {
            match self.0.read_at(&mut content[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        content.truncate(read);
        Ok(content)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
