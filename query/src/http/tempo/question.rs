//! Parameters as Tempo takes them: times in seconds (or nanoseconds, or RFC 3339), Go durations, numbers.
//!
//! Names that are not known are left aside, as Tempo does: data sources and proxies add their own.

use tracelake_model::{Caller, TimeRange, UnixNano};

use crate::engine::Engine;
use crate::error::Error;
use crate::http::reply::may_read;
use crate::traceql::ast::Query;
use crate::traceql::parse::parse;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Question {
    pairs: Vec<(String, String)>,
    pub(crate) now: UnixNano,
}

impl Question {
    /// Checks the permission and takes the parameters apart.
    pub(crate) fn begin(engine: &Engine, caller: &Caller, query: Option<&str>) -> Result<Self, Error> {
        may_read(caller)?;
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        Ok(Self { pairs, now: engine.clock().now() })
    }

    /// The last value of a parameter; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn number(&self, name: &str, default: usize, least: usize, most: usize) -> Result<usize, Error> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse::<usize>().ok().filter(|number| (least..=most).contains(number));
        number
            .ok_or_else(|| Error::Invalid(format!("invalid {name}: {text:?} must be a number from {least} to {most}")))
    }

    /// A point in time.
    fn instant(&self, name: &str) -> Result<Option<UnixNano>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = instant(text, self.now);
        let fault = || format!("invalid {name}: {text:?} is no time; use Unix seconds, Unix nanoseconds or RFC 3339");
        found.map(Some).ok_or_else(|| Error::Invalid(fault()))
    }

    /// `start` and `end`; where one is missing that side is open.
    pub(crate) fn range(&self) -> Result<TimeRange, Error> {
        let start = self.instant("start")?.unwrap_or(TimeRange::ALL.start);
        ordered(start, self.instant("end")?.unwrap_or(TimeRange::ALL.end))
    }

    /// `start` and `end`, or `since` before now; the nanoseconds `default` before the end where nothing says the start.
    pub(crate) fn range_or(&self, default: i64) -> Result<TimeRange, Error> {
        let end = self.instant("end")?.unwrap_or(UnixNano(self.now.0.saturating_add(1)));
        let length = self.duration("since")?.unwrap_or(default);
        ordered(self.instant("start")?.unwrap_or(UnixNano(end.0.saturating_sub(length))), end)
    }

    /// A duration such as `1h30m`, in nanoseconds.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let fault = || Error::Invalid(format!("invalid {name}: {text:?} is no duration, such as 100ms, 1.5s or 1h30m"));
        go_duration(text).map(Some).ok_or_else(fault)
    }

    /// The query `q`, if there is one; the error points at the place.
    pub(crate) fn query(&self) -> Result<Option<Query>, Error> {
        let fault = |error| Error::Invalid(format!("invalid TraceQL query: {error}"));
        self.text("q").map(|query| parse(query).map_err(fault)).transpose()
    }
}

fn ordered(start: UnixNano, end: UnixNano) -> Result<TimeRange, Error> {
    if start < end {
        return Ok(TimeRange { start, end });
    }
    Err(Error::Invalid(format!("start must be before end; received start={start} end={end}")))
}

/// Whole numbers below 10^11 are seconds, from 10^17 on nanoseconds; between lies nothing that anybody means.
fn instant(text: &str, now: UnixNano) -> Option<UnixNano> {
    const SECONDS_END: u64 = 100_000_000_000;
    const NANOS_BEGIN: u64 = 100_000_000_000_000_000;
    if let Ok(number) = text.parse::<i64>() {
        return match number.unsigned_abs() {
            size if size < SECONDS_END => number.checked_mul(1_000_000_000).map(UnixNano),
            size if size >= NANOS_BEGIN => Some(UnixNano(number)),
            _ => None,
        };
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.abs() < 9.2e9).then(|| UnixNano((seconds * 1e9).round() as i64));
    }
    UnixNano::parse(text, now).ok()
}

/// A duration as Go writes it; without a unit, seconds.
pub(crate) fn go_duration(text: &str) -> Option<i64> {
    use crate::http::parameter::parse_duration_ns;
    if let Ok(seconds) = text.parse::<f64>() {
        return (0.0..9.2e9).contains(&seconds).then(|| (seconds * 1e9).round() as i64);
    }
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| at + digits);
        total = total.checked_add(parse_duration_ns(&rest[..unit])?)?;
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_nanoseconds_or_text() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(instant(text, UnixNano(7)).map(|at| at.0), expected, "{text}");
        };
        check("1700000000", Some(1_700_000_000_000_000_000));
        check("1700000000.5", Some(1_700_000_000_500_000_000));
        check("1700000000000000000", Some(1_700_000_000_000_000_000));
        check("2023-11-14T22:13:20Z", Some(1_700_000_000_000_000_000));
        check("0", Some(0));
        check("now", Some(7));
        check("1700000000000", None);
        check("99999999999", None);
        check("yesterday", None);
        check("99999999999999999999", None);
    }

    #[test]
    fn durations_are_those_of_go() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(go_duration(text), expected, "{text}");
        check("15s", Some(15_000_000_000));
        check("1h30m", Some(5_400_000_000_000));
        check("1.5s", Some(1_500_000_000));
        check("60", Some(60_000_000_000));
        for bad in ["", "s", "1x", "-5s", "1h30", "9999999h9999999h"] {
            check(bad, None);
        }
    }
}
