//! One committer of a table: appends parts with the WAL position they cover, exactly once, durable on return.
//!
//! The log on disk is the truth and the state here follows it; another committer's entry is read and applied before
//! our own is tried at the next number. What a commit removes is live at the version before it, or it is not made.
//!
//! A committer may sleep at any point for longer than entries are kept. Then the number after its version may be free
//! only because the entry that stood there was cleaned away, and a commit made there is read by nobody. So after each
//! commit of ours the log is looked at again: where a checkpoint is newer, the log is read anew, and if it does not hold
//! our commit, that is taken back and tried again. For the same reason nothing is applied that stands before a newer
//! checkpoint. Deliberately deletes no parts: `sweep.rs` does, once nobody can read them.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::kernel::Action;
use object_store::path::Path as Location;
use tracelake_model::{Position, Table, TenantId, UnixNano};
use tracing::warn;

use crate::error::Error;
use crate::files::file::{Files, Found};
use crate::part::file::{NewPart, Part};
use crate::table::action::{Commit, Keep, Purpose};
use crate::table::live::{Live, Origin};
use crate::table::{action, checkpoint, entry, export};

/// How often another committer may be faster before we give up for this time.
const ATTEMPTS_MAX: u32 = 100;
/// Entries that are read together while a table is opened.
const READ_AHEAD: usize = 64;
/// How often the log may change under a reader before it gives up for this time.
const READS_MAX: u32 = 20;

/// One committer of one table of one tenant.
#[derive(Debug)]
pub(crate) struct TableLog {
    files: Arc<dyn Files>,
    /// Its directory, relative to the data root.
    at: Location,
    table: Table,
    wal: String,
    keep: Keep,
    live: Live,
    /// The last version applied; `None` before the first commit.
    version: Option<u64>,
    /// The version of the checkpoint that the state began with; entries after it were read one by one.
    base: Option<u64>,
}

impl TableLog {
    /// Reads the log of a table below the data root. Makes nothing: a table begins with its first commit.
    pub(crate) fn open(files: &Arc<dyn Files>, tenant: &TenantId, table: Table, wal_id: &str) -> Result<Self, Error> {
        let (at, wal) = (Location::from(format!("{tenant}/{table}")), format!("wal/{wal_id}"));
        let (keep, live) = (Keep::default(), Live::default());
        let mut log = Self { files: Arc::clone(files), at, table, wal, keep, live, version: None, base: None };
        log.load()?;
        Ok(log)
    }

    /// The same committer; the table's next commit promises to keep what is past that long.
    pub(crate) fn keeping(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// The live parts in the order of their commits.
    pub(crate) fn live(&self) -> Vec<Arc<Part>> {
        self.live.parts()
    }

    /// Up to where our WAL is in this table.
    pub(crate) fn flushed(&self) -> Position {
        Position(self.live.txn(&self.wal))
    }

    /// Up to where a derived stream is in this table; 0 when it never wrote.
    pub(crate) fn derived(&self, source: &str) -> u64 {
        self.live.txn(&format!("derived/{source}"))
    }

    /// Commits parts that hold this WAL's rows from [`TableLog::flushed`] up to `flushed`. The commit is durable when it
    /// returns; the answer are the parts that became live since the last call.
    ///
    /// After an error the commit may or may not stand. The same call again (same `flushed`, whatever the parts) ends in
    /// one commit, never two; a call with another position is refused when the first stood, and
    /// [`TableLog::flushed`] then says how far the table is.
    pub(crate) fn append(
        &mut self,
        parts: &[NewPart],
        flushed: Position,
        derived: &[(&str, u64)],
        now: UnixNano,
    ) -> Result<Vec<Arc<Part>>, Error> {
        let known = self.flushed();
        let mut added = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            added.extend(self.refresh()?);
            if self.flushed() != known {
                return self.settle(flushed, added);
            }
            let mut txns = vec![(self.wal.clone(), flushed.0)];
            // What several servers count goes up only.
            let far = |source: &str, position: u64| position.max(self.derived(source));
            txns.extend(derived.iter().map(|(source, at)| (format!("derived/{source}"), far(source, *at))));
            let commit = Commit { purpose: Purpose::Append, removed: &[], added: parts, txns: &txns };
            let Some(version) = self.put(&commit, self.live.past_newest(now))? else { continue };
            added.extend(self.refresh()?);
            if self.holds(version, &self.wal, flushed.0) {
                self.checkpoint_if_due(version, now);
                return Ok(added);
            }
            self.take_back(version)?;
        }
        Err(self.crowded())
    }

    /// Commits that `removed` give way to `added` (the same rows) or to nothing. The commit is durable when it returns
    /// true. False: not all of `removed` were live any more, and nothing is changed.
    ///
    /// After an error the commit may or may not stand; the same call again answers false when it does.
    pub(crate) fn replace(&mut self, removed: &[Arc<Part>], added: &[NewPart], now: UnixNano) -> Result<bool, Error> {
        let (purpose, name) = if added.is_empty() { (Purpose::Drop, "retain") } else { (Purpose::Compact, "compact") };
        self.change(purpose, name, removed, added, now)
    }

    /// Commits that `removed` go because they are damaged; otherwise as [`TableLog::replace`].
    pub(crate) fn quarantine(&mut self, removed: &[Arc<Part>], damage: &str, now: UnixNano) -> Result<bool, Error> {
        self.change(Purpose::Quarantine(damage), "quarantine", removed, &[], now)
    }

    /// As [`TableLog::replace`] where `added` has not all of the rows of `removed`.
    pub(crate) fn erase(&mut self, removed: &[Arc<Part>], added: &[NewPart], now: UnixNano) -> Result<bool, Error> {
        self.change(Purpose::Erase, "erase", removed, added, now)
    }

    fn change(
        &mut self,
        purpose: Purpose<'_>,
        name: &str,
        removed: &[Arc<Part>],
        added: &[NewPart],
        now: UnixNano,
    ) -> Result<bool, Error> {
        // Other writers that read the same version see by it that their commit and ours exclude each other.
        let txn = format!("{name}/{}", self.wal);
        for _ in 0..ATTEMPTS_MAX {
            self.refresh()?;
            if !removed.iter().all(|part| self.live.has(&action::relative(part))) {
                return Ok(false);
            }
            let txns = [(txn.clone(), self.live.txn(&txn) + 1)];
            let commit = Commit { purpose, removed, added, txns: &txns };
            let Some(version) = self.put(&commit, now)? else { continue };
            self.refresh()?;
            if self.holds(version, &txn, txns[0].1) {
                self.checkpoint_if_due(version, now);
                return Ok(true);
            }
            self.take_back(version)?;
        }
        Err(self.crowded())
    }

    /// Carries the positions of derived streams over from another log that this one goes on from. Once is enough.
    pub(crate) fn carry_streams(&mut self, from: &str, now: UnixNano) -> Result<(), Error> {
        let (prefix, ours) = (format!("derived/{from}/"), self.wal.trim_start_matches("wal/").to_owned());
        let streams = self.live.txns().filter_map(|(id, far)| Some((id.strip_prefix(&prefix)?, far)));
        let streams: Vec<_> = streams.map(|(source, far)| (format!("{ours}/{source}"), far)).collect();
        if streams.iter().all(|(stream, far)| self.derived(stream) >= *far) {
            return Ok(());
        }
        let streams: Vec<_> = streams.iter().map(|(stream, far)| (stream.as_str(), *far)).collect();
        self.append(&[], self.flushed(), &streams, now).map(drop)
    }

    /// Tries a commit at the next number; its version, or nothing when another committer was first.
    fn put(&self, commit: &Commit<'_>, now: UnixNano) -> Result<Option<u64>, Error> {
        for new in commit.added {
            // After a long sleep another server may have taken them for files of a flush that died.
            let at = &new.part.location;
            match self.files.bytes(at) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::Flush(format!("{at} is gone before its commit, its rows are written again")));
                }
                Err(fault) => return Err(Error::io("measure", &self.files.path(at))(fault)),
                Ok(_) => {}
            }
        }
        let version = self.version.map_or(0, |version| version + 1);
        let entry = action::encode(&self.at, self.preamble(now)?, commit, version, now)?;
        Ok(entry::put(self.files.as_ref(), &self.at, version, &entry)?.then_some(version))
    }

    /// Whether a commit of ours is in the log that was just read: it was read itself, or the checkpoint knows what it did.
    fn holds(&self, version: u64, txn: &str, value: u64) -> bool {
        self.base.is_none_or(|base| version > base) || self.live.txn(txn) >= value
    }

    /// Our commit stands where nobody reads it: before a checkpoint, in the place of one that was cleaned away.
    fn take_back(&self, version: u64) -> Result<(), Error> {
        warn!(table = %self.at, version, "this server slept while its commit was made, the commit is made again");
        entry::remove(self.files.as_ref(), &self.at, version)
    }

    /// Applies what others committed meanwhile.
    pub(crate) fn catch_up(&mut self) -> Result<(), Error> {
        self.refresh().map(drop)
    }

    /// The same by one request where nobody committed; whether somebody did. A committer that may have slept for longer
    /// than entries are kept must catch up instead.
    pub(crate) fn follow(&mut self) -> Result<bool, Error> {
        let next = self.version.map_or(0, |version| version + 1);
        if entry::read(self.files.as_ref(), &self.at, next)?.is_none() {
            return Ok(false);
        }
        self.refresh().map(|_| true)
    }

    /// The version that is applied; `None` before the first commit.
    pub(crate) fn version(&self) -> Option<u64> {
        self.version
    }

    /// Whether the log's files are where they were: else its disk is away, and nothing can be said of the parts.
    pub(crate) fn stands(&self) -> Result<bool, Error> {
        Ok(!entry::found(self.files.as_ref(), &self.at)?.is_empty())
    }

    /// The files of the log that a reader of this version needs: their names in it, and what they hold.
    pub(crate) fn export(&self) -> Result<Vec<(String, Bytes)>, Error> {
        self.version.map_or_else(|| Ok(Vec::new()), |version| export::files(self.files.as_ref(), &self.at, version))
    }

    /// Paths (relative to the data root) and bytes of files that were removed at `until` or before, for good, and that
    /// nobody in this process reads.
    pub(crate) fn expired(&self, until: UnixNano) -> Result<Vec<(String, u64)>, Error> {
        let expired = self.live.expired(until);
        if !expired.is_empty() {
            // A commit whose outcome was unknown may be known to us, but not to the disk.
            self.sync()?;
        }
        Ok(expired.into_iter().map(|(path, bytes)| (format!("{}/{path}", self.at), bytes)).collect())
    }

    /// From now on removed files are as old as can be: they go as soon as nobody in this process reads them.
    pub(crate) fn hasten(&mut self) {
        self.live.hasten();
    }

    /// How many removed files are not deleted yet.
    pub(crate) fn removed_files(&self) -> usize {
        self.live.removed_files()
    }

    /// Bytes of removed files that are not deleted yet.
    pub(crate) fn removed_bytes(&self) -> u64 {
        self.live.removed_bytes()
    }

    /// A removed file is deleted; its path is relative to the data root.
    pub(crate) fn forget(&mut self, path: &str) {
        if let Some(path) = self.relative(path) {
            let path = path.to_owned();
            self.live.forget(&path);
        }
    }

    /// Whether a part can be removed by its name: those that other programs wrote may be named otherwise.
    pub(crate) fn can_replace(&self, part: &Part) -> bool {
        self.live.has(&action::relative(part))
    }

    /// Whether a file of this table, its path relative to the data root, is live or was removed not long ago.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.relative(path).is_none_or(|path| self.live.has(path) || self.live.is_removed(path))
    }

    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.at.as_ref())?.strip_prefix('/')
    }

    fn sync(&self) -> Result<(), Error> {
        let directory = entry::directory(&self.at);
        self.files.sync(&directory).map_err(Error::io("sync", &self.files.path(&directory)))
    }

    fn crowded(&self) -> Error {
        Error::Flush(format!("{} is changed by others all the time", self.at))
    }

    /// An earlier call that told an error did commit.
    fn settle(&self, flushed: Position, added: Vec<Arc<Part>>) -> Result<Vec<Arc<Part>>, Error> {
        self.sync()?;
        if self.flushed() == flushed {
            return Ok(added);
        }
        let (path, stands) = (&self.at, self.flushed());
        let remedy = "if a copy of this data directory writes there too, stop one of them; then restart";
        Err(Error::Flush(format!("{path} is flushed up to {stands} already, asked for {flushed}; {remedy}")))
    }

    /// What must come before the parts: the table itself, or columns it gained.
    fn preamble(&self, now: UnixNano) -> Result<Vec<Action>, Error> {
        let Some(metadata) = self.live.metadata() else {
            return action::create(&self.at, self.table, self.keep, now);
        };
        let renewed = action::renew(&self.at, self.table, self.keep, metadata)?;
        Ok(renewed.map(Action::Metadata).into_iter().collect())
    }

    /// Applies what others committed since; gives the parts that became live.
    ///
    /// One look tells the names that come after our version. With no checkpoint among them, no entry after ours was ever
    /// cleaned away: clean-up removes only what a later checkpoint covers.
    fn refresh(&mut self) -> Result<Vec<Arc<Part>>, Error> {
        let mut added = Vec::new();
        for _ in 0..READS_MAX {
            let names = entry::names_after(self.files.as_ref(), &self.at, self.version)?;
            if names.iter().any(|name| checkpoint::is_one(name)) {
                added.extend(self.catch_up_by_checkpoint()?);
                return Ok(added);
            }
            let Some(newest) = names.iter().filter_map(|name| entry::numbered(name, ".json")).max() else {
                return Ok(added);
            };
            added.extend(self.read_up_to(newest)?);
            if self.version >= Some(newest) {
                return Ok(added);
            }
            // The next entry is gone that was named a moment ago: by now a checkpoint covers it.
        }
        Err(self.missing())
    }

    /// Applies the entries up to a version, or up to the first that is not there.
    fn read_up_to(&mut self, newest: u64) -> Result<Vec<Arc<Part>>, Error> {
        let (mut added, mut next) = (Vec::new(), self.version.map_or(0, |version| version + 1));
        while next <= newest
            && let Some(lines) = entry::read(self.files.as_ref(), &self.at, next)?
        {
            let origin = Origin { table: &self.at, time_column: self.table.time_column() };
            added.extend(self.live.apply(lines, origin)?);
            self.version = Some(next);
            next += 1;
        }
        Ok(added)
    }

    fn missing(&self) -> Error {
        let next = self.version.map_or(0, |version| version + 1);
        let detail = format!("commit {next} is missing while later ones are there");
        Error::Damaged { path: self.files.path(&entry::directory(&self.at)), detail }
    }

    /// Entries between our version and a newer checkpoint may be gone, and their numbers free: reads the log anew.
    fn catch_up_by_checkpoint(&mut self) -> Result<Vec<Arc<Part>>, Error> {
        let before: std::collections::HashSet<_> = self.live().into_iter().map(|part| part.location.clone()).collect();
        self.load()?;
        Ok(self.live().into_iter().filter(|part| !before.contains(&part.location)).collect())
    }

    fn load(&mut self) -> Result<(), Error> {
        let before = (std::mem::take(&mut self.live), self.version.take(), self.base.take());
        let read = self.read_all();
        match read {
            Ok(()) => self.live.adopt(&before.0),
            Err(_) => (self.live, self.version, self.base) = before,
        }
        read
    }

    /// Reads the whole log, again when a clean-up took away what was being read.
    fn read_all(&mut self) -> Result<(), Error> {
        let mut found = entry::found(self.files.as_ref(), &self.at)?;
        for _ in 0..READS_MAX {
            (self.live, self.version, self.base) = (Live::default(), None, None);
            let read = self.read_found(&found);
            if read.is_ok() {
                let names = entry::names_after(self.files.as_ref(), &self.at, self.version)?;
                if !names.iter().any(|name| checkpoint::is_one(name)) {
                    return Ok(());
                }
            }
            let now = entry::found(self.files.as_ref(), &self.at)?;
            if read.is_err() && checkpoint::versions(&now).first() == checkpoint::versions(&found).first() {
                return read;
            }
            found = now;
        }
        Err(self.crowded())
    }

    fn read_found(&mut self, found: &[Found]) -> Result<(), Error> {
        let origin = Origin { table: &self.at, time_column: self.table.time_column() };
        let files = self.files.as_ref();
        let mut last = entry::versions(found).last().copied();
        if let Some(version) = last
            && entry::remove_torn(files, &self.at, version)?
        {
            warn!(table = %self.at, version, "empty last commit removed; its rows are still in the log of the server");
            last = version.checked_sub(1);
        }
        let mut broken = Vec::new();
        for version in checkpoint::versions(found) {
            match checkpoint::read(files, &self.at, version).and_then(|lines| self.live.apply(lines, origin)) {
                Ok(_) => {
                    (self.version, self.base) = (Some(version), Some(version));
                    break;
                }
                // A place that does not answer, or a clean-up, says nothing about the file.
                Err(error @ Error::Io { .. }) => return Err(error),
                Err(error) => {
                    warn!(%error, table = %self.at, version, "checkpoint cannot be read, entries are read instead");
                    broken.push(version);
                }
            }
        }
        self.read_ahead(&entry::versions(found))?;
        let (files, origin) = (self.files.as_ref(), Origin { table: &self.at, time_column: self.table.time_column() });
        let mut next = self.version.map_or(0, |version| version + 1);
        while let Some(lines) = entry::read(files, &self.at, next)? {
            self.live.apply(lines, origin)?;
            self.version = Some(next);
            next += 1;
        }
        if self.version < last || self.version < broken.first().copied() {
            return Err(self.missing());
        }
        broken.into_iter().try_for_each(|version| checkpoint::remove(files, &self.at, version))
    }

    /// Applies entries that were found, as far as they follow each other, many at a time.
    fn read_ahead(&mut self, found: &[u64]) -> Result<(), Error> {
        let origin = Origin { table: &self.at, time_column: self.table.time_column() };
        let past: Vec<u64> = found.iter().copied().filter(|version| Some(*version) > self.version).collect();
        for versions in past.chunks(READ_AHEAD) {
            let entries = entry::read_many(self.files.as_ref(), &self.at, versions)?;
            for (version, lines) in versions.iter().zip(entries) {
                if *version == self.version.map_or(0, |version| version + 1) {
                    self.live.apply(lines, origin)?;
                    self.version = Some(*version);
                }
            }
        }
        Ok(())
    }

    fn checkpoint_if_due(&self, version: u64, now: UnixNano) {
        if version == 0 || !version.is_multiple_of(self.keep.checkpoint_every) {
            return;
        }
        let made = checkpoint::write(self.files.as_ref(), &self.at, version);
        let until = now.minus(self.keep.log);
        if let Err(error) = made.and_then(|()| checkpoint::clean_up(self.files.as_ref(), &self.at, until)) {
            warn!(%error, table = %self.at, version, "no checkpoint; the next one is tried later");
        }
    }
}
