//! The small files: `FORMAT`, the log's id, payload hashes, documents.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::check::report::{Finding, FindingKind};
use crate::check::run::Checker;
use crate::dedup::Dedup;
use crate::disk::replace;
use crate::error::Error;
use crate::flush::HASHES_FILE;
use crate::open::{FORMAT, FORMAT_FILE};
use crate::wal::id::{FILE as ID_FILE, Ids};

/// Bytes in which a damaged `FORMAT` may differ from ours and still be taken for ours.
const FORMAT_SLACK: usize = 2;

impl Checker<'_> {
    pub(crate) fn small_files(&mut self) -> Result<(), Error> {
        self.format()?;
        let wal = self.data_dir.join("wal");
        if Ids::read(self.disk.as_ref(), &wal).is_none() && self.exists(&wal.join(ID_FILE)) {
            let remedy = "the server mends one flipped bit by itself when it starts; else restore a backup";
            self.found(FindingKind::Id, &wal.join(ID_FILE), "it is not as it was written", remedy);
        }
        let path = wal.join(HASHES_FILE);
        let Some(content) = self.read(&path)? else { return Ok(()) };
        if !Dedup::new(Duration::MAX, usize::MAX).load(&content) {
            let remedy = "older payloads that are sent again are stored again; --repair moves it aside";
            self.found(FindingKind::Hashes, &path, "its checksum does not hold", remedy);
            self.set_aside(&path)?;
        }
        Ok(())
    }

    fn format(&mut self) -> Result<(), Error> {
        let path = self.data_dir.join(FORMAT_FILE);
        let Some(content) = self.read(&path)? else { return Ok(()) };
        let ours = format!("{FORMAT}\n");
        if content == ours.as_bytes() {
            return Ok(());
        }
        let differing = content.iter().zip(ours.as_bytes()).filter(|(found, ours)| found != ours).count();
        let is_ours = content.len() == ours.len() && differing <= FORMAT_SLACK;
        let detail = format!("it says {:?}", String::from_utf8_lossy(&content).trim_end());
        let remedy = if is_ours {
            "it differs from this version's in a byte or two; --repair writes it anew"
        } else {
            "start the version that wrote this directory"
        };
        self.found(FindingKind::Format, &path, &detail, remedy);
        if self.ask.repair && is_ours {
            let written = replace(self.disk.as_ref(), &self.data_dir, FORMAT_FILE, ours.as_bytes());
            written.map_err(Error::io("write", &path))?;
            self.repaired("written anew");
        }
        Ok(())
    }

    /// Every document must be JSON.
    pub(crate) fn documents(&mut self) -> Result<(), Error> {
        let root = self.data_dir.join("documents");
        for tenant in self.names(&root)? {
            for kind in self.names(&root.join(&tenant))? {
                let dir = root.join(&tenant).join(&kind);
                for name in self.names(&dir)?.into_iter().filter(|name| name.ends_with(".json")) {
                    let path = dir.join(&name);
                    let Some(content) = self.read(&path)? else { continue };
                    self.report.documents += 1;
                    if let Err(fault) = serde_json::from_slice::<serde::de::IgnoredAny>(&content) {
                        let remedy = "write it again through the API; --repair moves it aside";
                        self.found(FindingKind::Document, &path, &format!("it is no JSON: {fault}"), remedy);
                        self.set_aside(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn names(&self, dir: &Path) -> Result<Vec<String>, Error> {
        match self.disk.list(dir) {
            Err(fault) if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            names => names.map_err(Error::io("list", dir)),
        }
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match self.disk.read(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            content => content.map(Some).map_err(Error::io("read", path)),
        }
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.about(path).is_ok()
    }

    fn found(&mut self, kind: FindingKind, path: &Path, detail: &str, remedy: &str) {
        self.progress.findings += 1;
        self.report.push(Finding::new(kind, path.display().to_string(), detail.to_owned(), remedy));
    }

    /// Gives a damaged file another name beside its place, when asked to repair.
    fn set_aside(&mut self, path: &Path) -> Result<(), Error> {
        let dir = path.parent().unwrap_or(path);
        if self.ask.repair {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let aside = dir.join(format!("{name}.damaged"));
            self.disk.rename(path, &aside).map_err(Error::io("rename", path))?;
            self.disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
            self.repaired(&format!("moved to {}", aside.display()));
        }
        Ok(())
    }

    fn repaired(&mut self, done: &str) {
        if let Some(finding) = self.report.findings.last_mut() {
            (finding.repaired, finding.remedy) = (true, done.to_owned());
        }
    }
}
