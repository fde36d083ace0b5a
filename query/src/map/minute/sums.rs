//! Sums of kept minutes, half an hour each, that answers remember: a day's map then merges 48 sums and reads the rows of
//! its ends alone.
//!
//! A sum counts as long as the parts that hold rows of its half hour are the same, and none of its rows is in memory only;
//! so it never outlives what it was summed from, be that merged, erased or computed anew. Bounded in bytes: what was taken
//! in first goes first. Deliberately holds no operations, of which there may be very many.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tracelake_model::column::MINUTE_UNIX_NANO;
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};
use tracelake_storage::{Part, Snapshot};

use crate::map::minute::book::{Kept, MINUTE_NS};
use crate::map::minute::tally::Tally;
use crate::view::column::int;

/// What one sum spans.
pub(crate) const SUM_NS: i64 = 30 * MINUTE_NS;
/// Bytes of all sums, about: days of a few hundred services.
const BYTES_MAX: usize = 16 << 20;
/// The tables whose rows are summed.
pub(crate) const TABLES: [Table; 2] = [Table::ServiceMinutes, Table::ServiceEdges];

/// The sum of half an hour.
#[derive(Debug)]
pub(crate) struct Sum {
    /// Its minutes that are kept.
    pub(crate) heads: BTreeMap<i64, Kept>,
    /// Edges and services of all of them.
    pub(crate) tally: Tally,
}

/// Sums of all tenants.
#[derive(Debug, Default)]
pub(crate) struct Sums(Mutex<Known>);

type Place = (TenantId, i64);

#[derive(Debug, Default)]
struct Known {
    /// With the parts that they were summed from, as [`Witness::of`] names them.
    by_place: HashMap<Place, (u64, Arc<Sum>)>,
    /// The oldest first.
    order: VecDeque<Place>,
    bytes: usize,
}

impl Sum {
    fn bytes(&self) -> usize {
        let heads: usize = self.heads.values().map(|kept| 64 + size_of_val(&kept.commits[..])).sum();
        size_of::<Self>() + heads + self.tally.bytes()
    }
}

impl Sums {
    /// The sum of the half hour that begins at `start`, if it is known and still counts.
    pub(crate) fn get(&self, witness: &Witness<'_>, start: i64) -> Option<Arc<Sum>> {
        let place = (witness.snapshot.tenant().clone(), start);
        let (of, sum) = self.0.lock().by_place.get(&place).map(|(of, sum)| (*of, Arc::clone(sum)))?;
        (witness.of(start)? == of).then_some(sum)
    }

    /// Remembers a sum, where all its rows are in parts.
    pub(crate) fn insert(&self, witness: &Witness<'_>, start: i64, sum: Sum) {
        let Some(of) = witness.of(start) else { return };
        self.0.lock().insert((witness.snapshot.tenant().clone(), start), of, sum, BYTES_MAX);
    }
}

impl Known {
    fn insert(&mut self, place: Place, of: u64, sum: Sum, bytes_max: usize) {
        self.remove(&place);
        self.bytes += sum.bytes();
        self.by_place.insert(place.clone(), (of, Arc::new(sum)));
        self.order.push_back(place);
        while self.bytes > bytes_max
            && let Some(oldest) = self.order.front().cloned()
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, place: &Place) {
        if let Some((_, gone)) = self.by_place.remove(place) {
            self.bytes -= gone.bytes();
            self.order.retain(|known| known != place);
        }
    }
}

/// Tells whether the rows of a half hour are still those that were summed.
pub(crate) struct Witness<'a> {
    snapshot: &'a Snapshot,
    /// Half hours with rows in memory.
    in_tail: BTreeSet<i64>,
}

impl<'a> Witness<'a> {
    /// Of one snapshot.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        let minutes = |table: Table| snapshot.tail(table).iter().map(|rows| int(rows, MINUTE_UNIX_NANO).values());
        let in_tail = TABLES.into_iter().flat_map(minutes).flatten().map(|minute| start_of(*minute)).collect();
        Self { snapshot, in_tail }
    }

    /// What it looks at.
    pub(crate) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// A number that changes with the parts that may hold rows of a half hour; `None` while some are in memory.
    fn of(&self, start: i64) -> Option<u64> {
        if self.in_tail.contains(&start) {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        for table in TABLES {
            let end = start.saturating_add(SUM_NS);
            let holds = |part: &&Arc<Part>| part.time_max.0 >= start && part.time_min.0 < end;
            self.snapshot.parts(table).iter().filter(holds).for_each(|part| part.location.hash(&mut hasher));
            0_u8.hash(&mut hasher);
        }
        Some(hasher.finish())
    }
}

/// The start of the half hour that an instant lies in.
pub(crate) fn start_of(instant: i64) -> i64 {
    instant.div_euclid(SUM_NS).saturating_mul(SUM_NS)
}

/// The half hours that lie in a range as a whole; none in one that is longer than any map.
pub(crate) fn whole(range: TimeRange) -> Vec<i64> {
    const COUNT_MAX: i64 = 10_000;
    let first = start_of(range.start.0.saturating_add(SUM_NS - 1));
    let last = start_of(range.end.0);
    if last.saturating_sub(first) / SUM_NS > COUNT_MAX {
        return Vec::new();
    }
    (0..).map(|number| first + number * SUM_NS).take_while(|start| *start < last).collect()
}

/// What is left of a range without some of its half hours, which come in order; neighbours together.
pub(crate) fn without(range: TimeRange, known: impl IntoIterator<Item = i64>) -> Vec<TimeRange> {
    let (mut left, mut start) = (Vec::new(), range.start.0);
    let ends = known.into_iter().chain([range.end.0]);
    for known in ends {
        if start < known {
            left.push(TimeRange { start: UnixNano(start), end: UnixNano(known) });
        }
        start = known.saturating_add(SUM_NS);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = SUM_NS;

    fn range(start: i64, end: i64) -> TimeRange {
        TimeRange { start: UnixNano(start), end: UnixNano(end) }
    }

    #[test]
    fn half_hours_lie_in_a_range_as_a_whole_and_the_rest_is_left() {
        let check =
            |start: i64, end: i64, inside: &[i64]| assert_eq!(whole(range(start, end)), inside, "{start}..{end}");
        check(0, 3 * S, &[0, S, 2 * S]);
        check(1, 3 * S - 1, &[S]);
        check(1, S, &[]);
        check(-S - 1, S + 1, &[-S, 0]);
        check(i64::MIN + MINUTE_NS, i64::MAX - MINUTE_NS, &[]);
        let left = |start: i64, end: i64, known: &[i64]| -> Vec<(i64, i64)> {
            let left = without(range(start, end), known.iter().copied());
            left.iter().map(|range| (range.start.0, range.end.0)).collect()
        };
        assert_eq!(left(5, 4 * S, &[S, 2 * S]), [(5, S), (3 * S, 4 * S)]);
        assert_eq!(left(0, 2 * S, &[0, S]), []);
        assert_eq!(left(0, 3 * S + 1, &[S]), [(0, S), (2 * S, 3 * S + 1)]);
        assert_eq!(left(7, 9, &[]), [(7, 9)]);
    }

    #[test]
    fn sums_are_bounded_and_a_newer_one_takes_the_place_of_an_older() {
        let mut known = Known::default();
        let sum = || Sum { heads: BTreeMap::new(), tally: Tally::default() };
        let one = sum().bytes();
        for start in [0, 1, 0, 2, 3] {
            known.insert((TenantId::default(), start), 7, sum(), 3 * one);
        }
        let mut starts: Vec<i64> = known.by_place.keys().map(|(_, start)| *start).collect();
        starts.sort_unstable();
        assert_eq!((starts.as_slice(), known.bytes, known.order.len()), (&[0, 2, 3][..], 3 * one, 3));
    }
}
