//! What may follow a pipeline: a metrics function with its groups, what is done with the series, and hints.

use crate::traceql::ast::{Aggregate, BinaryOp, FieldExpr, Function, Metric, SeriesStage};
use crate::traceql::cursor::Cursor;
use crate::traceql::literal::Static;
use crate::traceql::parse_field::{fields, filter, negative, number, positive};
use crate::traceql::place::SyntaxError;
use crate::traceql::token::Token;

/// Fields that series may be grouped by.
const GROUPS_MAX: usize = 8;

/// Quantiles of one question.
const QUANTILES_MAX: usize = 16;

/// Values of one attribute that `compare` may be asked for, and series of `topk`.
const TOP_MAX: i64 = 1_000;

/// Values that `compare` shows of an attribute where the query names no number.
const TOP_DEFAULT: usize = 10;

const HINTS_MAX: usize = 16;

const FUNCTIONS: [&str; 9] = [
    "rate",
    "count_over_time",
    "min_over_time",
    "max_over_time",
    "avg_over_time",
    "sum_over_time",
    "quantile_over_time",
    "histogram_over_time",
    "compare",
];

/// Whether a word names a metrics function.
pub(crate) fn is_function(word: &str) -> bool {
    FUNCTIONS.contains(&word)
}

/// A metrics function, from its name on.
pub(crate) fn metric(cursor: &mut Cursor<'_>) -> Result<Metric, SyntaxError> {
    let name = cursor.word().unwrap_or_default().to_owned();
    cursor.bump();
    cursor.expect("(")?;
    let function = match name.as_str() {
        "rate" => Function::Rate,
        "quantile_over_time" => {
            let of = number(cursor)?;
            Function::Quantile { of, quantiles: quantiles(cursor)? }
        }
        "histogram_over_time" => Function::Histogram { of: number(cursor)? },
        "compare" => compare(cursor)?,
        _ => over_time(cursor, &name)?,
    };
    if !cursor.eat(")") {
        return Err(cursor.expected(if matches!(name.as_str(), "rate" | "count_over_time") {
            "`)`: this function takes no argument"
        } else {
            "`)`"
        }));
    }
    let at = cursor.at();
    let by = if cursor.word() == Some("by") {
        cursor.bump();
        fields(cursor, GROUPS_MAX)?
    } else {
        Vec::new()
    };
    if !by.is_empty() && matches!(function, Function::Compare { .. }) {
        return Err(cursor.fault(at, "compare groups by every attribute itself; it takes no `by`"));
    }
    Ok(Metric { function, by })
}

fn over_time(cursor: &mut Cursor<'_>, name: &str) -> Result<Function, SyntaxError> {
    let kind = name.strip_suffix("_over_time").and_then(Aggregate::parse);
    let kind = kind.ok_or_else(|| cursor.expected("a metrics function"))?;
    let of = if kind == Aggregate::Count { None } else { Some(number(cursor)?) };
    Ok(Function::OverTime { kind, of })
}

fn quantiles(cursor: &mut Cursor<'_>) -> Result<Vec<f64>, SyntaxError> {
    let mut found = Vec::new();
    while cursor.eat(",") {
        let at = cursor.at();
        let quantile = positive(cursor)?.ok_or_else(|| cursor.expected("a quantile from 0 to 1, such as .99"))?;
        match quantile.number() {
            Some(number) if (0.0..=1.0).contains(&number) => found.push(number),
            _ => return Err(cursor.fault(at, "a quantile lies between 0 and 1")),
        }
        if found.len() > QUANTILES_MAX {
            return Err(cursor.fault(at, format!("expected at most {QUANTILES_MAX} quantiles")));
        }
    }
    if found.is_empty() { Err(cursor.expected("`,` and a quantile, such as .99")) } else { Ok(found) }
}

fn compare(cursor: &mut Cursor<'_>) -> Result<Function, SyntaxError> {
    let selection: FieldExpr = filter(cursor)?;
    let mut top = TOP_DEFAULT;
    let mut window = None;
    if cursor.eat(",") {
        top = count(cursor, "the number of values to show of an attribute")?;
        if cursor.eat(",") {
            let start = instant(cursor)?;
            if !cursor.eat(",") {
                return Err(cursor.expected("`,` and the end of the selection: both times are given, or neither"));
            }
            let at = cursor.at();
            let end = instant(cursor)?;
            if start >= end {
                return Err(cursor.fault(at, "the end of the selection must lie after its start"));
            }
            window = Some((start, end));
        }
    }
    Ok(Function::Compare { selection, top, window })
}

fn count(cursor: &mut Cursor<'_>, what: &str) -> Result<usize, SyntaxError> {
    let at = cursor.at();
    match positive(cursor)? {
        Some(Static::Int(count)) if (1..=TOP_MAX).contains(&count) => Ok(usize::try_from(count).unwrap_or(TOP_DEFAULT)),
        Some(_) => Err(cursor.fault(at, format!("expected {what}, from 1 to {TOP_MAX}"))),
        None => Err(cursor.expected(what)),
    }
}

fn instant(cursor: &mut Cursor<'_>) -> Result<i64, SyntaxError> {
    let at = cursor.at();
    match positive(cursor)? {
        Some(Static::Int(nanos)) => Ok(nanos),
        Some(_) => Err(cursor.fault(at, "expected a time in Unix nanoseconds")),
        None => Err(cursor.expected("a time in Unix nanoseconds")),
    }
}

/// Comparisons with series, and `| topk(n)`.
pub(crate) fn series(cursor: &mut Cursor<'_>) -> Result<Vec<SeriesStage>, SyntaxError> {
    let mut stages = Vec::new();
    loop {
        if cursor.eat("|") {
            let greatest = match cursor.word() {
                Some("topk") => true,
                Some("bottomk") => false,
                _ => return Err(cursor.expected("`topk` or `bottomk`")),
            };
            cursor.bump();
            cursor.expect("(")?;
            let count = count(cursor, "a number of series")?;
            cursor.expect(")")?;
            stages.push(SeriesStage::Rank { count, greatest });
            continue;
        }
        let Some(op) = cursor.symbol().and_then(BinaryOp::comparison) else { return Ok(stages) };
        let at = cursor.at();
        cursor.count_operator(at)?;
        cursor.bump();
        let value = if cursor.symbol() == Some("-") { negative(cursor)? } else { positive(cursor)? };
        let value = value.ok_or_else(|| cursor.expected("a number"))?;
        // Series of durations are in seconds.
        let scale = if matches!(value, Static::Duration(_)) { 1e9 } else { 1.0 };
        let with = value.number().ok_or_else(|| cursor.expected("a number"))? / scale;
        stages.push(SeriesStage::Compare { op, with });
    }
}

/// `with (name=value, ...)`, if it comes next.
pub(crate) fn hints(cursor: &mut Cursor<'_>) -> Result<Vec<(String, Static)>, SyntaxError> {
    let mut hints = Vec::new();
    if cursor.word() != Some("with") {
        return Ok(hints);
    }
    cursor.bump();
    cursor.expect("(")?;
    loop {
        let name = cursor.word().ok_or_else(|| cursor.expected("the name of a hint"))?.to_owned();
        cursor.bump();
        cursor.expect("=")?;
        hints.push((name, hint_value(cursor)?));
        if hints.len() > HINTS_MAX {
            return Err(cursor.fault(cursor.at(), format!("expected at most {HINTS_MAX} hints")));
        }
        if cursor.eat(",") {
            continue;
        }
        if cursor.eat(")") {
            return Ok(hints);
        }
        return Err(cursor.expected("`,` or `)`"));
    }
}

fn hint_value(cursor: &mut Cursor<'_>) -> Result<Static, SyntaxError> {
    if cursor.symbol() == Some("-")
        && let Some(value) = negative(cursor)?
    {
        return Ok(value);
    }
    if let Some(value) = positive(cursor)? {
        return Ok(value);
    }
    let value = match cursor.peek() {
        Token::Text(text) => Some(Static::text(text)),
        Token::Word(word) => Static::of_word(word),
        _ => None,
    };
    let value = value.ok_or_else(|| cursor.expected("a literal"))?;
    cursor.bump();
    Ok(value)
}
