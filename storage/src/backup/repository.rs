//! A directory of many backups that share their parts.
//!
//! Only a backup with a manifest counts, and only a part that such a manifest names is trusted to be whole: what a backup
//! left that did not finish is made again by the next one. Deliberately knows no store.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use object_store::path::Path as Location;
use tracelake_model::UnixNano;

use crate::backup::manifest::{Manifest, PartCopy};
use crate::disk::{Disk, Lock};
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::{Files, walk};

const MARK: &str = "REPOSITORY";
const MARK_TEXT: &[u8] = b"tracelake backups 1\n";
const LOCK: &str = "lock";
const BACKUPS: &str = "backups";
const PARTS: &str = "parts";
const MANIFEST: &str = "manifest.json";
const SMALL: &str = "small";

/// A repository.
pub(crate) struct Repository {
    pub(crate) files: DiskFiles,
    disk: Arc<dyn Disk>,
    lock: Option<Box<dyn Lock>>,
}

impl Repository {
    /// Opens a repository for reading.
    pub(crate) fn open(disk: &Arc<dyn Disk>, root: &Path) -> Result<Self, Error> {
        let files = DiskFiles::new(Arc::clone(disk), root);
        match files.read(&Location::from(MARK)) {
            Ok(text) if text == MARK_TEXT => Ok(Self { files, disk: Arc::clone(disk), lock: None }),
            Ok(text) => Err(Error::Backup(format!(
                "{} says {:?}, this version reads \"tracelake backups 1\"; use the version that made it",
                root.join(MARK).display(),
                String::from_utf8_lossy(&text).trim_end()
            ))),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                Err(Error::Backup(format!("{} holds no backups (no file {MARK})", root.display())))
            }
            Err(fault) => Err(Error::io("read", &root.join(MARK))(fault)),
        }
    }

    /// Opens a repository to add or remove backups; an empty directory becomes one.
    pub(crate) fn open_or_make(disk: &Arc<dyn Disk>, root: &Path) -> Result<Self, Error> {
        disk.create_dir(root).map_err(Error::io("make the directory", root))?;
        let names = disk.list(root).map_err(Error::io("list", root))?;
        let files = DiskFiles::new(Arc::clone(disk), root);
        if !names.iter().any(|name| name == MARK) {
            // A drafted mark or a lock is what a first backup leaves that died at once.
            if let Some(odd) = names.iter().find(|name| *name != LOCK && !name.starts_with("_draft_")) {
                let root = root.display();
                return Err(Error::Backup(format!(
                    "{root} is no repository of backups and holds {odd:?}; choose an empty directory"
                )));
            }
            files.replace(&Location::from(MARK), MARK_TEXT).map_err(Error::io("write", &root.join(MARK)))?;
        }
        let mut repository = Self::open(disk, root)?;
        let path = root.join(LOCK);
        let lock = disk.lock(&path).map_err(|fault| match fault.kind() {
            io::ErrorKind::WouldBlock => {
                Error::Backup(format!("{} is locked: another backup is being made", root.display()))
            }
            _ => Error::io("lock", &path)(fault),
        })?;
        repository.lock = Some(lock);
        Ok(repository)
    }

    /// The backups that finished, oldest first; what cannot be read is told beside.
    pub(crate) fn backups(&self) -> Result<(Vec<Manifest>, Vec<String>), Error> {
        let root = Location::from(BACKUPS);
        let mut ids = self.files.directories(&root).map_err(Error::io("list", &self.files.path(&root)))?;
        ids.sort();
        let (mut backups, mut odd) = (Vec::new(), Vec::new());
        for id in ids {
            match self.files.read(&self.manifest_of(&id)) {
                Ok(text) => match Manifest::decode(&text) {
                    Ok(manifest) => backups.push(manifest),
                    Err(why) => odd.push(format!("backup {id}: {why}")),
                },
                // The directory of a backup that was removed.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound && !self.has_files(&root, &id)? => {}
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                    odd.push(format!("backup {id} did not finish, the next --keep removes it"));
                }
                Err(fault) => return Err(Error::io("read", &self.files.path(&self.manifest_of(&id)))(fault)),
            }
        }
        Ok((backups, odd))
    }

    fn has_files(&self, root: &Location, id: &str) -> Result<bool, Error> {
        let dir = root.clone().join(id);
        let found = self.files.list(&dir).map_err(Error::io("list", &self.files.path(&dir)))?;
        Ok(!found.is_empty())
    }

    /// A name for a backup made now.
    pub(crate) fn new_id(&self, now: UnixNano) -> Result<String, Error> {
        let time = now.to_rfc3339();
        let base: String = time.chars().take(19).filter(char::is_ascii_alphanumeric).collect();
        let root = Location::from(BACKUPS);
        let taken = self.files.directories(&root).map_err(Error::io("list", &self.files.path(&root)))?;
        let names = std::iter::once(format!("{base}Z")).chain((2..).map(|number| format!("{base}Z-{number:04}")));
        Ok(names.into_iter().find(|name| !taken.contains(name)).unwrap_or(base))
    }

    /// Parts that a finished backup has, by their path.
    pub(crate) fn trusted(&self) -> Result<HashMap<String, PartCopy>, Error> {
        let (backups, _) = self.backups()?;
        let parts = backups.into_iter().flat_map(|backup| backup.tables).flat_map(|table| table.parts);
        Ok(parts.map(|part| (part.path.clone(), part)).collect())
    }

    /// Where a part is kept; its path is that below the data root.
    pub(crate) fn part(path: &str) -> Location {
        Location::from(format!("{PARTS}/{path}"))
    }

    pub(crate) fn small_of(id: &str) -> Location {
        Location::from(format!("{BACKUPS}/{id}/{SMALL}"))
    }

    fn manifest_of(&self, id: &str) -> Location {
        Location::from(format!("{BACKUPS}/{id}/{MANIFEST}"))
    }

    /// Finishes a backup: from now on it is one.
    pub(crate) fn finish(&self, manifest: &Manifest) -> Result<(), Error> {
        let at = self.manifest_of(&manifest.id);
        let made = self.files.put_new(&at, &manifest.encode()).map_err(Error::io("write", &self.files.path(&at)))?;
        if made { Ok(()) } else { Err(Error::Backup(format!("backup {} is there already", manifest.id))) }
    }

    /// Removes all backups but the newest `keep`, what did not finish, and parts that nobody names any more. How many
    /// backups went.
    pub(crate) fn prune(&self, keep: usize) -> Result<u64, Error> {
        let (backups, _) = self.backups()?;
        let root = Location::from(BACKUPS);
        let ids = self.files.directories(&root).map_err(Error::io("list", &self.files.path(&root)))?;
        let kept: Vec<_> = backups.iter().rev().take(keep.max(1)).map(|backup| backup.id.as_str()).collect();
        let mut removed = 0;
        for id in ids.iter().filter(|id| !kept.contains(&id.as_str())) {
            // One that a newer version made, or that is damaged, is not ours to judge.
            let text = self.files.read(&self.manifest_of(id));
            if text.is_ok_and(|text| Manifest::decode(&text).is_err()) {
                continue;
            }
            let mut there = false;
            for at in [self.manifest_of(id), Self::small_of(id)] {
                there |= self.files.remove(&at).map_err(Error::io("remove", &self.files.path(&at)))?;
            }
            // Empty directories of those that went earlier are no backups.
            removed += u64::from(there);
        }
        let (_, odd) = self.backups()?;
        // A manifest that cannot be read may name any part.
        if odd.is_empty() {
            let named = self.trusted()?;
            let parts = Location::from(PARTS);
            for (at, _) in walk(&self.files, &parts).map_err(Error::io("list", &self.files.path(&parts)))? {
                let path = at.as_ref().strip_prefix("parts/").unwrap_or_default();
                if !named.contains_key(path) {
                    self.files.remove(&at).map_err(Error::io("remove", &self.files.path(&at)))?;
                }
            }
        }
        Ok(removed)
    }

    /// Gives a part of the store a second name here, where both lie on one file system; whether it could.
    pub(crate) fn link(&self, from: &Path, to: &Location) -> bool {
        let path = self.files.path(to);
        let Some(dir) = path.parent() else { return false };
        let made = self.disk.create_dir(dir).and_then(|()| self.disk.link(from, &path));
        made.and_then(|()| self.disk.sync_dir(dir)).is_ok()
    }
}
