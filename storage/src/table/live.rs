//! What a table's log adds up to: live parts, removed files, transactions, metadata.
//!
//! Pure: actions in, state out. Deliberately reads no files; what an action leaves out is taken as "not known".

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use deltalake_core::kernel::{Add, Metadata};
use object_store::path::Path as Location;
use serde_json::Value;
use tracelake_model::{UnixNano, column};

use crate::checksum;
use crate::error::Error;
use crate::part::file::{Commits, Part};
use crate::table::entry::Line;

/// When a part was committed (milliseconds) and its path: the order of parts, the same after every load.
type Place = (i64, String);

/// A part that is so much newer than the present was stored by a clock that goes a little otherwise.
const JUST_NOW_MILLIS: i64 = 60_000;

/// The tag of a file's checksum in its `add`.
pub(crate) const CHECKSUM_TAG: &str = "tracelake.xxh3";
/// The tag of the commits that brought a file's rows in its `add`.
pub(crate) const COMMITS_TAG: &str = "tracelake.commits";

/// A file that no version from now on names, and that others may still read.
#[derive(Clone, Debug)]
struct Removed {
    /// When it was removed, in milliseconds.
    millis: i64,
    bytes: u64,
    /// The part, if this process had it: while others hold it too, they may read it.
    part: Option<Arc<Part>>,
}

/// The state of a table at a version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    parts: BTreeMap<Place, Arc<Part>>,
    places: HashMap<String, i64>,
    removed: BTreeMap<String, Removed>,
    txns: HashMap<String, u64>,
    metadata: Option<Metadata>,
}

/// Where a table's parts are, and which column is its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    /// The table's directory, relative to the data root.
    pub(crate) table: &'a Location,
    /// [`tracelake_model::Table::time_column`].
    pub(crate) time_column: &'static str,
}

impl Live {
    /// Applies one commit, or a checkpoint; all of it or nothing. Gives the parts that it added.
    pub(crate) fn apply(&mut self, lines: Vec<Line>, origin: Origin<'_>) -> Result<Vec<Arc<Part>>, Error> {
        let mut added = Vec::new();
        for line in &lines {
            check_protocol(line, origin)?;
            if let Some(add) = &line.add {
                added.push(Arc::new(part(add, origin)?));
            }
        }
        let mut parts = added.iter();
        for line in lines {
            if let Some(remove) = line.remove {
                let part = self.remove(&remove.path);
                let bytes = remove.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
                let millis = remove.deletion_timestamp.unwrap_or(0);
                self.removed.insert(remove.path, Removed { millis, bytes, part });
            }
            if let Some((add, part)) = line.add.and_then(|add| Some((add, parts.next()?))) {
                self.remove(&add.path);
                self.removed.remove(&add.path);
                self.places.insert(add.path.clone(), add.modification_time);
                self.parts.insert((add.modification_time, add.path), Arc::clone(part));
            }
            if let Some(txn) = line.txn {
                self.txns.insert(txn.app_id, u64::try_from(txn.version).unwrap_or(0));
            }
            if let Some(metadata) = line.metadata {
                self.metadata = Some(metadata);
            }
        }
        Ok(added)
    }

    /// The live parts in the order of their commits.
    pub(crate) fn parts(&self) -> Vec<Arc<Part>> {
        self.parts.values().cloned().collect()
    }

    /// The present, or a moment past the newest part where that was stored just now, so that parts keep the order of their
    /// commits. A clock that was set back is believed.
    pub(crate) fn past_newest(&self, now: UnixNano) -> UnixNano {
        let newest = self.parts.last_key_value().map(|((millis, _), _)| *millis);
        let behind = |newest: &i64| (0..JUST_NOW_MILLIS).contains(&(newest - now.0.div_euclid(1_000_000)));
        newest.filter(behind).map_or(now, |newest| UnixNano((newest + 1) * 1_000_000))
    }

    /// The last version of a transaction; 0 when it never wrote.
    pub(crate) fn txn(&self, id: &str) -> u64 {
        self.txns.get(id).copied().unwrap_or(0)
    }

    /// The last versions of all transactions.
    pub(crate) fn txns(&self) -> impl Iterator<Item = (&str, u64)> {
        self.txns.iter().map(|(id, version)| (id.as_str(), *version))
    }

    /// The table's metadata; `None` before the first commit.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Whether a path, relative to the table, is that of a live part.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether a path is that of a removed file that is not deleted yet, as far as we know.
    pub(crate) fn is_removed(&self, path: &str) -> bool {
        self.removed.contains_key(path)
    }

    /// Removed files that were removed at `until` or before and that nobody in this process reads, with their bytes.
    pub(crate) fn expired(&self, until: UnixNano) -> Vec<(String, u64)> {
        let until = until.0.div_euclid(1_000_000);
        let unread = |removed: &Removed| removed.part.as_ref().is_none_or(|part| Arc::strong_count(part) == 1);
        let expired = self.removed.iter().filter(|(_, removed)| removed.millis <= until && unread(removed));
        expired.map(|(path, removed)| (path.clone(), removed.bytes)).collect()
    }

    /// Lets removed files count as removed long ago.
    pub(crate) fn hasten(&mut self) {
        for removed in self.removed.values_mut() {
            removed.millis = i64::MIN;
        }
    }

    /// How many removed files are not deleted yet.
    pub(crate) fn removed_files(&self) -> usize {
        self.removed.len()
    }

    /// Bytes of removed files that are not deleted yet.
    pub(crate) fn removed_bytes(&self) -> u64 {
        self.removed.values().map(|removed| removed.bytes).sum()
    }

    /// A removed file is deleted.
    pub(crate) fn forget(&mut self, path: &str) {
        self.removed.remove(path);
    }

    /// Takes the very parts of an older state, where they are equal: whoever holds one is seen to hold it.
    pub(crate) fn adopt(&mut self, older: &Self) {
        let known = |path: &str| {
            let live = older.places.get(path).and_then(|millis| older.parts.get(&(*millis, path.to_owned())));
            live.or_else(|| older.removed.get(path)?.part.as_ref())
        };
        for ((_, path), part) in &mut self.parts {
            if let Some(same) = known(path).filter(|same| *same == part) {
                *part = Arc::clone(same);
            }
        }
        for (path, removed) in &mut self.removed {
            removed.part = known(path).cloned();
            if let Some(before) = older.removed.get(path) {
                removed.millis = removed.millis.min(before.millis);
            }
        }
        // What a checkpoint no longer tells is still held by whoever reads it.
        for (path, removed) in &older.removed {
            if !self.places.contains_key(path) {
                self.removed.entry(path.clone()).or_insert_with(|| removed.clone());
            }
        }
    }

    /// Whether another state, read another way, is the same; else what differs.
    pub(crate) fn agrees(&self, other: &Self) -> Result<(), String> {
        if let Some(((_, path), _)) = self.parts.iter().find(|(place, part)| other.parts.get(*place) != Some(part)) {
            return Err(format!("the commits before it say otherwise about {path}"));
        }
        if self.parts.len() != other.parts.len() {
            let (ours, theirs) = (self.parts.len(), other.parts.len());
            return Err(format!("it has {theirs} live files, the commits before it {ours}"));
        }
        if self.txns != other.txns {
            return Err("the commits before it have other transactions".to_owned());
        }
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Option<Arc<Part>> {
        let millis = self.places.remove(path)?;
        self.parts.remove(&(millis, path.to_owned()))
    }
}

/// Refuses what needs more of a reader than this one can.
fn check_protocol(line: &Line, origin: Origin<'_>) -> Result<(), Error> {
    let foreign = |detail: &str| {
        let detail = detail.to_owned();
        Err(Error::Foreign { path: PathBuf::from(origin.table.as_ref()), detail })
    };
    let version = |name: &str| {
        let protocol = line.protocol.as_ref().and_then(|protocol| serde_json::to_value(protocol).ok());
        protocol.and_then(|protocol| protocol.get(name).and_then(Value::as_i64)).unwrap_or(0)
    };
    if version("minReaderVersion") > 1 || version("minWriterVersion") > 2 {
        return foreign("its protocol is above reader version 1 and writer version 2");
    }
    if line.add.as_ref().is_some_and(|add| add.deletion_vector.is_some()) {
        return foreign("a file has a deletion vector");
    }
    Ok(())
}

fn part(add: &Add, origin: Origin<'_>) -> Result<Part, Error> {
    let damaged = |detail: String| Error::Damaged { path: PathBuf::from(origin.table.as_ref()), detail };
    let location = Location::parse(format!("{}/{}", origin.table, add.path))
        .map_err(|fault| damaged(format!("the path {:?} is not below the table: {fault}", add.path)))?;
    let stats: Value = add.stats.as_deref().and_then(|stats| serde_json::from_str(stats).ok()).unwrap_or(Value::Null);
    let time = |which: &str| stats.get(which)?.get(origin.time_column)?.as_i64();
    let Some(rows) = stats.get("numRecords").and_then(Value::as_u64) else {
        return Err(damaged(format!("the file {:?} has no row count", add.path)));
    };
    let tag = |name: &str| add.tags.as_ref().and_then(|tags| tags.get(name)?.as_ref());
    Ok(Part {
        location,
        rows,
        bytes: u64::try_from(add.size).unwrap_or(0),
        time_min: UnixNano(time("minValues").unwrap_or(i64::MIN)),
        time_max: UnixNano(time("maxValues").unwrap_or(i64::MAX)),
        date: add.partition_values.get(column::DATE).cloned().flatten().unwrap_or_default(),
        stored: UnixNano(add.modification_time.saturating_mul(1_000_000)),
        commits: tag(COMMITS_TAG).and_then(|tag| Commits::from_text(tag)).unwrap_or(Commits::UNKNOWN),
        checksum: tag(CHECKSUM_TAG).and_then(|tag| checksum::from_text(tag)),
    })
}
