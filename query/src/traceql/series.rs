//! Series over time of measured spans: intervals, cells, functions, and what is done with series. Pure.
//!
//! An interval of a range begins at a multiple of the step and is named by its begin; only spans that start inside the
//! range count, so all intervals together count what a search over the range finds. An instant question has one
//! interval, the range, named by its end. Durations are in seconds.

use std::collections::HashMap;
use std::sync::Arc;

use tracelake_model::TimeRange;

use crate::traceql::ast::{Aggregate, BinaryOp, Function, SeriesStage};
use crate::traceql::literal::Static;

/// How a range is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    pub(crate) range: TimeRange,
    /// Nanoseconds; the whole range where `instant`.
    pub(crate) step: i64,
    pub(crate) instant: bool,
}

impl Intervals {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        if self.instant {
            return 1;
        }
        let length = i128::from(self.range.end.0) - i128::from(self.first());
        usize::try_from((length + i128::from(self.step) - 1) / i128::from(self.step)).unwrap_or(usize::MAX)
    }

    /// The interval of an instant inside the range.
    pub(crate) fn place(&self, at: i64) -> usize {
        if self.instant { 0 } else { usize::try_from((at - self.first()) / self.step).unwrap_or(0) }
    }

    /// The name of an interval, Unix nanoseconds.
    pub(crate) fn at(&self, place: usize) -> i64 {
        if self.instant {
            return self.range.end.0;
        }
        self.first().saturating_add(self.step.saturating_mul(i64::try_from(place).unwrap_or(i64::MAX)))
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of an interval")]
    fn seconds(&self) -> f64 {
        let length = if self.instant { self.range.end.0 - self.range.start.0 } else { self.step };
        length as f64 / 1e9
    }

    fn first(&self) -> i64 {
        self.range.start.0.div_euclid(self.step) * self.step
    }
}

/// One measured span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) trace: [u8; 16],
    pub(crate) start: i64,
    /// Place of its labels.
    pub(crate) group: u32,
    /// What was asked for of it; NaN where nothing was.
    pub(crate) value: f64,
}

/// A span's identity: trace, span, kind and service by its place in [`Measured::services`].
pub(crate) type Identity = ([u8; 16], u64, i8, u32);

/// Measured spans, each once.
pub(crate) struct Measured {
    pub(crate) measures: HashMap<Identity, Measure>,
    /// Numbers of the services.
    pub(crate) services: HashMap<Arc<str>, u32>,
    /// Labels of the groups, by place.
    pub(crate) labels: Vec<Vec<(String, Static)>>,
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) labels: Vec<(String, Static)>,
    /// Unix nanoseconds and values, in order of time.
    pub(crate) samples: Vec<(i64, f64)>,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// A span that stands for others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) trace: [u8; 16],
    pub(crate) at: i64,
    pub(crate) value: f64,
}

#[derive(Clone, Debug)]
struct Cell {
    count: f64,
    sum: f64,
    min: f64,
    max: f64,
    /// Kept where quantiles are asked for.
    values: Vec<f64>,
    exemplar: Exemplar,
}

/// The series of a function over measured spans, by their labels' text. `labels` are those of the groups.
pub(crate) fn series(
    function: &Function,
    intervals: &Intervals,
    labels: &[Vec<(String, Static)>],
    measures: &[Measure],
) -> Vec<Series> {
    let mut cells: HashMap<(u32, usize), Cell> = HashMap::new();
    let keeps_values = matches!(function, Function::Quantile { .. });
    for measure in measures {
        let exemplar = Exemplar { trace: measure.trace, at: measure.start, value: measure.value };
        let cell = cells.entry((measure.group, intervals.place(measure.start))).or_insert_with(|| Cell {
            count: 0.0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            values: Vec::new(),
            exemplar,
        });
        cell.count += 1.0;
        cell.sum += measure.value;
        cell.min = cell.min.min(measure.value);
        cell.max = cell.max.max(measure.value);
        if keeps_values {
            cell.values.push(measure.value);
        }
    }
    cells.values_mut().for_each(|cell| cell.values.sort_by(f64::total_cmp));
    let mut groups: Vec<u32> = cells.keys().map(|(group, _)| *group).collect();
    groups.sort_unstable();
    groups.dedup();
    let quantiles =
        if let Function::Quantile { quantiles, .. } = function { quantiles.as_slice() } else { &[f64::NAN] };
    let mut all = Vec::new();
    for group in groups {
        for quantile in quantiles {
            let mut one = Series { labels: named(function, labels, group), samples: Vec::new(), exemplars: Vec::new() };
            if !quantile.is_nan() {
                one.labels.push(("p".to_owned(), Static::Float(*quantile)));
            }
            for place in 0..intervals.count() {
                let cell = cells.get(&(group, place));
                let Some(value) = sample(function, intervals, cell, *quantile) else { continue };
                one.samples.push((intervals.at(place), value));
                if let Some(cell) = cell {
                    let shown = if cell.exemplar.value.is_nan() { value } else { cell.exemplar.value };
                    one.exemplars.push(Exemplar { value: shown, ..cell.exemplar });
                }
            }
            all.push(one);
        }
    }
    all.sort_by_cached_key(|one| text(&one.labels));
    all
}

/// A group's labels; the function's name where it has none.
fn named(function: &Function, labels: &[Vec<(String, Static)>], group: u32) -> Vec<(String, Static)> {
    let own = usize::try_from(group).ok().and_then(|group| labels.get(group)).cloned().unwrap_or_default();
    let name = match function {
        _ if !own.is_empty() => return own,
        Function::Rate => "rate".to_owned(),
        Function::OverTime { kind, .. } => format!("{}_over_time", kind.name()),
        _ => return own,
    };
    vec![("__name__".to_owned(), Static::text(&name))]
}

/// What a series shows of an interval. Counts are zero where nothing was; all else has no sample there.
fn sample(function: &Function, intervals: &Intervals, cell: Option<&Cell>, quantile: f64) -> Option<f64> {
    let count = cell.map_or(0.0, |cell| cell.count);
    match function {
        Function::Rate => Some(count / intervals.seconds()),
        Function::Histogram { .. } | Function::Compare { .. } | Function::OverTime { kind: Aggregate::Count, .. } => {
            Some(count)
        }
        Function::Quantile { .. } => self::quantile(&cell?.values, quantile),
        Function::OverTime { kind: Aggregate::Min, .. } => Some(cell?.min),
        Function::OverTime { kind: Aggregate::Max, .. } => Some(cell?.max),
        Function::OverTime { kind: Aggregate::Sum, .. } => Some(cell?.sum),
        Function::OverTime { kind: Aggregate::Avg, .. } => Some(cell?.sum / count),
    }
}

/// The value at rank `p·(n-1)` of ascending values, interpolated linearly, as on the service map.
#[expect(clippy::cast_precision_loss, reason = "ranks of fewer than 2^52 values")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rank lies between 0 and the length")]
fn quantile(ascending: &[f64], p: f64) -> Option<f64> {
    let rank = p * ascending.len().checked_sub(1)? as f64;
    let (low, high) = (*ascending.get(rank.floor() as usize)?, *ascending.get(rank.ceil() as usize)?);
    Some(low + (high - low) * (rank - rank.floor()))
}

/// Labels as Prometheus writes them.
pub(crate) fn text(labels: &[(String, Static)]) -> String {
    let pairs = labels.iter().map(|(key, value)| format!("{key}={}", Static::text(&value.plain())));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// Applies the stages behind a function. Series that lose all samples are gone.
pub(crate) fn apply(stages: &[SeriesStage], mut series: Vec<Series>) -> Vec<Series> {
    for stage in stages {
        match stage {
            SeriesStage::Rank { count, greatest } => rank(&mut series, *count, *greatest),
            SeriesStage::Compare { op, with } => {
                for one in &mut series {
                    one.samples.retain(|(_, value)| holds(*op, *value, *with));
                }
            }
        }
        for one in &mut series {
            let (samples, exemplars) = (&one.samples, &mut one.exemplars);
            if samples.is_empty() {
                exemplars.clear();
            }
        }
        series.retain(|one| !one.samples.is_empty());
    }
    series
}

fn holds(op: BinaryOp, value: f64, with: f64) -> bool {
    match op {
        BinaryOp::Equal => value == with,
        BinaryOp::NotEqual => value != with,
        BinaryOp::Less => value < with,
        BinaryOp::LessEqual => value <= with,
        BinaryOp::Greater => value > with,
        _ => value >= with,
    }
}

/// Keeps at each instant the samples of the greatest or smallest series; of equal ones those first by their labels.
fn rank(series: &mut [Series], count: usize, greatest: bool) {
    let mut by_instant: HashMap<i64, Vec<(f64, usize)>> = HashMap::new();
    for (place, one) in series.iter().enumerate() {
        for (at, value) in &one.samples {
            by_instant.entry(*at).or_default().push((*value, place));
        }
    }
    for values in by_instant.values_mut() {
        values.sort_by(|a, b| {
            let order = if greatest { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
            order.then(a.1.cmp(&b.1))
        });
        values.truncate(count);
        values.sort_unstable_by_key(|(_, place)| *place);
    }
    for (place, one) in series.iter_mut().enumerate() {
        let is_kept = |at: &i64| by_instant[at].binary_search_by_key(&place, |(_, place)| *place).is_ok();
        one.samples.retain(|(at, _)| is_kept(at));
    }
}

/// At most `most` exemplars of all series together, spread over them.
pub(crate) fn thin(series: &mut [Series], most: usize) {
    let total: usize = series.iter().map(|one| one.exemplars.len()).sum();
    if total <= most {
        return;
    }
    let keep_every = total.div_ceil(most.max(1));
    let mut seen = 0;
    for one in series {
        one.exemplars.retain(|_| {
            seen += 1;
            most > 0 && (seen - 1) % keep_every == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracelake_model::UnixNano;

    fn intervals(start: i64, end: i64, step: i64) -> Intervals {
        Intervals { range: TimeRange { start: UnixNano(start), end: UnixNano(end) }, step, instant: false }
    }

    #[test]
    fn intervals_begin_at_multiples_of_the_step_and_cover_the_range() {
        let cut = intervals(25, 61, 10);
        assert_eq!((cut.count(), cut.at(0), cut.at(4)), (5, 20, 60));
        assert_eq!((cut.place(25), cut.place(29), cut.place(30), cut.place(60)), (0, 0, 1, 4));
        assert_eq!(intervals(20, 60, 10).count(), 4);
        assert_eq!(intervals(-25, 5, 10).at(0), -30);
    }

    #[test]
    fn ranks_are_taken_at_each_instant() {
        let one = |name: &str, values: [f64; 2]| Series {
            labels: vec![("n".to_owned(), Static::text(name))],
            samples: vec![(0, values[0]), (1, values[1])],
            exemplars: Vec::new(),
        };
        let all = vec![one("a", [1.0, 5.0]), one("b", [2.0, 2.0]), one("c", [2.0, 1.0])];
        let top = apply(&[SeriesStage::Rank { count: 1, greatest: true }], all.clone());
        assert_eq!(top.iter().map(|one| one.samples.clone()).collect::<Vec<_>>(), [vec![(1, 5.0)], vec![(0, 2.0)]]);
        let low = apply(&[SeriesStage::Rank { count: 1, greatest: false }], all.clone());
        assert_eq!(low.iter().map(|one| one.samples.clone()).collect::<Vec<_>>(), [vec![(0, 1.0)], vec![(1, 1.0)]]);
        let great = apply(&[SeriesStage::Compare { op: BinaryOp::Greater, with: 2.0 }], all);
        assert_eq!(great.len(), 1);
    }

    #[test]
    fn exemplars_are_thinned_to_their_number() {
        let exemplar = Exemplar { trace: [1; 16], at: 0, value: 1.0 };
        let mut all = vec![Series { labels: Vec::new(), samples: Vec::new(), exemplars: vec![exemplar; 10] }; 3];
        thin(&mut all, 7);
        assert!((4..=7).contains(&all.iter().map(|one| one.exemplars.len()).sum::<usize>()));
        thin(&mut all, 0);
        assert!(all.iter().all(|one| one.exemplars.is_empty()));
    }
}
