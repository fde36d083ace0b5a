//! A range's tally: the sum of its kept minutes, and spans for what the range cuts, what is not kept yet, and what spans
//! touched since.
//!
//! The answer is that of the spans: a kept minute counts only as long as no span that came after it touches it, be it in
//! a part or in the tail. The one exception is a minute whose spans are gone. Percentiles are exact where all came from
//! spans, else within the bound of the histograms.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::RecordBatch;
use arrow::compute::{max, min};
use datafusion::common::DataFusionError;
use futures::TryStreamExt;
use tracelake_model::column::MINUTE_UNIX_NANO;
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::load::{check_size, spans_and_relatives};
use crate::map::minute::book::{Kept, MINUTE_NS, Page};
use crate::map::minute::row::{Operations, add_edges, add_services, heads, without_operations};
use crate::map::minute::sums::{SUM_NS, Sum, TABLES, Witness, start_of, whole, without};
use crate::map::minute::tally::Tally;
use crate::map::minute::touch::{Ask, touched};
use crate::map::span::Detail;
use crate::sql::view::in_service;
use crate::view::column::int;

/// With more spans than this that the keeper has not looked at, all is computed from spans.
const FRESH_SPANS_MAX: u64 = 1_000_000;

/// What a tally is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want<'a> {
    /// Edges and services.
    Map,
    /// Services alone.
    Services,
    /// The operations of one service.
    Operations(&'a str),
}

/// What happened in a range.
pub(crate) async fn tally(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    want: Want<'_>,
) -> Result<Tally, Error> {
    // In this order: what the page says was written is in the snapshot.
    let page = engine.books().page(tenant);
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let kept = match page {
        Some(page) => kept(engine, &snapshot, &page, range, want).await?,
        None => None,
    };
    let Some((mut tally, pieces)) = kept else {
        return from_spans(engine, &snapshot, range, want, &mut 0).await;
    };
    let mut spans = 0;
    for piece in pieces {
        tally.merge(from_spans(engine, &snapshot, piece, want, &mut spans).await?);
    }
    Ok(tally)
}

/// The same from spans alone.
pub(crate) async fn from_spans(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    range: TimeRange,
    want: Want<'_>,
    held: &mut usize,
) -> Result<Tally, Error> {
    let names = matches!(want, Want::Operations(_));
    let set = spans_and_relatives(engine, snapshot, range, Detail { peers: true, names }).await?;
    *held += set.spans.len();
    check_size(*held)?;
    engine.books().read_spans.fetch_add(1, Ordering::Relaxed);
    let mut tally = off_thread(move || Tally::of(&set, range)).await?;
    if let Want::Operations(service) = want {
        tally.operations.retain(|(of, _), _| of.as_ref() == service);
    }
    Ok(tally)
}

/// The sum of the kept minutes that count, and the pieces of the range that are left; `None` when all must come from
/// spans.
async fn kept(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    page: &Page,
    range: TimeRange,
    want: Want<'_>,
) -> Result<Option<(Tally, Vec<TimeRange>)>, Error> {
    let Some(fresh) = fresh(engine, snapshot, page).await? else { return Ok(None) };
    let asked = Asked::new(range);
    let witness = Witness::new(snapshot);
    let mut known = known(engine, &witness, asked.outer(), want)?;
    let mut rows = Rows::default();
    for range in without(asked.outer(), known.keys().copied()) {
        rows.read(engine, snapshot, range, want).await?;
    }
    let mut heads = newest(&rows.minutes);
    for sum in known.values() {
        heads.extend(sum.heads.iter().map(|(minute, kept)| (*minute, kept.clone())));
    }
    let parts = snapshot.parts(Table::Spans);
    let is_stale = |minute: &i64| {
        let head = heads.get(minute);
        let touched = fresh.contains(minute)
            || page.waiting.get(minute).is_some_and(|waiting| head.is_none_or(|head| head.seen() < waiting.last));
        touched && !head.is_some_and(|head| head.is_frozen(*minute, parts))
    };
    let outer = asked.outer();
    let stale = fresh
        .range(outer.start.0..outer.end.0)
        .chain(page.waiting.range(outer.start.0..outer.end.0).map(|(minute, _)| minute));
    let mut from_spans: BTreeSet<i64> = stale.filter(|minute| is_stale(minute)).copied().collect();
    if let Want::Operations(service) = want {
        let lacking = rows.minutes.iter().flat_map(|batch| without_operations(batch, service));
        let current =
            lacking.filter(|(minute, generation)| heads.get(minute).is_some_and(|head| head.generation == *generation));
        from_spans.extend(current.map(|(minute, _)| minute));
    }
    // A minute that the range cuts is read from its spans, if it has any.
    from_spans.extend(asked.cut().into_iter().filter(|minute| heads.contains_key(minute)));
    let pieces = asked.pieces(&from_spans);
    // Of a half hour with such a minute the others are needed one by one.
    let split: BTreeSet<i64> = from_spans.iter().map(|minute| start_of(*minute)).collect();
    for start in &split {
        if known.remove(start).is_some() {
            let end = UnixNano(start.saturating_add(SUM_NS));
            rows.read(engine, snapshot, TimeRange { start: UnixNano(*start), end }, want).await?;
        }
    }
    engine.books().read_sums.fetch_add(known.len() as u64, Ordering::Relaxed);
    heads.retain(|minute, _| !from_spans.contains(minute));
    engine.books().read_kept.fetch_add(heads.len() as u64, Ordering::Relaxed);
    let is_new = |start: &i64| want == Want::Map && !known.contains_key(start) && !split.contains(start);
    let new: BTreeSet<i64> = whole(asked.outer()).into_iter().filter(is_new).collect();
    let service = if let Want::Operations(service) = want { Some(service.to_owned()) } else { None };
    let (tally, sums) = off_thread(move || {
        let mut tally =
            rows.sum(&heads, service.as_deref(), (i64::MIN, i64::MAX), |minute| !new.contains(&start_of(minute)));
        known.values().for_each(|sum| tally.merge(sum.tally.clone()));
        let sum = |start: i64| Sum {
            heads: heads.range(start..start + SUM_NS).map(|(minute, kept)| (*minute, kept.clone())).collect(),
            tally: rows.sum(&heads, None, (start, start + SUM_NS - 1), |minute| start_of(minute) == start),
        };
        let sums: Vec<(i64, Sum)> = new.iter().map(|start| (*start, sum(*start))).collect();
        sums.iter().for_each(|(_, sum)| tally.merge(sum.tally.clone()));
        (tally, sums)
    })
    .await?;
    sums.into_iter().for_each(|(start, sum)| engine.sums().insert(&witness, start, sum));
    Ok(Some((tally, pieces)))
}

/// Sums of half hours of a range that are remembered and still count.
fn known(
    engine: &Engine,
    witness: &Witness<'_>,
    range: TimeRange,
    want: Want<'_>,
) -> Result<BTreeMap<i64, Arc<Sum>>, Error> {
    if matches!(want, Want::Operations(_)) {
        return Ok(BTreeMap::new());
    }
    // Remembered or not, a table that is out of service is not answered from.
    let needed = if want == Want::Map { &TABLES[..] } else { &[Table::ServiceMinutes] };
    needed.iter().try_for_each(|table| in_service(witness.snapshot(), *table))?;
    let known = |start: i64| Some((start, engine.sums().get(witness, start)?));
    Ok(whole(range).into_iter().filter_map(known).collect())
}

/// Rows of kept minutes.
#[derive(Debug, Default)]
struct Rows {
    minutes: Vec<RecordBatch>,
    edges: Vec<RecordBatch>,
}

impl Rows {
    async fn read(
        &mut self,
        engine: &Engine,
        snapshot: &Arc<Snapshot>,
        range: TimeRange,
        want: Want<'_>,
    ) -> Result<(), Error> {
        self.minutes.extend(rows(engine, snapshot, Table::ServiceMinutes, range).await?);
        if want == Want::Map {
            self.edges.extend(rows(engine, snapshot, Table::ServiceEdges, range).await?);
        }
        Ok(())
    }

    /// What some minutes add up to, each in its generation of `heads`; with the operations of a service, if one is named.
    /// All of them lie between `first` and `last`, so that what does not is passed over a batch at a time.
    fn sum(
        &self,
        heads: &BTreeMap<i64, Kept>,
        service: Option<&str>,
        (first, last): (i64, i64),
        of: impl Fn(i64) -> bool,
    ) -> Tally {
        let wanted = |minute: i64, generation: i64| {
            of(minute) && heads.get(&minute).is_some_and(|head| head.generation == generation)
        };
        let may_hold = |batch: &&RecordBatch| {
            let minutes = int(batch, MINUTE_UNIX_NANO);
            min(minutes).is_some_and(|least| least <= last) && max(minutes).is_some_and(|most| first <= most)
        };
        let operations = service.map_or(Operations::None, Operations::Of);
        let mut tally = Tally::default();
        self.minutes.iter().filter(may_hold).for_each(|batch| add_services(batch, wanted, operations, &mut tally));
        self.edges.iter().filter(may_hold).for_each(|batch| add_edges(batch, wanted, &mut tally));
        tally
    }
}

/// The minutes that spans touch which the keeper has not looked at; `None` when these are too many.
async fn fresh(engine: &Engine, snapshot: &Arc<Snapshot>, page: &Page) -> Result<Option<BTreeSet<i64>>, Error> {
    let parts = snapshot.parts(Table::Spans).iter().filter(|part| part.commits.last > page.seen);
    let spans = parts.map(|part| part.rows).sum::<u64>()
        + snapshot.tail(Table::Spans).iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
    if spans == 0 {
        return Ok(Some(BTreeSet::new()));
    }
    if spans > FRESH_SPANS_MAX {
        return Ok(None);
    }
    let fresh = Arc::new(snapshot.narrowed(Table::Spans, true, |part| part.commits.last > page.seen));
    let before = snapshot.narrowed(Table::Spans, false, |part| part.commits.last <= page.seen);
    let matters = |range: Range<i64>| page.kept.range(range).any(|(minute, _)| !page.waiting.contains_key(minute));
    let ask = Ask { fresh: &fresh, before: &before, matters: &matters, awaited: &page.awaited };
    touched(engine, &ask).await.map(Some)
}

/// The rows of a table of minutes that start in a range.
async fn rows(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    table: Table,
    range: TimeRange,
) -> Result<Vec<RecordBatch>, Error> {
    let stream = engine.rows_at(snapshot, table, Scan { range, ..Scan::default() }).await?;
    stream.try_collect().await.map_err(|fault: DataFusionError| Error::from(fault))
}

/// The newest generation of each minute.
fn newest(batches: &[RecordBatch]) -> BTreeMap<i64, Kept> {
    let mut newest: BTreeMap<i64, Kept> = BTreeMap::new();
    for head in batches.iter().flat_map(heads) {
        if newest.get(&head.start).is_none_or(|known| known.generation < head.generation) {
            newest.insert(head.start, Kept { generation: head.generation, commits: head.commits.into() });
        }
    }
    newest
}

/// A range in minutes.
#[derive(Clone, Copy, Debug)]
struct Asked {
    range: TimeRange,
    /// Start of its first minute.
    first: i64,
    /// End of its last minute.
    last: i64,
}

impl Asked {
    fn new(range: TimeRange) -> Self {
        // Ends that lie further out than any minute count as whole minutes.
        let start = range.start.0.max(i64::MIN + 2 * MINUTE_NS);
        let end = range.end.0.min(i64::MAX - 2 * MINUTE_NS);
        let (first, last) = (UnixNano(start).minute().0, UnixNano(end + MINUTE_NS - 1).minute().0);
        Self { range, first, last: last.max(first) }
    }

    /// All minutes that the range touches.
    fn outer(&self) -> TimeRange {
        TimeRange { start: UnixNano(self.first), end: UnixNano(self.last) }
    }

    /// The minutes of which only a part lies in the range.
    fn cut(&self) -> Vec<i64> {
        let mut cut = Vec::new();
        if self.first < self.range.start.0 {
            cut.push(self.first);
        }
        if self.range.end.0 < self.last {
            cut.push(self.last - MINUTE_NS);
        }
        cut
    }

    /// What lies in the range of some minutes, neighbours together.
    fn pieces(&self, minutes: &BTreeSet<i64>) -> Vec<TimeRange> {
        let mut pieces: Vec<TimeRange> = Vec::new();
        for minute in minutes {
            let start = UnixNano(*minute).max(self.range.start);
            let end = UnixNano(minute.saturating_add(MINUTE_NS)).min(self.range.end);
            match pieces.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start < end => pieces.push(TimeRange { start, end }),
                _ => {}
            }
        }
        pieces
    }
}

/// Sums of many rows must not hold up other answers.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|fault| Error::Engine(DataFusionError::External(fault.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: i64 = MINUTE_NS;

    fn asked(start: i64, end: i64) -> Asked {
        Asked::new(TimeRange { start: UnixNano(start), end: UnixNano(end) })
    }

    #[test]
    fn a_range_is_whole_minutes_and_what_it_cuts() {
        let check = |start: i64, end: i64, outer: (i64, i64), cut: &[i64]| {
            let asked = asked(start, end);
            assert_eq!((asked.outer().start.0, asked.outer().end.0), outer, "{start}..{end}");
            assert_eq!(asked.cut(), cut, "{start}..{end}");
        };
        check(M, 3 * M, (M, 3 * M), &[]);
        check(M + 1, 3 * M, (M, 3 * M), &[M]);
        check(M, 3 * M + 1, (M, 4 * M), &[3 * M]);
        check(M + 1, M + 2, (M, 2 * M), &[M, M]);
        check(-M - 1, 5, (-2 * M, M), &[-2 * M, 0]);
        assert_eq!(Asked::new(TimeRange::ALL).cut(), [0; 0]);
    }

    #[test]
    fn pieces_lie_in_the_range_and_neighbours_are_one() {
        let minutes = |of: &[i64]| of.iter().map(|n| n * M).collect::<BTreeSet<_>>();
        let pieces = |start, end, of: &[i64]| -> Vec<(i64, i64)> {
            asked(start, end).pieces(&minutes(of)).iter().map(|piece| (piece.start.0, piece.end.0)).collect()
        };
        assert_eq!(pieces(0, 9 * M, &[1, 2, 4]), [(M, 3 * M), (4 * M, 5 * M)]);
        assert_eq!(pieces(M + 5, 3 * M + 7, &[1, 2, 3]), [(M + 5, 3 * M + 7)]);
        assert_eq!(pieces(M + 5, M + 7, &[1]), [(M + 5, M + 7)]);
        assert_eq!(pieces(0, M, &[]), []);
    }
}
