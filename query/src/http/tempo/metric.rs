//! `GET /tempo/api/metrics/query_range` and `/tempo/api/metrics/query`: series of a query's metrics function.
//!
//! `q`, `start`, `end` or `since` (an hour by default), `step` (a duration; chosen by the range where it is missing),
//! `exemplars` (100 by default). Answers hold labels as OTLP key values, samples with `timestampMs` as text, and `value`.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};
use tracelake_model::{Caller, Table, TraceId};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::reply::{json as json_reply, warn};
use crate::http::tempo::question::Question;
use crate::http::tempo::reply::{TempoReply, key_values};
use crate::traceql::literal::Static;
use crate::traceql::measure::{Ask, answer};
use crate::traceql::series::{Exemplar, Intervals, Series};

/// The range of a question that names none: an hour.
const RANGE_DEFAULT: i64 = 3_600_000_000_000;

const EXEMPLARS_DEFAULT: usize = 100;
const EXEMPLARS_MAX: usize = 10_000;

/// The shortest step, a millisecond: samples are told in milliseconds.
const STEP_MIN: i64 = 1_000_000;

/// Points that a chosen step aims at.
const POINTS_AIM: i64 = 200;

/// Steps that are chosen from, seconds.
const STEPS: [i64; 14] = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 21_600, 86_400];

/// Series over time.
pub(crate) async fn range(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let (series, warnings) = ask(&engine, &caller, query.as_deref(), false).await?;
    shown(&series.iter().map(over_time).collect::<Vec<_>>(), &warnings)
}

/// One value a series.
pub(crate) async fn instant(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> TempoReply {
    let (series, warnings) = ask(&engine, &caller, query.as_deref(), true).await?;
    shown(&series.iter().map(at_once).collect::<Vec<_>>(), &warnings)
}

/// Has the fields of Tempo's message and no other: Grafana reads this answer strictly. What is missing is said as there.
fn shown(series: &[Value], warnings: &[String]) -> TempoReply {
    let mut answer = json!({ "series": series, "metrics": { "completedJobs": 1, "totalJobs": 1 } });
    if !warnings.is_empty() {
        answer["status"] = json!("PARTIAL");
        answer["message"] = warnings.join("; ").into();
    }
    let mut response = json_reply(&answer)?;
    warn(&mut response, warnings);
    Ok(response)
}

async fn ask(
    engine: &Engine,
    caller: &Caller,
    query: Option<&str>,
    instant: bool,
) -> Result<(Vec<Series>, Vec<String>), Error> {
    let question = Question::begin(engine, caller, query)?;
    let query = question.query()?.ok_or_else(|| Error::Invalid("invalid q: a TraceQL query is required".to_owned()))?;
    if query.metric.is_none() {
        let what = "invalid TraceQL query: it makes traces, not series; add a metrics function such as `| rate()`";
        return Err(Error::Invalid(what.to_owned()));
    }
    let range = question.range_or(RANGE_DEFAULT)?;
    let length = range.end.0.checked_sub(range.start.0).ok_or_else(|| {
        Error::Invalid(format!("the range from {} to {} is longer than 292 years", range.start, range.end))
    })?;
    let step = match question.duration("step")? {
        _ if instant => length,
        Some(step) if step < STEP_MIN => return Err(Error::Invalid("invalid step: the least is 1ms".to_owned())),
        Some(step) => step,
        None => chosen_step(length),
    };
    let wanted = !matches!(query.hint("exemplars"), Some(Static::Bool(false)));
    let most = question.number("exemplars", EXEMPLARS_DEFAULT, 0, EXEMPLARS_MAX)?;
    let exemplars = if wanted && !instant { most } else { 0 };
    let series =
        answer(engine, &caller.tenant, Ask { query, intervals: Intervals { range, step, instant }, exemplars });
    let series = series.await?;
    Ok((series, engine.warnings(&caller.tenant, &[Table::Spans], range)))
}

fn chosen_step(length: i64) -> i64 {
    let seconds = length / 1_000_000_000 / POINTS_AIM;
    let step = STEPS.into_iter().find(|step| *step >= seconds);
    step.unwrap_or_else(|| seconds.div_euclid(86_400).saturating_add(1).saturating_mul(86_400)) * 1_000_000_000
}

fn over_time(series: &Series) -> Value {
    let sample = |(at, value): &(i64, f64)| json!({ "timestampMs": millis(*at), "value": number(*value) });
    let mut shown = json!({
        "labels": labels(series),
        "samples": series.samples.iter().map(sample).collect::<Vec<_>>(),
    });
    if !series.exemplars.is_empty() {
        shown["exemplars"] = series.exemplars.iter().map(exemplar).collect();
    }
    shown
}

fn at_once(series: &Series) -> Value {
    let value = series.samples.first().map_or(Value::Null, |(_, value)| number(*value));
    json!({ "labels": labels(series), "value": value })
}

/// An absent value is the text `nil`, as Tempo's labels have it.
fn labels(series: &Series) -> Vec<Value> {
    key_values(series.labels.iter().map(|(key, value)| (key.as_str(), value)))
}

fn exemplar(one: &Exemplar) -> Value {
    let id = Static::text(&TraceId(one.trace).to_string());
    json!({
        "labels": key_values([("trace:id", &id)]),
        "value": number(one.value),
        "timestampMs": millis(one.at),
    })
}

fn millis(nanos: i64) -> String {
    nanos.div_euclid(1_000_000).to_string()
}

/// Protobuf's JSON says infinities and NaN as text.
fn number(value: f64) -> Value {
    if value.is_finite() {
        return json!(value);
    }
    json!(if value.is_nan() { "NaN" } else { ["-Infinity", "Infinity"][usize::from(value > 0.0)] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_range() {
        let check = |minutes: i64, seconds: i64| {
            assert_eq!(chosen_step(minutes * 60_000_000_000), seconds * 1_000_000_000, "{minutes}");
        };
        check(1, 1);
        check(60, 30);
        check(24 * 60, 600);
        check(30 * 24 * 60, 21_600);
        check(3_650 * 24 * 60, 19 * 86_400);
    }
}
