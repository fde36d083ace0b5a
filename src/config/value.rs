//! Text forms of configuration values: sizes (`16 MiB`), durations (`10s`), addresses (`127.0.0.1:4317`, `off`).
//!
//! Deliberately strict: a number without a unit is no duration, and a unit that is not listed is refused with the list.

use std::fmt;
use std::time::Duration;

use tracelake_ingest::Rate;

const SIZES: &[(&str, u64)] = &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const DURATIONS: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a size in bytes: `16 MiB`, `64KiB`, `1_000_000`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let fault = || format!("{text:?} is not a size; write a whole number with B, KiB, MiB, GiB or TiB, such as 16 MiB");
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "" => 1,
        unit => SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(fault)?.1,
    };
    parse_count(number).ok().and_then(|count| count.checked_mul(factor)).ok_or_else(fault)
}

/// Reads a size as bytes a second, or `off`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    if text == "off" { Ok(Rate::Unlimited) } else { parse_size(text).map(Rate::BytesPerSecond) }
}

/// A rate as people write it.
pub(crate) fn show_rate(rate: Rate) -> String {
    match rate {
        Rate::Unlimited => "off".to_owned(),
        Rate::BytesPerSecond(bytes) => show_size(bytes),
    }
}

/// Reads a duration: `250ms`, `10s`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let fault = || format!("{text:?} is not a duration; write a whole number with ms, s, m, h or d, such as 10s");
    let (number, unit) = split_unit(text);
    let factor = DURATIONS.iter().find(|(name, _)| *name == unit).ok_or_else(fault)?.1;
    parse_count(number).ok().and_then(|count| count.checked_mul(factor)).map(Duration::from_millis).ok_or_else(fault)
}

/// Reads a whole number; `_` may group its digits.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let fault = || format!("{text:?} is not a whole number");
    if text.starts_with(['_', '+']) || text.ends_with('_') {
        return Err(fault());
    }
    text.replace('_', "").parse().map_err(|_| fault())
}

/// A whole number that fits 32 bits.
pub(crate) fn parse_small_count(text: &str) -> Result<u32, String> {
    u32::try_from(parse_count(text)?).map_err(|_| format!("{text:?} is too large; at most {}", u32::MAX))
}

/// Reads `true` or `false`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

/// A size as people write it; the greatest unit that divides it.
pub(crate) fn show_size(bytes: u64) -> String {
    let fits = SIZES.iter().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{bytes} B"), |(unit, factor)| format!("{} {unit}", bytes / factor))
}

/// A duration as people write it; the greatest unit that divides it.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = DURATIONS.iter().rev().find(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor));
    fits.map_or_else(|| format!("{ms}ms"), |(unit, factor)| format!("{}{unit}", ms / factor))
}

/// A whole number with `_` between groups of three digits.
pub(crate) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let grouped = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    grouped.collect::<Vec<_>>().join("_")
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'_').count();
    (&text[..digits], text[digits..].trim_start())
}

/// Where a door listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// The door is closed.
    Off,
    /// A host (name or IP) and a port; port 0 lets the system choose.
    At {
        /// Without the brackets of an IPv6 address.
        host: String,
        /// 0 to 65535.
        port: u16,
    },
}

impl Address {
    /// Reads `off`, `host:port`, `[::1]:port` or `:port` (every address of this machine).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let fault = || format!("{text:?} is not an address; write host:port such as 127.0.0.1:4317, or off");
        let (host, port) = text.rsplit_once(':').ok_or_else(fault)?;
        let port = port.parse().map_err(|_| fault())?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().map_err(|_| fault())?.to_string(),
            None if host.contains(':') => return Err(fault()),
            None if host.is_empty() => "::".to_owned(),
            None => host.to_owned(),
        };
        Ok(Self::At { host, port })
    }

    /// The same for a door that its protocol gives a usual port: a host alone means that one.
    pub(crate) fn parse_usual(text: &str, port: u16) -> Result<Self, String> {
        let alone = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().ok().map(|ip| ip.to_string()),
            None if text.is_empty() || text == "off" || text.contains(':') => None,
            None => Some(text.to_owned()),
        };
        alone.map_or_else(|| Self::parse(text), |host| Ok(Self::At { host, port }))
    }

    /// Whether only this machine can reach the door. Closed doors count as such.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Off => true,
            Self::At { host, .. } => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::At { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_back_from_how_they_are_shown() {
        for (text, bytes) in [("16 MiB", 16 << 20), ("64 KiB", 65_536), ("1 B", 1), ("3 GiB", 3 << 30), ("0 B", 0)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(show_size(bytes), text);
        }
        for (text, ms) in [("250ms", 250), ("10s", 10_000), ("10m", 600_000), ("1h", 3_600_000), ("2d", 172_800_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
            assert_eq!(show_duration(Duration::from_millis(ms)), text);
        }
        assert_eq!(parse_size("1_000"), Ok(1000));
        assert_eq!(show_count(1_000_000), "1_000_000");
        assert_eq!(show_count(12), "12");
    }

    #[test]
    fn values_without_meaning_are_refused() {
        for bad in ["", "MiB", "16 MB", "1.5 GiB", "-1 B", "99999999999 TiB", "1 2"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for bad in ["", "10", "10 seconds", "-1s", "1.5s", "s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "4317", "host", "::1:4317", "[::1]", "[x]:1", "host:70000", "on"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_door_with_a_usual_port_takes_a_host_alone() {
        let check = |text: &str, expected: &str| {
            let address = Address::parse_usual(text, 9411).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(expected), "{text}");
        };
        check("off", "off");
        check("127.0.0.1", "127.0.0.1:9411");
        check("collector.example", "collector.example:9411");
        check("[::1]", "[::1]:9411");
        check("127.0.0.1:0", "127.0.0.1:0");
        check("[::1]:80", "[::1]:80");
        for bad in ["", "::1", "[x]", "host:port"] {
            assert!(Address::parse_usual(bad, 9411).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_loopback_addresses_count_as_local() {
        let check = |text: &str, local: bool| {
            let address = Address::parse(text).expect("an address");
            assert_eq!(address.is_local(), local, "{text}");
        };
        for text in ["off", "127.0.0.1:0", "127.9.9.9:1", "localhost:4317", "[::1]:4317", "[::ffff:127.0.0.1]:1"] {
            check(text, true);
        }
        for text in ["0.0.0.0:4317", ":4317", "[::]:4317", "10.0.0.1:1", "localhost.example:1"] {
            check(text, false);
        }
    }
}
