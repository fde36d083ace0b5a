//! Every live part looked at once in a while, slowly, so that damage is found before somebody needs the rows.
//!
//! A round takes the checksum of each part at a bounded pace; a part that does not hold goes to quarantine. Deliberately
//! remembers nothing across restarts but when a part was looked at last in this process: a restart begins a new round.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Location;
use parking_lot::Mutex;
use tracelake_model::UnixNano;

use crate::core::Core;
use crate::error::Error;
use crate::part::file::Part;
use crate::part::verify::{Depth, Verdict, verify};

/// Bytes that are looked at in one step of upkeep.
const STEP_BYTES: u64 = 64 << 20;
/// After a piece was read, a rest of this many times what it took.
const REST_FACTOR: u32 = 9;

/// Which parts were looked at, and when.
#[derive(Debug, Default)]
pub(crate) struct Scrub {
    seen: Mutex<HashMap<Location, UnixNano>>,
}

impl Core {
    /// Looks whether the file of every live part is there in its size: once after a start, by listing directories.
    pub(crate) fn look_for_parts(&self) -> Result<(), Error> {
        for (tenant, table, shared) in self.logs.all() {
            let mut days: BTreeMap<Location, Vec<Arc<Part>>> = BTreeMap::new();
            for part in shared.lock().live() {
                let directory = part.location.parts().collect::<Vec<_>>();
                let directory = directory.iter().take(directory.len().saturating_sub(1)).cloned().collect();
                days.entry(directory).or_default().push(part);
            }
            for (directory, parts) in days {
                let found = self.files.list(&directory).map_err(Error::io("list", &self.files.path(&directory)))?;
                let found: HashMap<_, _> = found.into_iter().map(|file| (file.name, file.bytes)).collect();
                for part in parts {
                    let is_there = part.location.filename().and_then(|name| found.get(name)) == Some(&part.bytes);
                    // Whoever removed it meanwhile is asked in there.
                    if !is_there {
                        self.suspect(&tenant, table, &part)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks at parts that were not looked at for `scrub_every`, some of them; how many. `rest` is asked to wait after
    /// every piece, and says whether to go on.
    pub(crate) fn scrub_step(&self, rest: &mut dyn FnMut(Duration) -> bool) -> Result<u64, Error> {
        let every = self.config.scrub_every;
        if every.is_zero() {
            return Ok(0);
        }
        let (now, mut looked, mut bytes) = (self.clock.now(), 0, 0);
        let mut live = HashMap::new();
        for (tenant, table, shared) in self.logs.all() {
            let parts = shared.lock().live();
            for part in parts {
                let last = self.keeper.scrub.seen.lock().get(&part.location).copied();
                // What was stored not long ago was written by us not long ago.
                let last = last.unwrap_or(part.stored);
                live.insert(part.location.clone(), last);
                if last.plus(every) > now || bytes >= STEP_BYTES {
                    continue;
                }
                let mut since = std::time::Instant::now();
                let mut go_on = |_| {
                    let worked = since.elapsed();
                    let goes_on = rest(worked * REST_FACTOR);
                    since = std::time::Instant::now();
                    goes_on
                };
                match verify(self.files.as_ref(), table, &part, None, Depth::Bytes, &mut go_on) {
                    Ok(Verdict::Stopped) => return Ok(looked),
                    Ok(Verdict::Sound) => {}
                    Ok(Verdict::Damaged(reason)) => drop(self.quarantine(&shared, (&tenant, table), &part, &reason)?),
                    Err(error) => tracing::warn!(%error, part = %part.location, "a part could not be looked at"),
                }
                (looked, bytes) = (looked + 1, bytes + part.bytes);
                self.counters.scrubbed.count(&part);
                live.insert(part.location.clone(), now);
            }
        }
        *self.keeper.scrub.seen.lock() = live;
        Ok(looked)
    }
}
