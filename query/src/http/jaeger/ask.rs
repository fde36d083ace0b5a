//! Parameters as Jaeger's clients write them. Names that are not known here are passed over, as Jaeger does.

use std::time::Duration;

use serde_json::{Map, Value};
use tracelake_model::{TimeRange, TraceId, UnixNano};

use crate::error::Error;
use crate::http::parameter::{Parameters, bad, parse_duration_ns};
use crate::view::condition::Condition;
use crate::view::name::{parse_kind, parse_status};
use crate::view::search::Ask;
use crate::view::span_filter::SpanFilter;

/// Traces of a search that names no limit, and the most that may be asked for: they come with all their spans.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_500;

/// Traces that may be asked for by id at once.
const IDS_MAX: usize = 1_500;

/// Conditions of one search.
const TAGS_MAX: usize = 32;

/// How far back a search without a start goes.
const LOOKBACK: Duration = Duration::from_secs(2 * 86_400);

/// How far back dependencies without a lookback go.
const DEPENDENCIES_LOOKBACK: Duration = Duration::from_secs(86_400);

/// `GET /api/traces`.
pub(crate) enum Traces {
    /// These traces.
    ById(Vec<TraceId>),
    /// The newest traces with such a span.
    Search(Box<Ask>),
}

/// Reads `/api/traces`.
pub(crate) fn traces(parameters: &Parameters) -> Result<Traces, Error> {
    let ids = parameters.all("traceID");
    if ids.len() > IDS_MAX {
        return Err(bad("traceID", &format!("may be given at most {IDS_MAX} times")));
    }
    if !ids.is_empty() {
        let ids = ids.into_iter().map(|id| trace_id(id).map_err(|fault| bad("traceID", &fault)));
        return Ok(Traces::ById(ids.collect::<Result<_, _>>()?));
    }
    let text = |name: &str| parameters.all(name).first().copied().filter(|text| !text.is_empty());
    let mut filter = SpanFilter {
        service: text("service").map(str::to_owned),
        operation: text("operation").map(str::to_owned),
        kind: None,
        status: None,
        duration_min_ns: duration(parameters, "minDuration")?,
        duration_max_ns: duration(parameters, "maxDuration")?,
        conditions: Vec::new(),
        text: None,
        range: range(parameters)?,
    };
    if let (Some(least), Some(most)) = (filter.duration_min_ns, filter.duration_max_ns)
        && least > most
    {
        return Err(bad("maxDuration", "should be greater than minDuration"));
    }
    for (key, value) in tags(parameters)? {
        add_tag(&mut filter, &key, &value)?;
    }
    let limit = match text("limit") {
        None => LIMIT_DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| bad("limit", &format!("must be a number from 1 to {LIMIT_MAX}")))?,
    };
    Ok(Traces::Search(Box::new(Ask { filter, limit, after: None })))
}

/// A trace id of up to 32 hexadecimal digits; Jaeger leaves leading zeros out.
pub(crate) fn trace_id(text: &str) -> Result<TraceId, String> {
    TraceId::parse(&format!("{text:0>32}")).map_err(|fault| fault.to_string())
}

/// `endTs` and `lookback` of `/api/dependencies`, milliseconds.
pub(crate) fn dependencies(parameters: &Parameters) -> Result<TimeRange, Error> {
    let millis = |name: &str| -> Result<Option<i64>, Error> {
        let Some(text) = parameters.all(name).first().copied().filter(|text| !text.is_empty()) else { return Ok(None) };
        let millis = text.parse::<i64>().ok().filter(|millis| *millis >= 0);
        millis.map(Some).ok_or_else(|| bad(name, "must be a number of milliseconds"))
    };
    let end = millis("endTs")?.map_or(parameters.now(), |millis| UnixNano(millis.saturating_mul(1_000_000)));
    let lookback = millis("lookback")?.and_then(|millis| u64::try_from(millis).ok());
    let lookback = lookback.map_or(DEPENDENCIES_LOOKBACK, Duration::from_millis);
    Ok(TimeRange { start: end.minus(lookback), end: end.plus(Duration::from_nanos(1)) })
}

/// `start` and `end` in microseconds; without a start so far back as `lookback` (`1h`, `2d`) says.
fn range(parameters: &Parameters) -> Result<TimeRange, Error> {
    let micros = |name: &str| -> Result<Option<UnixNano>, Error> {
        let Some(text) = parameters.all(name).first().copied().filter(|text| !text.is_empty()) else { return Ok(None) };
        let micros = text.parse::<i64>().ok();
        let micros = micros.ok_or_else(|| bad(name, "must be a number of microseconds since 1970"))?;
        Ok(Some(UnixNano(micros.saturating_mul(1_000))))
    };
    let end = micros("end")?.unwrap_or_else(|| parameters.now());
    let lookback = match parameters.all("lookback").first().copied() {
        None | Some("" | "custom") => LOOKBACK,
        Some(text) => {
            let nanos = go_duration_ns(text).and_then(|nanos| u64::try_from(nanos).ok());
            Duration::from_nanos(nanos.ok_or_else(|| bad("lookback", "is not a duration; write 1h, 2d or custom"))?)
        }
    };
    let start = micros("start")?.unwrap_or_else(|| end.minus(lookback));
    // Jaeger's end lies inside.
    let end = end.plus(Duration::from_micros(1));
    if start >= end {
        return Err(bad("start", "must lie before end"));
    }
    Ok(TimeRange { start, end })
}

fn duration(parameters: &Parameters, name: &str) -> Result<Option<i64>, Error> {
    let Some(text) = parameters.all(name).first().copied().filter(|text| !text.is_empty()) else { return Ok(None) };
    let nanos = go_duration_ns(text);
    nanos
        .map(Some)
        .ok_or_else(|| bad(name, "is not a duration; write a number and its unit, like 1.2s, 100ms or 500us"))
}

/// Go's way to write durations, a run of numbers with units (`1h30m`, `1.2ms`), with days and weeks besides.
fn go_duration_ns(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut total) = (text, 0_i64);
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let end = rest[unit_at..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| unit_at + at);
        let nanos = match rest[..end].strip_suffix('w') {
            Some(weeks) => parse_duration_ns(&format!("{weeks}d"))?.checked_mul(7)?,
            None => parse_duration_ns(&rest[..end])?,
        };
        total = total.checked_add(nanos)?;
        rest = &rest[end..];
    }
    (!text.is_empty()).then_some(total)
}

/// `tags` as a JSON object or as logfmt, and each `tag=key:value`.
fn tags(parameters: &Parameters) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for tag in parameters.all("tag") {
        let (key, value) = tag.split_once(':').ok_or_else(|| bad("tag", "must be written key:value"))?;
        found.push((key.to_owned(), value.to_owned()));
    }
    for text in parameters.all("tags").into_iter().map(str::trim).filter(|text| !text.is_empty()) {
        if !text.starts_with('{') {
            found.extend(logfmt(text).ok_or_else(|| bad("tags", "is neither a JSON object nor key=value pairs"))?);
            continue;
        }
        let tags: Map<String, Value> = serde_json::from_str(text)
            .map_err(|fault| bad("tags", &format!("is not a JSON object of strings: {fault}")))?;
        for (key, value) in tags {
            let value = match value {
                Value::String(text) => text,
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return Err(bad("tags", &format!("has no text at {key:?}"))),
            };
            found.push((key, value));
        }
    }
    if found.len() > TAGS_MAX {
        return Err(bad("tags", &format!("may name at most {TAGS_MAX} tags")));
    }
    Ok(found)
}

/// `key=value key="quoted \"value\"" flag`, where a bare key is `true`.
fn logfmt(text: &str) -> Option<Vec<(String, String)>> {
    let (mut rest, mut found) = (text.trim_start(), Vec::new());
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let key = &rest[..end];
        if key.is_empty() || key.contains('"') {
            return None;
        }
        rest = &rest[end..];
        let Some(after) = rest.strip_prefix('=') else {
            found.push((key.to_owned(), "true".to_owned()));
            rest = rest.trim_start();
            continue;
        };
        let (value, after) = if after.starts_with('"') { quoted(after)? } else { bare(after) };
        found.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Some(found)
}

fn bare(text: &str) -> (String, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// A JSON string and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    let end = end?.0 + 1;
    Some((serde_json::from_str(&text[..end]).ok()?, &text[end..]))
}

/// Tags that Jaeger makes of a span's own fields ask for those; any other is an attribute.
fn add_tag(filter: &mut SpanFilter, key: &str, value: &str) -> Result<(), Error> {
    let field = |name: &str| Condition::equal(name, value);
    match key {
        "span.kind" => {
            let kind = parse_kind(value).ok_or_else(|| bad("tags", &format!("has no span.kind {value:?}")))?;
            filter.kind = Some(kind);
        }
        "otel.status_code" => {
            let status =
                parse_status(value).ok_or_else(|| bad("tags", &format!("has no otel.status_code {value:?}")))?;
            filter.status = Some(status);
        }
        "otel.status_description" => filter.conditions.push(field("span:statusMessage")),
        "otel.scope.name" | "otel.library.name" => filter.conditions.push(field("instrumentation:name")),
        "otel.scope.version" | "otel.library.version" => filter.conditions.push(field("instrumentation:version")),
        _ => filter.conditions.push(Condition::equal(key, value)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNano = UnixNano(1_700_000_000_000_000_000);

    fn search(query: &str) -> Result<Ask, String> {
        match traces(&Parameters::lenient(Some(query), NOW)).map_err(|fault| fault.to_string())? {
            Traces::Search(ask) => Ok(*ask),
            Traces::ById(_) => Err("ids".to_owned()),
        }
    }

    #[test]
    fn durations_are_written_as_in_go() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(go_duration_ns(text), expected, "{text}");
        check("1.2ms", Some(1_200_000));
        check("1h30m", Some(5_400_000_000_000));
        check("1m0.5s", Some(60_500_000_000));
        check("500us", Some(500_000));
        check("2d", Some(172_800_000_000_000));
        check("1w", Some(604_800_000_000_000));
        check("0", Some(0));
        for bad in ["", "5", "ms", "1h5", "-1s", "1x", "1..2s"] {
            check(bad, None);
        }
    }

    #[test]
    fn tags_come_as_json_as_logfmt_and_one_by_one() {
        let check = |query: &str, expected: &[(&str, &str)]| {
            let found = tags(&Parameters::lenient(Some(query), NOW)).expect("tags");
            let found: Vec<(&str, &str)> = found.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            assert_eq!(found, expected, "{query}");
        };
        check(
            "tags=%7B%22http.status_code%22%3A%22500%22%2C%22error%22%3A%22true%22%7D",
            &[("error", "true"), ("http.status_code", "500")],
        );
        check("tags=%7B%22n%22%3A5%2C%22b%22%3Atrue%7D", &[("b", "true"), ("n", "5")]);
        check(
            "tags=http.status_code%3D500%20error%20m%3D%22a%20%5C%22b%5C%22%22",
            &[("http.status_code", "500"), ("error", "true"), ("m", "a \"b\"")],
        );
        check("tag=a:b&tag=url:http://x", &[("a", "b"), ("url", "http://x")]);
        check("tags=", &[]);
        for bad in ["tags=%7B%22a%22", "tags=%7B%22a%22%3A%5B%5D%7D", "tag=a", "tags=%3Db", "tags=a%3D%22b"] {
            assert!(tags(&Parameters::lenient(Some(bad), NOW)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_search_is_read_as_its_clients_write_it() {
        // Jaeger UI, and Grafana.
        let ask = search("end=1700000000000000&limit=20&lookback=1h&maxDuration&minDuration=1.2ms&service=cart&start=1699996400000000&tags=%7B%22span.kind%22%3A%22server%22%7D").expect("a search");
        assert_eq!((ask.filter.service.as_deref(), ask.limit), (Some("cart"), 20));
        assert_eq!(
            (ask.filter.duration_min_ns, ask.filter.duration_max_ns, ask.filter.kind),
            (Some(1_200_000), None, Some(2))
        );
        assert_eq!((ask.filter.range.start.0, ask.filter.range.end.0), (NOW.0 - 3_600_000_000_000, NOW.0 + 1_000));
        let ask = search("service=cart&lookback=15m").expect("a search");
        assert_eq!((ask.filter.range.start.0, ask.limit), (NOW.0 - 900_000_000_000, 100));
        for (query, named) in [
            ("limit=0", "limit"),
            ("limit=1000000", "1500"),
            ("start=x", "start"),
            ("start=5&end=1", "start"),
            ("minDuration=5", "minDuration"),
            ("minDuration=5s&maxDuration=1s", "maxDuration"),
            ("lookback=soon", "lookback"),
            ("tags=%7B%22span.kind%22%3A%22sever%22%7D", "sever"),
            ("traceID=xyz", "traceID"),
        ] {
            let fault = search(query).expect_err(query);
            assert!(fault.contains(named), "{query}: {fault}");
        }
    }

    #[test]
    fn ids_may_lack_leading_zeros_and_dependencies_count_in_milliseconds() {
        assert_eq!(trace_id("abc").expect("an id").to_string(), format!("{:0>32}", "abc"));
        assert!(trace_id("").is_err() && trace_id(&"a".repeat(33)).is_err());
        let range =
            dependencies(&Parameters::lenient(Some("endTs=1700000000000&lookback=60000"), NOW)).expect("a range");
        assert_eq!((range.start.0, range.end.0), (NOW.0 - 60_000_000_000, NOW.0 + 1));
        assert!(dependencies(&Parameters::lenient(Some("endTs=now"), NOW)).is_err());
    }
}
