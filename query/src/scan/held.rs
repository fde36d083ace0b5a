//! Which rows of a part may hold what is wanted, by its value index.
//!
//! An index only rules out: where there is none, or it cannot be read, every row may. Filters are not kept in memory; of
//! each row group one short run of bytes is read for each value.

use std::ops::Range;

use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;
use tracelake_storage::{ValuePlace, value_places};

use crate::scan::wanted::Wanted;

/// Rows of a part that may hold what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// In order and apart from each other.
    pub(crate) rows: Vec<Range<u64>>,
    /// Row groups of which some rows are among them, and all others.
    pub(crate) groups: (usize, usize),
}

/// Asks the index of a part; `None` where it rules nothing out.
pub(crate) async fn held(
    reader: &mut Box<dyn AsyncFileReader>,
    metadata: &ParquetMetaData,
    wanted: &Wanted,
) -> Option<Held> {
    if wanted.is_empty() {
        return None;
    }
    let places = value_places(metadata);
    let known: Vec<ValuePlace> = places.iter().copied().filter(|place| place.is_known()).collect();
    if known.is_empty() {
        return None;
    }
    // Of each known row group, chunk by chunk.
    let mut all: Option<Vec<Vec<bool>>> = None;
    for list in wanted.lists() {
        let runs: Vec<Range<u64>> = list.iter().flat_map(|hash| known.iter().map(|place| place.run(*hash))).collect();
        let count = runs.len();
        // What fails here fails again where rows are read, and is told there.
        let runs = reader.get_byte_ranges(runs).await.ok().filter(|runs| runs.len() == count)?;
        let mut one: Option<Vec<Vec<bool>>> = None;
        for (hash, runs) in list.iter().zip(runs.chunks(known.len())) {
            let chunks = known.iter().zip(runs).map(|(place, run)| place.chunks(run, *hash)).collect();
            one = Some(combined(one, chunks, |a, b| a || b));
        }
        all = Some(combined(all, one?, |a, b| a && b));
        if all.iter().flatten().flatten().all(|holds| !holds) {
            break;
        }
    }
    let mut chunks = all?.into_iter();
    let (mut rows, mut some) = (Vec::new(), 0);
    for place in &places {
        let chunks = if place.is_known() { chunks.next()? } else { Vec::new() };
        let here = place.rows(&chunks);
        some += usize::from(!here.is_empty());
        for range in here {
            join(&mut rows, range);
        }
    }
    Some(Held { rows, groups: (some, places.len() - some) })
}

fn combined(a: Option<Vec<Vec<bool>>>, b: Vec<Vec<bool>>, both: fn(bool, bool) -> bool) -> Vec<Vec<bool>> {
    let Some(a) = a else { return b };
    let pair = |(a, b): (Vec<bool>, Vec<bool>)| a.into_iter().zip(b).map(|(a, b)| both(a, b)).collect();
    a.into_iter().zip(b).map(pair).collect()
}

/// Adds rows past those that are there, as one range with them where they follow at once.
fn join(rows: &mut Vec<Range<u64>>, next: Range<u64>) {
    match rows.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => rows.push(next),
    }
}
