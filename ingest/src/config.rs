//! What an operator may set for the ingest wing, with its defaults and its check.
//!
//! Deliberately reads nothing: the binary fills it from flags, environment and file.

use tracelake_model::DecodeLimits;

/// Settings of the ingest wing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What shapes a decoded request: sizes, counts, nesting.
    pub limits: DecodeLimits,
    /// Bytes of all requests being worked on at one time, as received and as decompressed; more are told to come back.
    pub in_flight_bytes: u64,
}

/// Values nest by recursion; this many levels are safe on the smallest thread stack we use.
const NESTING_MAX: u32 = 256;
/// Column offsets have 32 bits; text grows at most sixfold when it is written as JSON.
const REQUEST_BYTES_MAX: u64 = 256 << 20;

impl Default for Config {
    fn default() -> Self {
        Self { limits: DecodeLimits::default(), in_flight_bytes: 24 << 20 }
    }
}

impl Config {
    /// Every problem of these settings, each with its remedy.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let limits = &self.limits;
        let rules = [
            (limits.request_bytes == 0, "limits.request_bytes is 0; set at least 1 KiB".to_owned()),
            (
                limits.request_bytes > REQUEST_BYTES_MAX,
                format!("limits.request_bytes is {}; set at most {REQUEST_BYTES_MAX}", limits.request_bytes),
            ),
            (limits.records == 0, "limits.records_per_request is 0; set at least 1".to_owned()),
            (limits.value_bytes < 64, "limits.value_bytes is below 64; set at least 64 bytes".to_owned()),
            (
                limits.nesting == 0 || limits.nesting > NESTING_MAX,
                format!("limits.nesting is {}; set 1 to {NESTING_MAX}", limits.nesting),
            ),
            (
                self.in_flight_bytes < limits.request_bytes,
                format!(
                    "limits.in_flight_bytes ({}) is below limits.request_bytes ({}); raise it, best to four times that",
                    self.in_flight_bytes, limits.request_bytes
                ),
            ),
        ];
        let problems: Vec<String> = rules.into_iter().filter_map(|(wrong, text)| wrong.then_some(text)).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_sound_and_all_problems_are_told_at_once() {
        assert_eq!(Config::default().check(), Ok(()));
        let bad = Config {
            limits: DecodeLimits { nesting: 1000, records: 0, ..DecodeLimits::default() },
            in_flight_bytes: 10,
        };
        assert_eq!(bad.check().map_err(|problems| problems.len()), Err(3));
    }
}
