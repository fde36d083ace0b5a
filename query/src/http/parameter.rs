//! Typed query parameters: times, durations, numbers, choices, cursors. Unknown ones are refused, by name.
//!
//! Deliberately knows no route: a handler says which names it takes and asks for each by its type.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracelake_model::{TimeRange, UnixNano};

use crate::error::Error;

/// The query parameters of one request.
#[derive(Debug)]
pub(crate) struct Parameters {
    pairs: Vec<(String, String)>,
    now: UnixNano,
}

impl Parameters {
    /// Takes a query string apart; every name must be in `known`. `now` is what `now-15m` counts from.
    pub(crate) fn parse(query: Option<&str>, known: &[&str], now: UnixNano) -> Result<Parameters, Error> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        let mut unknown: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        unknown.retain(|name| !known.contains(name));
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(Parameters { pairs, now });
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::Invalid(format!("unknown query parameter {}; known here: {known}", unknown.join(", "))))
    }

    /// Takes a query string apart for protocols whose clients send more than they need to: unknown names are kept.
    pub(crate) fn lenient(query: Option<&str>, now: UnixNano) -> Parameters {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        Parameters { pairs, now }
    }

    /// What `now-15m` counts from.
    pub(crate) fn now(&self) -> UnixNano {
        self.now
    }

    /// All values of a repeatable parameter, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a parameter that may be given once; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.all(name).as_slice() {
            [] | [""] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(bad(name, "is given more than once")),
        }
    }

    /// An instant: RFC 3339, `now-15m`, or Unix nanoseconds.
    pub(crate) fn time(&self, name: &str) -> Result<Option<UnixNano>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        UnixNano::parse(text, self.now).map(Some).map_err(|fault| bad(name, &fault.to_string()))
    }

    /// `start` and `end`; the span `default` before the end when no start is given, up to now when no end is.
    pub(crate) fn range(&self, default: Duration) -> Result<TimeRange, Error> {
        let end = self.time("end")?.unwrap_or_else(|| self.now.plus(Duration::from_nanos(1)));
        let start = self.time("start")?.unwrap_or_else(|| end.minus(default));
        ordered(start, end)
    }

    /// `start` and `end`, all time where they are not given.
    pub(crate) fn range_or_all(&self) -> Result<TimeRange, Error> {
        let start = self.time("start")?.unwrap_or(TimeRange::ALL.start);
        ordered(start, self.time("end")?.unwrap_or(TimeRange::ALL.end))
    }

    /// A second range, `None` when neither of its ends is given; as long as `like` when one is.
    pub(crate) fn other_range(&self, start: &str, end: &str, like: TimeRange) -> Result<Option<TimeRange>, Error> {
        let length = Duration::from_nanos(like.end.0.abs_diff(like.start.0));
        let (first, last) = match (self.time(start)?, self.time(end)?) {
            (None, None) => return Ok(None),
            (Some(first), None) => (first, first.plus(length)),
            (None, Some(last)) => (last.minus(length), last),
            (Some(first), Some(last)) => (first, last),
        };
        if first >= last {
            return Err(bad(start, &format!("must lie before {end}")));
        }
        Ok(Some(TimeRange { start: first, end: last }))
    }

    /// A span of time such as `250ms`, `1.5s`, `10m`, in nanoseconds.
    pub(crate) fn duration_ns(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse_duration_ns(text)
            .map(Some)
            .ok_or_else(|| bad(name, "is not a duration; write a number and ns, us, ms, s, m, h or d, like 250ms"))
    }

    /// `limit`: from 1 to `cap`, `default` when not given.
    pub(crate) fn limit(&self, default: usize, cap: usize) -> Result<usize, Error> {
        let Some(text) = self.text("limit")? else { return Ok(default) };
        let limit = text.parse::<usize>().ok().filter(|limit| (1..=cap).contains(limit));
        limit.ok_or_else(|| bad("limit", &format!("must be a number from 1 to {cap}")))
    }

    /// One of named choices, compared without case.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(text));
        let names = || choices.iter().map(|(choice, _)| *choice).collect::<Vec<_>>().join(", ");
        found.map(|(_, value)| Some(*value)).ok_or_else(|| bad(name, &format!("must be one of {}", names())))
    }

    /// `cursor`, as [`cursor`] wrote it.
    pub(crate) fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(text) = self.text("cursor")? else { return Ok(None) };
        let read = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        read.map(Some).ok_or_else(|| bad("cursor", "is not one that this route gave; take `next_cursor` as it is"))
    }
}

/// An opaque cursor that holds `place`.
pub(crate) fn cursor<T: Serialize>(place: &T) -> String {
    // Places are plain numbers and strings, which serialise without fail.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default())
}

/// A fault of one parameter, named.
pub(crate) fn bad(name: &str, what: &str) -> Error {
    Error::Invalid(format!("query parameter {name} {what}"))
}

fn ordered(start: UnixNano, end: UnixNano) -> Result<TimeRange, Error> {
    if start < end {
        return Ok(TimeRange { start, end });
    }
    Err(Error::Invalid(format!("start ({start}) must lie before end ({end})")))
}

/// Reads `250ms`, `1.5s`, `10m` ... as nanoseconds.
pub(crate) fn parse_duration_ns(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9), ("d", 86_400e9)];
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = UNITS.iter().find(|(unit, _)| *unit == &text[digits.len()..])?.1;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let nanos = digits.parse::<f64>().ok().filter(|_| plain)? * unit;
    // Past 2^53 ns (104 days) a double loses single nanoseconds, which no duration in a question means.
    (nanos < 9.2e18).then_some(nanos.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNano = UnixNano(1_700_000_000_000_000_000);

    fn parse(query: &str) -> Parameters {
        let known = ["start", "end", "limit", "attr", "kind", "cursor", "min_duration", "from", "to"];
        Parameters::parse(Some(query), &known, NOW).expect("known parameters")
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_name() {
        let refused = Parameters::parse(Some("start=now&servce=a"), &["start"], NOW).expect_err("unknown");
        assert!(refused.to_string().contains("servce"), "{refused}");
        assert!(Parameters::parse(None, &[], NOW).is_ok());
    }

    #[test]
    fn repeatable_parameters_keep_their_order_and_single_ones_are_single() {
        let parameters = parse("attr=a%3D1&attr=b%3E%3D2&kind=SERVER");
        assert_eq!(parameters.all("attr"), ["a=1", "b>=2"]);
        assert!(parameters.text("attr").is_err());
        assert_eq!(parameters.choice("kind", &[("server", 2)]).expect("a choice"), Some(2));
        assert!(parse("kind=x").choice("kind", &[("server", 2)]).is_err());
    }

    #[test]
    fn ranges_default_and_must_run_forward() {
        let hour = Duration::from_secs(3600);
        let range = parse("").range(hour).expect("default");
        assert!(range.contains(NOW) && range.end.0 - range.start.0 == 3_600_000_000_000);
        let range = parse("end=1000").range(hour).expect("before the end");
        assert_eq!(range.end, UnixNano(1000));
        assert!(parse("start=5&end=5").range(hour).is_err());
        assert_eq!(parse("").range_or_all().expect("all"), TimeRange::ALL);
    }

    #[test]
    fn a_second_range_is_as_long_as_the_first_unless_it_says() {
        let like = TimeRange { start: UnixNano(100), end: UnixNano(130) };
        let other =
            |text| parse(text).other_range("from", "to", like).map(|range| range.map(|at| (at.start.0, at.end.0)));
        assert_eq!(other("").expect("none"), None);
        assert_eq!(other("from=10").expect("a range"), Some((10, 40)));
        assert_eq!(other("to=50").expect("a range"), Some((20, 50)));
        assert_eq!(other("from=1&to=2").expect("a range"), Some((1, 2)));
        assert!(other("from=2&to=1").is_err());
    }

    #[test]
    fn durations_are_read() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(parse_duration_ns(text), expected, "{text}");
        check("250ms", Some(250_000_000));
        check("1.5s", Some(1_500_000_000));
        check("10us", Some(10_000));
        check("10µs", Some(10_000));
        check("7ns", Some(7));
        check("2h", Some(7_200_000_000_000));
        for bad in ["", "ms", "5", "-5ms", "1e3s", "5 ms", "inf", "9999999999d"] {
            check(bad, None);
        }
        assert!(parse("min_duration=5").duration_ns("min_duration").is_err());
    }

    #[test]
    fn limits_stay_under_their_cap_and_cursors_read_back() {
        assert_eq!(parse("limit=7").limit(20, 10).expect("fits"), 7);
        for bad in ["limit=0", "limit=11", "limit=x", "limit=-1"] {
            let refused = parse(bad).limit(20, 10).expect_err(bad).to_string();
            assert!(refused.contains("10"), "{refused}");
        }
        let text = cursor(&(7_i64, "ab"));
        let back: Option<(i64, String)> = parse(&format!("cursor={text}")).cursor().expect("own cursor");
        assert_eq!(back, Some((7, "ab".to_owned())));
        assert!(parse("cursor=%%%").cursor::<(i64, String)>().is_err());
    }
}
