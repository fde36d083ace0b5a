//! Small files that survive a power cut, for the documents: written, synced, and their names synced too.
//!
//! Deliberately does not retry a failed sync: what the system then holds of the file is unknown.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::Error;

/// Makes a directory and its missing parents; all of their names are durable when it returns.
pub(crate) fn make_directories(directory: &Path) -> Result<(), Error> {
    if directory.as_os_str().is_empty() || directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(Path::new(""));
    make_directories(parent)?;
    match fs::create_dir(directory) {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make", directory)(fault)),
        _ => sync_directory(parent),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), Error> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    File::open(directory).and_then(|open| open.sync_all()).map_err(Error::io("sync", directory))
}

/// Writes a new file and syncs its content, not its name. A file that could not be written whole is removed.
pub(crate) fn write_new(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|fault| {
        if fault.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(path);
        }
        Error::io("write", path)(fault)
    })
}
