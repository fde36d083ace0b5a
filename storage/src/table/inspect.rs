//! The whole log of a table looked at, not only what a load needs of it: every entry, every checkpoint, the note of the
//! newest one, and whether what the entries add up to is what the checkpoints say.
//!
//! Changes nothing. While others commit it may see an entry go that a checkpoint covers; that is no flaw.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use object_store::path::Path as Location;
use tracelake_model::Table;

use crate::error::Error;
use crate::files::file::Files;
use crate::part::file::Part;
use crate::table::entry::Line;
use crate::table::live::{Live, Origin};
use crate::table::{checkpoint, entry};

/// What a flaw is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlawKind {
    /// A commit.
    Entry,
    /// A checkpoint, or the checksum beside it.
    Checkpoint,
    /// The note that names the newest checkpoint.
    Hint,
}

/// Something in a log that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) kind: FlawKind,
    /// The file, relative to the data root.
    pub(crate) at: Location,
    pub(crate) detail: String,
}

/// A live part, and what its commit says of its columns.
pub(crate) type Known = (Arc<Part>, Option<String>);

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    /// The live parts, if the table can be read.
    pub(crate) live: Vec<Known>,
    /// The version they are of.
    pub(crate) version: Option<u64>,
    /// Entries and checkpoints that were read.
    pub(crate) read: u64,
    pub(crate) flaws: Vec<Flaw>,
    /// Whether the live parts follow from what is whole.
    pub(crate) is_readable: bool,
    /// Transactions as far as any whole file tells: never more than what was committed.
    pub(crate) txns: HashMap<String, u64>,
}

/// Looks at the log of a table.
pub(crate) fn inspect(files: &dyn Files, at: &Location, table: Table) -> Result<Inspection, Error> {
    let found = entry::found(files, at)?;
    let entries: BTreeSet<u64> = entry::versions(&found).into_iter().collect();
    let checkpoints: BTreeSet<u64> = checkpoint::versions(&found).into_iter().collect();
    let first = entries.first().into_iter().chain(checkpoints.first()).min().copied();
    let last = entries.last().into_iter().chain(checkpoints.last()).max().copied();
    let origin = Origin { table: at, time_column: table.time_column() };
    let mut walk = Walk { files, at, origin, live: None, stats: HashMap::new(), seen: Inspection::default() };
    let (Some(first), Some(last)) = (first, last) else {
        walk.seen.is_readable = true;
        return Ok(walk.seen);
    };
    if first == 0 {
        walk.live = Some(Live::default());
    }
    for version in first..=last {
        let covered = checkpoints.last().is_some_and(|&newest| version <= newest);
        if entries.contains(&version) || !covered {
            walk.entry(version, covered, version == last)?;
        }
        if checkpoints.contains(&version) {
            walk.checkpoint(version)?;
        }
    }
    if let Err(detail) = checkpoint::check_hint(files, at, checkpoints.last().copied())? {
        let at = checkpoint::hint(at);
        walk.seen.flaws.push(Flaw { kind: FlawKind::Hint, at, detail });
    }
    Ok(walk.finish())
}

struct Walk<'a> {
    files: &'a dyn Files,
    at: &'a Location,
    origin: Origin<'a>,
    /// What the log adds up to so far; `None` while that is unknown.
    live: Option<Live>,
    stats: HashMap<String, String>,
    seen: Inspection,
}

impl Walk<'_> {
    fn entry(&mut self, version: u64, covered: bool, is_last: bool) -> Result<(), Error> {
        let at = entry::location(self.at, version);
        match entry::read(self.files, self.at, version) {
            Ok(Some(lines)) => {
                self.seen.read += 1;
                self.note(&lines);
                if let Some(live) = &mut self.live {
                    match live.apply(lines, self.origin) {
                        Ok(_) => self.seen.version = Some(version),
                        Err(error) => self.flaw(FlawKind::Entry, at, &error)?,
                    }
                }
            }
            // It was listed, and a checkpoint covers it: it was cleaned away meanwhile.
            Ok(None) if covered => {}
            Ok(None) => {
                let detail = "it is missing while later ones are there".to_owned();
                self.flaw(FlawKind::Entry, at.clone(), &Error::Damaged { path: self.files.path(&at), detail })?;
            }
            // Nothing but zeros at the end is what a power cut leaves of a write without a sync: it was never committed.
            Err(Error::Damaged { .. }) if is_last && entry::is_torn(self.files, self.at, version)? => {}
            Err(error) => self.flaw(FlawKind::Entry, at, &error)?,
        }
        Ok(())
    }

    fn checkpoint(&mut self, version: u64) -> Result<(), Error> {
        let at = checkpoint::location(self.at, version);
        let lines = match checkpoint::read(self.files, self.at, version) {
            Ok(lines) => lines,
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return self.flaw_beside(at, &error),
        };
        self.seen.read += 1;
        let known = self.live.take();
        self.note(&lines);
        let mut told = Live::default();
        if let Err(error) = told.apply(lines, self.origin) {
            self.live = known;
            return self.flaw_beside(at, &error);
        }
        if let Some(Err(detail)) = known.as_ref().map(|known| known.agrees(&told)) {
            self.live = known;
            let error = Error::Damaged { path: self.files.path(&at), detail };
            return self.flaw_beside(at, &error);
        }
        if let Some(detail) = checkpoint::check_sum_file(self.files, self.at, version)? {
            let at = checkpoint::sum_location(self.at, version);
            self.seen.flaws.push(Flaw { kind: FlawKind::Checkpoint, at, detail });
        }
        self.seen.version = Some(version);
        self.live = Some(told);
        Ok(())
    }

    /// Keeps statistics and transactions.
    fn note(&mut self, lines: &[Line]) {
        for line in lines {
            if let Some((path, stats)) = line.add.as_ref().and_then(|add| Some((&add.path, add.stats.as_ref()?))) {
                self.stats.insert(path.clone(), stats.clone());
            }
            if let Some(remove) = &line.remove {
                self.stats.remove(&remove.path);
            }
            if let Some(txn) = &line.txn {
                let far = self.seen.txns.entry(txn.app_id.clone()).or_default();
                *far = (*far).max(u64::try_from(txn.version).unwrap_or(0));
            }
        }
    }

    /// What follows a flaw is unknown until a checkpoint tells.
    fn flaw(&mut self, kind: FlawKind, at: Location, error: &Error) -> Result<(), Error> {
        self.live = None;
        self.add(kind, at, error)
    }

    /// A checkpoint that is flawed takes nothing away: the entries go on.
    fn flaw_beside(&mut self, at: Location, error: &Error) -> Result<(), Error> {
        self.add(FlawKind::Checkpoint, at, error)
    }

    fn add(&mut self, kind: FlawKind, at: Location, error: &Error) -> Result<(), Error> {
        let detail = match error {
            Error::Damaged { detail, .. } => detail.clone(),
            Error::Arrow(fault) => fault.to_string(),
            Error::Io { what, path, source } => {
                let source = std::io::Error::new(source.kind(), source.to_string());
                return Err(Error::Io { what, path: path.clone(), source });
            }
            other => other.to_string(),
        };
        self.seen.flaws.push(Flaw { kind, at, detail });
        Ok(())
    }

    fn finish(mut self) -> Inspection {
        self.seen.is_readable = self.live.is_some();
        let prefix = format!("{}/", self.at);
        for part in self.live.iter().flat_map(Live::parts) {
            let path = part.location.as_ref().strip_prefix(&prefix).unwrap_or_default();
            let stats = self.stats.get(path).cloned();
            self.seen.live.push((part, stats));
        }
        self.seen
    }
}
