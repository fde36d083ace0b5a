//! Which minutes new spans change: those in which they start, those of their relatives that were stored before, and those
//! with links to their traces that led nowhere.
//!
//! A new parent gives the calls below it another caller, wherever they are in time; a new child shows that a span was
//! answered; a span that is stored again takes the place of its former self. Relatives are found by the trace index, and
//! looked for only where minutes are kept that nothing else touches: some traces at a time, however many are new.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use futures::TryStreamExt;
use tracelake_model::column::{DURATION_NS, PARENT_SPAN_ID, SPAN_ID, START_UNIX_NANO, TRACE_ID};
use tracelake_model::{Table, UnixNano};
use tracelake_storage::{Part, Snapshot};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::minute::book::Awaited;
use crate::map::minute::spill::trace_hash;
use crate::map::near::is_near;
use crate::map::parent::span_number;
use crate::view::column::{binary, bytes_at, int};

const COLUMNS: [&str; 5] = [TRACE_ID, SPAN_ID, PARENT_SPAN_ID, START_UNIX_NANO, DURATION_NS];

/// What is known of a span here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    trace: [u8; 16],
    span: u64,
    parent: u64,
    start: i64,
    end: i64,
}

/// What is asked: where the new spans are, and which minutes matter.
pub(crate) struct Ask<'a> {
    /// Holds the new spans alone, or more.
    pub(crate) fresh: &'a Arc<Snapshot>,
    /// Holds the spans that were stored before: parts alone.
    pub(crate) before: &'a Snapshot,
    /// Whether any of the minutes that start in a range are kept and not known to be touched.
    pub(crate) matters: &'a (dyn Fn(Range<i64>) -> bool + Sync),
    /// Traces that kept minutes await.
    pub(crate) awaited: &'a Awaited,
}

/// How much is held in memory.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Traces that are looked for at once.
    traces: usize,
    /// Spans of these that were stored before, and new ones.
    rows: usize,
}

/// Together about 10 MB.
const BOUNDS: Bounds = Bounds { traces: 16_384, rows: 65_536 };

/// The minutes (their starts, Unix nanoseconds) that new spans touch. Of traces with very many spans all minutes count as
/// touched.
pub(crate) async fn touched(engine: &Engine, ask: &Ask<'_>) -> Result<BTreeSet<i64>, Error> {
    touched_within(engine, ask, BOUNDS).await
}

async fn touched_within(engine: &Engine, ask: &Ask<'_>, bounds: Bounds) -> Result<BTreeSet<i64>, Error> {
    let far = |part: &Part| (ask.matters)(part.time_min.minute().0..part.time_max.0.saturating_add(1));
    let before = Arc::new(ask.before.narrowed(Table::Spans, false, far));
    let relatives = !before.parts(Table::Spans).is_empty();
    let with_traces = relatives || !ask.awaited.is_empty();
    let columns = if with_traces { vec![TRACE_ID, START_UNIX_NANO] } else { vec![START_UNIX_NANO] };
    let (mut minutes, mut traces) = (BTreeSet::new(), BTreeSet::new());
    let mut stream = engine.rows_at(ask.fresh, Table::Spans, Scan { columns, ..Scan::default() }).await?;
    while let Some(batch) = stream.try_next().await? {
        note_minutes(&batch, &mut minutes);
        if relatives {
            note_traces(&batch, &mut traces);
        }
        if !ask.awaited.is_empty() {
            let ids = binary(&batch, TRACE_ID).iter().flatten().filter_map(|id| id.try_into().ok());
            minutes.extend(ids.flat_map(|id: &[u8; 16]| ask.awaited.by(trace_hash(id))));
        }
        // A batch has fewer traces than are looked for at once.
        if traces.len() >= bounds.traces {
            note_relatives(engine, ask.fresh, &before, (std::mem::take(&mut traces), bounds), &mut minutes).await?;
        }
    }
    if !traces.is_empty() {
        note_relatives(engine, ask.fresh, &before, (traces, bounds), &mut minutes).await?;
    }
    Ok(minutes)
}

/// The minutes of spans stored before that new ones of some traces touch.
async fn note_relatives(
    engine: &Engine,
    fresh: &Arc<Snapshot>,
    before: &Arc<Snapshot>,
    (traces, bounds): (BTreeSet<Vec<u8>>, Bounds),
    minutes: &mut BTreeSet<i64>,
) -> Result<(), Error> {
    let Some(stored) = rows_of(engine, before, traces, bounds, minutes).await? else { return Ok(()) };
    if stored.is_empty() {
        return Ok(());
    }
    let traces = stored.chunk_by(|a, b| a.trace == b.trace).map(|rows| rows[0].trace.to_vec()).collect();
    let Some(fresh) = rows_of(engine, fresh, traces, bounds, &mut BTreeSet::new()).await? else {
        minutes.extend(stored.iter().map(minute_of));
        return Ok(());
    };
    let by_trace: HashMap<[u8; 16], &[Row]> =
        fresh.chunk_by(|a, b| a.trace == b.trace).map(|rows| (rows[0].trace, rows)).collect();
    for stored in stored.chunk_by(|a, b| a.trace == b.trace) {
        if let Some(fresh) = by_trace.get(&stored[0].trace) {
            touch(stored, fresh, minutes);
        }
    }
    Ok(())
}

/// The rows of some traces in order; `None` where there are too many: then the minutes of all are noted.
async fn rows_of(
    engine: &Engine,
    snapshot: &Arc<Snapshot>,
    traces: BTreeSet<Vec<u8>>,
    bounds: Bounds,
    minutes: &mut BTreeSet<i64>,
) -> Result<Option<Vec<Row>>, Error> {
    let (mut rows, mut fits) = (Vec::new(), true);
    let mut stream = engine.rows_of_traces(snapshot, Table::Spans, traces, &COLUMNS).await?;
    while let Some(batch) = stream.try_next().await? {
        if fits {
            push(&batch, &mut rows);
            fits = rows.len() <= bounds.rows;
        } else {
            note_minutes(&batch, minutes);
        }
        if !fits {
            minutes.extend(rows.drain(..).map(|row| minute_of(&row)));
        }
    }
    rows.sort_unstable();
    Ok(fits.then_some(rows))
}

/// The minutes of stored spans of one trace that new ones of it touch.
fn touch(stored: &[Row], fresh: &[Row], minutes: &mut BTreeSet<i64>) {
    let mut changed: HashSet<u64> = fresh.iter().map(|row| row.span).collect();
    let mut mark = |row: &Row| {
        minutes.insert(minute_of(row));
    };
    stored.iter().filter(|row| changed.contains(&row.span)).for_each(&mut mark);
    // What stands below a changed span may lead past it to another caller.
    let mut below: HashMap<u64, Vec<&Row>> = HashMap::new();
    stored.iter().filter(|row| row.parent != 0).for_each(|row| below.entry(row.parent).or_default().push(row));
    let mut next: Vec<u64> = changed.iter().copied().collect();
    while let Some(span) = next.pop() {
        for row in below.remove(&span).unwrap_or_default() {
            mark(row);
            if changed.insert(row.span) {
                next.push(row.span);
            }
        }
    }
    // What stands above is answered, as far as one follows the other.
    let mut above: HashMap<u64, Vec<&Row>> = HashMap::new();
    stored.iter().for_each(|row| above.entry(row.span).or_default().push(row));
    let mut next: Vec<(u64, i64)> = fresh.iter().map(|row| (row.parent, row.start)).collect();
    let mut seen: HashSet<(u64, i64)> = HashSet::new();
    while let Some((parent, start)) = next.pop() {
        let rows = above.get(&parent).into_iter().flatten();
        for row in rows.filter(|row| is_near(start, row.start, row.end)) {
            mark(row);
            if seen.insert((row.span, row.start)) {
                next.push((row.parent, row.start));
            }
        }
    }
}

fn minute_of(row: &Row) -> i64 {
    UnixNano(row.start).minute().0
}

fn note_minutes(batch: &RecordBatch, minutes: &mut BTreeSet<i64>) {
    let mut last = None;
    for start in int(batch, START_UNIX_NANO).values() {
        let minute = UnixNano(*start).minute().0;
        if last != Some(minute) {
            minutes.insert(minute);
            last = Some(minute);
        }
    }
}

fn note_traces(batch: &RecordBatch, traces: &mut BTreeSet<Vec<u8>>) {
    for trace in binary(batch, TRACE_ID).iter().flatten() {
        if !traces.contains(trace) {
            traces.insert(trace.to_vec());
        }
    }
}

fn push(batch: &RecordBatch, rows: &mut Vec<Row>) {
    let (trace, span, parent) = (binary(batch, TRACE_ID), binary(batch, SPAN_ID), binary(batch, PARENT_SPAN_ID));
    let (start, duration) = (int(batch, START_UNIX_NANO), int(batch, DURATION_NS));
    rows.reserve(trace.len());
    for row in 0..batch.num_rows() {
        let Ok(trace) = <[u8; 16]>::try_from(trace.value(row)) else { continue };
        rows.push(Row {
            trace,
            span: span_number(span.value(row)),
            parent: bytes_at(parent, row).map_or(0, span_number),
            start: start.value(row),
            end: start.value(row).saturating_add(duration.value(row)),
        });
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    use serde_json::{Value, json};
    use tracelake_model::TenantId;

    use super::*;
    use crate::fixture::{House, NOW};

    const MINUTE: i64 = 60_000_000_000;

    /// Span, parent, minute of its start, minutes that it runs.
    fn row((span, parent, minute, runs): (u64, u64, i64, i64)) -> Row {
        Row { trace: [1; 16], span, parent, start: minute * MINUTE, end: (minute + runs) * MINUTE }
    }

    fn check(stored: &[(u64, u64, i64, i64)], fresh: &[(u64, u64, i64, i64)], expected: &[i64]) {
        let rows = |rows: &[(u64, u64, i64, i64)]| rows.iter().copied().map(row).collect::<Vec<_>>();
        let mut minutes = BTreeSet::new();
        touch(&rows(stored), &rows(fresh), &mut minutes);
        let found: Vec<i64> = minutes.into_iter().map(|minute| minute / MINUTE).collect();
        assert_eq!(found, expected, "{stored:?}, then {fresh:?}");
    }

    /// Traces of a few spans, some an hour apart.
    fn made(random: &mut StdRng) -> Vec<Value> {
        let span = |trace: u64, span: u64, random: &mut StdRng| {
            let parent = random.random_range(0..span);
            let mut row = json!({
                "trace_id": format!("{trace:032x}"),
                "span_id": format!("{span:016x}"),
                "start_unix_nano": NOW.0 - random.random_range(0..90) * MINUTE,
                "duration_ns": random.random_range(0..MINUTE),
            });
            if parent > 0 {
                row["parent_span_id"] = json!(format!("{parent:016x}"));
            }
            row
        };
        (0..200).map(|_| span(random.random_range(1..60), random.random_range(1..9), random)).collect()
    }

    #[tokio::test]
    async fn new_spans_touch_the_same_minutes_some_traces_at_a_time_and_at_least_those_where_there_are_too_many() {
        for seed in 0..5 {
            let mut random = StdRng::seed_from_u64(seed);
            let house = House::new();
            for _ in 0..6 {
                house.append(Table::Spans, &made(&mut random)).await;
                house.flush().await;
            }
            let snapshot = house.store.snapshot(&TenantId::default());
            let middle = snapshot.parts(Table::Spans)[3].commits.first;
            let fresh = Arc::new(snapshot.narrowed(Table::Spans, false, |part| part.commits.last >= middle));
            let before = snapshot.narrowed(Table::Spans, false, |part| part.commits.last < middle);
            let ask = Ask { fresh: &fresh, before: &before, matters: &|_| true, awaited: &Awaited::default() };
            let whole = touched(&house.engine, &ask).await.expect("minutes");
            let within = async |traces, rows| {
                touched_within(&house.engine, &ask, Bounds { traces, rows }).await.expect("minutes")
            };
            assert_eq!(within(1, usize::MAX).await, whole, "seed {seed}");
            for rows in [0, 50, 300] {
                assert!(within(1, rows).await.is_superset(&whole), "seed {seed}, {rows} rows");
            }
            let alone = touched(&house.engine, &Ask { matters: &|_| false, ..ask }).await.expect("minutes");
            assert!(alone.is_subset(&whole) && !before.parts(Table::Spans).is_empty(), "seed {seed}");
        }
    }

    #[test]
    fn relatives_of_new_spans_are_touched_and_no_others() {
        // A late parent: its children and what stands below them.
        check(&[(3, 2, 7, 0), (4, 3, 9, 0), (5, 1, 8, 0)], &[(2, 1, 20, 0)], &[7, 9]);
        check(&[(4, 3, 9, 0), (3, 2, 7, 0)], &[(2, 1, 20, 0)], &[7, 9]);
        // A late child, while its parent ran and long after.
        check(&[(1, 0, 5, 1)], &[(2, 1, 6, 0)], &[5]);
        check(&[(1, 0, 5, 1)], &[(2, 1, 8, 0)], &[]);
        check(&[(1, 0, 5, 1), (2, 1, 5, 1)], &[(3, 2, 6, 0)], &[5]);
        check(&[(1, 0, 1, 1), (2, 1, 5, 1)], &[(3, 2, 6, 0)], &[5]);
        // The same span again, elsewhere.
        check(&[(1, 0, 5, 0)], &[(1, 0, 9, 0)], &[5]);
        check(&[(1, 0, 5, 0), (2, 1, 6, 0)], &[(9, 0, 5, 0)], &[]);
        // Spans that name each other end.
        check(&[(1, 2, 5, 0), (2, 1, 6, 0)], &[(3, 2, 6, 0)], &[6]);
    }
}
