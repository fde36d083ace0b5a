//! Time: Unix nanoseconds, half-open ranges, a clock that tests can hold, and time text in requests and answers.
//!
//! Deliberately knows UTC only: time zones are the reader's, in the pages.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00Z. Zero means "no time was sent" where a record may lack one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixNano(pub i64);

/// Records with `start <= time < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub start: UnixNano,
    /// First instant outside.
    pub end: UnixNano,
}

/// A time in a request that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a time; use RFC 3339 (2026-01-31T08:30:00Z), now-15m, or Unix nanoseconds")]
pub struct TimeError(pub String);

const SECOND: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

impl UnixNano {
    /// The greatest instant (in the year 2262).
    pub const MAX: UnixNano = UnixNano(i64::MAX);

    /// Start of the minute that holds this instant.
    pub fn minute(self) -> UnixNano {
        UnixNano(self.0 - self.0.rem_euclid(60 * SECOND))
    }

    /// Start of the second that holds this instant.
    pub fn second(self) -> UnixNano {
        UnixNano(self.0 - self.0.rem_euclid(SECOND))
    }

    /// This instant moved forward, stopping at the greatest.
    pub fn plus(self, by: Duration) -> UnixNano {
        UnixNano(self.0.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back, stopping at the smallest.
    pub fn minus(self, by: Duration) -> UnixNano {
        UnixNano(self.0.saturating_sub(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The UTC day as `YYYY-MM-DD`, the value of the `date` partition.
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.0.div_euclid(SECOND * DAY_SECONDS));
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// RFC 3339 in UTC with nine digits, `2026-01-31T08:30:00.000000000Z`.
    pub fn to_rfc3339(self) -> String {
        let seconds = self.0.div_euclid(SECOND);
        let (year, month, day) = civil(seconds.div_euclid(DAY_SECONDS));
        let (of_day, nanos) = (seconds.rem_euclid(DAY_SECONDS), self.0.rem_euclid(SECOND));
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }

    /// Reads RFC 3339, `now`, `now-15m` (`s m h d w`), or an integer of Unix nanoseconds.
    pub fn parse(text: &str, now: UnixNano) -> Result<UnixNano, TimeError> {
        let fault = || TimeError(text.to_owned());
        if let Some(offset) = text.strip_prefix("now") {
            return offset_from(offset, now).ok_or_else(fault);
        }
        if let Ok(nanos) = text.parse::<i64>() {
            return Ok(UnixNano(nanos));
        }
        parse_rfc3339(text).ok_or_else(fault)
    }
}

impl fmt::Display for UnixNano {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

impl TimeRange {
    /// Everything.
    pub const ALL: TimeRange = TimeRange { start: UnixNano(i64::MIN), end: UnixNano::MAX };

    /// Whether an instant lies inside.
    pub fn contains(&self, at: UnixNano) -> bool {
        self.start <= at && at < self.end
    }
}

fn offset_from(offset: &str, now: UnixNano) -> Option<UnixNano> {
    if offset.is_empty() {
        return Some(now);
    }
    let (sign, rest) = match offset.split_at_checked(1)? {
        ("-", rest) => (-1, rest),
        ("+", rest) => (1, rest),
        _ => return None,
    };
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: i64 = match &rest[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => DAY_SECONDS,
        "w" => 7 * DAY_SECONDS,
        _ => return None,
    };
    let by = digits.parse::<u32>().ok().map(i64::from)?.checked_mul(unit)?.checked_mul(SECOND)?;
    Some(UnixNano(now.0.checked_add(sign * by)?))
}

/// Days since the epoch to a proleptic Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn parse_rfc3339(text: &str) -> Option<UnixNano> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = text.get(from..to)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let bytes = text.as_bytes();
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 20 || marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let real_date = civil(days_from_civil(year, month, day)) == (year, month, day);
    if !real_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(text.get(19..)?)?;
    let days = days_from_civil(year, month, day);
    let seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(UnixNano(seconds.checked_mul(SECOND)?.checked_add(nanos)?))
}

fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let value: i64 = rest[..digits].parse().ok()?;
    Some((value * 10_i64.pow(u32::try_from(9 - digits).ok()?), &rest[digits..]))
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The only source of the present. Ownership: shared; ordering: may go back when the system's clock is set back.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant.
    fn now(&self) -> UnixNano;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> UnixNano {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixNano(since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// A clock that stands still until told otherwise, for tests and simulations.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: UnixNano) -> Self {
        Self(Arc::new(AtomicI64::new(at.0)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let now = self.now().plus(by);
        self.set(now);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, at: UnixNano) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixNano {
        UnixNano(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNano = UnixNano(1_700_000_000_000_000_000);

    #[test]
    fn times_in_requests_are_read() {
        let check = |text: &str, expected: i64| {
            assert_eq!(UnixNano::parse(text, NOW), Ok(UnixNano(expected)), "{text}");
        };
        check("now", NOW.0);
        check("now-15m", NOW.0 - 900 * SECOND);
        check("now+1d", NOW.0 + DAY_SECONDS * SECOND);
        check("1700000000000000000", NOW.0);
        check("2023-11-14T22:13:20Z", NOW.0);
        check("2023-11-14T22:13:20.000000001Z", NOW.0 + 1);
        check("2023-11-15T00:13:20.5+02:00", NOW.0 + SECOND / 2);
        check("1969-12-31T23:59:59.999999999Z", -1);
        check("2000-02-29T00:00:00Z", 951_782_400 * SECOND);
    }

    #[test]
    fn text_that_is_no_time_is_refused() {
        for text in [
            "",
            "now-",
            "now-5",
            "now-5y",
            "yesterday",
            "2023-02-30T00:00:00Z",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "9999-01-01T00:00:00Z",
            "né-15m",
        ] {
            assert!(UnixNano::parse(text, NOW).is_err(), "{text}");
        }
    }

    #[test]
    fn an_instant_reads_back_from_its_own_text() {
        for nanos in [0, 1, -1, NOW.0, i64::MAX, 951_782_399_999_999_999] {
            let at = UnixNano(nanos);
            assert_eq!(UnixNano::parse(&at.to_rfc3339(), NOW), Ok(at));
        }
        assert_eq!(NOW.date(), "2023-11-14");
        assert_eq!(UnixNano(-1).date(), "1969-12-31");
    }
}
