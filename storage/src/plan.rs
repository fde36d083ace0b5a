//! Which parts are merged next: a pure choice from what is live.
//!
//! Parts of one day stand in tiers by their rows, each tier eight times the one before. Eight parts of a tier become
//! one of the next, so a row is written again at most once per tier. A day that is settled is brought to as few parts
//! as may be, unless a large part would be written again for little.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Location;
use tracelake_model::UnixNano;

use crate::part::file::Part;

/// Parts of one tier that are merged.
const TIER_PARTS: usize = 8;
/// Parts of one merge at most.
const INPUTS_MAX: usize = 32;
/// Rows of a merged part at most, about.
pub(crate) const ROWS_TARGET: u64 = 1 << 20;
/// Bytes of a merged part at most, about.
pub(crate) const BYTES_TARGET: u64 = 128 << 20;
/// A day that got no rows for so long is settled.
const SETTLED: Duration = Duration::from_secs(3600);
/// Rows that are written again for one that moves up, at most, when a settled day is merged.
const REWRITE_MAX: u64 = 8;

/// The parts to merge next, of one day; none when there is nothing worth it. `parts` come in the order of their
/// commits, and so does the answer. Between the parts of an answer stands no other one, but for those left alone: rows
/// keep the order in which they were stored.
pub(crate) fn choose(parts: &[Arc<Part>], left_alone: &HashSet<Location>, now: UnixNano) -> Option<Vec<Arc<Part>>> {
    let mut days: BTreeMap<&str, Vec<&Arc<Part>>> = BTreeMap::new();
    for part in parts {
        days.entry(&part.date).or_default().push(part);
    }
    days.into_values().find_map(|mut day| {
        let newest = day.iter().map(|part| part.stored).max()?;
        day.retain(|part| !left_alone.contains(&part.location));
        let runs: Vec<&[&Arc<Part>]> = day.split(|part| !is_small(part)).collect();
        let settled = newest.plus(SETTLED) <= now;
        let chosen = full_tier(&runs).or_else(|| runs.iter().find_map(|run| leftovers(run).filter(|_| settled)))?;
        Some(chosen.iter().map(|part| Arc::clone(part)).collect())
    })
}

fn is_small(part: &Part) -> bool {
    part.rows < ROWS_TARGET / 2 && part.bytes < BYTES_TARGET / 2
}

fn tier(part: &Part) -> u32 {
    part.rows.max(1).ilog2() / 3
}

/// Neighbours of the least tier that is full, with smaller ones among them.
fn full_tier<'a>(runs: &[&'a [&'a Arc<Part>]]) -> Option<&'a [&'a Arc<Part>]> {
    let tiers: BTreeSet<u32> = runs.iter().flat_map(|run| run.iter()).map(|part| tier(part)).collect();
    tiers.into_iter().find_map(|full| {
        let neighbours = runs.iter().flat_map(|run| run.split(move |part| tier(part) > full));
        let count = |parts: &&[&Arc<Part>]| parts.iter().filter(|part| tier(part) == full).count();
        neighbours.into_iter().find(|parts| count(parts) >= TIER_PARTS).and_then(fitting)
    })
}

/// Neighbours of a settled day, without those that are large beside all the others.
fn leftovers<'a>(run: &'a [&'a Arc<Part>]) -> Option<&'a [&'a Arc<Part>]> {
    let rows: u64 = run.iter().map(|part| part.rows).sum();
    let (at, largest) = run.iter().enumerate().max_by_key(|(_, part)| part.rows)?;
    if largest.rows <= (rows - largest.rows).saturating_mul(REWRITE_MAX) {
        return fitting(run);
    }
    leftovers(&run[..at]).or_else(|| leftovers(&run[at + 1..]))
}

/// The first parts that fit into one.
fn fitting<'a>(parts: &'a [&'a Arc<Part>]) -> Option<&'a [&'a Arc<Part>]> {
    let (mut rows, mut bytes) = (0, 0);
    let fits = |part: &&&Arc<Part>| {
        (rows, bytes) = (rows + part.rows, bytes + part.bytes);
        rows <= ROWS_TARGET && bytes <= BYTES_TARGET
    };
    let count = parts.iter().take(INPUTS_MAX).take_while(fits).count();
    (count >= 2).then_some(&parts[..count])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::file::Commits;

    const NOW: UnixNano = UnixNano(1_700_000_000_000_000_000);

    fn parts(sizes: &[(&str, u64)]) -> Vec<Arc<Part>> {
        let part = |(number, (date, rows)): (usize, &(&str, u64))| {
            Arc::new(Part {
                location: Location::from(format!("{number}")),
                rows: *rows,
                bytes: rows * 40,
                time_min: NOW,
                time_max: NOW,
                date: (*date).to_owned(),
                stored: NOW,
                commits: Commits::UNKNOWN,
                checksum: None,
            })
        };
        sizes.iter().enumerate().map(part).collect()
    }

    fn check(sizes: &[(&str, u64)], age: Duration, expected: Option<&[usize]>) {
        let chosen = choose(&parts(sizes), &HashSet::new(), NOW.plus(age));
        let names = chosen.map(|parts| parts.iter().map(|part| part.location.as_ref().parse().unwrap()).collect());
        assert_eq!(names, expected.map(<[usize]>::to_vec), "{sizes:?}");
    }

    #[test]
    fn eight_parts_of_a_day_and_tier_are_merged_and_no_fewer_while_the_day_goes_on() {
        let fresh = Duration::from_secs(10);
        let mut sizes = vec![("a", 100); 7];
        check(&sizes, fresh, None);
        sizes.push(("b", 100));
        check(&sizes, fresh, None);
        sizes.push(("a", 90));
        check(&sizes, fresh, Some(&[0, 1, 2, 3, 4, 5, 6, 8]));
        check(&[("a", ROWS_TARGET / 2); 20], fresh, None);
        check(&[("a", ROWS_TARGET / 2 - 1); 20], fresh, Some(&[0, 1]));
    }

    #[test]
    fn only_neighbours_are_merged_so_that_rows_keep_their_order() {
        let fresh = Duration::from_secs(10);
        let mut sizes = vec![("a", 100); 7];
        sizes.extend([("a", 70_000), ("a", 90)]);
        check(&sizes, fresh, None);
        sizes.extend([("a", 90); 7]);
        check(&sizes, fresh, Some(&[8, 9, 10, 11, 12, 13, 14, 15]));
        // Small ones between the parts of a full tier go with them.
        let mut sizes = vec![("a", 1000); 7];
        sizes.extend([("a", 3), ("a", 1000)]);
        check(&sizes, fresh, Some(&[0, 1, 2, 3, 4, 5, 6, 7, 8]));
        check(&[("a", 30), ("a", 400_000), ("a", 5)], Duration::from_secs(7200), None);
        // One that cannot be merged must not keep its neighbours apart.
        let alone = HashSet::from([Location::from("3")]);
        let chosen = choose(&parts(&[("a", 100); 9]), &alone, NOW).expect("eight others");
        assert_eq!(chosen.len(), 8);
    }

    #[test]
    fn a_settled_day_keeps_few_parts_but_a_large_one_is_not_written_again_for_little() {
        let later = Duration::from_secs(7200);
        check(&[("a", 9), ("a", 3000), ("a", 400)], later, Some(&[0, 1, 2]));
        check(&[("a", 400_000), ("a", 30), ("a", 5)], later, Some(&[1, 2]));
        check(&[("a", 400_000), ("a", 30)], later, None);
        check(&[("a", 400_000), ("a", 60_000)], later, Some(&[0, 1]));
        check(&[("a", 1)], later, None);
        check(&[("a", 1), ("b", 1)], later, None);
    }

    #[test]
    fn merging_until_nothing_is_left_to_do_ends_and_writes_a_row_few_times() {
        let mut live = parts(&vec![("a", 120); 3000]);
        let (mut written, mut now) = (0, NOW);
        for number in 3000.. {
            let Some(chosen) = choose(&live, &HashSet::new(), now) else {
                if now > NOW {
                    break;
                }
                now = NOW.plus(Duration::from_secs(7200));
                continue;
            };
            let rows: u64 = chosen.iter().map(|part| part.rows).sum();
            written += rows;
            let place = live.iter().position(|part| *part == chosen[0]).unwrap();
            live.retain(|part| !chosen.contains(part));
            let mut merged = parts(&[("a", rows)]).remove(0);
            Arc::get_mut(&mut merged).unwrap().location = Location::from(format!("{number}"));
            live.insert(place, merged);
        }
        assert_eq!(live.iter().map(|part| part.rows).sum::<u64>(), 360_000);
        assert!(live.len() <= 2, "{live:?}");
        assert!(written <= 6 * 360_000, "{written}");
    }
}
