//! A length of time written as `250ms`, `30s`, `5m`, `2h` or `7d`, in bodies and in the configuration.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time with a readable text form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Period {
    /// A period of whole seconds.
    pub fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Reads `250ms`, `30s`, `5m`, `2h`, `7d`; at most 366 days.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let millis = number.parse::<u64>().ok()?.checked_mul(factor)?;
        (millis <= 366 * 86_400_000).then(|| Self(Duration::from_millis(millis)))
    }

    /// The same in nanoseconds.
    pub(crate) fn nanos(self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let unit = UNITS.iter().rev().find(|(_, factor)| millis > 0 && millis.is_multiple_of(u128::from(*factor)));
        let (name, factor) = unit.copied().unwrap_or(("s", 1_000));
        write!(f, "{}{name}", millis / u128::from(factor))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let fault = || serde::de::Error::custom(format!("{text:?} is not a length of time; write 30s, 5m, 2h or 1d"));
        Self::parse(&text).ok_or_else(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_back_from_their_own_text() {
        let check = |text: &str, millis: u64, shown: &str| {
            let period = Period::parse(text).expect(text);
            assert_eq!(period.0, Duration::from_millis(millis), "{text}");
            assert_eq!(period.to_string(), shown);
        };
        check("0s", 0, "0s");
        check("250ms", 250, "250ms");
        check("90s", 90_000, "90s");
        check("120s", 120_000, "2m");
        check("7d", 604_800_000, "7d");
        for bad in ["", "5", "m", "5y", "-5m", "1.5h", "99999999999d", "5 m"] {
            assert!(Period::parse(bad).is_none(), "{bad}");
        }
    }
}
