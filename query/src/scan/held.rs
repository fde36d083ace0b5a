//! Which rows of a part may hold what is wanted, by its value index.
//!
//! An index only rules out: where there is none, or it cannot be read, every row may. Filters are not kept in memory; of
//! each row group one short run of bytes is read for each value.

use std::collections::HashMap;
use std::ops::Range;

use parquet::arrow::async_reader::AsyncFileReader;
use tracelake_storage::ValuePlace;

use crate::scan::wanted::Wanted;

/// Rows of a part that may hold what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// In order and apart from each other.
    pub(crate) rows: Vec<Range<u64>>,
    /// Row groups of which some rows are among them, and all others.
    pub(crate) groups: (usize, usize),
}

/// Of each row group whose filters are known, of each chunk of it, whether it may hold something.
type Chunks = Vec<Vec<bool>>;

/// Asks the index of a part whose filters lie at `places`; `None` where it rules nothing out.
pub(crate) async fn held(
    reader: &mut Box<dyn AsyncFileReader>,
    places: &[ValuePlace],
    wanted: &Wanted,
) -> Option<Held> {
    let known: Vec<ValuePlace> = places.iter().copied().filter(|place| place.is_known()).collect();
    if wanted.is_empty() || known.is_empty() {
        return None;
    }
    let (mut answers, mut all) = (HashMap::new(), None);
    for list in wanted.lists() {
        let unasked: Vec<u64> = list.iter().copied().filter(|hash| !answers.contains_key(hash)).collect();
        ask(reader, &known, &unasked, &mut answers).await?;
        let one =
            list.iter().filter_map(|hash| answers.get(hash)).cloned().reduce(|a, b| combined(a, b, |a, b| a || b));
        let both = match (all, one?) {
            (None, one) => one,
            (Some(all), one) => combined(all, one, |a, b| a && b),
        };
        let is_over = both.iter().flatten().all(|holds| !holds);
        all = Some(both);
        if is_over {
            break;
        }
    }
    let mut chunks = all?.into_iter();
    let (mut rows, mut some) = (Vec::new(), 0);
    for place in places {
        let chunks = if place.is_known() { chunks.next()? } else { Vec::new() };
        let here = place.rows(&chunks);
        some += usize::from(!here.is_empty());
        for range in here {
            join(&mut rows, range);
        }
    }
    Some(Held { rows, groups: (some, places.len() - some) })
}

/// Learns which chunks may hold some values; `None` when it cannot be learned.
async fn ask(
    reader: &mut Box<dyn AsyncFileReader>,
    known: &[ValuePlace],
    hashes: &[u64],
    answers: &mut HashMap<u64, Chunks>,
) -> Option<()> {
    let runs: Vec<Range<u64>> = hashes.iter().flat_map(|hash| known.iter().map(|place| place.run(*hash))).collect();
    if runs.is_empty() {
        return Some(());
    }
    let count = runs.len();
    // What fails here fails again where rows are read, and is told there.
    let runs = reader.get_byte_ranges(runs).await.ok().filter(|runs| runs.len() == count)?;
    for (hash, runs) in hashes.iter().zip(runs.chunks(known.len())) {
        answers.insert(*hash, known.iter().zip(runs).map(|(place, run)| place.chunks(run, *hash)).collect());
    }
    Some(())
}

fn combined(a: Chunks, b: Chunks, both: fn(bool, bool) -> bool) -> Chunks {
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
