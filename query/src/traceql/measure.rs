//! Metrics queries: the spans of a pipeline's answer that start in the range, measured, each once.
//!
//! Where single rows decide, rows are read once in the order they were stored and the last row of a span counts. Where
//! the whole trace decides, traces are read whole as a search does. Bounded by spans, groups and points.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use tracelake_model::{Table, TenantId, UnixNano};
use tracelake_storage::Snapshot;

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::traceql::ast::{FieldExpr, Function, Query};
use crate::traceql::compare;
use crate::traceql::field::Field;
use crate::traceql::literal::Static;
use crate::traceql::load::{SpanReader, candidates, traces};
use crate::traceql::plan::{Plan, single_condition};
use crate::traceql::series::{Identity, Intervals, Measure, Measured, Series, apply, series, thin};
use crate::traceql::slot::{Eval, SERVICE, Slots};
use crate::traceql::tree::{Span, Trace};
use crate::traceql::work::off_thread;

/// Spans that one question measures.
const SPANS_MAX: usize = 3_000_000;

/// Traces that one question reads whole, and how many at a time.
const TRACES_MAX: usize = 1_000_000;
const CHUNK: usize = 500;

/// Distinct labels before series are ranked.
const GROUPS_MAX: usize = 100_000;

/// Series of an answer.
pub(crate) const SERIES_MAX: usize = 1_000;

/// Points of one series, and of all before they are ranked.
pub(crate) const POINTS_MAX: usize = 11_000;
const CELLS_MAX: usize = 5_000_000;

/// A question.
#[derive(Debug)]
pub(crate) struct Ask {
    /// With a metrics function.
    pub(crate) query: Query,
    pub(crate) intervals: Intervals,
    /// Exemplars of all series together.
    pub(crate) exemplars: usize,
}

/// The series of a metrics query.
pub(crate) async fn answer(engine: &Engine, tenant: &TenantId, ask: Ask) -> Result<Vec<Series>, Error> {
    let points = ask.intervals.count();
    if points > POINTS_MAX {
        let what = format!("the range holds {points} steps, {POINTS_MAX} are the limit; choose a longer step");
        return Err(Error::Invalid(what));
    }
    let Some(metric) = ask.query.metric.clone() else {
        return Err(Error::Invalid("the query has no metrics function, such as `| rate()`".to_owned()));
    };
    let snapshot = Arc::new(engine.store().snapshot(tenant));
    let measured = measure(engine, &snapshot, &ask).await?;
    if let Function::Compare { top, .. } = &metric.function {
        return compare::series(engine, &snapshot, &ask.intervals, measured, *top).await;
    }
    let groups = measured.labels.len().max(1);
    if groups.saturating_mul(points) > CELLS_MAX {
        return Err(Error::Invalid(format!(
            "the query makes {groups} series of {points} points; choose fewer fields in `by` or a longer step"
        )));
    }
    let work = move || {
        let measures: Vec<Measure> = in_order(measured.measures);
        let found = series(&metric.function, &ask.intervals, &measured.labels, &measures);
        let mut found = apply(&ask.query.series, found);
        thin(&mut found, ask.exemplars);
        found
    };
    let found = off_thread(work).await?;
    if found.len() > SERIES_MAX {
        let count = found.len();
        return Err(Error::Invalid(format!(
            "the query makes {count} series, {SERIES_MAX} are the limit; choose fewer fields in `by`, or add `| topk(10)`"
        )));
    }
    Ok(found)
}

/// Sums of doubles depend on their order, so it is that of the spans' starts and ids.
fn in_order(measures: HashMap<Identity, Measure>) -> Vec<Measure> {
    let mut all: Vec<(Identity, Measure)> = measures.into_iter().collect();
    all.sort_unstable_by_key(|(identity, measure)| (measure.start, *identity));
    all.into_iter().map(|(_, measure)| measure).collect()
}

async fn measure(engine: &Engine, snapshot: &Arc<Snapshot>, ask: &Ask) -> Result<Measured, Error> {
    let fields = fields(&ask.query);
    let Some(mut rows) = single_condition(&ask.query.pipeline, &fields) else {
        return whole(engine, snapshot, ask).await;
    };
    let (mut meter, mut reader) = (Meter::new(ask, &mut rows.slots), SpanReader::new());
    let scan = Scan {
        columns: rows.columns(),
        filter: rows.filter.clone(),
        range: ask.intervals.range,
        as_stored: true,
        ..Scan::default()
    };
    let mut stream = engine.rows_at(snapshot, Table::Spans, scan).await?;
    let rows = Arc::new(rows);
    while let Some(batch) = stream.try_next().await? {
        let rows = Arc::clone(&rows);
        let work = move || {
            let mut outcome = Ok(());
            reader.read(&batch, &rows.slots, |trace, span| {
                let counts = rows.test.as_ref().is_none_or(|test| test.holds(&span.values));
                if outcome.is_ok() {
                    outcome = meter.see(trace, &span, counts);
                }
            });
            outcome.map(|()| (meter, reader))
        };
        (meter, reader) = off_thread(work).await??;
    }
    Ok(meter.measured)
}

/// Reads whole traces.
async fn whole(engine: &Engine, snapshot: &Arc<Snapshot>, ask: &Ask) -> Result<Measured, Error> {
    let mut plan = Plan::new(&ask.query.pipeline);
    let mut meter = Meter::new(ask, &mut plan.slots);
    let plan = Arc::new(plan);
    let mut ids: HashSet<[u8; 16]> = HashSet::new();
    candidates(engine, snapshot, &plan, ask.intervals.range, |trace, _| {
        if ids.len() <= TRACES_MAX {
            ids.insert(trace);
        }
    })
    .await?;
    if ids.len() > TRACES_MAX {
        let what =
            format!("the query had to read more than {TRACES_MAX} whole traces; narrow its range or its filters");
        return Err(Error::TooLarge(what));
    }
    let ids: Vec<[u8; 16]> = ids.into_iter().collect();
    for chunk in ids.chunks(CHUNK) {
        let traces = traces(engine, snapshot, &plan, chunk).await?;
        let plan = Arc::clone(&plan);
        let work = move || {
            let seen: Result<(), Error> = traces.iter().try_for_each(|trace| meter.see_trace(&plan, trace));
            seen.map(|()| meter)
        };
        meter = off_thread(work).await??;
    }
    Ok(meter.measured)
}

/// The fields that a metrics function and its groups read.
fn fields(query: &Query) -> Vec<Field> {
    let Some(metric) = &query.metric else { return Vec::new() };
    let mut slots = Slots::empty();
    match &metric.function {
        Function::OverTime { of: Some(of), .. }
        | Function::Quantile { of, .. }
        | Function::Histogram { of }
        | Function::Compare { selection: of, .. } => {
            Eval::new(of, &mut slots);
        }
        _ => {}
    }
    metric.by.iter().cloned().chain(slots.fields().iter().cloned()).collect()
}

/// Measures spans.
struct Meter {
    intervals: Intervals,
    measured: Measured,
    groups: HashMap<String, u32>,
    by: Vec<(String, usize)>,
    of: Option<Eval>,
    what: What,
}

/// What a measure's value and labels are besides the groups.
#[derive(Clone, Copy)]
enum What {
    Count,
    Number,
    Bucket,
    Selection(Option<(i64, i64)>),
}

impl Meter {
    fn new(ask: &Ask, slots: &mut Slots) -> Self {
        let metric = ask.query.metric.as_ref();
        let by = metric.map(|metric| metric.by.as_slice()).unwrap_or_default();
        let by = by.iter().map(|field| (field.to_string(), slots.place(field))).collect();
        let mut eval = |of: &FieldExpr| Some(Eval::new(of, slots));
        let (of, what) = match metric.map(|metric| &metric.function) {
            Some(Function::OverTime { of: Some(of), .. } | Function::Quantile { of, .. }) => (eval(of), What::Number),
            Some(Function::Histogram { of }) => (eval(of), What::Bucket),
            Some(Function::Compare { selection, window, .. }) => (eval(selection), What::Selection(*window)),
            _ => (None, What::Count),
        };
        let measured = Measured { measures: HashMap::new(), services: HashMap::new(), labels: Vec::new() };
        Self { intervals: ask.intervals, measured, groups: HashMap::new(), by, of, what }
    }

    fn see_trace(&mut self, plan: &Plan, trace: &Trace) -> Result<(), Error> {
        let sets = plan.program.run(trace);
        let mut places: Vec<usize> = sets.into_iter().flat_map(|set| set.spans).collect();
        places.sort_unstable();
        places.dedup();
        for at in places {
            let span = &trace.spans[at];
            if self.intervals.range.contains(UnixNano(span.start)) {
                self.see(trace.id, span, true)?;
            }
        }
        Ok(())
    }

    /// Takes in a row of a span, which replaces what earlier rows of it said.
    fn see(&mut self, trace: [u8; 16], span: &Span, counts: bool) -> Result<(), Error> {
        let service = self.service(&span.values[SERVICE]);
        let identity = (trace, span.link.span, span.link.kind, service);
        let measure = if counts { self.measure(trace, span)? } else { None };
        match measure {
            Some(measure) => {
                self.measured.measures.insert(identity, measure);
                if self.measured.measures.len() > SPANS_MAX {
                    return Err(Error::TooLarge(format!(
                        "the query measures more than {SPANS_MAX} spans; narrow its range or its filters"
                    )));
                }
            }
            None => {
                self.measured.measures.remove(&identity);
            }
        }
        Ok(())
    }

    fn service(&mut self, name: &Static) -> u32 {
        let Static::Text(name) = name else { return u32::MAX };
        if let Some(place) = self.measured.services.get(name) {
            return *place;
        }
        let place = u32::try_from(self.measured.services.len()).unwrap_or(u32::MAX);
        self.measured.services.insert(Arc::clone(name), place);
        place
    }

    /// None for a span without the number that is asked for.
    fn measure(&mut self, trace: [u8; 16], span: &Span) -> Result<Option<Measure>, Error> {
        let value = self.of.as_ref().map(|of| of.value(&span.values).into_owned());
        let number = value.as_ref().and_then(in_seconds);
        let mut labels: Vec<(String, Static)> =
            self.by.iter().map(|(name, place)| (name.clone(), span.values[*place].clone())).collect();
        let value = match (self.what, number) {
            (What::Count, _) => f64::NAN,
            (What::Number, Some(number)) => number,
            (What::Bucket, Some(_)) => {
                let (bucket, number) = bucket(value.as_ref());
                labels.push(("__bucket".to_owned(), Static::Float(bucket)));
                number
            }
            (What::Number | What::Bucket, None) => return Ok(None),
            (What::Selection(window), _) => {
                let inside = window.is_none_or(|(start, end)| (start..end).contains(&span.start));
                f64::from(u8::from(inside && value == Some(Static::Bool(true))))
            }
        };
        let group = self.group(labels)?;
        Ok(Some(Measure { trace, start: span.start, group, value }))
    }

    fn group(&mut self, labels: Vec<(String, Static)>) -> Result<u32, Error> {
        let key = crate::traceql::series::text(&labels);
        if let Some(place) = self.groups.get(&key) {
            return Ok(*place);
        }
        if self.groups.len() >= GROUPS_MAX {
            let what = format!("the query makes more than {GROUPS_MAX} groups; choose fewer fields in `by`");
            return Err(Error::Invalid(what));
        }
        let place = u32::try_from(self.groups.len()).unwrap_or(u32::MAX);
        self.groups.insert(key, place);
        self.measured.labels.push(labels);
        Ok(place)
    }
}

/// A number as series show it: durations in seconds.
fn in_seconds(value: &Static) -> Option<f64> {
    let number = value.number().filter(|number| !number.is_nan())?;
    Some(if matches!(value, Static::Duration(_)) { number / 1e9 } else { number })
}

/// The upper bound of a number's bucket, a power of two (of nanoseconds for durations), and the number; both as shown.
fn bucket(value: Option<&Static>) -> (f64, f64) {
    let number = value.and_then(Static::number).unwrap_or_default();
    let scale = if matches!(value, Some(Static::Duration(_))) { 1e9 } else { 1.0 };
    let bound = if number > 0.0 { number.log2().ceil().exp2() } else { 0.0 };
    // Logarithms of powers of two may be off by a hair.
    let bound = if bound / 2.0 >= number && number > 0.0 { bound / 2.0 } else { bound };
    (bound / scale, number / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_at_powers_of_two() {
        let check = |value: Static, bound: f64| assert_eq!(bucket(Some(&value)).0, bound, "{value}");
        check(Static::Int(1), 1.0);
        check(Static::Int(5), 8.0);
        check(Static::Int(8), 8.0);
        check(Static::Int(0), 0.0);
        check(Static::Float(0.3), 0.5);
        check(Static::Duration(1 << 30), f64::from(1 << 30) / 1e9);
        check(Static::Duration((1 << 30) + 1), f64::from(1_u32 << 31) / 1e9);
    }
}
